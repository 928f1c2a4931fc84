// The box around the patient: air outside the body is cut away before the costly steps.

import { DataError } from './errors.ts';
import type { Box } from './pad.ts';
import { type Dims, showDims, type VoxelArray } from './volume.ts';

/**
 * The smallest box holding every voxel above `threshold`, widened by `margin` voxels along d, h, w and clipped to the volume.
 * @throws `foreground-empty` when no voxel is above the threshold
 */
export function foregroundBox(data: VoxelArray, dims: Dims, threshold: number, margin: Dims = [0, 0, 0]): Box {
  const low = [dims[0], dims[1], dims[2]];
  const high = [-1, -1, -1];
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < dims[0]; i++)
    for (let j = 0; j < dims[1]; j++) {
      const row = (i * dims[1] + j) * dims[2];
      let first = -1;
      let last = -1;
      for (let k = 0; k < dims[2]; k++) {
        const v = data[row + k]!;
        if (v > highest) highest = v;
        if (v > threshold) {
          if (first < 0) first = k;
          last = k;
        }
      }
      if (first < 0) continue;
      if (i < low[0]!) low[0] = i;
      if (j < low[1]!) low[1] = j;
      if (first < low[2]!) low[2] = first;
      high[0] = i;
      if (j > high[1]!) high[1] = j;
      if (last > high[2]!) high[2] = last;
    }
  return boxAround({ low, high, highest }, dims, threshold, margin);
}

/** First and last voxels above the threshold along d, h, w (last −1 where there is none), and the highest value. */
export interface Extent {
  readonly low: readonly number[];
  readonly high: readonly number[];
  readonly highest: number;
}

/** The box of an extent, widened by `margin` voxels and clipped to the volume. @throws `foreground-empty` */
export function boxAround({ low, high, highest }: Extent, dims: Dims, threshold: number, margin: Dims): Box {
  if (high[0]! < 0) {
    throw new DataError('foreground-empty', 'No voxel lies above the foreground threshold.', {
      found: `a highest value of ${highest} in ${showDims(dims)}`,
      expected: `values above ${threshold}`,
      fix: 'check that the volume is CT in HU, or lower or drop the foreground threshold',
    });
  }
  const start = (axis: number) => Math.max(0, low[axis]! - margin[axis]!);
  const end = (axis: number) => Math.min(dims[axis]!, high[axis]! + 1 + margin[axis]!);
  return {
    start: [start(0), start(1), start(2)],
    size: [end(0) - start(0), end(1) - start(1), end(2) - start(2)],
  };
}
