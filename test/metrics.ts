// Inputs of the metrics' goldens, the same as test/reference/metrics.py draws.
import { classes, uniform } from './counters.ts';

export interface RankingCase {
  readonly n: number;
  readonly classes: number;
  readonly step: number;
  readonly auroc: readonly number[];
  readonly ap: readonly number[];
  readonly macroAuroc: number;
  readonly macroAp: number;
}

/** Scores [n][classes] that lean towards the true class, in steps where there are to be ties. */
export function rankingInput(name: string, c: RankingCase): { scores: Float64Array[]; y: Int32Array } {
  const flat = uniform(3, `${name}.s`, c.n * c.classes);
  const y = classes(3, `${name}.y`, c.n, c.classes);
  const scores = Array.from({ length: c.n }, (_, i) =>
    Float64Array.from({ length: c.classes }, (_, k) => {
      const s = flat[i * c.classes + k]! + (y[i] === k ? 0.4 : 0);
      return c.step ? roundHalfEven(s / c.step) : s;
    }),
  );
  return { scores, y };
}

/** Rows [n][features] of different scales whose features lean towards their class. */
export function labelledInput(
  name: string,
  n: number,
  features: number,
  count: number,
  signal: number,
): { rows: Float64Array[]; y: Int32Array } {
  const flat = uniform(5, `${name}.x`, n * features);
  const y = classes(5, `${name}.y`, n, count);
  const rows = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: features }, (_, f) => {
      const x = flat[i * features + f]! + (signal * (y[i] === f % count ? 1 : 0)) / (1 + f);
      return x * (1 + f) + f ** 2;
    }),
  );
  return { rows, y };
}

/** As NumPy rounds. */
export function roundHalfEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x - Math.trunc(x)) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

export function worstDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(found[i]! - expected[i]!);
    worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(worst, d);
  }
  return worst;
}

type Triple = readonly [number, number, number];
export type Ellipsoid = readonly [centre: Triple, radii: Triple];

/** Labels [d, h, w]: 1 inside any ellipsoid, in voxels. */
export function balls([d, h, w]: Triple, list: readonly Ellipsoid[]): Uint8Array {
  const out = new Uint8Array(d * h * w);
  for (let i = 0, at = 0; i < d; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++, at++)
        if (list.some(([c, r]) => ((i - c[0]) / r[0]) ** 2 + ((j - c[1]) / r[1]) ** 2 + ((k - c[2]) / r[2]) ** 2 <= 1))
          out[at] = 1;
  return out;
}

/** Labels [d, h, w]: 1 in a share of the voxels, by chance. */
export const speckle = (name: string, [d, h, w]: Triple, share: number): Uint8Array =>
  Uint8Array.from(uniform(6, name, d * h * w, 0.5, 0.5), (v) => (v < share ? 1 : 0));
