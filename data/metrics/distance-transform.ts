// The exact Euclidean distance transform with a spacing per axis: Felzenszwalb and Huttenlocher, "Distance transforms of sampled
// functions", Theory of Computing 8 (2012). Squared distances along w, then the lower envelope of parabolas along h and d.

import { type Dims, voxelCount } from '../volume.ts';

/**
 * Squared distance (mm²) of every voxel [d, h, w] to the nearest voxel whose bits `bit` of `flags` are set; Infinity everywhere
 * when there is none.
 * @param spacing mm along d, h, w
 * @param into of d·h·w numbers, overwritten: 4 bytes a voxel are all that this keeps. Squared distances are right to float32's rounding.
 */
export function squaredDistanceTransform(
  flags: Uint8Array,
  bit: number,
  dims: Dims,
  spacing: readonly [number, number, number],
  into: Float32Array = new Float32Array(voxelCount(dims)),
): Float32Array {
  const [d, h, w] = dims;
  alongRows(flags, bit, d * h, w, spacing[2], into);
  const line = new Envelope(Math.max(d, h));
  for (let i = 0; i < d; i++) for (let k = 0; k < w; k++) line.transform(into, i * h * w + k, w, h, spacing[1]);
  for (let jk = 0; jk < h * w; jk++) line.transform(into, jk, h * w, d, spacing[0]);
  return into;
}

/** The first axis needs no envelope: two sweeps over each row. */
function alongRows(flags: Uint8Array, bit: number, rows: number, w: number, step: number, into: Float32Array): void {
  for (let row = 0; row < rows; row++) {
    const from = row * w;
    let last = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < w; k++) {
      if (flags[from + k]! & bit) last = k;
      into[from + k] = ((k - last) * step) ** 2;
    }
    last = Number.POSITIVE_INFINITY;
    for (let k = w - 1; k >= 0; k--) {
      if (flags[from + k]! & bit) last = k;
      const back = ((last - k) * step) ** 2;
      if (back < into[from + k]!) into[from + k] = back;
    }
  }
}

/** min over q of f(q) + (step · (p − q))² for all p of a line, in place. */
class Envelope {
  readonly #values: Float64Array;
  /** Places of the parabolas of the envelope, and from where on each is the lowest. */
  readonly #places: Int32Array;
  readonly #from: Float64Array;

  constructor(longest: number) {
    this.#values = new Float64Array(longest);
    this.#places = new Int32Array(longest);
    this.#from = new Float64Array(longest + 1);
  }

  transform(data: Float32Array, start: number, stride: number, n: number, step: number): void {
    const values = this.#values;
    const places = this.#places;
    const from = this.#from;
    const square = step * step;
    let top = -1;
    for (let q = 0; q < n; q++) {
      const value = data[start + q * stride]!;
      values[q] = value;
      if (value === Number.POSITIVE_INFINITY) continue;
      const lifted = value + square * q * q;
      let at = Number.NEGATIVE_INFINITY;
      while (top >= 0) {
        const p = places[top]!;
        at = (lifted - (values[p]! + square * p * p)) / (2 * square * (q - p));
        if (at > from[top]!) break;
        top--;
      }
      top++;
      places[top] = q;
      from[top] = top === 0 ? Number.NEGATIVE_INFINITY : at;
    }
    if (top < 0) return;
    from[top + 1] = Number.POSITIVE_INFINITY;
    for (let p = 0, r = 0; p < n; p++) {
      while (from[r + 1]! < p) r++;
      const q = places[r]!;
      data[start + p * stride] = values[q]! + square * (p - q) ** 2;
    }
  }
}
