// Sliding-window inference over a volume of any size, with MONAI's `sliding_window_inference` conventions: scan interval
// int(roi·(1 − overlap)), the last window shifted inward, gaussian importance σ = 0.125·roi clamped to its minimum above 1e-3,
// a smaller volume padded evenly around.
//
// Memory. Windows run in order of their first axis and a slab is finished once no later window reaches it, so only roi_d slabs
// of logits are held: (classes + 1) · roi_d · h · w · 4 bytes, independent of the volume's depth. Labels leave slab by slab.

import { mirror } from './augment.ts';
import { DataError } from './errors.ts';
import { cutArray, paddingBox } from './pad.ts';
import { type Dims, showDims, voxelCount } from './volume.ts';

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
  /** The most bytes of accumulated logits. Default 4 GiB. */
  readonly maxBytes?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

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
  const labels = options.classes <= 256 ? new Uint8Array(voxelCount(dims)) : new Uint16Array(voxelCount(dims));
  await runWindows(image, dims, predict, options, (slab, at, sums) => {
    const first = sums[0]!;
    for (let p = 0, to = slab * dims[1] * dims[2]; p < at.length; p++, to++) {
      const from = at.base(p);
      let best = first[from]!;
      let label = 0;
      for (let c = 1; c < sums.length; c++) {
        const v = sums[c]![from]!;
        if (v > best) {
          best = v;
          label = c;
        }
      }
      labels[to] = label;
    }
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
  checkMemory(voxels * options.classes * 4, options, dims, 'the whole volume of logits');
  const out = new Float32Array(options.classes * voxels);
  await runWindows(image, dims, predict, options, (slab, at, sums, weights) => {
    for (let p = 0, to = slab * dims[1] * dims[2]; p < at.length; p++, to++) {
      const from = at.base(p);
      const weight = weights[from]!;
      for (let c = 0; c < sums.length; c++) out[c * voxels + to] = sums[c]![from]! / weight;
    }
  });
  return out;
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

/**
 * Test-time mirroring: the mean of the logits over all combinations of mirrored `axes`, mirrored back. With both sides
 * labelled (right and left kidney) leave axis 0 out.
 */
export function withMirrors(predict: Predict, roi: Dims, classes: number, axes: readonly number[]): Predict {
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
        for (let p = 0; p < voxels; p++) sum[c * voxels + p]! += plane[p]! / combinations;
      }
    }
    return sum;
  };
}

/** The voxels of one finished slab within the ring: `base(p)` is where voxel p of the volume's slab is accumulated. */
interface SlabView {
  readonly length: number;
  base(p: number): number;
}

type EmitSlab = (slab: number, at: SlabView, sums: readonly Float32Array[], weights: Float32Array) => void;

async function runWindows(image: Float32Array, dims: Dims, predict: Predict, options: WindowOptions, emit: EmitSlab) {
  const { roi, classes, signal } = options;
  checkOptions(image, dims, options);
  const box = paddingBox(dims, roi);
  const [, h, w] = box.size;
  const padded = box.size.every((n, a) => n === dims[a]) ? image : cutArray(image, dims, box, options.padValue ?? 0);
  const slab = h * w;
  checkMemory((classes + 1) * roi[0] * slab * 4, options, dims, 'roi_d slabs of logits');
  const sums = Array.from({ length: classes }, () => new Float32Array(roi[0] * slab));
  const weights = new Float32Array(roi[0] * slab);
  const importance = importanceMap(roi, options.mode, options.sigmaScale);
  const starts = options.starts ?? windowStarts(box.size, roi, options.overlap);

  const finish = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const ring = (i % roi[0]) * slab;
      checkFinite(sums, ring, slab, i);
      const own = i + box.start[0]; // box.start is ≤ 0: the slab's number in the volume itself
      if (own >= 0 && own < dims[0]) {
        const base = (p: number) => ring + (Math.floor(p / dims[2]) - box.start[1]) * w + (p % dims[2]) - box.start[2];
        emit(own, { length: dims[1] * dims[2], base }, sums, weights);
      }
      for (const sum of sums) sum.fill(0, ring, ring + slab);
      weights.fill(0, ring, ring + slab);
    }
  };

  let done = 0;
  let at = 0;
  for (const start of starts) {
    signal?.throwIfAborted();
    if (start[0] > at) {
      finish(at, start[0]);
      at = start[0];
    }
    const logits = await predict(cutArray(padded, box.size, { start, size: roi }), start);
    checkLogits(logits, classes, roi);
    accumulate(logits, importance, sums, weights, start, roi, h, w);
    options.onProgress?.(++done, starts.length);
  }
  signal?.throwIfAborted();
  finish(at, box.size[0]);
}

