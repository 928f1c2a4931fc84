// How well scores rank positives above negatives: areas under the ROC and the precision-recall curve, ties as scikit-learn
// counts them.

import { DataError } from '../errors.ts';
import { meanOf } from './dice.ts';

/**
 * Area under the ROC curve: the chance that a positive's score is above a negative's, ties counting one half
 * (scikit-learn's roc_auc_score). NaN where there is no positive or no negative.
 * @param positive per score: true or 1 for a positive
 * @throws `metric-length`, `metric-nan`
 */
export function auroc(scores: ArrayLike<number>, positive: ArrayLike<number | boolean>): number {
  const order = ranked(scores, positive);
  let positives = 0;
  let negatives = 0;
  let area = 0;
  for (let from = 0; from < order.length; ) {
    // Scores that are equal are one step of the curve.
    const score = scores[order[from]!]!;
    let p = 0;
    let n = 0;
    for (; from < order.length && scores[order[from]!]! === score; from++) {
      if (positive[order[from]!]) p++;
      else n++;
    }
    area += n * (positives + p / 2);
    positives += p;
    negatives += n;
  }
  return positives === 0 || negatives === 0 ? Number.NaN : area / (positives * negatives);
}

/**
 * Average precision: the sum of precision × gain in recall over the distinct scores, from the highest down, without
 * interpolation (scikit-learn's average_precision_score). NaN where there is no positive.
 * @throws `metric-length`, `metric-nan`
 */
export function averagePrecision(scores: ArrayLike<number>, positive: ArrayLike<number | boolean>): number {
  const order = ranked(scores, positive);
  let positives = 0;
  let seen = 0;
  let sum = 0;
  for (; seen < order.length; ) {
    const score = scores[order[seen]!]!;
    let p = 0;
    for (; seen < order.length && scores[order[seen]!]! === score; seen++) if (positive[order[seen]!]) p++;
    positives += p;
    sum += (p * positives) / seen;
  }
  return positives === 0 ? Number.NaN : sum / positives;
}

export interface PerClass {
  /** Per class; NaN where the metric is undefined, as for a class without a positive. */
  readonly perClass: readonly number[];
  /** Mean over the classes that are not NaN (macro average); NaN when all are. */
  readonly macro: number;
  /** Classes left out of the mean. */
  readonly undefinedClasses: number;
}

/**
 * A binary metric of every class against the others, and its macro average.
 * @param scores per sample, a score per class
 * @param truth per sample: its class id; or, where classes do not exclude one another, 1 or 0 per class
 * @throws `metric-length`, `metric-class`, those of the metric
 */
export function oneVsRest(
  metric: (scores: Float64Array, positive: Uint8Array) => number,
  scores: readonly ArrayLike<number>[],
  truth: ArrayLike<number> | readonly ArrayLike<number>[],
): PerClass {
  checkLengths(scores.length, truth.length);
  const classes = scores[0]?.length ?? 0;
  const perClass = Array.from({ length: classes }, (_, c) => {
    const column = new Float64Array(scores.length);
    const positive = new Uint8Array(scores.length);
    scores.forEach((row, i) => {
      if (row.length !== classes) throw ragged(i, row.length, classes);
      column[i] = row[c]!;
      const t = truth[i]!;
      if (typeof t !== 'number') {
        if (t.length !== classes) throw ragged(i, t.length, classes);
        positive[i] = t[c]! ? 1 : 0;
      } else {
        if (!(Number.isInteger(t) && t >= 0 && t < classes)) throw noClass(i, t, classes);
        positive[i] = t === c ? 1 : 0;
      }
    });
    return metric(column, positive);
  });
  const { mean, empty } = meanOf(perClass);
  return { perClass, macro: mean, undefinedClasses: empty };
}

/** Macro AUROC, every class against the others (roc_auc_score with multi_class='ovr', average='macro'). */
export const macroAuroc = (
  scores: readonly ArrayLike<number>[],
  truth: ArrayLike<number> | readonly ArrayLike<number>[],
): PerClass => oneVsRest(auroc, scores, truth);

/** Macro average precision, every class against the others. */
export const macroAveragePrecision = (
  scores: readonly ArrayLike<number>[],
  truth: ArrayLike<number> | readonly ArrayLike<number>[],
): PerClass => oneVsRest(averagePrecision, scores, truth);

/** Indices by falling score. */
function ranked(scores: ArrayLike<number>, positive: ArrayLike<unknown>): Uint32Array {
  checkLengths(scores.length, positive.length);
  for (let i = 0; i < scores.length; i++)
    if (Number.isNaN(scores[i]!))
      throw new DataError('metric-nan', 'A score is not a number.', {
        found: `NaN at ${i}`,
        expected: 'scores that can be ordered',
        fix: 'find out where the model gave NaN; a case that was not scored must be left out on purpose',
      });
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i);
  return order.sort((a, b) => scores[b]! - scores[a]! || a - b);
}

function checkLengths(scores: number, truth: number): void {
  if (scores === truth) return;
  throw new DataError('metric-length', 'Scores and truth have different lengths.', {
    found: `${scores} and ${truth}`,
    expected: 'one of each per sample',
    fix: 'pass them in the same order, sample by sample',
  });
}

const ragged = (i: number, found: number, expected: number) =>
  new DataError('metric-length', `Sample ${i} has another number of classes.`, {
    found: `${found}`,
    expected: `${expected}, as sample 0`,
    fix: 'give every sample a value per class',
  });

const noClass = (i: number, found: number, classes: number) =>
  new DataError('metric-class', `The truth of sample ${i} is no class.`, {
    found: `${found}`,
    expected: `a whole number from 0 to ${classes - 1}`,
    fix: 'number the classes from 0 in the order of the scores',
  });
