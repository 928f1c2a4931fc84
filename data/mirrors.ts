// Test-time mirroring: a model's logits averaged over mirror images of its patch.

import { mirror } from './augment.ts';
import { type Dims, voxelCount } from './volume.ts';
import { checkLogits } from './window-slabs.ts';
import type { Predict } from './windows.ts';

export interface Mirrors {
  /** Axes to mirror, in every combination. */
  readonly axes: readonly number[];
  /** Classes that change places with axis 0 (right and left), such as both kidneys: their logits do too. */
  readonly pairs?: readonly (readonly [number, number])[];
}

/**
 * The mean of the logits over all combinations of mirrored axes, mirrored back: 2^axes times the work. Where a class has a side
 * and no partner, leave axis 0 out.
 */
export function withMirrors(predict: Predict, roi: Dims, classes: number, { axes, pairs = [] }: Mirrors): Predict {
  const partner = Array.from({ length: classes }, (_, c) => c);
  for (const [a, b] of pairs) {
    partner[a] = b;
    partner[b] = a;
  }
  return async (patch, start) => {
    const voxels = voxelCount(roi);
    const sum = new Float32Array(classes * voxels);
    const combinations = 1 << axes.length;
    for (let bits = 0; bits < combinations; bits++) {
      const chosen = axes.filter((_, n) => bits & (1 << n));
      const turned = patch.slice();
      for (const axis of chosen) mirror(turned, roi, axis);
      const logits = await predict(turned, start);
      checkLogits(logits, classes, roi);
      for (let c = 0; c < classes; c++) {
        const plane = logits.slice(c * voxels, (c + 1) * voxels);
        for (const axis of chosen) mirror(plane, roi, axis);
        const to = (chosen.includes(0) ? partner[c]! : c) * voxels;
        for (let p = 0; p < voxels; p++) sum[to + p]! += plane[p]! / combinations;
      }
    }
    return sum;
  };
}
