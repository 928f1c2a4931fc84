// Whether two arms differ, by pairs (an arm's figure minus the other's, a pair per seed): the exact sign-flip test, and
// Holm's correction where many such questions are asked.

import { DataError } from '../errors.ts';

/** Pairs whose sign assignments are all looked at: 2²⁰. */
const MOST_PAIRS = 20;

export interface SignFlipResult {
  /** Two-sided: the share of sign assignments whose |mean| is at least the observed one's, the observed included. */
  readonly p: number;
  /** Mean of the differences. */
  readonly mean: number;
  /** Sign assignments looked at: 2ⁿ. The least two-sided p that n pairs can give is 2 / 2ⁿ. */
  readonly assignments: number;
}

/**
 * Exact paired sign-flip (permutation) test that the differences are symmetric about zero: every one of the 2ⁿ sign
 * assignments counts, none is drawn (scipy.stats.permutation_test with permutation_type='samples').
 * Sums that differ by rounding alone count as equal. Pairs without a difference stay in and change nothing.
 * @throws `sign-flip-pairs` for no pair or more than 20, `metric-nan`
 */
export function signFlipTest(differences: ArrayLike<number>): SignFlipResult {
  const n = differences.length;
  if (n === 0 || n > MOST_PAIRS)
    throw new DataError('sign-flip-pairs', 'The exact sign-flip test cannot take so many pairs.', {
      found: `${n}`,
      expected: `1 to ${MOST_PAIRS}`,
      fix: 'give one difference per seed: an arm minus the other, of the same seed',
    });
  const values = Array.from(differences);
  const wrong = values.findIndex((v) => !Number.isFinite(v));
  if (wrong >= 0)
    throw new DataError('metric-nan', 'A difference is not a finite number.', {
      found: `${values[wrong]} at pair ${wrong}`,
      expected: 'a finite number per pair',
      fix: 'leave the seed out of both arms, and say so',
    });
  const total = sum(values);
  const rounding = 1e-12 * sum(values.map(Math.abs));
  const least = Math.abs(total) - rounding;
  // Sums over all signs of one half of the pairs and of the other: two additions of table entries for each assignment, so that
  // rounding does not build up over a million steps.
  const half = n >> 1;
  const first = signedSums(values.slice(0, half));
  const second = signedSums(values.slice(half));
  let extreme = 0;
  for (const a of first) for (const b of second) if (Math.abs(a + b) >= least) extreme++;
  const assignments = 2 ** n;
  return { p: extreme / assignments, mean: total / n, assignments };
}

/**
 * Holm's step-down adjusted p-values, in the order given (statsmodels' multipletests with method='holm'): reject where the
 * adjusted value is at most α, and the chance of any false rejection in the family is at most α.
 * @throws `p-value`
 */
export function holm(pValues: ArrayLike<number>): number[] {
  const p = Array.from(pValues);
  const wrong = p.findIndex((v) => !(v >= 0 && v <= 1));
  if (wrong >= 0)
    throw new DataError('p-value', 'This is no p-value.', {
      found: `${p[wrong]} at ${wrong}`,
      expected: 'numbers from 0 to 1',
      fix: 'leave out the comparisons that were not made',
    });
  const order = p.map((_, i) => i).sort((a, b) => p[a]! - p[b]! || a - b);
  const adjusted = new Array<number>(p.length).fill(0);
  let above = 0;
  order.forEach((i, rank) => {
    above = Math.max(above, Math.min(1, (p.length - rank) * p[i]!));
    adjusted[i] = above;
  });
  return adjusted;
}

/** All 2ⁿ sums ±v₀ ±v₁ … */
function signedSums(values: readonly number[]): Float64Array {
  let sums = Float64Array.of(0);
  for (const v of values) {
    const next = new Float64Array(sums.length * 2);
    sums.forEach((s, i) => {
      next[i] = s + v;
      next[sums.length + i] = s - v;
    });
    sums = next;
  }
  return sums;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
