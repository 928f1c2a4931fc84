// Cutting boxes out of a volume and padding it; the affine follows.

import { shifted } from './affine.ts';
import { allocateLike, type Dims, type Volume, type VoxelArray, voxelCount } from './volume.ts';

/** A box of voxels: its first voxel (may be negative) and its size, along d, h, w. */
export interface Box {
  readonly start: Dims;
  readonly size: Dims;
}

/** The box's voxels [d, h, w] of `box.size`; what lies outside the array is `fill`. */
export function cutArray<T extends VoxelArray>(data: T, dims: Dims, box: Box, fill = 0): T {
  const out = allocateLike(data, voxelCount(box.size));
  if (fill !== 0) out.fill(fill);
  const [d, h, w] = box.size;
  const k0 = Math.max(0, -box.start[2]);
  const k1 = Math.min(w, dims[2] - box.start[2]);
  if (k1 <= k0) return out;
  for (let i = 0; i < d; i++) {
    const si = i + box.start[0];
    if (si < 0 || si >= dims[0]) continue;
    for (let j = 0; j < h; j++) {
      const sj = j + box.start[1];
      if (sj < 0 || sj >= dims[1]) continue;
      const from = (si * dims[1] + sj) * dims[2] + box.start[2];
      out.set(data.subarray(from + k0, from + k1) as never, (i * h + j) * w + k0);
    }
  }
  return out;
}

/** The box as a volume of its own. */
export function cut<T extends VoxelArray>(volume: Volume<T>, box: Box, fill = 0): Volume<T> {
  return {
    ...volume,
    data: cutArray(volume.data, volume.dims, box, fill),
    dims: box.size,
    affine: shifted(volume.affine, box.start),
  };
}

/** Writes a box's voxels back into an array; what falls outside is dropped. */
export function pasteArray<T extends VoxelArray>(into: T, dims: Dims, patch: T, box: Box): void {
  const [d, h, w] = box.size;
  const k0 = Math.max(0, -box.start[2]);
  const k1 = Math.min(w, dims[2] - box.start[2]);
  if (k1 <= k0) return;
  for (let i = 0; i < d; i++) {
    const ti = i + box.start[0];
    if (ti < 0 || ti >= dims[0]) continue;
    for (let j = 0; j < h; j++) {
      const tj = j + box.start[1];
      if (tj < 0 || tj >= dims[1]) continue;
      const from = (i * h + j) * w;
      into.set(patch.subarray(from + k0, from + k1) as never, (ti * dims[1] + tj) * dims[2] + box.start[2] + k0);
    }
  }
}

/** The box that pads `dims` to at least `least`, half before and half after (odd voxel after), as MONAI's SpatialPad. */
export function paddingBox(dims: Dims, least: Dims): Box {
  const before = (axis: number) => Math.floor(Math.max(0, least[axis]! - dims[axis]!) / 2);
  const size = (axis: number) => Math.max(least[axis]!, dims[axis]!);
  return { start: [0 - before(0), 0 - before(1), 0 - before(2)], size: [size(0), size(1), size(2)] };
}

/** The volume padded to at least `least` voxels per axis with `fill`; itself where it is large enough. */
export function padTo<T extends VoxelArray>(volume: Volume<T>, least: Dims, fill: number): Volume<T> {
  if (volume.dims.every((n, axis) => n >= least[axis]!)) return volume;
  return cut(volume, paddingBox(volume.dims, least), fill);
}
