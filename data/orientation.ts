// Reorienting to the closest canonical axes (RAS) by permuting and flipping alone: no voxel value changes, and `restore`
// undoes it exactly.

import { type Affine, invert, multiply, spacingOf } from './affine.ts';
import { allocateLike, type Dims, offsetOf, type Volume, type VoxelArray } from './volume.ts';

/** Canonical axis o (R, A, S) is the volume's voxel axis axes[o], reversed where flips[o]. */
export interface Orientation {
  readonly axes: readonly [number, number, number];
  readonly flips: readonly [boolean, boolean, boolean];
}

/** The closest permutation and flips (nibabel's `io_orientation`: the nearest rotation decides, strongest axis first). */
export function orientationOf(affine: Affine): Orientation {
  const r = nearestRotation(affine);
  const strength = (c: number) => Math.max(Math.abs(r[c]!), Math.abs(r[3 + c]!), Math.abs(r[6 + c]!));
  const order = [0, 1, 2].sort((a, b) => strength(b) - strength(a) || a - b);
  const axes: [number, number, number] = [0, 1, 2];
  const flips: [boolean, boolean, boolean] = [false, false, false];
  const free = [true, true, true];
  for (const column of order) {
    let best = -1;
    for (let o = 0; o < 3; o++) {
      if (free[o] && (best < 0 || Math.abs(r[o * 3 + column]!) > Math.abs(r[best * 3 + column]!))) best = o;
    }
    free[best] = false;
    axes[best] = column;
    flips[best] = r[best * 3 + column]! < 0;
  }
  return { axes, flips };
}

/** Three letters naming where the voxel axes d, h, w point, e.g. `LPS`. */
export function axisCodes(affine: Affine): string {
  const { axes, flips } = orientationOf(affine);
  const letters = ['', '', ''];
  const names = ['RL', 'AP', 'SI'];
  for (let o = 0; o < 3; o++) letters[axes[o]!] = names[o]![flips[o] ? 1 : 0]!;
  return letters.join('');
}

/** The volume with axes d, h, w pointing as nearly as can be to R, A, S; the affine follows. */
export function toCanonical<T extends VoxelArray>(volume: Volume<T>): { volume: Volume<T>; orientation: Orientation } {
  const orientation = orientationOf(volume.affine);
  return { volume: reorient(volume, orientation), orientation };
}

/** Applies an orientation. Returns the volume itself where there is nothing to do. */
export function reorient<T extends VoxelArray>(volume: Volume<T>, orientation: Orientation): Volume<T> {
  const { axes, flips } = orientation;
  if (axes.every((a, o) => a === o) && !flips.includes(true)) return volume;
  const dims: Dims = [volume.dims[axes[0]]!, volume.dims[axes[1]]!, volume.dims[axes[2]]!];
  // Voxel v of the result is voxel P·v of the volume.
  const p = new Array<number>(16).fill(0);
  p[15] = 1;
  for (let o = 0; o < 3; o++) {
    p[axes[o]! * 4 + o] = flips[o] ? -1 : 1;
    if (flips[o]) p[axes[o]! * 4 + 3] = dims[o]! - 1;
  }
  return { ...volume, data: permute(volume, orientation, dims), dims, affine: multiply(volume.affine, p) };
}

/** Undoes `reorient`: voxels exactly; the affine to rounding (callers that hold the original affine set it back). */
export function restoreOrientation<T extends VoxelArray>(volume: Volume<T>, orientation: Orientation): Volume<T> {
  const axes: [number, number, number] = [0, 1, 2];
  const flips: [boolean, boolean, boolean] = [false, false, false];
  for (let o = 0; o < 3; o++) {
    axes[orientation.axes[o]!] = o;
    flips[orientation.axes[o]!] = orientation.flips[o]!;
  }
  return reorient(volume, { axes, flips });
}

function permute<T extends VoxelArray>(volume: Volume<T>, { axes, flips }: Orientation, dims: Dims): T {
  const inStride = [volume.dims[1] * volume.dims[2], volume.dims[2], 1];
  const stride = axes.map((a, o) => (flips[o] ? -inStride[a]! : inStride[a]!));
  let base = 0;
  for (let o = 0; o < 3; o++) if (flips[o]) base += (dims[o]! - 1) * inStride[axes[o]!]!;
  const src = volume.data;
  const out = allocateLike(src, src.length);
  const [s0, s1, s2] = stride as [number, number, number];
  for (let i = 0; i < dims[0]; i++)
    for (let j = 0; j < dims[1]; j++) {
      let from = base + i * s0 + j * s1;
      const to = offsetOf(dims, i, j, 0);
      for (let k = 0; k < dims[2]; k++, from += s2) out[to + k] = src[from]!;
    }
  return out;
}

/** The rotation (or reflection) nearest to the affine's directions, 3×3 row-major: Newton's iteration for the polar factor. */
function nearestRotation(affine: Affine): number[] {
  const spacing = spacingOf(affine);
  let r = [0, 1, 2].flatMap((row) => [0, 1, 2].map((c) => affine[row * 4 + c]! / (spacing[c]! || 1)));
  for (let step = 0; step < 30; step++) {
    const square = [r[0]!, r[1]!, r[2]!, 0, r[3]!, r[4]!, r[5]!, 0, r[6]!, r[7]!, r[8]!, 0, 0, 0, 0, 1];
    const inverse = invert(square);
    const next = r.map((v, i) => (v + inverse[(i % 3) * 4 + Math.floor(i / 3)]!) / 2);
    const change = Math.max(...next.map((v, i) => Math.abs(v - r[i]!)));
    r = next;
    if (change < 1e-12) break;
  }
  return r;
}
