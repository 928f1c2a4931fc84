// What the runs come to: the declared comparison, the others with Holm's correction, and tables.
import { holm, type Interval, meanOf, nestedBootstrap, signFlipTest } from '../../data/index.ts';
import type { Arm, Declaration } from './declaration.ts';
import type { LesionResult } from './finetune.ts';
import type { Pointing } from './pointing.ts';
import { macroOn, type ProbeResult } from './probe.ts';
import type { RetrievalResult } from './retrieval.ts';
import type { Study } from './studies.ts';

export interface ArmRun {
  readonly arm: Arm;
  readonly seed: number;
  readonly probes: readonly ProbeResult[];
  /** Seconds of pre-training. */
  readonly seconds: number;
  /** Of the last steps, the mean. */
  readonly accuracy: number;
  readonly pointing: Pointing | null;
  readonly retrieval: RetrievalResult | null;
  readonly lesions: readonly LesionResult[];
}

export interface Comparison {
  readonly arm: Arm;
  readonly against: Arm;
  readonly fraction: number;
  /** Per seed. */
  readonly differences: readonly number[];
  readonly mean: number;
  /** Exact, two-sided. */
  readonly p: number;
  /** Holm's, among the secondary comparisons; the primary one stands alone. */
  readonly adjusted: number | null;
  readonly interval: Interval;
}

export interface Results {
  /** Mean over seeds, per arm and fraction; and each seed's. */
  readonly table: readonly {
    readonly arm: Arm;
    readonly cells: readonly { readonly fraction: number; readonly mean: number; readonly seeds: readonly number[] }[];
  }[];
  readonly primary: Comparison | null;
  readonly secondary: readonly Comparison[];
}

export function resultsOf(runs: readonly ArmRun[], judged: readonly Study[], d: Declaration): Results {
  const of = (arm: Arm): ArmRun[] => runs.filter((r) => r.arm === arm).sort((a, b) => a.seed - b.seed);
  const at = (r: ArmRun, fraction: number): ProbeResult => r.probes.find((p) => p.fraction === fraction)!;
  const arms = d.arms.filter((a) => of(a).length > 0);
  const table = arms.map((arm) => ({
    arm,
    cells: d.fractions.map((fraction) => {
      const seeds = of(arm).map((r) => at(r, fraction).auroc);
      return { fraction, mean: meanOf(seeds).mean, seeds };
    }),
  }));
  const compare = (against: Arm, fraction: number): Comparison | null => {
    const other = new Map(of(against).map((r) => [r.seed, r]));
    const pairs = of('t3d').flatMap((r) => (other.has(r.seed) ? [[r, other.get(r.seed)!] as const] : []));
    // One seed tells nothing of another.
    if (pairs.length < 2) return null;
    const differences = pairs.map(([a, b]) => at(a, fraction).auroc - at(b, fraction).auroc);
    const test = signFlipTest(differences);
    const mean = (r: ArmRun, chosen: Int32Array): number =>
      meanOf(at(r, fraction).scores.map((draw) => macroOn(draw, judged, chosen))).mean;
    const interval = nestedBootstrap({
      seeds: pairs.length,
      patients: judged.length,
      resamples: 1000,
      statistic: (n, chosen) => mean(pairs[n]![0], chosen) - mean(pairs[n]![1], chosen),
    });
    return { arm: 't3d', against, fraction, differences, mean: test.mean, p: test.p, adjusted: null, interval };
  };
  const fraction = d.fractions[0]!;
  const others = arms
    .filter((a) => a !== 't3d' && a !== 't3d-shuffled')
    .map((a) => compare(a, fraction))
    .filter((c) => c !== null);
  const adjusted = holm(others.map((c) => c.p));
  return {
    table,
    primary: compare('t3d-shuffled', fraction),
    secondary: others.map((c, i) => ({ ...c, adjusted: adjusted[i]! })),
  };
}
