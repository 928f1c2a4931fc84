// Reading NIfTI volumes (.nii, .nii.gz) from bytes; writing is in data/nifti-write.ts.

import { DataError } from './errors.ts';
import { gunzipCapped, isGzip } from './gunzip.ts';
import { DATATYPES, HEADER_BYTES, type NiftiHeader, parseHeader, readExtensions } from './nifti-header.ts';
import { type Volume, type VoxelArray, voxelCount } from './volume.ts';

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

export const hostLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

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
export function transpose<T extends VoxelArray>(src: T, a: number, b: number, c: number): T {
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
