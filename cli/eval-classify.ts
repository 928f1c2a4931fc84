// `t3dc eval classify`: scores of cases against their labels, an operating point chosen on other cases.
import { join } from 'node:path';
import { csvLine } from '../data/csv.ts';
import {
  auroc,
  averagePrecision,
  type BootstrapOptions,
  bootstrapByPatient,
  brier,
  type Calibration,
  calibration,
  chooseThreshold,
  type Interval,
  meanOf,
  type OperatingPoint,
  operatingPoint,
} from '../data/index.ts';
import { writeFileAtomic } from '../data/node.ts';
import type { Context } from './command.ts';
import { badOption, readCases, some, strataOf } from './eval-cases.ts';
import { classifyPage } from './eval-classify-page.ts';
import { textInterval } from './eval-page.ts';
import { checkValidation, columnOf, type ScoredCase, type ScoredSet, scoredSet } from './eval-scores.ts';
import { sizeEdges, stratification } from './eval-strata.ts';
import { columns } from './units.ts';

export interface ClassifyValues {
  readonly pred: string;
  readonly truth: string;
  readonly out: string;
  readonly cases?: string;
  readonly strata?: string;
  /** Edges in mm, with commas. */
  readonly bins: string;
  readonly 'val-pred'?: string;
  readonly 'val-truth'?: string;
  readonly sensitivity?: number;
  readonly resamples: number;
  readonly seed: number;
}

export interface ClassResult {
  readonly positives: number;
  readonly negatives: number;
  readonly unknown: number;
  readonly auroc: Interval;
  readonly averagePrecision: Interval;
  /** Null where a score is no probability. */
  readonly brier: number | null;
  readonly calibration: Calibration | null;
  readonly operating: (OperatingPoint & { readonly intervals: Readonly<Record<Rate, Interval>> }) | null;
}

export interface ClassifyResult {
  readonly classes: ReadonlyMap<string, ClassResult>;
  readonly macroAuroc: Interval;
  readonly macroAveragePrecision: Interval;
  /** Classes without a positive or a negative: in no mean. */
  readonly undefinedClasses: readonly string[];
  /** By column, then by stratum. */
  readonly strata: ReadonlyMap<string, ReadonlyMap<string, StratumResult>>;
}

/** How well the scores rank and how well they are calibrated on some of the cases. */
export interface StratumResult {
  readonly cases: number;
  readonly patients: number;
  readonly macroAuroc: Interval;
  /** Means over the classes; null where a score is no probability. */
  readonly calibration: { readonly ece: Interval; readonly brier: Interval } | null;
  readonly classes: Readonly<
    Record<
      string,
      { readonly positives: number; readonly negatives: number; readonly ece?: number; readonly brier?: number }
    >
  >;
}

/** Columns that part the cases unasked. */
const USUAL = ['spacing', 'size', 'site'];

export const RATES = ['sensitivity', 'specificity', 'ppv', 'npv'] as const;
export type Rate = (typeof RATES)[number];

export async function evalClassify(values: ClassifyValues, { out }: Context): Promise<void> {
  const table = values.cases === undefined ? null : await readCases(values.cases);
  const strata = strataOf(values.strata, values.cases, table, USUAL);
  const bins = sizeEdges(values.bins);
  const test = await scoredSet(values.pred, values.truth, table);
  const { 'val-pred': valPred, 'val-truth': valTruth, sensitivity } = values;
  if ((valPred === undefined) !== (valTruth === undefined))
    throw badOption(valPred === undefined ? 'val-pred' : 'val-truth', 'one of the two', '--val-pred and --val-truth');
  if (sensitivity !== undefined && valPred === undefined)
    throw badOption('sensitivity', String(sensitivity), 'validation scores by --val-pred and --val-truth');
  const validation = valPred === undefined ? null : await scoredSet(valPred, valTruth!, table);
  if (validation) checkValidation(test, validation, valPred!);
  const thresholds = validation && thresholdsOf(validation, sensitivity);
  const result = classify(test, thresholds, strata, { ...values, bins });

  const warnings = [
    ...(test.withoutScores.length > 0
      ? [
          `${test.withoutScores.length} cases of ${values.truth} have no scores and are not judged: ${some(test.withoutScores)}`,
        ]
      : []),
    ...(result.undefinedClasses.length > 0
      ? [`without a positive or a negative, and in no mean: ${some(result.undefinedClasses)}`]
      : []),
    ...([...result.classes.values()].some((c) => c.calibration === null)
      ? ['some scores are not between 0 and 1: no Brier score, no calibration']
      : []),
  ];
  for (const w of warnings) out.note(w);
  const json = {
    task: 'classify',
    cases: test.cases.length,
    withoutScores: test.withoutScores,
    macroAuroc: result.macroAuroc,
    macroAveragePrecision: result.macroAveragePrecision,
    undefinedClasses: result.undefinedClasses,
    rule: thresholds && (sensitivity === undefined ? 'youden' : { sensitivity }),
    classes: Object.fromEntries(result.classes),
    strata: Object.fromEntries([...result.strata].map(([what, groups]) => [what, Object.fromEntries(groups)])),
  };
  const write = (name: string, content: string) => writeFileAtomic(join(values.out, name), content);
  await write('metrics.json', `${JSON.stringify(json, null, 1)}\n`);
  await write('per-case.csv', perCase(test, thresholds));
  const rule = sensitivity === undefined ? "Youden's index" : `sensitivity ${sensitivity}`;
  await write('report.html', classifyPage({ test, result, rule: thresholds && rule, warnings }));
  out.lines(
    columns(
      [
        ['class', 'positives', 'AUROC', 'AUPRC'],
        ...[...result.classes].map(([name, c]) => [
          name,
          `${c.positives} of ${c.positives + c.negatives}`,
          textInterval(c.auroc),
          textInterval(c.averagePrecision),
        ]),
        ['macro', '', textInterval(result.macroAuroc), textInterval(result.macroAveragePrecision)],
      ],
      '.rrr',
    ),
  );
  out.line(`${join(values.out, 'report.html')}, metrics.json, per-case.csv written`);
  out.json({ out: values.out, ...json });
}

