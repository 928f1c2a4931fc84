// What a pre-training's report says beside the curves of its losses: whether text and images are both used.
import type { LeakDiagnostics } from '../tasks/diagnose.ts';
import { LEAST_DELTA, usedText } from '../tasks/diagnose.ts';
import type { LeftOut } from '../tasks/pretrain-set.ts';
import type { Chart, Line } from './chart.ts';
import { EPOCH } from './pretrain-lesions.ts';
import type { MetricRecord } from './run-folder.ts';
import type { ReportTable } from './run-report.ts';
import type { Scalars } from './tensorboard.ts';

/** Values by tag; those that the method does not have are left out. */
export function diagnosticScalars(d: LeakDiagnostics, isValidation: boolean): Scalars {
  const all: Record<string, number | null> = {
    'diagnose/accuracy/own': d.accuracy,
    'diagnose/accuracy/images_shuffled': d.accuracyImagesShuffled,
    'diagnose/accuracy/text_null': d.accuracyTextNull,
    'diagnose/grad_tokens': d.gradTokens,
    'diagnose/tcl': d.tcl,
    'diagnose/tir/own': d.tir,
    'diagnose/tir/swapped': d.tirSwapped,
    'diagnose/delta_text': d.deltaText,
    'diagnose/delta_text_lesions': d.deltaTextLesions,
    'diagnose/lesion_error': d.lesionError,
    'diagnose/lesion_voxels': d.lesionVoxels,
    ...(isValidation
      ? {
          'validation/loss': d.loss,
          'validation/tcl': d.tcl,
          'validation/tir': d.tir,
          'validation/accuracy': d.accuracy,
        }
      : {}),
  };
  return Object.fromEntries(
    Object.entries(all).flatMap(([tag, v]) => (v === null ? [] : [[tag, Number.isFinite(v) ? v : null]])),
  );
}

/** A line for people. */
export function diagnosticLine(d: LeakDiagnostics): string {
  const parts = [
    ...(d.accuracy === null ? [] : [`accuracy ${d.accuracy.toFixed(2)}`]),
    ...(d.accuracyImagesShuffled === null ? [] : [`images shuffled ${d.accuracyImagesShuffled.toFixed(2)}`]),
    ...(d.accuracyTextNull === null ? [] : [`text null ${d.accuracyTextNull.toFixed(2)}`]),
    ...(d.gradTokens === null ? [] : [`|dTCL/dV| ${d.gradTokens.toPrecision(2)}`]),
    ...(d.deltaText === null ? [] : [`delta_text ${d.deltaText.toPrecision(2)}`]),
    ...(d.deltaTextLesions === null ? [] : [`on lesions ${d.deltaTextLesions.toPrecision(2)}`]),
  ];
  return parts.join(', ');
}

/** What a reader must know of the last diagnostics. */
export function diagnosticNotes(d: LeakDiagnostics | null): string[] {
  if (!d) return [];
  const used = usedText(d);
  const high = (a: number | null): boolean =>
    a !== null && d.accuracy !== null && a > Math.max(2 * d.chance, d.accuracy / 2);
  return [
    ...(used === false ? ['The restoration did not use the text: it was as good with another study’s report.'] : []),
    ...(high(d.accuracyImagesShuffled)
      ? ['The contrast is solved without the images: its accuracy stays when they are exchanged between studies.']
      : []),
    ...(high(d.accuracyTextNull)
      ? ['The contrast is solved without the reports: its accuracy stays when all of them are empty.']
      : []),
    ...(d.gradTokens === 0 ? ['No gradient of the contrast reaches the images.'] : []),
  ];
}

