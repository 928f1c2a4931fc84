// `t3dc eval segment`: reads the pairs one by one, keeps their figures alone, and writes what came out.
import { join } from 'node:path';
import { csvLine } from '../data/csv.ts';
import { type DataError, isDataError, pictureOf, toCanonical, type Volume } from '../data/index.ts';
import { readVolume, writeFileAtomic } from '../data/node.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import {
  badOption as bad,
  type CaseInfo,
  type ClassMap,
  classMap,
  infoOf,
  labelFolder,
  pairUp,
  readCases,
  some,
  strataOf,
  volumesIn,
} from './eval-cases.ts';
import { figure, textInterval } from './eval-page.ts';
import {
  type CaseClasses,
  type CaseScore,
  type SegmentSummary,
  scoreCase,
  summarise,
  worstFirst,
} from './eval-segment.ts';
import { segmentPage, type WorstPicture } from './eval-segment-page.ts';
import { sizeEdges } from './eval-strata.ts';
import { columns } from './units.ts';

export interface SegmentValues {
  readonly pred: string;
  readonly truth: string;
  readonly out: string;
  readonly labels?: string;
  readonly 'pred-labels'?: string;
  readonly tolerance: number;
  /** Names of the classes that are lesions, with commas. */
  readonly lesions?: string;
  /** Edges in mm, with commas. */
  readonly bins: string;
  readonly probability?: string;
  readonly cases?: string;
  /** Columns of `cases`, with commas. */
  readonly strata?: string;
  readonly images?: string;
  readonly window: string;
  readonly worst: number;
  readonly skip: boolean;
  readonly resamples: number;
  readonly seed: number;
}

/** A case that was left out, with the code of what was wrong. */
interface Skipped {
  readonly name: string;
  readonly code: string;
  readonly why: string;
}

/** What `--skip` leaves out and counts; everything else ends the evaluation. */
const SKIPPABLE = /^(volume-|nifti-|gzip-|unknown-label$|affine-singular$)/;

