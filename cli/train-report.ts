// The report and the model card of a training run, from what was logged.
import type { Session } from '../runtime/index.ts';
import type { BestStep } from './best.ts';
import type { Chart } from './chart.ts';
import { type CardMetric, modelCard } from './model-card.ts';
import type { RunConfig } from './run-config.ts';
import type { MetricRecord, RunFolder } from './run-folder.ts';
import { type ReportImage, type ReportTable, reportPage } from './run-report.ts';
import { showBytes, showCount, showTime } from './units.ts';
import { showShare, waitedIn } from './waiting.ts';

export interface RunStory {
  readonly config: RunConfig<Readonly<Record<string, unknown>>>;
  readonly steps: number;
  /** Samples that one optimiser step sees. */
  readonly samples: number;
  /** What the model does with what, in a sentence. */
  readonly task: string;
  readonly data: readonly string[];
  /** Cases by set. */
  readonly cases: Readonly<Record<'training' | 'validation', number>>;
  readonly images: readonly ReportImage[];
  /** Beside metrics and memory, such as the diagnostics of leaks. */
  readonly tables?: readonly ReportTable[];
  readonly charts?: readonly Chart[];
  readonly notes: readonly string[];
}

/** report.html and model-card.md of what the folder has logged. */
export async function describeRun(
  folder: RunFolder,
  session: Session,
  story: RunStory,
  best: BestStep | null,
): Promise<void> {
  const { config, steps } = story;
  const { records } = folder;
  const losses = seriesOf(records, 'train/loss');
  const times = seriesOf(records, 'train/ms');
  const waited = waitedIn(records);
  const perStep = medianOf(times.map(([, ms]) => ms));
  const step = folder.saved ?? 0;
  const metrics = metricTable(records, best);
  const facts = [
    { name: 'Steps', value: showCount(step), about: `of ${showCount(steps)}` },
    ...(losses.length > 0
      ? [
          {
            name: 'Loss',
            value: meanOfLast(losses).toFixed(4),
            about: meaned(losses),
          },
        ]
      : []),
    ...(best?.best
      ? [
          {
            name: `Best ${nameOf(best.metric)}`,
            value: figure(best.best.value),
            about: `at step ${showCount(best.best.step)}`,
          },
        ]
      : []),
    ...(times.length > 0 ? [{ name: 'A step', value: showTime(perStep), about: 'median' }] : []),
    ...(waited === null
      ? []
      : [{ name: 'Waited for data', value: showShare(waited), about: 'of the time of the steps' }]),
    { name: 'Parameters', value: showCount(config.model.parameters) },
    { name: 'Memory', value: showBytes(session.allocatedBytes), about: 'allocated on the device' },
  ];
  const report = reportPage({
    title: `${config.model.name}: ${config.entry}`,
    subtitle: `t3dc ${config.command} on ${session.device.description}`,
    facts,
    notes: story.notes,
    series: [...chartsOf(records, story, best), ...(story.charts ?? [])],
    images: story.images,
    tables: [
      ...(metrics.length > 0
        ? [
            {
              title: 'Validation',
              text: `On ${story.cases.validation} held-out cases, by which the best step is chosen.`,
              head: ['metric', 'last', 'at step', 'best', 'at step'],
              rows: metrics.map((m) => m.row),
              numbers: [1, 2, 3, 4],
            },
          ]
        : []),
      ...(story.tables ?? []),
      memoryTable(session, config.entry),
    ],
    config: { ...config, data: config.data, device: session.device.description },
  });
  const card: CardMetric[] = [
    ...(losses.length > 0
      ? [
          {
            set: 'training',
            cases: `${story.cases.training}`,
            metric: `loss, ${meaned(losses)}`,
            value: meanOfLast(losses).toFixed(4),
            step: losses.at(-1)![0],
          },
        ]
      : []),
    ...metrics.map((m) => ({
      set: 'validation',
      cases: `${story.cases.validation}`,
      metric: m.name,
      value: m.last,
      step: m.step,
    })),
    ...(best?.best
      ? [
          {
            set: 'validation',
            cases: `${story.cases.validation}`,
            metric: `${nameOf(best.metric)}, best step`,
            value: figure(best.best.value),
            step: best.best.step,
          },
        ]
      : []),
  ];
  const { task, data, notes } = story;
  await folder.describe(
    report,
    modelCard({
      config,
      step,
      steps,
      task,
      data,
      metrics: card,
      notes,
      files: [...new Set([...folder.files, 'report.html'])],
    }),
  );
}

type Series = (readonly [step: number, value: number])[];

/** A value that was logged and is null was not finite. */
const seriesOf = (records: readonly MetricRecord[], tag: string): Series =>
  records.flatMap(({ step, values }) => (tag in values ? [[step, values[tag] ?? Number.NaN] as const] : []));

