// The model card beside a run's weights: what they are, what they were trained on, how well they did, and what they are not for.
import type { RunConfig } from './run-config.ts';
import { showCount } from './units.ts';

export interface CardMetric {
  /** `training`, `validation`. */
  readonly set: string;
  readonly cases: string;
  readonly metric: string;
  readonly value: string;
  readonly step: number;
}

export interface CardFacts {
  readonly config: RunConfig<Readonly<Record<string, unknown>>>;
  /** The step that the weights are of, and of how many. */
  readonly step: number;
  readonly steps: number;
  /** What the model does with what, in a sentence. */
  readonly task: string;
  /** About each set of data: where it is from, how many cases. */
  readonly data: readonly string[];
  readonly metrics: readonly CardMetric[];
  readonly files: readonly string[];
  /** What must be known beside: a run that stopped, steps that were skipped. */
  readonly notes: readonly string[];
}

const ABOUT: Readonly<Record<string, string>> = {
  'weights.safetensors': 'the weights after the last step, by their PyTorch names',
  'weights.ema.safetensors': "the weights' moving average, to use in their place",
  'best.safetensors': 'the weights of the best validation; its metadata name metric, value and step',
  'checkpoint.safetensors': "weights and the optimiser's state: what --resume goes on from",
  'config.json': 'every constant of the run',
  'metrics.jsonl': 'every value that was logged, a step a line',
  'report.html': 'curves and tables',
};

/** A Markdown file. */
export function modelCard({ config, step, steps, task, data, metrics, files, notes }: CardFacts): string {
  const { command, model, entry, versions, plan, training, preprocess } = config;
  const rows = (values: Readonly<Record<string, unknown>>) => [
    '| setting | value |',
    '|---|---|',
    ...flat(values).map(([k, v]) => `| ${cell(k)} | ${cell(v)} |`),
  ];
  return [
    `# ${model.name}, trained by \`t3dc ${command}\``,
    '',
    `${task} ${showCount(model.parameters)} parameters, after ${showCount(step)} of ${showCount(steps)} steps` +
      `${model.precision === 'f16' ? ', trained with f16 storage' : ''}.`,
    ...(notes.length > 0 ? ['', ...notes.map((n) => `- ${n}`)] : []),
    '',
    '## Intended use',
    '',
    'Research on the method, and trying out the software. Judge the weights on data of your own, with the metrics that your',
    'question asks for, before anything rests on them.',
    '',
    '**This is not a medical device.** It has no clearance or approval of any authority, and was not tested for one. Nothing that it',
    'gives may be used for diagnosis, treatment or any other decision about a patient.',
    '',
    'This is an independent implementation. It was not written, checked or endorsed by the authors of the methods that it',
    'implements. The figures below are those of this run and of no publication; they compare with others only where data, splits and',
    'metrics are the same.',
    '',
    '## Data',
    '',
    ...data.map((d) => `- ${d}`),
    '',
    'Who is in the data, from which scanners and which hospitals, the software cannot know; it decides for whom the weights may work.',
    'The terms of the data bind the weights too: state them when you pass these on.',
    ...(preprocess ? ['', 'How volumes are prepared, for training and for use alike:', '', ...rows(preprocess)] : []),
    '',
    '## Metrics',
    '',
    ...(metrics.length > 0
      ? [
          '| set | cases | metric | value | step |',
          '|---|---|---|---:|---:|',
          ...metrics.map(
            (m) => `| ${cell(m.set)} | ${cell(m.cases)} | ${cell(m.metric)} | ${cell(m.value)} | ${m.step} |`,
          ),
          '',
          'Values on cases by which the best step was chosen are too good by as much as the choice made them. There is no test set',
          'here: keep cases apart that no choice has seen, and report those.',
        ]
      : ['Nothing was measured yet.']),
    '',
    '## Configuration',
    '',
    ...rows({ command, entry, ...plan, ...(training ? { 'as built': training } : {}) }),
    '',
    '## Files',
    '',
    ...files.flatMap((f) => (ABOUT[f] ? [`- \`${f}\`: ${ABOUT[f]}`] : [])),
    '',
    `t3dc ${versions.t3dc}, artifact of ${versions.artifact}, graph ${versions.graphHash.slice(0, 16)}.`,
    '',
  ].join('\n');
}

/** Paths are told by their last name alone: a card is passed on. */
function flat(values: Readonly<Record<string, unknown>>, prefix = ''): [string, string][] {
  return Object.entries(values).flatMap(([k, v]): [string, string][] => {
    if (v === null || v === undefined) return [];
    if (typeof v === 'object' && !Array.isArray(v)) return flat(v as Record<string, unknown>, `${prefix}${k}.`);
    if (Array.isArray(v))
      return [[prefix + k, v.every((x) => typeof x !== 'object') ? v.join(', ') : JSON.stringify(v)]];
    return [[prefix + k, typeof v === 'string' ? lastName(v) : String(v)]];
  });
}

/** `/data/btcv/` and `C:\data\btcv` → `btcv` */
export const lastName = (path: string): string =>
  /^([A-Za-z]:)?[\\/]/.test(path) ? (path.split(/[\\/]/).filter(Boolean).at(-1) ?? path) : path;

const cell = (s: string): string => s.replace(/\|/g, '\\|').replace(/\s*\n\s*/g, ' ');
