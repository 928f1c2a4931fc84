// Sliding windows over a volume of any size: how they lie and what they weigh, with MONAI's `sliding_window_inference`
// conventions: scan interval int(roi·(1 − overlap)), the last window shifted inward, gaussian importance σ = 0.125·roi clamped to
// its minimum above 1e-3, a smaller volume padded evenly around.

import { type Dims, voxelCount } from './volume.ts';

/** Logits [class, d, h, w] of one patch [d, h, w] (both of the roi's size). The patch is the callee's to keep. */
export type Predict = (patch: Float32Array, start: Dims) => Promise<Float32Array> | Float32Array;

export interface WindowOptions {
  /** Patch size of the model. */
  readonly roi: Dims;
  readonly classes: number;
  /** Part of a window shared with its neighbour, 0 ≤ overlap < 1; one number or one per axis. Default 0.5. */
  readonly overlap?: number | readonly [number, number, number];
  /** First voxels of the windows over the volume, padded to the roi, where another says how they lie (the first axis slowest);
   *  else `windowStarts`. */
  readonly starts?: readonly Dims[];
  /** Default `gaussian`. */
  readonly mode?: 'gaussian' | 'constant';
  /** σ as a part of the roi. Default 0.125. */
  readonly sigmaScale?: number;
  /** Value of the padding where the volume is smaller than the roi. Default 0 (the window's lower end). */
  readonly padValue?: number;
  /** The most bytes of accumulated logits: where a whole cross-section needs more, it is done in strips. Default 2 GiB. */
  readonly maxBytes?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** First voxels of all windows, the first axis slowest; the last of each axis ends at the volume's end. Needs dims ≥ roi. */
export function windowStarts(dims: Dims, roi: Dims, overlap: number | readonly [number, number, number] = 0.5): Dims[] {
  const axis = (a: number): number[] => {
    const share = typeof overlap === 'number' ? overlap : overlap[a]!;
    const step = roi[a] === dims[a] ? roi[a]! : Math.max(1, Math.floor(roi[a]! * (1 - share)));
    const starts: number[] = [];
    for (let s = 0; ; s += step) {
      starts.push(Math.min(s, dims[a]! - roi[a]!));
      if (s + roi[a]! >= dims[a]!) return starts;
    }
  };
  const [ds, hs, ws] = [axis(0), axis(1), axis(2)];
  return ds.flatMap((i) => hs.flatMap((j) => ws.map((k): Dims => [i, j, k])));
}

/** Weight [d, h, w] of each voxel of a window: ones, or a gaussian with its small values raised to max(its minimum, 1e-3). */
export function importanceMap(roi: Dims, mode: 'gaussian' | 'constant' = 'gaussian', sigmaScale = 0.125): Float32Array {
  const map = new Float32Array(voxelCount(roi));
  if (mode === 'constant') return map.fill(1);
  const line = (n: number) =>
    Float32Array.from({ length: n }, (_, i) => Math.exp(-((i - (n - 1) / 2) ** 2) / (2 * (sigmaScale * n) ** 2)));
  const [gd, gh, gw] = [line(roi[0]), line(roi[1]), line(roi[2])];
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0, at = 0; i < roi[0]; i++)
    for (let j = 0; j < roi[1]; j++) {
      const row = Math.fround(gd[i]! * gh[j]!);
      for (let k = 0; k < roi[2]; k++, at++) {
        map[at] = row * gw[k]!;
        least = Math.min(least, map[at]!);
      }
    }
  const floor = Math.max(least, 1e-3);
  for (let at = 0; at < map.length; at++) if (map[at]! < floor) map[at] = floor;
  return map;
}
