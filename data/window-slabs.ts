// Blending sliding windows slab by slab; data/blend.ts and data/segment-scan.ts take the finished slabs.
//
// Memory. Windows run in order of their first axis, and a slab is finished once no later window reaches it, so a ring of roi_d
// slabs is held, (classes + 1) · roi_d · rows · w · 4 bytes, whatever the depth. Where that is more than `maxBytes` for all
// rows of the volume, the rows are done in strips, one after the other, and windows that reach over a strip's end run once for
// either: more work, the same sums in the same order, so the same bits.

import { DataError } from './errors.ts';
import { cutArray, paddingBox } from './pad.ts';
import { type Dims, showDims, voxelCount } from './volume.ts';
import { importanceMap, type Predict, type WindowOptions, windowStarts } from './windows.ts';

/** Rows of the volume's h axis, from `from` up to `to`. */
export interface Rows {
  readonly from: number;
  readonly to: number;
}

/** One slab of the volume whose logits are complete, for the rows that were asked for. */
export interface FinishedSlab {
  /** Along the volume's d axis. */
  readonly index: number;
  readonly rows: Rows;
  /** Per class the sums of weight · logit, and the sums of the weights. Valid during the call alone. */
  readonly sums: readonly Float32Array[];
  readonly weights: Float32Array;
  /** Where row j of the volume begins in `sums` and `weights`. */
  row(j: number): number;
}

/** The most bytes of accumulated logits where the caller names none. */
export const BLEND_BYTES = 2 * 2 ** 30;

export class SlidingWindows {
  /** Windows over the whole volume. */
  readonly count: number;
  readonly #image: Float32Array;
  readonly #dims: Dims;
  readonly #predict: Predict;
  readonly #options: WindowOptions;
  readonly #size: Dims;
  /** Voxels of padding before the volume, along each axis. */
  readonly #before: Dims;
  readonly #starts: readonly Dims[];

  /** @throws `windows-options` */
  constructor(image: Float32Array, dims: Dims, predict: Predict, options: WindowOptions) {
    checkOptions(image, dims, options);
    const box = paddingBox(dims, options.roi);
    const fits = box.size.every((n, a) => n === dims[a]);
    this.#image = fits ? image : cutArray(image, dims, box, options.padValue ?? 0);
    this.#dims = dims;
    this.#predict = predict;
    this.#options = options;
    this.#size = box.size;
    this.#before = [-box.start[0], -box.start[1], -box.start[2]];
    this.#starts = options.starts ?? windowStarts(box.size, options.roi, options.overlap);
    this.count = this.#starts.length;
  }

  /**
   * The volume's rows in strips whose slabs fit into `maxBytes`, as few and as even as can be. `slabs` is how many slabs of
   * all classes the caller holds beside the ring, `shared` how many rows after a strip's last it needs to see too.
   * @throws `windows-memory` where not even one row fits
   */
  strips(slabs = 0, shared = 0): Rows[] {
    const { classes, roi, maxBytes = BLEND_BYTES } = this.#options;
    const bytesPerRow = ((classes + 1) * roi[0] + classes * slabs) * this.#size[2] * 4;
    const h = this.#dims[1];
    const most = Math.floor(maxBytes / bytesPerRow);
    if (most < Math.min(h, 1 + shared)) {
      throw new DataError('windows-memory', 'Blending would hold more than it may.', {
        found: `${mebibytes(bytesPerRow * (1 + shared))} for one row of ${classes} classes over ${showDims(this.#dims)}`,
        expected: `at most ${mebibytes(maxBytes)}`,
        fix: 'raise maxBytes, or use a coarser spacing',
      });
    }
    const count = most >= h ? 1 : Math.ceil(h / (most - shared));
    return Array.from({ length: count }, (_, n) => ({
      from: Math.floor((n * h) / count),
      to: Math.floor(((n + 1) * h) / count),
    }));
  }

  /** The windows that reach into these rows. */
  through(rows: Rows): Dims[] {
    const from = rows.from + this.#before[1];
    const to = rows.to + this.#before[1];
    return this.#starts.filter((s) => s[1] < to && s[1] + this.#options.roi[1] > from);
  }

  /**
   * Runs the windows that reach into `rows` and hands over each slab once it is complete, in order of d. `done` counts windows.
   * @throws `predict-shape`, `predict-nonfinite`; the signal's reason when aborted
   */
  async run(rows: Rows, finished: (slab: FinishedSlab) => void, done: () => void): Promise<void> {
    const { roi, classes, signal } = this.#options;
    const w = this.#size[2];
    const top = rows.from + this.#before[1];
    const length = (rows.to - rows.from) * w;
    const sums = Array.from({ length: classes }, () => new Float32Array(roi[0] * length));
    const weights = new Float32Array(roi[0] * length);
    const importance = importanceMap(roi, this.#options.mode, this.#options.sigmaScale);

    const finish = (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        const ring = (i % roi[0]) * length;
        checkFinite(sums, ring, length, i);
        const index = i - this.#before[0];
        const row = (j: number) => ring + (j - rows.from) * w + this.#before[2];
        if (index >= 0 && index < this.#dims[0]) finished({ index, rows, sums, weights, row });
        for (const sum of sums) sum.fill(0, ring, ring + length);
        weights.fill(0, ring, ring + length);
      }
    };

    let at = 0;
    for (const start of this.through(rows)) {
      signal?.throwIfAborted();
      if (start[0] > at) {
        finish(at, start[0]);
        at = start[0];
      }
      const logits = await this.#predict(cutArray(this.#image, this.#size, { start, size: roi }), start);
      checkLogits(logits, classes, roi);
      const place = { roi, start, top, w, length };
      for (let c = 0; c < classes; c++) accumulate(sums[c]!, logits, c * voxelCount(roi), importance, place);
      accumulate(weights, null, 0, importance, place);
      done();
    }
    signal?.throwIfAborted();
    finish(at, this.#size[0]);
  }
}

/** Where a window lies in the ring: rows of width w from padded row `top` on, slabs of `length`. */
interface RingPlace {
  readonly roi: Dims;
  readonly start: Dims;
  readonly top: number;
  readonly w: number;
  readonly length: number;
}

/** Adds weight · value (the weight alone without values) of the window's voxels that lie in the ring's rows. */
function accumulate(
  sum: Float32Array,
  values: Float32Array | null,
  base: number,
  importance: Float32Array,
  { roi, start, top, w, length }: RingPlace,
): void {
  const j0 = Math.max(0, top - start[1]);
  const j1 = Math.min(roi[1], top + length / w - start[1]);
  for (let i = 0; i < roi[0]; i++)
    for (let j = j0; j < j1; j++) {
      const to = ((start[0] + i) % roi[0]) * length + (start[1] + j - top) * w + start[2];
      const p = (i * roi[1] + j) * roi[2];
      if (!values) for (let k = 0; k < roi[2]; k++) sum[to + k]! += importance[p + k]!;
      else for (let k = 0; k < roi[2]; k++) sum[to + k]! += values[base + p + k]! * importance[p + k]!;
    }
}

/** @throws `predict-shape` */
export function checkLogits(logits: Float32Array, classes: number, roi: Dims): void {
  if (logits.length === classes * voxelCount(roi)) return;
  throw new DataError('predict-shape', 'The model returned logits of another size.', {
    found: `${logits.length} numbers`,
    expected: `${classes} × ${roi.join(' × ')} = ${classes * voxelCount(roi)}, [class, d, h, w]`,
    fix: 'let classes and roi be those that the model was built with',
  });
}

export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 3 : 0)} MiB`;

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