export async function evalSegment(values: SegmentValues, { out, signal }: Context): Promise<void> {
  const bins = sizeEdges(values.bins);
  const window = numbers('window', values.window);
  if (window.length !== 2 || !(window[0]! < window[1]!)) throw bad('window', values.window, 'two rising numbers');
  const lesions = values.lesions?.split(',').map((s) => s.trim()) ?? [];
  if (values.probability !== undefined && lesions.length !== 1)
    throw bad('probability', `${lesions.length} lesion classes`, 'one class in --lesions, whose probability it is');

  const pred = await labelFolder(values.pred);
  const truth = await labelFolder(values.truth);
  const pairs = pairUp(pred, truth);
  const skipped: Skipped[] = pairs.withoutPrediction.map((name) => ({
    name,
    code: 'missing-prediction',
    why: `no prediction in ${values.pred}`,
  }));
  if (skipped.length > 0 && !values.skip)
    throw new CliError('missing-prediction', `${skipped.length} cases of the truth have no prediction`, {
      found: some(pairs.withoutPrediction),
      expected: 'a prediction for every case',
      hint: 'Predict them, or leave them out and count them with --skip.',
    });
  const table = values.cases === undefined ? null : await readCases(values.cases);
  const strata = strataOf(values.strata, values.cases, table);
  const classes = classesOf(values, truth.classes);
  const absent = lesions.filter((l) => classes.names && !classes.names.includes(l));
  if (absent.length > 0) throw bad('lesions', absent.join(', '), `classes: ${classes.names!.slice(1).join(', ')}`);
  const probabilities = values.probability === undefined ? null : await volumesIn(values.probability);
  const images = values.images === undefined ? null : await volumesIn(values.images);

  const scores: CaseScore[] = [];
  const unknown = new Map<number, number>();
  const paths = new Map(pairs.both.map((p) => [p.name, p]));
  const bar = out.progress('eval', pairs.both.length);
  for (const { name, pred: predPath, truth: truthPath } of pairs.both) {
    signal.throwIfAborted();
    try {
      const probability = probabilities?.get(name);
      if (probabilities && probability === undefined)
        throw new CliError('volume-missing', `${name} has no probability map`, {
          expected: `${name}.nii.gz in ${values.probability}`,
          hint: 'Write it, or leave the case out with --skip.',
        });
      const volumes = {
        prediction: await readVolume(predPath),
        truth: await readVolume(truthPath),
        probability: probability === undefined ? undefined : await readVolume(probability),
      };
      scores.push(scoreCase(name, infoOf(name, table), volumes, classes, { ...values, lesions }, unknown));
    } catch (err) {
      const { code, message } = err as CliError | DataError;
      if (!values.skip || !(err instanceof CliError || isDataError(err)) || !SKIPPABLE.test(code)) {
        if (err instanceof Error && !err.message.includes(name)) err.message = `${name}: ${err.message}`;
        throw err;
      }
      skipped.push({ name, code, why: message.split('\n').join(' ').replace(/\s+/g, ' ') });
    }
    bar.update(scores.length + skipped.length - pairs.withoutPrediction.length, name);
  }
  bar.end();
  if (scores.length === 0)
    throw new CliError('no-pairs', 'no case could be compared', {
      found: some(skipped.map((s) => `${s.name} (${s.code})`)),
      expected: 'at least one case whose maps lie on one grid',
      hint: 'See what is wrong by running without --skip.',
    });

  const { resamples, seed, tolerance } = values;
  const summary = summarise(scores, { resamples, seed, bins, strata });
  const absentEverywhere = lesions.filter((l) => !summary.lesions.has(l));
  if (absentEverywhere.length > 0)
    throw bad(
      'lesions',
      absentEverywhere.join(', '),
      `classes that are there: ${[...summary.classes.keys()].join(', ')}`,
    );
  const pictures: WorstPicture[] = [];
  if (images) {
    for (const score of worstFirst(scores).slice(0, values.worst)) {
      const { pred: p, truth: t } = paths.get(score.name)!;
      const path = images.get(score.name) ?? images.get(`${score.name}_0000`);
      if (path === undefined) out.note(`${score.name}: no image in ${values.images}, so it is not drawn`);
      else pictures.push(await drawn(score, path, p, t, classes, [window[0]!, window[1]!]));
    }
  }
  const warnings = warningsOf(scores, skipped, pairs.withoutTruth, unknown, table);
  for (const w of warnings) out.note(w);
  const json = {
    task: 'segment',
    tolerance,
    cases: scores.length,
    skipped,
    withoutTruth: pairs.withoutTruth,
    unknownLabels: Object.fromEntries(unknown),
    ...plain(summary),
  };
  const write = (name: string, content: string) => writeFileAtomic(join(values.out, name), content);
  await write('metrics.json', `${JSON.stringify(json, null, 1)}\n`);
  await write('per-case.csv', perCase(scores));
  if (summary.lesions.size > 0) await write('lesions.csv', lesionRows(scores));
  await write('report.html', segmentPage({ cases: scores, summary, tolerance, bins, pictures, warnings }));
  out.lines(
    columns(
      [
        ['class', 'Dice', `NSD ${tolerance} mm`, 'HD95 mm', 'cases'],
        ...[...summary.classes, ['mean', summary.all] as const].map(([name, s]) => [
          name,
          textInterval(s.dice),
          textInterval(s.nsd),
          textInterval(s.hd95, 1),
          String(s.dice.cases),
        ]),
      ],
      '.rrrr',
    ),
  );
  for (const [name, s] of summary.lesions)
    out.line(
      `${name}: ${s.all.found} of ${s.all.truth} found, ${s.all.right} of ${s.all.predicted} right, F1 ${textInterval(s.f1)}` +
        (s.froc ? `, FROC ${figure(s.froc.average)}` : ''),
    );
  out.line(`${join(values.out, 'report.html')}, metrics.json, per-case.csv written`);
  out.json({ out: values.out, ...json });
}

function numbers(option: string, text: string): number[] {
  const list = text.split(',').map(Number);
  if (text.trim() === '' || !list.every(Number.isFinite)) throw bad(option, text, 'numbers with commas between');
  return list;
}

function classesOf(values: SegmentValues, names: readonly string[] | undefined): CaseClasses {
  if (values.labels === undefined) {
    if (values['pred-labels'] !== undefined)
      throw bad('pred-labels', 'no --labels', '--labels for the truth beside it');
    return { truth: null, prediction: null, names: names ?? null };
  }
  const truth = classMap('labels', values.labels);
  if (values['pred-labels'] === undefined) return { truth, prediction: truth, names: truth.names };
  const own = classMap('pred-labels', values['pred-labels']);
  const ids = new Map<number, number>();
  for (const [id, c] of own.ids) {
    const at = truth.names.indexOf(own.names[c]!);
    if (at < 0) throw bad('pred-labels', own.names[c]!, `classes of --labels: ${truth.names.slice(1).join(', ')}`);
    ids.set(id, at);
  }
  return { truth, prediction: { names: truth.names, ids } satisfies ClassMap, names: truth.names };
}