function chartsOf(records: readonly MetricRecord[], story: RunStory, best: BestStep | null): Chart[] {
  const loss = seriesOf(records, 'train/loss');
  const times = seriesOf(records, 'train/ms');
  const mark = best?.best ? { step: best.best.step, label: 'best' } : undefined;
  const scale = seriesOf(records, 'train/loss_scale').filter(([, v]) => v !== 1);
  const families = new Map<string, string[]>();
  for (const tag of tagsOf(records))
    families.set(tag.split('/')[1]!, [...(families.get(tag.split('/')[1]!) ?? []), tag]);
  return [
    { title: 'Training loss', lines: [{ name: 'loss', points: loss, smooth: true }], mark },
    ...[...families].map(([family, tags]): Chart => {
      const lines = tags.map((tag) => ({
        name: tag.split('/')[2] ?? 'mean',
        points: seriesOf(records, tag),
        marks: tags.length <= 3,
      }));
      const shares = lines.every((l) => l.points.every(([, v]) => !(v < 0 || v > 1)));
      return {
        title: `Validation: ${NAMES[family] ?? family}`,
        lines,
        mark,
        ...(shares ? { range: [0, 1] as const } : {}),
      };
    }),
    { title: 'Learning rate', lines: [{ name: 'lr', points: seriesOf(records, 'train/lr') }] },
    {
      title: 'Throughput',
      unit: 'samples a second',
      lines: [
        {
          name: 'samples a second',
          points: times.map(([s, ms]) => [s, (1000 * story.samples) / Math.max(ms, 0.5)]),
          smooth: true,
        },
      ],
    },
    ...(scale.length > 0
      ? [
          {
            title: 'Loss scale',
            unit: 'log2',
            lines: [{ name: 'scale', points: scale.map(([s, v]) => [s, Math.log2(v)] as const) }],
          },
        ]
      : []),
  ];
}

const NAMES: Readonly<Record<string, string>> = { dice: 'Dice', hd95: 'HD95', nsd: 'NSD' };

/** `validation/dice/liver` → `Dice, liver`; without a class it is the mean over them. */
function nameOf(tag: string): string {
  const [, family = tag, ...rest] = tag.split('/');
  const name = NAMES[family] ?? family;
  return rest.length > 0 ? `${name}, ${rest.join('/')}` : family in NAMES ? `mean ${name}` : name;
}
const figure = (v: number): string => (Math.abs(v) < 10 ? v.toFixed(3) : v.toPrecision(4));

const tagsOf = (records: readonly MetricRecord[]): string[] => [
  ...new Set(records.flatMap((r) => Object.keys(r.values).filter((k) => k.startsWith('validation/')))),
];

function metricTable(
  records: readonly MetricRecord[],
  best: BestStep | null,
): { name: string; last: string; step: number; row: string[] }[] {
  return tagsOf(records).map((tag) => {
    const points = seriesOf(records, tag);
    const [step, value] = points.at(-1)!;
    const at = points.find(([s]) => s === best?.best?.step);
    const show = (v: number): string => (Number.isFinite(v) ? figure(v) : '–');
    const atBest = at ? [show(at[1]), showCount(at[0])] : ['–', '–'];
    return { name: nameOf(tag), last: show(value), step, row: [nameOf(tag), show(value), showCount(step), ...atBest] };
  });
}

function memoryTable(session: Session, entry: string): ReportTable {
  const { manifest, device } = session;
  const { memory } = manifest;
  const mine = manifest.arenas.filter((a) => (a.target ?? device.kind) === device.kind);
  const byRole = new Map<string, number>();
  for (const a of mine) byRole.set(a.role, (byRole.get(a.role) ?? 0) + a.bytes);
  const again = (manifest.entries[entry]?.memory.webgpu ?? manifest.entries[entry]?.memory)?.grad?.again;
  return {
    title: 'Memory',
    text:
      `The artifact's plan takes ${showBytes(memory.training[device.kind])} in training` +
      `${memory.promise === null ? '' : `, and promised to stay under ${showBytes(memory.promise)}`}: less than the sum of its ` +
      'arenas, where forward, backward and update lay theirs over each other.' +
      (again ? ` ${showCount(again.kernels)} kernels run again in the backward pass so that less is kept.` : ''),
    head: ['what', 'bytes'],
    rows: [
      ...[...byRole].map(([role, bytes]) => [role, showBytes(bytes)]),
      ['allocated on the device now', showBytes(session.allocatedBytes)],
    ],
    numbers: [1],
  };
}

const lastOf = (s: Series): Series => s.slice(-Math.max(1, Math.min(50, Math.floor(s.length / 10))));
const meaned = (s: Series): string =>
  lastOf(s).length === 1 ? 'of the last step' : `mean of the last ${lastOf(s).length} steps`;
function meanOfLast(s: Series): number {
  const last = lastOf(s);
  return last.reduce((sum, [, v]) => sum + v, 0) / last.length;
}
function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
