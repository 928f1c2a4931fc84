// How far surfaces lie apart: normalised surface Dice (NSD) at a tolerance and the 95th percentile of the Hausdorff distance
// (HD95), both in mm, as MONAI computes them (compute_surface_dice, compute_hausdorff_distance; euclidean, no subvoxels).
//
// A surface voxel is one of the class with a face neighbour that is not of it; beyond the grid nothing is. Distances go between the
// centres of surface voxels, and every surface voxel counts the same, whatever its area.

import { DataError } from '../errors.ts';
import { type Dims, type VoxelArray, voxelCount } from '../volume.ts';
import { quantile } from './bootstrap.ts';
import { squaredDistanceTransform } from './distance-transform.ts';

export interface SurfaceOptions {
  /** The class. Default 1. */
  readonly label?: number;
  /** mm within which a surface voxel counts as right, for NSD. Default 2. */
  readonly tolerance?: number;
  /** Of the Hausdorff distance. Default 95; 100 is the largest distance. */
  readonly percentile?: number;
}

export interface SurfaceResult {
  /** Share of both surfaces within the tolerance of the other. NaN where both are empty, 0 where one is. */
  readonly nsd: number;
  /** mm: the larger of both directions' percentiles. NaN where both are empty, Infinity where one is. */
  readonly hd95: number;
  /** Surface voxels. */
  readonly predictedSurface: number;
  readonly truthSurface: number;
}

/**
 * Memory: 5 bytes for each voxel of the box around prediction and truth, and 4 for each surface voxel.
 * @param predicted, truth labels [d, h, w] of one grid
 * @param spacing mm along d, h, w
 * @throws `surface-shape`, `surface-options`
 */
export function surfaceDistances(
  predicted: VoxelArray,
  truth: VoxelArray,
  dims: Dims,
  spacing: readonly [number, number, number],
  { label = 1, tolerance = 2, percentile = 95 }: SurfaceOptions = {},
): SurfaceResult {
  check(predicted, truth, dims, spacing, tolerance, percentile);
  const { flags, size } = marked(predicted, truth, dims, label);
  const predictedSurface = countSurface(flags, size, PREDICTED, PREDICTED_SURFACE);
  const truthSurface = countSurface(flags, size, TRUTH, TRUTH_SURFACE);
  const counts = { predictedSurface, truthSurface };
  if (predictedSurface === 0 && truthSurface === 0) return { nsd: Number.NaN, hd95: Number.NaN, ...counts };
  if (predictedSurface === 0 || truthSurface === 0) return { nsd: 0, hd95: Number.POSITIVE_INFINITY, ...counts };

  const field = squaredDistanceTransform(flags, TRUTH_SURFACE, size, spacing);
  const toTruth = distancesAt(flags, PREDICTED_SURFACE, predictedSurface, field);
  squaredDistanceTransform(flags, PREDICTED_SURFACE, size, spacing, field);
  const toPredicted = distancesAt(flags, TRUTH_SURFACE, truthSurface, field);
  // A distance that equals the tolerance but for rounding is within it.
  const limit = tolerance * (1 + 1e-6);
  const within = (distances: Float32Array) => distances.reduce((n, v) => n + (v <= limit ? 1 : 0), 0);
  return {
    nsd: (within(toTruth) + within(toPredicted)) / (predictedSurface + truthSurface),
    hd95: Math.max(quantile(toTruth, percentile / 100), quantile(toPredicted, percentile / 100)),
    ...counts,
  };
}

const PREDICTED = 1;
const TRUTH = 2;
const PREDICTED_SURFACE = 4;
const TRUTH_SURFACE = 8;

/** The box around both masks, as bits. Size 0 × 0 × 0 when both are empty. */
function marked(predicted: VoxelArray, truth: VoxelArray, [d, h, w]: Dims, label: number) {
  const least = [d, h, w];
  const most = [-1, -1, -1];
  for (let i = 0, at = 0; i < d; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++, at++) {
        if (predicted[at] !== label && truth[at] !== label) continue;
        if (i < least[0]!) least[0] = i;
        if (j < least[1]!) least[1] = j;
        if (k < least[2]!) least[2] = k;
        if (i > most[0]!) most[0] = i;
        if (j > most[1]!) most[1] = j;
        if (k > most[2]!) most[2] = k;
      }
  const size: Dims = most[0]! < 0 ? [0, 0, 0] : ([0, 1, 2].map((a) => most[a]! - least[a]! + 1) as unknown as Dims);
  const flags = new Uint8Array(voxelCount(size));
  for (let i = 0, to = 0; i < size[0]; i++)
    for (let j = 0; j < size[1]; j++) {
      let at = ((least[0]! + i) * h + least[1]! + j) * w + least[2]!;
      for (let k = 0; k < size[2]; k++, at++, to++)
        flags[to] = (predicted[at] === label ? PREDICTED : 0) | (truth[at] === label ? TRUTH : 0);
    }
  return { flags, size };
}

/** Sets `surface` where a voxel of `mask` has a face neighbour without it, and counts. (No mask goes beyond its box.) */
function countSurface(flags: Uint8Array, [d, h, w]: Dims, mask: number, surface: number): number {
  let count = 0;
  for (let i = 0, at = 0; i < d; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++, at++) {
        if (!(flags[at]! & mask)) continue;
        const inside =
          i > 0 &&
          j > 0 &&
          k > 0 &&
          i + 1 < d &&
          j + 1 < h &&
          k + 1 < w &&
          flags[at - h * w]! &
            flags[at + h * w]! &
            flags[at - w]! &
            flags[at + w]! &
            flags[at - 1]! &
            flags[at + 1]! &
            mask;
        if (inside) continue;
        flags[at]! |= surface;
        count++;
      }
  return count;
}

function distancesAt(flags: Uint8Array, bit: number, count: number, squared: Float32Array): Float32Array {
  const out = new Float32Array(count);
  for (let at = 0, to = 0; at < flags.length; at++) if (flags[at]! & bit) out[to++] = Math.sqrt(squared[at]!);
  return out;
}

function check(
  predicted: VoxelArray,
  truth: VoxelArray,
  dims: Dims,
  spacing: readonly number[],
  tolerance: number,
  percentile: number,
): void {
  if (predicted.length !== voxelCount(dims) || truth.length !== voxelCount(dims))
    throw new DataError('surface-shape', 'Prediction and truth do not fill the grid.', {
      found: `${predicted.length} and ${truth.length} voxels`,
      expected: `${voxelCount(dims)} = ${dims.join(' × ')}`,
      fix: "restore the prediction to the truth's grid first",
    });
  const fits =
    spacing.length === 3 &&
    spacing.every((s) => s > 0 && Number.isFinite(s)) &&
    tolerance >= 0 &&
    Number.isFinite(tolerance) &&
    percentile >= 0 &&
    percentile <= 100;
  if (!fits)
    throw new DataError('surface-options', 'Surfaces cannot be measured like this.', {
      found: `spacing ${spacing.join(' × ')} mm, tolerance ${tolerance} mm, percentile ${percentile}`,
      expected: 'three positive spacings, a tolerance of at least 0, a percentile from 0 to 100',
      fix: "take the spacing from the truth's affine (volumeSpacing)",
    });
}
