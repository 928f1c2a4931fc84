// Labels or logits of a prepared volume on its own grid, from blended sliding windows.

import { DataError } from './errors.ts';
import { type Dims, showDims, voxelCount } from './volume.ts';
import { BLEND_BYTES, type FinishedSlab, mebibytes, SlidingWindows } from './window-slabs.ts';
import type { Predict, WindowOptions } from './windows.ts';

/**
 * Labels [d, h, w] of an image [d, h, w] in 0..1: argmax over classes of the blended logits (the lowest class wins a tie).
 * @throws `windows-options`, `windows-memory`, `predict-shape`, `predict-nonfinite`; the signal's reason when aborted
 */
export async function segmentWindows(
  image: Float32Array,
  dims: Dims,
  predict: Predict,
  options: WindowOptions,
): Promise<Uint8Array | Uint16Array> {
  const labels = allocateLabels(options.classes, voxelCount(dims));
  await runAll(new SlidingWindows(image, dims, predict, options), options, ({ index, rows, sums, row }) => {
    for (let j = rows.from; j < rows.to; j++) labelLine(labels, (index * dims[1] + j) * dims[2], sums, row(j), dims[2]);
  });
  return labels;
}

/**
 * Blended logits [class, d, h, w] of the whole volume. Holds classes · d · h · w · 4 bytes more than `segmentWindows`.
 * @throws as `segmentWindows`
 */
export async function blendWindows(
  image: Float32Array,
  dims: Dims,
  predict: Predict,
  options: WindowOptions,
): Promise<Float32Array> {
  const voxels = voxelCount(dims);
  const bytes = voxels * options.classes * 4;
  const { maxBytes = BLEND_BYTES } = options;
  if (bytes > maxBytes) {
    throw new DataError('windows-memory', 'The logits of the whole volume are larger than they may be.', {
      found: `${mebibytes(bytes)} for ${options.classes} classes over ${showDims(dims)}`,
      expected: `at most ${mebibytes(maxBytes)}`,
      fix: 'take labels (segmentWindows, segmentScan), which never hold them whole, or raise maxBytes',
    });
  }
  const out = new Float32Array(options.classes * voxels);
  await runAll(new SlidingWindows(image, dims, predict, options), options, ({ index, rows, sums, weights, row }) => {
    for (let j = rows.from; j < rows.to; j++) {
      const to = (index * dims[1] + j) * dims[2];
      const from = row(j);
      for (let c = 0; c < sums.length; c++) {
        for (let k = 0; k < dims[2]; k++) out[c * voxels + to + k] = sums[c]![from + k]! / weights[from + k]!;
      }
    }
  });
  return out;
}

/** Labels of one type for any number of classes. */
export const allocateLabels = (classes: number, length: number): Uint8Array | Uint16Array =>
  classes <= 256 ? new Uint8Array(length) : new Uint16Array(length);

/** The class of the highest score for `n` voxels: voxel p of class c is `scores[c][from + p]`. The lowest class wins a tie. */
export function labelLine(
  labels: Uint8Array | Uint16Array,
  to: number,
  scores: readonly Float32Array[],
  from: number,
  n: number,
): void {
  const first = scores[0]!;
  for (let k = 0; k < n; k++) {
    let best = first[from + k]!;
    let label = 0;
    for (let c = 1; c < scores.length; c++) {
      const v = scores[c]![from + k]!;
      if (v > best) {
        best = v;
        label = c;
      }
    }
    labels[to + k] = label;
  }
}

async function runAll(
  windows: SlidingWindows,
  options: WindowOptions,
  finished: (slab: FinishedSlab) => void,
): Promise<void> {
  const strips = windows.strips();
  const total = strips.reduce((n, rows) => n + windows.through(rows).length, 0);
  let done = 0;
  for (const rows of strips) await windows.run(rows, finished, () => options.onProgress?.(++done, total));
}