/** @param thresholds per class, or null */
export function classify(
  set: ScoredSet,
  thresholds: readonly number[] | null,
  strata: readonly string[],
  options: BootstrapOptions & { readonly bins: readonly number[] },
): ClassifyResult {
  const { classes, cases } = set;
  const results = new Map(classes.map((name, c) => [name, classResult(cases, c, thresholds?.[c] ?? null, options)]));
  const undefinedClasses = classes.filter((name) => Number.isNaN(results.get(name)!.auroc.estimate));
  const kept = classes.flatMap((name, c) => (undefinedClasses.includes(name) ? [] : [c]));
  const macro = (some: readonly ScoredCase[], metric: Metric): Interval =>
    bootstrapByPatient(
      some.map((c) => c.patient),
      (rows) => {
        const values = kept.map((c) => metric(...columnOf(some, c, rows)));
        // A resample that lacks a class would be a mean of other classes.
        return rows.length > 0 && values.some(Number.isNaN) ? Number.NaN : meanOf(values).mean;
      },
      options,
    );
  const stratum = (some: readonly ScoredCase[]): StratumResult => ({
    cases: some.length,
    patients: new Set(some.map((c) => c.patient)).size,
    macroAuroc: macro(some, auroc),
    calibration: probabilities(cases) ? { ece: macro(some, ece), brier: macro(some, brier) } : null,
    classes: Object.fromEntries(classes.map((name, c) => [name, ofClass(some, c)])),
  });
  const split = new Map(
    strata.map((column) => {
      const { strata: groups, stratumOf } = stratification(
        column,
        cases.map((c) => c.columns[column]),
        options.bins,
      );
      const within = (g: string) => cases.filter((c) => stratumOf(c.columns[column]) === g);
      return [column, new Map(groups.map((g) => [g, stratum(within(g))]))] as const;
    }),
  );
  return {
    classes: results,
    macroAuroc: macro(cases, auroc),
    macroAveragePrecision: macro(cases, averagePrecision),
    undefinedClasses,
    strata: split,
  };
}

type Metric = (scores: ArrayLike<number>, positive: ArrayLike<number>) => number;

/** NaN of none. */
const ece: Metric = (scores, positive) => calibration(scores, positive).ece;

const probabilities = (cases: readonly ScoredCase[]): boolean =>
  cases.every((c) => c.scores.every((s) => s >= 0 && s <= 1));

function ofClass(cases: readonly ScoredCase[], c: number): StratumResult['classes'][string] {
  const [scores, positive] = columnOf(cases, c);
  const positives = positive.reduce((a, b) => a + b, 0);
  const counts = { positives, negatives: positive.length - positives };
  return probabilities(cases) ? { ...counts, ece: ece(scores, positive), brier: brier(scores, positive) } : counts;
}

function classResult(
  cases: readonly ScoredCase[],
  c: number,
  threshold: number | null,
  options: BootstrapOptions,
): ClassResult {
  const patients = cases.map((s) => s.patient);
  const of = (statistic: (scores: number[], positive: number[]) => number) =>
    bootstrapByPatient(patients, (rows) => statistic(...columnOf(cases, c, rows)), options);
  const [scores, positive] = columnOf(cases, c);
  const positives = positive.reduce((a, b) => a + b, 0);
  const calibrated = scores.every((s) => s >= 0 && s <= 1);
  return {
    positives,
    negatives: positive.length - positives,
    unknown: cases.length - positive.length,
    auroc: of(auroc),
    averagePrecision: of(averagePrecision),
    brier: calibrated ? brier(scores, positive) : null,
    calibration: calibrated ? calibration(scores, positive) : null,
    operating:
      threshold === null
        ? null
        : {
            ...operatingPoint(scores, positive, threshold),
            intervals: Object.fromEntries(
              RATES.map((rate) => [rate, of((s, p) => operatingPoint(s, p, threshold)[rate])]),
            ) as Record<Rate, Interval>,
          },
  };
}

/** Per class; NaN where validation has no positive or no negative of it. */
function thresholdsOf({ classes, cases }: ScoredSet, sensitivity: number | undefined): number[] {
  return classes.map((name, c) => {
    try {
      return chooseThreshold(...columnOf(cases, c), sensitivity === undefined ? 'youden' : { sensitivity });
    } catch (err) {
      if (err instanceof Error) err.message = `validation, class ${name}: ${err.message}`;
      throw err;
    }
  });
}

function perCase({ classes, cases }: ScoredSet, thresholds: readonly number[] | null): string {
  const head = [
    'case',
    'patient',
    ...classes.flatMap((c) => [c, `${c}_truth`, ...(thresholds ? [`${c}_called`] : [])]),
  ];
  const lines = cases.map((s) =>
    csvLine([
      s.name,
      s.patient,
      ...classes.flatMap((_, c) => [
        s.scores[c]!,
        Number.isNaN(s.truth[c]!) ? '' : s.truth[c]!,
        ...(thresholds ? [s.scores[c]! >= thresholds[c]! ? 1 : 0] : []),
      ]),
    ]),
  );
  return `${[csvLine(head), ...lines].join('\n')}\n`;
}
