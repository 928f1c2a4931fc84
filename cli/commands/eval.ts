import { command } from '../command.ts';
import { UsageError } from '../errors.ts';

const TASKS = ['segment', 'classify', 'retrieve'] as const;
type Task = (typeof TASKS)[number];

/** What belongs to one task alone; the rest is everybody's. */
const OWN: Readonly<Record<Task, readonly string[]>> = {
  segment: [
    'labels',
    'pred-labels',
    'tolerance',
    'lesions',
    'bins',
    'probability',
    'strata',
    'images',
    'window',
    'worst',
    'skip',
  ],
  classify: ['val-pred', 'val-truth', 'sensitivity', 'strata', 'bins'],
  retrieve: ['scores', 'groups'],
};
const NEEDED: Readonly<Record<Task, readonly string[]>> = {
  segment: ['pred', 'truth'],
  classify: ['pred', 'truth'],
  retrieve: ['scores'],
};

export const evaluate = command({
  name: 'eval',
  summary: 'compare predictions with the truth: metrics, intervals, a report',
  description: [
    'segment: label maps of the same names in two folders: Dice, NSD, HD95, lesion by lesion and by strata. classify: scores and labels ' +
      'as tables: AUROC, AUPRC, calibration, an operating point chosen on validation scores. retrieve: a matrix of similarities: ' +
      'R@1, R@5, R@10 and the median rank, both ways.',
    'Writes metrics.json, per-case.csv and report.html, a page that needs nothing else. Intervals are 95 % bootstrap intervals ' +
      'over patients. docs/evaluation.md tells what each figure means and what a table must hold.',
  ],
  positionals: [{ name: 'TASK', help: 'segment, classify or retrieve' }],
  options: {
    pred: { kind: 'text', value: 'PATH', help: 'segment: folder of label maps; classify: table of scores (CSV)' },
    truth: {
      kind: 'text',
      value: 'PATH',
      help: 'segment: folder of label maps, or a dataset; classify: table of labels',
    },
    out: { kind: 'text', short: 'o', value: 'DIR', required: true, help: 'folder for the results' },
    cases: {
      kind: 'text',
      value: 'CSV',
      help: 'table with columns case, patient, site, …; retrieve: of rows and columns',
    },
    resamples: { kind: 'integer', min: 1, default: 2000, value: 'N', help: 'bootstrap resamples' },
    seed: { kind: 'integer', min: 0, default: 0, value: 'N', help: 'of the resamples' },
    labels: {
      kind: 'text',
      value: 'MAP',
      help: 'segment: classes from label ids, as in liver=5,kidneys=2+3; other ids are background',
    },
    'pred-labels': {
      kind: 'text',
      value: 'MAP',
      help: 'segment: the same for predictions that are numbered otherwise',
    },
    tolerance: { kind: 'number', min: 0, default: 2, value: 'MM', help: 'segment: of NSD' },
    lesions: { kind: 'text', value: 'NAMES', help: 'segment: classes to judge lesion by lesion too' },
    bins: {
      kind: 'text',
      value: 'MM',
      default: '5,10,20',
      help: 'edges of sizes: of lesions (segment), of a column size (classify)',
    },
    probability: {
      kind: 'text',
      value: 'DIR',
      help: 'segment: probability maps of the lesion class, for FROC (candidates: above 0.1)',
    },
    strata: {
      kind: 'text',
      value: 'NAMES',
      help: 'columns of --cases to split by (default site; classify: spacing and size in mm too)',
    },
    images: { kind: 'text', value: 'DIR', help: 'segment: CTs of the same names: draws the worst cases' },
    window: { kind: 'text', value: 'LO,HI', default: '-175,250', help: 'segment: HU drawn black and white' },
    worst: { kind: 'integer', min: 0, default: 6, value: 'N', help: 'segment: cases to draw' },
    skip: { kind: 'flag', help: 'segment: leave out cases that cannot be compared, and count them' },
    'val-pred': { kind: 'text', value: 'CSV', help: 'classify: scores to choose the operating point on' },
    'val-truth': { kind: 'text', value: 'CSV', help: 'classify: their labels' },
    sensitivity: {
      kind: 'number',
      min: 0.01,
      max: 1,
      value: 'X',
      help: "classify: operating point that reaches it on validation (default: Youden's index)",
    },
    scores: {
      kind: 'text',
      value: 'CSV',
      help: 'retrieve: similarities, a row per query: its name, then a column each',
    },
    groups: { kind: 'text', value: 'CSV', help: 'retrieve: columns name and group: equals are equally right' },
  },
  examples: [
    ['t3dc eval segment --pred out --truth data/labelsTs -o eval --labels liver=1,lesion=2 --lesions lesion', 'maps'],
    [
      't3dc eval segment --pred out --truth data --images data/images --cases cases.csv -o eval',
      'with pictures, by site',
    ],
    [
      't3dc eval classify --pred test.csv --truth labels.csv --val-pred val.csv --val-truth labels.csv -o eval',
      'with an operating point',
    ],
    ['t3dc eval retrieve --scores similarity.csv --groups findings.csv -o eval', 'image and text'],
  ],
  async run({ TASK }, values, context) {
    const task = TASKS.find((t) => t === TASK);
    if (!task) throw new UsageError('bad-value', 'there is no such task', { found: TASK, expected: TASKS.join(', ') });
    checkOptions(task, values);
    if (task === 'segment') {
      const { evalSegment } = await import('../eval-segment-run.ts');
      await evalSegment({ ...values, pred: values.pred!, truth: values.truth! }, context);
    } else if (task === 'classify') {
      const { evalClassify } = await import('../eval-classify.ts');
      await evalClassify({ ...values, pred: values.pred!, truth: values.truth! }, context);
    } else {
      const { evalRetrieve } = await import('../eval-retrieve.ts');
      await evalRetrieve({ ...values, scores: values.scores! }, context);
    }
  },
});

/** Options with a default cannot be told from those given; the others of another task are mistakes. */
function checkOptions(task: Task, values: Readonly<Record<string, unknown>>): void {
  const lacking = NEEDED[task].filter((name) => values[name] === undefined);
  if (lacking.length > 0)
    throw new UsageError('missing-argument', `eval ${task} needs ${lacking.map((n) => `--${n}`).join(' and ')}`, {
      hint: 'See t3dc eval --help.',
    });
  const withDefault = ['tolerance', 'bins', 'window', 'worst'];
  const foreign = TASKS.filter((t) => t !== task)
    .flatMap((t) => OWN[t])
    .concat(task === 'retrieve' ? ['pred', 'truth'] : [])
    .filter((name) => !OWN[task].includes(name) && !withDefault.includes(name))
    .filter((name) => values[name] !== undefined && values[name] !== false);
  if (foreign.length > 0)
    throw new UsageError('unknown-option', `eval ${task} does not take ${foreign.map((n) => `--${n}`).join(', ')}`, {
      expected: [...NEEDED[task], ...OWN[task]].map((n) => `--${n}`).join(', '),
    });
}
