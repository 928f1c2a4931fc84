// The one in-memory form of a 3D image.
//
// Axes. `dims` = [d, h, w], row-major, w contiguous: voxel (i, j, k) lies at (i·h + j)·w + k. As in MONAI the tensor axes
// d h w ARE the NIfTI voxel axes x y z in that order, so the affine applies to (i, j, k) directly, and after `toCanonical`
// they point to the patient's Right, Anterior and Superior. (A NIfTI file stores x fastest: reader and writer transpose.)

import { type Affine, spacingOf } from './affine.ts';
import { DataError } from './errors.ts';

export type VoxelArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

/** [d, h, w]: numbers of voxels along the model's axes. */
export type Dims = readonly [number, number, number];

/** What a file said beside its voxels, kept so that a written file can say it again. */
export interface VolumeHeader {
  readonly description?: string;
  /** NIfTI transform code: 1 scanner, 2 aligned, 3 Talairach, 4 MNI. */
  readonly formCode?: number;
  /** NIfTI xyzt_units byte; world coordinates here are always millimetres. */
  readonly units?: number;
  /** Where the affine came from; `none`: the file has neither sform nor qform. */
  readonly affineSource?: 'sform' | 'qform' | 'none';
  readonly extensions?: readonly { readonly code: number; readonly bytes: Uint8Array }[];
}

export interface Volume<T extends VoxelArray = VoxelArray> {
  /** [d, h, w], row-major. */
  readonly data: T;
  readonly dims: Dims;
  /** Voxel (i, j, k) → world (R, A, S) in mm. */
  readonly affine: Affine;
  readonly header?: VolumeHeader;
}

export const voxelCount = (dims: Dims): number => dims[0] * dims[1] * dims[2];
export const offsetOf = (dims: Dims, i: number, j: number, k: number): number => (i * dims[1] + j) * dims[2] + k;
export const volumeSpacing = (volume: { affine: Affine }): [number, number, number] => spacingOf(volume.affine);
export const showDims = (dims: Dims): string => `d=${dims[0]} h=${dims[1]} w=${dims[2]}`;

/** A zeroed array of the same element type. */
export function allocateLike<T extends VoxelArray>(data: T, length: number): T {
  return new (data.constructor as new (n: number) => T)(length);
}

/** The same grid with other voxels. */
export function withData<T extends VoxelArray>(volume: Volume, data: T): Volume<T> {
  return { ...volume, data };
}

/** @throws `volume-shape` when data, dims and affine do not belong together. */
export function checkVolume(volume: Volume): void {
  const { data, dims, affine } = volume;
  const whole = dims.every((n) => Number.isInteger(n) && n > 0);
  if (!whole || data.length !== voxelCount(dims)) {
    throw new DataError('volume-shape', 'The voxels do not fill the declared grid.', {
      found: `${data.length} voxels for ${showDims(dims)}`,
      expected: whole ? `${voxelCount(dims)} voxels` : 'three positive whole sizes',
      fix: 'pass data of length d·h·w in row-major order',
    });
  }
  if (affine.length !== 16 || !affine.every(Number.isFinite)) {
    throw new DataError('volume-affine', 'The affine is not a finite 4×4 matrix.', {
      found: `${affine.length} entries: ${affine.join(', ')}`,
      expected: '16 finite numbers, row-major',
      fix: 'build it with diagonalAffine(spacing, origin) or read it from the file',
    });
  }
}

/** @throws `volume-grids` when two volumes do not share one grid (affines agree to 1e-3 mm). */
export function checkSameGrid(a: Volume, b: Volume, what: string): void {
  const sameDims = a.dims.every((n, axis) => n === b.dims[axis]);
  const worst = Math.max(...a.affine.map((v, i) => Math.abs(v - b.affine[i]!)));
  if (sameDims && worst < 1e-3) return;
  throw new DataError('volume-grids', `${what} lie on different grids.`, {
    found: `${showDims(a.dims)} and ${showDims(b.dims)}, affines differing by up to ${worst}`,
    expected: 'equal dims and affines (to 1e-3)',
    fix: "resample one onto the other's grid with resampleTo",
  });
}
