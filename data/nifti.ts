// Reading and writing NIfTI volumes (.nii, .nii.gz) from and to bytes.

import { gzipSync } from 'fflate';
import { type Affine, spacingOf } from './affine.ts';
import { DataError } from './errors.ts';
import { gunzipCapped, isGzip } from './gunzip.ts';
import { DATATYPES, HEADER_BYTES, type NiftiHeader, parseHeader, readExtensions } from './nifti-header.ts';
import { checkVolume, showDims, type Volume, type VoxelArray, voxelCount } from './volume.ts';

export interface ReadOptions {
  /** The most bytes of voxels that a file may hold. Default 4 GiB. */
  maxBytes?: number;
  /** Named in errors. */
  name?: string;
}

/** Bytes that a file may hold after its voxels (some writers pad). */
const SLACK = 2 ** 20;

/**
 * A NIfTI-1 or NIfTI-2 file, gzipped or not, of either byte order, to a volume [d, h, w] = file axes [x, y, z].
 *
 * The element type is the file's own where it has no scaling; with scl_slope/scl_inter it is Float32 (Float64 for 32- and
 * 64-bit files). int64 and uint64 become Float64, refused where a value is not exact there.
 *
 * @throws DataError `nifti-truncated`, `nifti-not`, `nifti-pair`, `nifti-dims`, `nifti-dtype`, `nifti-offset`,
 *   `nifti-extension`, `nifti-affine`, `nifti-too-large`, `nifti-inexact`, `gzip-truncated`, `gzip-corrupt`, `gzip-bomb`
 */
export function readNifti(bytes: Uint8Array, options: ReadOptions = {}): Volume {
  try {
    return read(bytes, options.maxBytes ?? 4 * 2 ** 30);
  } catch (err) {
    if (err instanceof DataError && options.name) err.message = `${options.name}: ${err.message}`;
    throw err;
  }
}

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
  if (volume.dims.some((n) => n > 32767)) {
    throw new DataError('nifti-dims', 'A NIfTI-1 file cannot hold this volume.', {
      found: showDims(volume.dims),
      expected: 'at most 32767 voxels along an axis',
      fix: 'crop the volume',
    });
  }
  const file = write(volume);
  // A fixed time stamp: the same volume is the same file.
  return options.gzip === false ? file : gzipSync(file, { level: 6, mtime: 0 });
}

function read(bytes: Uint8Array, maxBytes: number): Volume {
  let header: NiftiHeader | undefined;
  let file = bytes;
  if (isGzip(bytes)) {
    file = gunzipCapped(bytes, HEADER_BYTES, (head) => {
      header = parseHeader(head);
      return neededBytes(header, maxBytes) + SLACK;
    });
  }
  header ??= parseHeader(file);
  const needed = neededBytes(header, maxBytes);
  if (file.length < needed) {
    throw new DataError('nifti-truncated', 'The file ends before its voxels do.', {
      found: `${file.length} bytes`,
      expected: `${needed} bytes: ${header.dims.join('×')} voxels of ${DATATYPES[header.datatype]!.name} from byte ${header.dataOffset}`,
      fix: 'copy or download the file again',
    });
  }
  const extensions = readExtensions(file, header);
  const stored = storedVoxels(file, header);
  const scaled = header.scale ? scale(stored, header.scale.slope, header.scale.inter) : stored;
  const data = fileToMemory(scaled, header.dims);
  return {
    data,
    dims: header.dims,
    affine: header.affine,
    header: extensions.length > 0 ? { ...header.header, extensions } : header.header,
  };
}

function neededBytes(header: NiftiHeader, maxBytes: number): number {
  const voxels = voxelCount(header.dims) * header.bytesPerVoxel;
  if (voxels > maxBytes) {
    throw new DataError('nifti-too-large', 'The volume is larger than the limit.', {
      found: `${header.dims.join('×')} voxels of ${DATATYPES[header.datatype]!.name}, ${voxels} bytes`,
      expected: `at most ${maxBytes} bytes`,
      fix: 'raise maxBytes if the file is to be trusted',
    });
  }
  return header.dataOffset + voxels;
}

const hostLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** The stored numbers in file order, in the host's byte order. */
function storedVoxels(file: Uint8Array, header: NiftiHeader): VoxelArray {
  const count = voxelCount(header.dims);
  const size = header.bytesPerVoxel;
  // Not slice(): of a Node Buffer that is a view of the whole file.
  const bytes = new Uint8Array(count * size);
  bytes.set(file.subarray(header.dataOffset, header.dataOffset + bytes.length));
  if (size > 1 && header.littleEndian !== hostLittleEndian) {
    for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
  }
  switch (header.datatype) {
    case 2:
      return bytes;
    case 4:
      return new Int16Array(bytes.buffer);
    case 8:
      return new Int32Array(bytes.buffer);
    case 16:
      return new Float32Array(bytes.buffer);
    case 64:
      return new Float64Array(bytes.buffer);
    case 256:
      return new Int8Array(bytes.buffer);
    case 512:
      return new Uint16Array(bytes.buffer);
    case 768:
      return new Uint32Array(bytes.buffer);
    default:
      return exactFloat64(
        header.datatype === 1024 ? new BigInt64Array(bytes.buffer) : new BigUint64Array(bytes.buffer),
      );
  }
}

function exactFloat64(big: BigInt64Array | BigUint64Array): Float64Array {
  const out = new Float64Array(big.length);
  for (let i = 0; i < big.length; i++) {
    const v = Number(big[i]!);
    if (!Number.isSafeInteger(v)) {
      throw new DataError('nifti-inexact', 'A 64-bit voxel is not exact as a double.', {
        found: `${big[i]} at voxel ${i}`,
        expected: 'whole numbers within ±2^53',
        fix: 'rescale the volume to 32 bits',
      });
    }
    out[i] = v;
  }
  return out;
}

function scale(stored: VoxelArray, slope: number, inter: number): VoxelArray {
  const wide = stored instanceof Float64Array || stored instanceof Int32Array || stored instanceof Uint32Array;
  const out = wide ? new Float64Array(stored.length) : new Float32Array(stored.length);
  for (let i = 0; i < stored.length; i++) out[i] = stored[i]! * slope + inter;
  return out;
}

/** File order (x fastest) → memory order (z = w fastest), in tiles that stay in the cache. */
function fileToMemory<T extends VoxelArray>(src: T, dims: readonly [number, number, number]): T {
  return transpose(src, dims[2], dims[1], dims[0]);
}

/** [a, b, c] row-major → [c, b, a] row-major. */
function transpose<T extends VoxelArray>(src: T, a: number, b: number, c: number): T {
  const out = new (src.constructor as new (n: number) => T)(src.length);
  const tile = 16;
  for (let j = 0; j < b; j++)
    for (let i0 = 0; i0 < a; i0 += tile)
      for (let k0 = 0; k0 < c; k0 += tile) {
        const i1 = Math.min(a, i0 + tile);
        const k1 = Math.min(c, k0 + tile);
        for (let k = k0; k < k1; k++) {
          let from = (i0 * b + j) * c + k;
          let to = (k * b + j) * a + i0;
          for (let i = i0; i < i1; i++, from += b * c) out[to++] = src[from]!;
        }
      }
  return out;
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

function write(volume: Volume): Uint8Array {
  const { data, dims, affine } = volume;
  const meta = volume.header ?? {};
  const extensions = (meta.extensions ?? []).map((e) => ({ ...e, size: 16 * Math.ceil((e.bytes.length + 8) / 16) }));
  const offset = 352 + extensions.reduce((n, e) => n + e.size, 0);
  const file = new Uint8Array(offset + data.byteLength);
  const view = new DataView(file.buffer);
  const spacing = spacingOf(affine);
  const { quaternion, qfac } = quaternionOf(affine);
  const code = meta.formCode && meta.formCode > 0 ? meta.formCode : 1;
  const datatype = datatypeOf(data);
  const floats = (at: number, values: readonly number[]) =>
    new Float32Array(values).forEach((v, i) => {
      view.setFloat32(at + 4 * i, v, true);
    });
  view.setInt32(0, 348, true);
  file[38] = 'r'.charCodeAt(0);
  [3, dims[0], dims[1], dims[2], 1, 1, 1, 1].forEach((n, i) => {
    view.setInt16(40 + 2 * i, n, true);
  });
  view.setInt16(70, datatype, true);
  view.setInt16(72, data.BYTES_PER_ELEMENT * 8, true);
  floats(76, [qfac, ...spacing, 0, 0, 0, 0]);
  view.setFloat32(108, offset, true);
  floats(112, [1, 0]);
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
  const inFileOrder = transpose(data, dims[0], dims[1], dims[2]);
  const bytes = new Uint8Array(inFileOrder.buffer, inFileOrder.byteOffset, inFileOrder.byteLength);
  if (!hostLittleEndian) {
    const size = data.BYTES_PER_ELEMENT;
    for (let i = 0; size > 1 && i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
  }
  file.set(bytes, offset);
  return file;
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
