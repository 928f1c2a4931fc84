// Lesion by lesion instead of voxel by voxel: which lesions (connected components) of the truth were found, and which of the
// prediction are lesions, by size.

import { connectedComponents } from '../components.ts';
import { DataError } from '../errors.ts';
import { type Dims, type VoxelArray, voxelCount } from '../volume.ts';

export interface LesionOptions {
  /** The class that is a lesion. Default 1. */
  readonly label?: number;
  /** Neighbours that join voxels to one lesion. Default 26. */
  readonly connectivity?: 6 | 26;
  /**
   * A lesion counts as found when more than this share of its voxels is predicted, and a predicted one as right when more than this
   * share of its voxels is lesion. Default 0: one voxel is enough.
   */
  readonly overlap?: number;
}

/** A connected component of the truth or the prediction. */
export interface LesionComponent {
  readonly voxels: number;
  /** mm, of the ball of the same volume. */
  readonly diameterMm: number;
  /** Of the truth: found; of the prediction: a lesion in truth. */
  readonly hit: boolean;
}

export interface LesionMatches {
  readonly truth: readonly LesionComponent[];
  readonly predicted: readonly LesionComponent[];
}

/**
 * The lesions of one scan.
 * @param predicted, truth labels [d, h, w] of one grid
 * @param spacing mm along d, h, w
 * @throws `lesion-shape`
 */
export function matchLesions(
  predicted: VoxelArray,
  truth: VoxelArray,
  dims: Dims,
  spacing: readonly [number, number, number],
  { label = 1, connectivity = 26, overlap = 0 }: LesionOptions = {},
): LesionMatches {
  checkLesionShape(predicted, truth, dims);
  const p = lesionMask(predicted, (v) => v === label);
  const t = lesionMask(truth, (v) => v === label);
  const voxelMm3 = spacing[0] * spacing[1] * spacing[2];
  const judged = (map: Uint8Array, other: Uint8Array): LesionComponent[] => {
    const { id, components } = connectedComponents(map, dims, connectivity);
    const shared = new Float64Array(components.length + 1);
    for (let i = 0; i < id.length; i++) if (id[i] !== 0 && other[i] !== 0) shared[id[i]!]!++;
    return components.map(({ voxels }, n) => ({
      voxels,
      diameterMm: ballDiameter(voxels * voxelMm3),
      hit: shared[n + 1]! > overlap * voxels,
    }));
  };
  return { truth: judged(t, p), predicted: judged(p, t) };
}

export interface LesionScore {
  /** mm; the bin is [from, to). */
  readonly from: number;
  readonly to: number;
  readonly truth: number;
  readonly found: number;
  readonly predicted: number;
  readonly right: number;
  /** found / truth, NaN without a lesion. */
  readonly sensitivity: number;
  /** right / predicted, NaN without a prediction. */
  readonly precision: number;
  /** Their harmonic mean: 0 where one of them is 0 or nothing was predicted, NaN where there is no lesion. */
  readonly f1: number;
}

/**
 * Lesions of all scans together, over all sizes and by size: `edges` 5, 10 make the bins below 5 mm, 5 to 10 and from 10 mm. A lesion
 * of the truth counts in the bin of its own diameter, a predicted one in that of its own.
 */
export function lesionScores(
  scans: readonly LesionMatches[],
  edges: readonly number[] = [],
): { all: LesionScore; bins: LesionScore[] } {
  const limits = [0, ...edges, Number.POSITIVE_INFINITY];
  const score = (from: number, to: number): LesionScore => {
    const within = (l: LesionComponent) => l.diameterMm >= from && l.diameterMm < to;
    const t = scans.flatMap((s) => s.truth.filter(within));
    const p = scans.flatMap((s) => s.predicted.filter(within));
    const found = t.filter((l) => l.hit).length;
    const right = p.filter((l) => l.hit).length;
    const sensitivity = found / t.length;
    const precision = right / p.length;
    const f1 =
      t.length === 0
        ? Number.NaN
        : found > 0 && right > 0
          ? (2 * sensitivity * precision) / (sensitivity + precision)
          : 0;
    return { from, to, truth: t.length, found, predicted: p.length, right, sensitivity, precision, f1 };
  };
  return {
    all: score(0, Number.POSITIVE_INFINITY),
    bins: edges.length === 0 ? [] : limits.slice(1).map((to, i) => score(limits[i]!, to)),
  };
}

const ballDiameter = (mm3: number): number => 2 * Math.cbrt((3 * mm3) / (4 * Math.PI));

export function lesionMask(values: VoxelArray, wanted: (v: number) => boolean): Uint8Array {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = wanted(values[i]!) ? 1 : 0;
  return out;
}

export function checkLesionShape(a: VoxelArray, b: VoxelArray, dims: Dims): void {
  if (a.length === voxelCount(dims) && b.length === voxelCount(dims)) return;
  throw new DataError('lesion-shape', 'Prediction and truth do not fill the grid.', {
    found: `${a.length} and ${b.length} voxels`,
    expected: `${voxelCount(dims)} = ${dims.join(' × ')}`,
    fix: "restore the prediction to the truth's grid first",
  });
}
