// Hounsfield units to the model's 0..1.

import { DataError } from './errors.ts';
import type { VoxelArray } from './volume.ts';

/** [lo, hi] in HU: lo becomes 0, hi becomes 1, the rest is clipped. */
export type HuWindow = readonly [number, number];

/** Windows that the recipes use. */
export const WINDOWS = { abdomen: [-175, 250], chest: [-1000, 1000] } as const satisfies Record<string, HuWindow>;

/**
 * clip((HU − lo) / (hi − lo), 0, 1), as Float32.
 * @throws `window-empty` unless lo < hi · `volume-nonfinite` when a voxel is NaN or infinite (the message counts them)
 */
export function applyWindow(
  data: VoxelArray,
  [lo, hi]: HuWindow,
  out: Float32Array = new Float32Array(data.length),
): Float32Array {
  if (!(hi > lo)) {
    throw new DataError('window-empty', 'The intensity window is empty.', {
      found: `[${lo}, ${hi}] HU`,
      expected: 'lo < hi',
      fix: 'use for example [-175, 250] for the abdomen',
    });
  }
  const scale = 1 / (hi - lo);
  let strange = 0;
  for (let i = 0; i < data.length; i++) {
    const v = data[i]!;
    if (v - v !== 0) strange++; // NaN or infinite
    const x = (v - lo) * scale;
    out[i] = Math.min(1, Math.max(0, x));
  }
  if (strange > 0) {
    throw new DataError('volume-nonfinite', 'The volume holds voxels that are not numbers.', {
      found: `${strange} of ${data.length} voxels NaN or infinite`,
      expected: 'finite HU everywhere',
      fix: 'replace them, for example by -1024 (air), before preparing the volume',
    });
  }
  return out;
}