function warningsOf(
  scores: readonly CaseScore[],
  skipped: readonly Skipped[],
  withoutTruth: readonly string[],
  unknown: ReadonlyMap<number, number>,
  table: ReadonlyMap<string, CaseInfo> | null,
): string[] {
  const codes = [...new Set(skipped.map((s) => s.code))];
  const untold = table ? scores.filter((s) => !table.has(s.name)).map((s) => s.name) : [];
  return [
    ...codes.map((code) => {
      const names = skipped.filter((s) => s.code === code).map((s) => s.name);
      return `${names.length} of ${scores.length + skipped.length} cases are left out (${code}): ${some(names)}`;
    }),
    ...(withoutTruth.length > 0
      ? [`${withoutTruth.length} predictions have no truth and are not judged: ${some(withoutTruth)}`]
      : []),
    ...(unknown.size > 0
      ? [
          `voxels of label ids that --labels does not name count as background: ${some(
            [...unknown].sort((a, b) => a[0] - b[0]).map(([id, n]) => `id ${id} (${n} voxels)`),
          )}`,
        ]
      : []),
    ...(untold.length > 0 ? [`${untold.length} cases are not in the table of cases: ${some(untold)}`] : []),
  ];
}

async function drawn(
  score: CaseScore,
  image: string,
  pred: string,
  truth: string,
  classes: CaseClasses,
  window: readonly [number, number],
): Promise<WorstPicture> {
  const mapped = async (path: string, map: ClassMap | null): Promise<Volume> => {
    const { volume } = toCanonical(await readVolume(path));
    return map ? { ...volume, data: Uint16Array.from(volume.data, (id) => map.ids.get(id) ?? 0) } : volume;
  };
  const ct = toCanonical(await readVolume(image)).volume;
  const rows = [
    { title: 'prediction', labels: await mapped(pred, classes.prediction) },
    { title: 'truth', labels: await mapped(truth, classes.truth) },
  ];
  let highest = 0;
  for (const { labels } of rows)
    for (let i = 0; i < labels.data.length; i++) highest = Math.max(highest, labels.data[i]!);
  const names = classes.names ?? Array.from({ length: highest + 1 }, (_, c) => `class ${c}`);
  const values = names.map((n) => score.classes.get(n)?.dice);
  return { name: score.name, png: pictureOf(ct, rows, { classes: names, values, window }) };
}

/** Maps as objects; infinities, which JSON lacks, do not occur in summaries. */
const plain = (summary: SegmentSummary) => ({
  mean: summary.all,
  classes: Object.fromEntries(summary.classes),
  lesions: Object.fromEntries(
    [...summary.lesions].map(([name, l]) => [
      name,
      { ...l, froc: l.froc && { at: l.froc.at, average: l.froc.average } },
    ]),
  ),
  strata: Object.fromEntries([...summary.strata].map(([what, groups]) => [what, Object.fromEntries(groups)])),
});

function perCase(scores: readonly CaseScore[]): string {
  const head = 'case,patient,spacing_r,spacing_a,spacing_s,class,dice,nsd,hd95_mm,truth_ml,predicted_ml';
  const lines = scores.flatMap((c) =>
    [...c.classes].map(([name, s]) =>
      csvLine([
        c.name,
        c.patient,
        ...c.spacing.map((v) => round(v)),
        name,
        ...[s.dice, s.nsd, s.hd95, s.truthMl, s.predictedMl].map(round),
      ]),
    ),
  );
  return `${[head, ...lines].join('\n')}\n`;
}

function lesionRows(scores: readonly CaseScore[]): string {
  const lines = scores.flatMap((c) =>
    [...c.lesions].flatMap(([name, m]) =>
      (['truth', 'predicted'] as const).flatMap((of) =>
        m[of].map((l) => csvLine([c.name, name, of, l.voxels, round(l.diameterMm), l.hit ? 1 : 0])),
      ),
    ),
  );
  return `${['case,class,of,voxels,diameter_mm,hit', ...lines].join('\n')}\n`;
}

/** Six digits; empty where there is no figure, `inf` where one map has nothing. */
const round = (v: number): string =>
  Number.isNaN(v) ? '' : v === Number.POSITIVE_INFINITY ? 'inf' : String(Number(v.toPrecision(6)));
