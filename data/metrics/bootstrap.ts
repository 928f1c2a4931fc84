// Percentile bootstrap intervals: over patients, and over seeds and patients at once. Resamples are drawn from counters
// (data/random.ts), so an interval depends on the seed alone.

import { DataError } from '../errors.ts';
import { type RandomStream, stream } from '../random.ts';

export interface BootstrapOptions {
  /** Default 2000. */
  readonly resamples?: number;
  /** Share of the resamples within the interval. Default 0.95. */
  readonly level?: number;
  /** Seed of the draws. Default 0. */
  readonly seed?: number;
}

export interface Interval {
  /** The statistic of the data as they are. */
  readonly estimate: number;
  /** Percentile interval; NaN where no resample had a statistic. */
  readonly low: number;
  readonly high: number;
  readonly level: number;
  /** Resamples that the interval rests on. */
  readonly resamples: number;
  /** Resamples whose statistic was NaN (a class drawn empty, say): left out, and to be said when many. */
  readonly undefinedResamples: number;
}

/**
 * Interval of a statistic of rows, resampling patients with replacement: all rows of a drawn patient come along, so that
 * several scans of one patient do not pass as independent.
 * @param patients per row: whose it is
 * @param statistic of some rows (indices, a row perhaps several times); NaN where it is undefined
 * @throws `bootstrap-empty`, `bootstrap-options`
 */
export function bootstrapByPatient(
  patients: ArrayLike<string | number>,
  statistic: (rows: Int32Array) => number,
  options: BootstrapOptions = {},
): Interval {
  const { resamples, level, seed } = checked(options);
  const groups = rowsByPatient(patients);
  const all = Int32Array.from({ length: patients.length }, (_, i) => i);
  const values: number[] = [];
  for (let b = 0; b < resamples; b++) {
    const random = stream(seed, b);
    const drawn = groups.map(() => groups[random.int(groups.length)]!);
    values.push(statistic(Int32Array.from(drawn.flat())));
  }
  return interval(statistic(all), values, level);
}

export interface NestedBootstrapOptions extends BootstrapOptions {
  /** Seeds (training runs): 0 … seeds − 1. */
  readonly seeds: number;
  /** Test patients: 0 … patients − 1. */
  readonly patients: number;
  /**
   * Figure of one training seed on some test patients (indices, one perhaps several times): of a comparison, an arm's minus the
   * other's on the same patients. NaN where it is undefined.
   */
  readonly statistic: (seed: number, patients: Int32Array) => number;
  /**
   * `shared`: all seeds were tested on the same patients, so a resample draws patients once and every drawn seed is judged on
   * them. `own`: every seed has test patients of its own, drawn anew for each. Default `shared`.
   */
  readonly testSet?: 'shared' | 'own';
}

/**
 * Interval of the mean over seeds, resampling seeds with replacement and, within, test patients with replacement: it holds both
 * what another training run and what other patients would change.
 * @throws `bootstrap-empty`, `bootstrap-options`
 */
export function nestedBootstrap(options: NestedBootstrapOptions): Interval {
  const { resamples, level, seed } = checked(options);
  const { seeds, patients, statistic, testSet = 'shared' } = options;
  if (!(seeds >= 1 && patients >= 1)) throw empty(`${seeds} seeds, ${patients} patients`);
  const everyone = Int32Array.from({ length: patients }, (_, i) => i);
  const drawPatients = (random: RandomStream) => Int32Array.from(everyone, () => random.int(patients));
  const estimate = meanOver(seeds, (s) => statistic(s, everyone));
  const values: number[] = [];
  for (let b = 0; b < resamples; b++) {
    const random = stream(seed, b);
    const drawn = Array.from({ length: seeds }, () => random.int(seeds));
    if (testSet === 'shared') {
      const sample = drawPatients(random);
      const known = new Map<number, number>();
      for (const s of drawn) if (!known.has(s)) known.set(s, statistic(s, sample));
      values.push(meanOver(seeds, (i) => known.get(drawn[i]!)!));
    } else values.push(meanOver(seeds, (i) => statistic(drawn[i]!, drawPatients(random))));
  }
  return interval(estimate, values, level);
}

/** Quantile q of numbers with linear interpolation between neighbours (numpy.quantile's default); NaN of none. */
export function quantile(values: ArrayLike<number>, q: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(sorted.length - 1, below + 1);
  const low = sorted[below]!;
  return low === sorted[above]! ? low : low + (at - below) * (sorted[above]! - low);
}

function interval(estimate: number, values: readonly number[], level: number): Interval {
  const kept = values.filter((v) => !Number.isNaN(v));
  const tail = (1 - level) / 2;
  return {
    estimate,
    low: quantile(kept, tail),
    high: quantile(kept, 1 - tail),
    level,
    resamples: kept.length,
    undefinedResamples: values.length - kept.length,
  };
}

function rowsByPatient(patients: ArrayLike<string | number>): number[][] {
  if (patients.length === 0) throw empty('no rows');
  const groups = new Map<string | number, number[]>();
  for (let i = 0; i < patients.length; i++) {
    const rows = groups.get(patients[i]!);
    if (rows) rows.push(i);
    else groups.set(patients[i]!, [i]);
  }
  return [...groups.values()];
}

function checked({ resamples = 2000, level = 0.95, seed = 0 }: BootstrapOptions): Required<BootstrapOptions> {
  if (Number.isInteger(resamples) && resamples >= 1 && level > 0 && level < 1 && Number.isSafeInteger(seed))
    return { resamples, level, seed };
  throw new DataError('bootstrap-options', 'These are no bootstrap options.', {
    found: `resamples ${resamples}, level ${level}, seed ${seed}`,
    expected: 'at least one resample, a level between 0 and 1, a whole seed',
    fix: 'take the defaults: 2000 resamples at 0.95',
  });
}

const empty = (found: string) =>
  new DataError('bootstrap-empty', 'There is nothing to resample.', {
    found,
    expected: 'at least one seed and one patient',
    fix: 'pass the rows of the test set',
  });

function meanOver(n: number, value: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < n; i++) total += value(i);
  return total / n;
}
