// From scores to decisions: a threshold is chosen on validation scores and applied, as it is, to the test set.

import { DataError } from '../errors.ts';

/** `youden`: most sensitivity + specificity − 1. `sensitivity`: the highest threshold that reaches it. */
export type OperatingRule = 'youden' | { readonly sensitivity: number };

export interface OperatingPoint {
  /** A score of at least this is called positive. */
  readonly threshold: number;
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly trueNegatives: number;
  readonly falseNegatives: number;
  /** Each NaN where its denominator is 0. */
  readonly sensitivity: number;
  readonly specificity: number;
  /** Positive predictive value: positives among those called positive. It holds for this set's share of positives alone. */
  readonly ppv: number;
  readonly npv: number;
}

/**
 * A threshold among the scores. Of thresholds that do equally well the highest is taken, which calls fewest positive.
 * @throws `operating-point` without a positive or, for `youden`, a negative; `metric-length`
 */
export function chooseThreshold(
  scores: ArrayLike<number>,
  positive: ArrayLike<number | boolean>,
  rule: OperatingRule = 'youden',
): number {
  checkLengths(scores, positive);
  const rows = Array.from(scores, (s, i) => ({ s, positive: Boolean(positive[i]) })).sort((a, b) => b.s - a.s);
  const positives = rows.filter((r) => r.positive).length;
  const negatives = rows.length - positives;
  const target = rule === 'youden' ? Number.NaN : rule.sensitivity;
  if (positives === 0 || (rule === 'youden' && negatives === 0) || (rule !== 'youden' && !(target > 0 && target <= 1)))
    throw new DataError('operating-point', 'No threshold can be chosen on these scores.', {
      found: `${positives} positives, ${negatives} negatives, rule ${JSON.stringify(rule)}`,
      expected: 'at least one of each, and a sensitivity above 0 and at most 1',
      fix: 'choose it on a larger validation set',
    });
  let best = { threshold: Number.POSITIVE_INFINITY, gain: 0 };
  let tp = 0;
  for (let i = 0; i < rows.length; i++) {
    if (rows[i]!.positive) tp++;
    if (rows[i + 1]?.s === rows[i]!.s) continue;
    const threshold = rows[i]!.s;
    if (rule !== 'youden') {
      if (tp >= target * positives * (1 - 1e-12)) return threshold;
      continue;
    }
    // Youden's index times positives · negatives: whole numbers, so that equals are equal.
    const gain = tp * negatives - (i + 1 - tp) * positives;
    if (gain > best.gain) best = { threshold, gain };
  }
  return best.threshold;
}

/** What a threshold does. @throws `metric-length` */
export function operatingPoint(
  scores: ArrayLike<number>,
  positive: ArrayLike<number | boolean>,
  threshold: number,
): OperatingPoint {
  checkLengths(scores, positive);
  let tp = 0;
  let fp = 0;
  let tn = 0;
  let fn = 0;
  for (let i = 0; i < scores.length; i++) {
    const called = scores[i]! >= threshold;
    if (positive[i]) called ? tp++ : fn++;
    else called ? fp++ : tn++;
  }
  return {
    threshold,
    truePositives: tp,
    falsePositives: fp,
    trueNegatives: tn,
    falseNegatives: fn,
    sensitivity: tp / (tp + fn),
    specificity: tn / (tn + fp),
    ppv: tp / (tp + fp),
    npv: tn / (tn + fn),
  };
}

function checkLengths(scores: ArrayLike<number>, positive: ArrayLike<unknown>): void {
  const wrong = Array.from(scores).findIndex((s) => Number.isNaN(s));
  if (scores.length === positive.length && wrong < 0) return;
  throw new DataError(wrong < 0 ? 'metric-length' : 'metric-nan', 'Scores and truth do not fit.', {
    found: wrong < 0 ? `${scores.length} and ${positive.length}` : `NaN at ${wrong}`,
    expected: 'a score that is a number, and a truth, per sample',
    fix: 'pass them in the same order, sample by sample',
  });
}
