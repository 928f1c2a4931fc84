// The page of an evaluation of scores.
import { type ClassifyResult, type ClassResult, RATES } from './eval-classify.ts';
import { chart, evalPage, figure, type Section, withInterval } from './eval-page.ts';
import { columnOf, type ScoredSet } from './eval-scores.ts';
import { table, xml } from './page.ts';

export interface ClassifyPage {
  readonly test: ScoredSet;
  readonly result: ClassifyResult;
  /** How the thresholds were chosen; null without them. */
  readonly rule: string | null;
  readonly warnings: readonly string[];
}

export function classifyPage({ test, result, rule, warnings }: ClassifyPage): string {
  const patients = new Set(test.cases.map((c) => c.patient)).size;
  const lead =
    `${test.cases.length} cases of ${patients} patients, ${test.classes.length} classes. Macro AUROC ` +
    `<b>${withInterval(result.macroAuroc)}</b>, macro AUPRC <b>${withInterval(result.macroAveragePrecision)}</b>. ` +
    'In small print: 95 % percentile bootstrap intervals over patients.';
  const classes = [...result.classes];
  const rows = classes.map(([name, c]) => [
    `<b>${xml(name)}</b>`,
    `${c.positives} of ${c.positives + c.negatives}`,
    withInterval(c.auroc),
    withInterval(c.averagePrecision),
    figure(c.positives / (c.positives + c.negatives)),
    c.brier === null ? '–' : figure(c.brier),
    c.calibration === null ? '–' : figure(c.calibration.ece),
  ]);
  const head = ['class', 'positives', 'AUROC', 'AUPRC', 'AUPRC by chance', 'Brier', 'ECE'];
  const sections: Section[] = [
    { title: 'Classes', body: table(head, rows, [1, 2, 3, 4, 5, 6]) },
    ...(rule ? [{ title: 'Operating point', body: operatingBody(classes, rule) }] : []),
    ...(result.strata.size > 0 ? [{ title: 'Strata', body: strataBody(result) }] : []),
    {
      title: 'Curves',
      body: `<div class="charts">${test.classes.map((name, c) => curves(test, result, name, c)).join('\n')}</div>`,
    },
    { title: 'How to read this', body: CONVENTIONS },
  ];
  return evalPage('Classification', lead, warnings, sections);
}

function operatingBody(classes: readonly (readonly [string, ClassResult])[], rule: string): string {
  const rows = classes.flatMap(([name, { operating: o }]) =>
    o
      ? [
          [
            `<b>${xml(name)}</b>`,
            String(Number(o.threshold.toPrecision(4))),
            ...RATES.map((rate) => withInterval(o.intervals[rate])),
            `${o.truePositives} / ${o.falsePositives}`,
            `${o.trueNegatives} / ${o.falseNegatives}`,
          ],
        ]
      : [],
  );
  const head = [
    'class',
    'threshold',
    'sensitivity',
    'specificity',
    'PPV',
    'NPV',
    'called positive: right / wrong',
    'called negative: right / wrong',
  ];
  return `<p>Thresholds chosen on the validation set by ${xml(rule)} and applied here as they are.</p>\n${table(head, rows, [1, 2, 3, 4, 5, 6, 7])}`;
}

function strataBody({ strata }: ClassifyResult): string {
  const rows = [...strata].flatMap(([what, groups]) =>
    [...groups].map(([stratum, s], i) => [
      i === 0 ? `<b>${xml(what)}</b>` : '',
      xml(stratum),
      `${s.cases} of ${s.patients}`,
      withInterval(s.macroAuroc),
      ...(s.calibration ? [withInterval(s.calibration.ece), withInterval(s.calibration.brier)] : ['–', '–']),
    ]),
  );
  const head = ['by', 'stratum', 'cases of patients', 'macro AUROC', 'mean ECE', 'mean Brier'];
  return `<p>ECE grows as cases get fewer, whatever the model: compare it with that of strata of a like size. Classes one by one are in metrics.json.</p>\n${table(head, rows, [2, 3, 4, 5])}`;
}

function curves(test: ScoredSet, result: ClassifyResult, name: string, c: number): string {
  const of = result.classes.get(name)!;
  if (Number.isNaN(of.auroc.estimate)) return '';
  const unit = [0, 0.2, 0.4, 0.6, 0.8, 1];
  const axes = { xTicks: unit, yTicks: unit, diagonal: true };
  const roc = chart(
    [
      { kind: 'line', points: rocPoints(...columnOf(test.cases, c)) },
      ...(of.operating
        ? [{ kind: 'dots', points: [[1 - of.operating.specificity, of.operating.sensitivity]] } as const]
        : []),
    ],
    { ...axes, caption: `${name}: ROC`, x: '1 − specificity', y: 'sensitivity' },
  );
  if (!of.calibration) return roc;
  const filled = of.calibration.bins.filter((b) => b.count > 0);
  const reliability = chart(
    [
      { kind: 'line', points: filled.map((b) => [b.predicted, b.observed]) },
      { kind: 'dots', points: filled.map((b) => [b.predicted, b.observed]) },
    ],
    { ...axes, caption: `${name}: share of positives against predicted probability`, x: 'predicted', y: 'observed' },
  );
  return `${roc}\n${reliability}`;
}

/** Corners of the ROC curve, a step per distinct score. */
function rocPoints(scores: readonly number[], positive: readonly number[]): (readonly [number, number])[] {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  const positives = positive.reduce((a, b) => a + b, 0);
  const points: [number, number][] = [[0, 0]];
  let tp = 0;
  order.forEach((at, i) => {
    tp += positive[at]!;
    if (i + 1 < order.length && scores[order[i + 1]!] === scores[at]) return;
    points.push([(i + 1 - tp) / (scores.length - positives), tp / positives]);
  });
  return points;
}

const CONVENTIONS = `<ul>
<li>AUROC: every class against the others; equal scores count one half. Macro: the plain mean over classes that have positives and negatives.</li>
<li>AUPRC: average precision, without interpolation. By chance it is the share of positives.</li>
<li>Brier: mean squared difference of probability and outcome, per class. ECE: mean distance of predicted and observed in ten bins of equal width.</li>
<li>PPV and NPV hold for the share of positives in this test set alone.</li>
<li>Intervals: patients drawn with replacement, all cases of a patient together; resamples that lack a class are left out.</li>
</ul>`;
