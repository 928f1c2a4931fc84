// Whether probabilities mean what they say: Brier score, reliability bins and the expected calibration error.

import { DataError } from '../errors.ts';

/**
 * Mean of (p − y)², y being 1 for a positive (scikit-learn's brier_score_loss of a binary problem). NaN of none.
 * @throws `calibration-range`, `metric-length`
 */
export function brier(probabilities: ArrayLike<number>, positive: ArrayLike<number | boolean>): number {
  check(probabilities, positive);
  let total = 0;
  for (let i = 0; i < probabilities.length; i++) total += (probabilities[i]! - (positive[i] ? 1 : 0)) ** 2;
  return total / probabilities.length;
}

export interface CalibrationBin {
  /** Probabilities in (from, to]; the first bin takes 0 too. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
  /** Mean probability and share of positives; NaN of an empty bin. */
  readonly predicted: number;
  readonly observed: number;
}

export interface Calibration {
  readonly bins: readonly CalibrationBin[];
  /** Expected calibration error: mean over samples of |predicted − observed| of their bin. */
  readonly ece: number;
}

/**
 * Bins of equal width (scikit-learn's calibration_curve with strategy='uniform', empty bins kept) and their expected error.
 * @throws `calibration-range`, `metric-length`
 */
export function calibration(
  probabilities: ArrayLike<number>,
  positive: ArrayLike<number | boolean>,
  bins = 10,
): Calibration {
  check(probabilities, positive);
  const edges = Array.from({ length: bins + 1 }, (_, b) => b / bins);
  const count = new Float64Array(bins);
  const sum = new Float64Array(bins);
  const positives = new Float64Array(bins);
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i]!;
    // The first bin whose upper edge is not below p.
    const b = Math.min(bins - 1, edges.findIndex((e, n) => n > 0 && p <= e) - 1);
    count[b]!++;
    sum[b]! += p;
    if (positive[i]) positives[b]!++;
  }
  const made = Array.from({ length: bins }, (_, b) => ({
    from: edges[b]!,
    to: edges[b + 1]!,
    count: count[b]!,
    predicted: sum[b]! / count[b]!,
    observed: positives[b]! / count[b]!,
  }));
  const ece = made.reduce((e, b) => (b.count === 0 ? e : e + b.count * Math.abs(b.predicted - b.observed)), 0);
  return { bins: made, ece: ece / probabilities.length };
}

function check(probabilities: ArrayLike<number>, positive: ArrayLike<unknown>): void {
  if (probabilities.length !== positive.length)
    throw new DataError('metric-length', 'Probabilities and truth have different lengths.', {
      found: `${probabilities.length} and ${positive.length}`,
      expected: 'one of each per sample',
      fix: 'pass them in the same order, sample by sample',
    });
  for (let i = 0; i < probabilities.length; i++)
    if (!(probabilities[i]! >= 0 && probabilities[i]! <= 1))
      throw new DataError('calibration-range', 'A score is no probability.', {
        found: `${probabilities[i]} at ${i}`,
        expected: 'numbers from 0 to 1',
        fix: 'turn logits into probabilities first (softmax or sigmoid)',
      });
}
