// Writing NIfTI-1 volumes (.nii, .nii.gz) to bytes.

import { gzipSync } from 'fflate';
import { type Affine, spacingOf } from './affine.ts';
import { DataError } from './errors.ts';
import { hostLittleEndian, transpose } from './nifti.ts';
import { checkVolume, type Dims, showDims, type Volume, type VoxelArray } from './volume.ts';

export interface WriteOptions {
  /** Gzip the file. Default true. */
  gzip?: boolean;
}

/**
 * A volume to the bytes of a NIfTI-1 file, little-endian, with sform and qform (qform_code 0 where the axes are sheared,
 * which a quaternion cannot say), the units, description and extensions of `volume.header`. Sizes above 32,767 per axis are
 * refused. Equal volumes give equal bytes.
 *
 * @throws `volume-shape`, `volume-affine`, `nifti-dims`
 */
export function writeNifti(volume: Volume, options: WriteOptions = {}): Uint8Array {
  checkVolume(volume);
  checkNiftiDims(volume.dims);
  const file = write(volume);
  // A fixed time stamp: the same volume is the same file.
  return options.gzip === false ? file : gzipSync(file, { level: 6, mtime: 0 });
}

/** Whether a file of this grid can be written. @throws `nifti-dims` */
export function checkNiftiDims(dims: Dims): void {
  if (dims.every((n) => n <= 32767)) return;
  throw new DataError('nifti-dims', 'A NIfTI-1 file cannot hold this volume.', {
    found: showDims(dims),
    expected: 'at most 32767 voxels along an axis',
    fix: 'crop the volume',
  });
}

/** Everything of a file before its voxels: header and extensions. A voxel's value is `slope` · what is stored. */
export function niftiHeader(grid: Omit<Volume, 'data'>, element: VoxelArray, slope = 1): Uint8Array {
  const { dims, affine } = grid;
  const meta = grid.header ?? {};
  const extensions = (meta.extensions ?? []).map((e) => ({ ...e, size: 16 * Math.ceil((e.bytes.length + 8) / 16) }));
  const offset = 352 + extensions.reduce((n, e) => n + e.size, 0);
  const file = new Uint8Array(offset);
  const view = new DataView(file.buffer);
  const spacing = spacingOf(affine);
  const { quaternion, qfac } = quaternionOf(affine);
  const code = meta.formCode && meta.formCode > 0 ? meta.formCode : 1;
  const floats = (at: number, values: readonly number[]) =>
    new Float32Array(values).forEach((v, i) => {
      view.setFloat32(at + 4 * i, v, true);
    });
  view.setInt32(0, 348, true);
  file[38] = 'r'.charCodeAt(0);
  [3, dims[0], dims[1], dims[2], 1, 1, 1, 1].forEach((n, i) => {
    view.setInt16(40 + 2 * i, n, true);
  });
  view.setInt16(70, datatypeOf(element), true);
  view.setInt16(72, element.BYTES_PER_ELEMENT * 8, true);
  floats(76, [qfac, ...spacing, 0, 0, 0, 0]);
  view.setFloat32(108, offset, true);
  floats(112, [slope, 0]);
  // World coordinates are millimetres here whatever the file that was read had; keep its unit of time.
  const space = (meta.units ?? 2) & 7;
  file[123] = (((meta.units ?? 2) & 0x38) | (space === 1 || space === 3 ? 2 : space)) & 0xff;
  file.set(new TextEncoder().encode(meta.description ?? '').subarray(0, 79), 148);
  view.setInt16(252, quaternion ? code : 0, true);
  view.setInt16(254, code, true);
  floats(256, [...(quaternion ?? [0, 0, 0]), affine[3]!, affine[7]!, affine[11]!]);
  floats(280, affine.slice(0, 12));
  file.set([0x6e, 0x2b, 0x31, 0], 344); // n+1
  if (extensions.length > 0) file[348] = 1;
  let at = 352;
  for (const e of extensions) {
    view.setInt32(at, e.size, true);
    view.setInt32(at + 4, e.code, true);
    file.set(e.bytes, at + 8);
    at += e.size;
  }
  return file;
}