function accumulate(
  logits: Float32Array,
  importance: Float32Array,
  sums: readonly Float32Array[],
  weights: Float32Array,
  start: Dims,
  roi: Dims,
  h: number,
  w: number,
): void {
  const voxels = voxelCount(roi);
  for (let c = -1; c < sums.length; c++) {
    const sum = c < 0 ? weights : sums[c]!;
    const from = c * voxels;
    for (let i = 0, p = 0; i < roi[0]; i++)
      for (let j = 0; j < roi[1]; j++) {
        let to = (((start[0] + i) % roi[0]) * h + start[1] + j) * w + start[2];
        if (c < 0) for (let k = 0; k < roi[2]; k++) sum[to++]! += importance[p++]!;
        else for (let k = 0; k < roi[2]; k++, p++) sum[to++]! += logits[from + p]! * importance[p]!;
      }
  }
}

/** NaN and infinity survive the sums: looking at each finished slab finds them, in every class. */
function checkFinite(sums: readonly Float32Array[], ring: number, length: number, slab: number): void {
  let check = 0;
  for (const sum of sums) for (let p = ring; p < ring + length; p++) check += sum[p]! - sum[p]!;
  if (check === 0) return;
  throw new DataError(
    'predict-nonfinite',
    `The model's logits are not all finite (slab ${slab} of the padded volume).`,
    {
      found: 'NaN or infinite logits',
      expected: 'finite numbers',
      fix: 'check the weights (a diverged training?) and the intensity window of the input',
    },
  );
}

function checkOptions(image: Float32Array, dims: Dims, { roi, classes, overlap = 0.5 }: WindowOptions): void {
  const shares = typeof overlap === 'number' ? [overlap] : overlap;
  const good =
    image.length === voxelCount(dims) &&
    roi.every((n) => Number.isInteger(n) && n > 0) &&
    Number.isInteger(classes) &&
    classes > 0 &&
    shares.every((s) => s >= 0 && s < 1);
  if (good) return;
  throw new DataError('windows-options', 'Sliding windows cannot run with these options.', {
    found: `${image.length} voxels for ${showDims(dims)}, roi ${showDims(roi)}, ${classes} classes, overlap ${shares.join(', ')}`,
    expected: 'd·h·w voxels, a positive roi, at least one class, 0 ≤ overlap < 1',
    fix: 'correct the option named above',
  });
}

function checkMemory(bytes: number, options: WindowOptions, dims: Dims, what: string): void {
  const most = options.maxBytes ?? 4 * 2 ** 30;
  if (bytes <= most) return;
  throw new DataError('windows-memory', `Blending would hold ${what}.`, {
    found: `${(bytes / 2 ** 20).toFixed(0)} MiB for ${options.classes} classes over ${showDims(dims)}`,
    expected: `at most ${(most / 2 ** 20).toFixed(0)} MiB`,
    fix: 'crop the foreground, use a coarser spacing, segment in parts along h, or raise maxBytes',
  });
}

function checkLogits(logits: Float32Array, classes: number, roi: Dims): void {
  if (logits.length === classes * voxelCount(roi)) return;
  throw new DataError('predict-shape', 'The model returned logits of another size.', {
    found: `${logits.length} numbers`,
    expected: `${classes} × ${roi.join(' × ')} = ${classes * voxelCount(roi)}, [class, d, h, w]`,
    fix: 'let classes and roi be those that the model was built with',
  });
}