export function diagnosticTable(d: LeakDiagnostics | null, where: string): ReportTable[] {
  if (!d) return [];
  const row = (what: string, v: number | null, digits: number, reading: string): string[][] =>
    v === null ? [] : [[what, v.toFixed(digits), reading]];
  const shares = `chance is ${d.chance.toFixed(3)}`;
  const used = usedText(d);
  return [
    {
      title: 'Are text and images used?',
      text: `The entry diagnose on ${d.batches} batches of ${where}, not augmented.`,
      head: ['what', 'value', 'how to read it'],
      rows: [
        ...row('contrast: accuracy', d.accuracy, 3, shares),
        ...row(
          'the same, images exchanged between studies',
          d.accuracyImagesShuffled,
          3,
          `at ${shares.slice(10)} or below, unless text alone solves it`,
        ),
        ...row('the same, all reports empty', d.accuracyTextNull, 3, 'near chance, unless images alone solve it'),
        ...row('norm of the gradient by the image tokens', d.gradTokens, 5, '0 where images are not used'),
        ...row('restoration: loss', d.tir, 4, ''),
        ...row('the same, shown another study’s report', d.tirSwapped, 4, ''),
        ...row(
          'their difference (delta_text)',
          d.deltaText,
          5,
          used === false
            ? `below ${100 * LEAST_DELTA} % of the loss: the restoration did not use the text`
            : 'what the report is worth to the restoration',
        ),
        ...row(
          'the same on corrupted voxels of lesions',
          d.deltaTextLesions,
          5,
          `L1 alone, ${d.lesionVoxels} voxels; with its own report ${d.lesionError?.toFixed(4)}`,
        ),
      ],
      numbers: [1],
    },
  ];
}

export function pretrainCharts(records: readonly MetricRecord[]): Chart[] {
  const points = (tag: string) =>
    records.flatMap(({ step, values }) => (tag in values ? [[step, values[tag] ?? Number.NaN] as const] : []));
  const chart = (
    title: string,
    tags: Readonly<Record<string, string>>,
    more: Partial<Line> = {},
    range?: Chart['range'],
  ) => {
    const lines = Object.entries(tags)
      .map(([name, tag]): Line => ({ name, points: points(tag), ...more }))
      .filter((l) => l.points.length > 0);
    return lines.length > 0 ? [{ title, lines, ...(range ? { range } : {}) }] : [];
  };
  return [
    ...chart('Losses by task', { contrast: 'train/tcl', restoration: 'train/tir' }, { smooth: true }),
    ...chart('Accuracy of the contrast, training', { accuracy: 'train/accuracy' }, { smooth: true }, [0, 1]),
    ...chart(
      'Accuracy of the contrast, diagnosed',
      {
        'as it is': 'diagnose/accuracy/own',
        'images exchanged': 'diagnose/accuracy/images_shuffled',
        'reports empty': 'diagnose/accuracy/text_null',
      },
      { marks: true },
      [0, 1],
    ),
    ...chart('Restoration', { 'own report': 'diagnose/tir/own', 'another’s': 'diagnose/tir/swapped' }, { marks: true }),
    ...chart(
      'What the report is worth to the restoration',
      { 'over all': 'diagnose/delta_text', 'on lesions': 'diagnose/delta_text_lesions' },
      { marks: true },
    ),
    ...chart('Lesions inside the tiles that were shown', { share: EPOCH }, { marks: true }, [0, 1]),
    ...chart('Studies that find their other view', { loss: 'train/view' }, { smooth: true }),
    ...chart('False reports below the true one', { share: 'train/counter_accuracy' }, { smooth: true }, [0, 1]),
    ...chart('Gradient by the image tokens', { norm: 'diagnose/grad_tokens' }, { marks: true }),
  ];
}

/** Counts by reason, and the first names of each. */
export function leftOutTable(left: readonly LeftOut[]): ReportTable[] {
  if (left.length === 0) return [];
  const by = new Map<string, LeftOut[]>();
  for (const l of left) by.set(l.reason, [...(by.get(l.reason) ?? []), l]);
  return [
    {
      title: 'Left out',
      text: 'Pairs that could not be used. left-out.json names them all.',
      head: ['reason', 'pairs', 'such as'],
      rows: [...by].map(([reason, list]) => [
        reason,
        String(list.length),
        `${list[0]!.name}: ${list[0]!.detail}`.slice(0, 160),
      ]),
      numbers: [1],
    },
  ];
}

export const countsOf = (left: readonly LeftOut[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { reason } of left) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
};