/** Voxels as the file has them: little-endian whatever the host is. Changes `voxels` where the host is not. */
export function littleEndianBytes(voxels: VoxelArray): Uint8Array {
  const bytes = new Uint8Array(voxels.buffer, voxels.byteOffset, voxels.byteLength);
  const size = voxels.BYTES_PER_ELEMENT;
  if (!hostLittleEndian) for (let i = 0; size > 1 && i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
  return bytes;
}

function write(volume: Volume): Uint8Array {
  const { data, dims } = volume;
  const header = niftiHeader(volume, data);
  const file = new Uint8Array(header.length + data.byteLength);
  file.set(header);
  file.set(littleEndianBytes(transpose(data, dims[0], dims[1], dims[2])), header.length);
  return file;
}

function datatypeOf(data: VoxelArray): number {
  if (data instanceof Uint8Array) return 2;
  if (data instanceof Int16Array) return 4;
  if (data instanceof Int32Array) return 8;
  if (data instanceof Float32Array) return 16;
  if (data instanceof Float64Array) return 64;
  if (data instanceof Int8Array) return 256;
  if (data instanceof Uint16Array) return 512;
  return 768;
}

/** (b, c, d) of the affine's rotation, or undefined where its axes are not perpendicular (to 1e-4). */
function quaternionOf(affine: Affine): { quaternion?: [number, number, number]; qfac: 1 | -1 } {
  const s = spacingOf(affine);
  const r = [0, 1, 2].flatMap((row) => [0, 1, 2].map((col) => affine[row * 4 + col]! / s[col]!));
  const dot = (p: number, q: number) => r[p]! * r[q]! + r[3 + p]! * r[3 + q]! + r[6 + p]! * r[6 + q]!;
  const det =
    r[0]! * (r[4]! * r[8]! - r[5]! * r[7]!) -
    r[1]! * (r[3]! * r[8]! - r[5]! * r[6]!) +
    r[2]! * (r[3]! * r[7]! - r[4]! * r[6]!);
  const qfac = det < 0 ? -1 : 1;
  if (Math.max(Math.abs(dot(0, 1)), Math.abs(dot(0, 2)), Math.abs(dot(1, 2))) > 1e-4) return { qfac };
  if (qfac < 0) for (const i of [2, 5, 8]) r[i] = -r[i]!;
  const [xx, yy, zz] = [r[0]!, r[4]!, r[8]!];
  const trace = xx + yy + zz;
  let a: number;
  let b: number;
  let c: number;
  let d: number;
  if (trace > 0) {
    a = Math.sqrt(1 + trace) / 2;
    b = (r[7]! - r[5]!) / (4 * a);
    c = (r[2]! - r[6]!) / (4 * a);
    d = (r[3]! - r[1]!) / (4 * a);
  } else if (xx >= yy && xx >= zz) {
    b = Math.sqrt(1 + xx - yy - zz) / 2;
    a = (r[7]! - r[5]!) / (4 * b);
    c = (r[1]! + r[3]!) / (4 * b);
    d = (r[2]! + r[6]!) / (4 * b);
  } else if (yy >= zz) {
    c = Math.sqrt(1 + yy - xx - zz) / 2;
    a = (r[2]! - r[6]!) / (4 * c);
    b = (r[1]! + r[3]!) / (4 * c);
    d = (r[5]! + r[7]!) / (4 * c);
  } else {
    d = Math.sqrt(1 + zz - xx - yy) / 2;
    a = (r[3]! - r[1]!) / (4 * d);
    b = (r[2]! + r[6]!) / (4 * d);
    c = (r[5]! + r[7]!) / (4 * d);
  }
  const sign = a < 0 ? -1 : 1; // the file keeps b, c, d alone and takes a ≥ 0
  return { quaternion: [b * sign, c * sign, d * sign], qfac };
}
