// The header of a NIfTI-1 or NIfTI-2 file: fields read by nifti-reader-js, then everything that the voxels depend on is
// checked here, because that library accepts negative sizes, short files and any extension chain.

import { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import type { Affine } from './affine.ts';
import { DataError } from './errors.ts';
import type { Dims, VolumeHeader } from './volume.ts';

export interface NiftiHeader {
  readonly version: 1 | 2;
  readonly littleEndian: boolean;
  /** Voxels along x, y, z. */
  readonly dims: Dims;
  readonly datatype: number;
  readonly bytesPerVoxel: number;
  /** Byte where the voxels begin. */
  readonly dataOffset: number;
  /** value = slope · stored + inter; undefined where the file asks for none. */
  readonly scale?: { readonly slope: number; readonly inter: number };
  readonly affine: Affine;
  readonly header: VolumeHeader;
}

/** Bytes needed to read either header and its extension flag. */
export const HEADER_BYTES = 544;
/** The most bytes of extensions accepted before the voxels. */
const MAX_OFFSET = 64 * 2 ** 20;

/** NIfTI datatype code → bytes and name, for those that a volume can be made of. */
export const DATATYPES: Readonly<Record<number, { bytes: number; name: string }>> = {
  2: { bytes: 1, name: 'uint8' },
  4: { bytes: 2, name: 'int16' },
  8: { bytes: 4, name: 'int32' },
  16: { bytes: 4, name: 'float32' },
  64: { bytes: 8, name: 'float64' },
  256: { bytes: 1, name: 'int8' },
  512: { bytes: 2, name: 'uint16' },
  768: { bytes: 4, name: 'uint32' },
  1024: { bytes: 8, name: 'int64' },
  1280: { bytes: 8, name: 'uint64' },
};

/**
 * @param bytes at least the first 348 (NIfTI-1) or 540 (NIfTI-2) bytes of the uncompressed file
 * @throws `nifti-truncated` · `nifti-not` · `nifti-pair` · `nifti-dims` · `nifti-dtype` · `nifti-offset` · `nifti-affine`
 */
export function parseHeader(bytes: Uint8Array): NiftiHeader {
  if (bytes.length < 348) {
    throw new DataError('nifti-truncated', 'The file ends within the NIfTI header.', {
      found: `${bytes.length} bytes`,
      expected: 'at least 352',
      fix: 'copy or download the file again',
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = versionOf(view, bytes);
  const size = version === 1 ? 348 : 540;
  if (bytes.length < size) {
    throw new DataError('nifti-truncated', 'The file ends within the NIfTI-2 header.', {
      found: `${bytes.length} bytes`,
      expected: 'at least 544',
      fix: 'copy or download the file again',
    });
  }
  // A copy with the extension flag cleared: the library walks extensions without looking where the file ends.
  const copy = new Uint8Array(size + 4);
  copy.set(bytes.subarray(0, size));
  const raw = version === 1 ? new NIFTI1() : new NIFTI2();
  raw.readHeader(copy.buffer);
  const littleEndian = view.getInt32(0, true) === size;

  const dims = checkDims(raw.dims);
  const type = DATATYPES[raw.datatypeCode];
  if (!type) {
    throw new DataError('nifti-dtype', 'The voxels are of a type that is not one number.', {
      found: `datatype code ${raw.datatypeCode}`,
      expected: `one of ${Object.entries(DATATYPES)
        .map(([code, t]) => `${code} ${t.name}`)
        .join(', ')}`,
      fix: 'convert the file to a real numeric type (complex, RGB and float128 volumes are not images of HU)',
    });
  }
  if (raw.numBitsPerVoxel !== 0 && raw.numBitsPerVoxel !== type.bytes * 8) {
    throw new DataError('nifti-dtype', 'The header contradicts itself about the size of a voxel.', {
      found: `bitpix ${raw.numBitsPerVoxel} with datatype ${type.name}`,
      expected: `bitpix ${type.bytes * 8}`,
      fix: 'repair the header',
    });
  }
  const least = size + 4;
  // Some writers leave vox_offset at 0 (nibabel and others take that for "right after the header").
  const dataOffset = raw.vox_offset === 0 ? least : raw.vox_offset;
  if (!Number.isInteger(dataOffset) || dataOffset < least || dataOffset > MAX_OFFSET) {
    throw new DataError('nifti-offset', 'The header says that the voxels begin at an impossible place.', {
      found: `vox_offset ${raw.vox_offset}`,
      expected: `a whole number from ${least} to ${MAX_OFFSET}`,
      fix: 'repair the header',
    });
  }
  const scaled = Number.isFinite(raw.scl_slope) && raw.scl_slope !== 0 && Number.isFinite(raw.scl_inter);
  const scale =
    scaled && (raw.scl_slope !== 1 || raw.scl_inter !== 0) ? { slope: raw.scl_slope, inter: raw.scl_inter } : undefined;
  const { affine, source, code } = readAffine(view, littleEndian, version, dims, raw.pixDims);
  return {
    version,
    littleEndian,
    dims,
    datatype: raw.datatypeCode,
    bytesPerVoxel: type.bytes,
    dataOffset,
    scale,
    affine,
    header: {
      description: raw.description.replace(/\0[\s\S]*$/, '').trim() || undefined,
      formCode: code,
      units: raw.xyzt_units & 0x3f,
      affineSource: source,
    },
  };
}

/** The extensions between header and voxels. @throws `nifti-extension` when the chain runs out of its room */
export function readExtensions(bytes: Uint8Array, header: NiftiHeader): { code: number; bytes: Uint8Array }[] {
  const start = header.version === 1 ? 348 : 540;
  const found: { code: number; bytes: Uint8Array }[] = [];
  if (header.dataOffset <= start + 4 || !bytes[start]) return found;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = start + 4;
  while (at + 8 <= header.dataOffset) {
    const size = view.getInt32(at, header.littleEndian);
    if (size === 0) break; // zero padding up to vox_offset
    if (size < 8 || at + size > header.dataOffset) {
      throw new DataError('nifti-extension', 'A header extension does not fit between header and voxels.', {
        found: `an extension of ${size} bytes at byte ${at}`,
        expected: `8 to ${header.dataOffset - at} bytes`,
        fix: 'repair the header, or strip its extensions',
      });
    }
    found.push({ code: view.getInt32(at + 4, header.littleEndian), bytes: bytes.slice(at + 8, at + size) });
    at += size;
  }
  return found;
}

function versionOf(view: DataView, bytes: Uint8Array): 1 | 2 {
  const sizes = [view.getInt32(0, true), view.getInt32(0, false)];
  const text = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 3));
  if (sizes.includes(348) && text(344) === 'n+1') return 1;
  if (sizes.includes(540) && text(4) === 'n+2') return 2;
  if ((sizes.includes(348) && text(344) === 'ni1') || (sizes.includes(540) && text(4) === 'ni2')) {
    throw new DataError('nifti-pair', 'This is the .hdr half of a pair of files.', {
      found: 'magic ni1/ni2',
      expected: 'a single .nii or .nii.gz file',
      fix: 'convert the .hdr/.img pair to .nii',
    });
  }
  const analyze = sizes.includes(348);
  throw new DataError('nifti-not', analyze ? 'This is an Analyze 7.5 file, not NIfTI.' : 'This is not a NIfTI file.', {
    found: `first bytes ${[...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, '0')).join(' ')}`,
    expected: 'header size 348 with magic n+1, or 540 with n+2',
    fix: 'convert the image to NIfTI; DICOM series need a converter such as dcm2niix',
  });
}

function checkDims(dim: readonly number[]): Dims {
  const rank = dim[0]!;
  const fault = (expected: string, fix: string) =>
    new DataError('nifti-dims', 'The file does not hold one 3D volume.', {
      found: `dim [${dim.join(', ')}]`,
      expected,
      fix,
    });
  if (!(rank >= 1 && rank <= 7)) throw fault('1 to 7 dimensions in dim[0]', 'repair the header');
  const used = dim.slice(1, rank + 1);
  if (!used.every((n) => Number.isSafeInteger(n) && n > 0)) throw fault('positive sizes', 'repair the header');
  if (used.slice(3).some((n) => n !== 1)) {
    throw fault('one volume (every size after the third equal to 1)', 'split the series and pass one volume of it');
  }
  if (rank < 3 && used.length < 3) throw fault('three dimensions', 'stack the slices to a volume');
  return [used[0]!, used[1]!, used[2]!];
}

/**
 * sform over qform over none, as nibabel (and so MONAI) does. Metres and micrometres become millimetres.
 * Without either form: nibabel's base affine, spacing with the x axis reversed and the grid's centre at the origin.
 */
function readAffine(view: DataView, le: boolean, version: 1 | 2, dims: Dims, pixdim: readonly number[]) {
  const real = (at1: number, at2: number, index = 0) =>
    version === 1 ? view.getFloat32(at1 + 4 * index, le) : view.getFloat64(at2 + 8 * index, le);
  const code = (at1: number, at2: number) => (version === 1 ? view.getInt16(at1, le) : view.getInt32(at2, le));
  const units = (version === 1 ? view.getUint8(123) : view.getInt32(500, le)) & 7;
  const toMm = units === 1 ? 1000 : units === 3 ? 0.001 : 1;
  const qform = code(252, 344);
  const sform = code(254, 348);
  const zoom = [1, 2, 3].map((i) => Math.abs(pixdim[i]!) || 1);
  let affine: number[];
  let source: 'sform' | 'qform' | 'none';
  if (sform > 0) {
    source = 'sform';
    affine = [...Array.from({ length: 12 }, (_, i) => real(280, 400, i)), 0, 0, 0, 1];
  } else if (qform > 0) {
    source = 'qform';
    const [b, c, d] = [real(256, 352), real(260, 360), real(264, 368)];
    const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
    const r = rotationOf(a, b, c, d);
    const qfac = pixdim[0]! < 0 ? -1 : 1;
    const scale = [zoom[0]!, zoom[1]!, zoom[2]! * qfac];
    const offset = [real(268, 376), real(272, 384), real(276, 392)];
    affine = [];
    for (let row = 0; row < 3; row++) affine.push(...scale.map((s, col) => r[row * 3 + col]! * s), offset[row]!);
    affine.push(0, 0, 0, 1);
  } else {
    source = 'none';
    const s = [-zoom[0]!, zoom[1]!, zoom[2]!];
    const o = s.map((v, i) => (-v * (dims[i]! - 1)) / 2);
    affine = [s[0]!, 0, 0, o[0]!, 0, s[1]!, 0, o[1]!, 0, 0, s[2]!, o[2]!, 0, 0, 0, 1];
  }
  if (toMm !== 1) affine = affine.map((v, i) => (i < 12 ? v * toMm : v));
  const volume = Math.abs(
    affine[0]! * (affine[5]! * affine[10]! - affine[6]! * affine[9]!) -
      affine[1]! * (affine[4]! * affine[10]! - affine[6]! * affine[8]!) +
      affine[2]! * (affine[4]! * affine[9]! - affine[5]! * affine[8]!),
  );
  if (!(volume > 1e-12) || !affine.every(Number.isFinite)) {
    throw new DataError('nifti-affine', `The ${source} does not describe a grid in space.`, {
      found: `[${affine.slice(0, 12).join(', ')}]`,
      expected: 'finite numbers and three independent axes',
      fix: "repair the file's sform/qform",
    });
  }
  return { affine, source, code: source === 'sform' ? sform : source === 'qform' ? qform : 0 };
}

/** Unit quaternion → 3×3 rotation, row-major. */
export function rotationOf(a: number, b: number, c: number, d: number): number[] {
  return [
    a * a + b * b - c * c - d * d,
    2 * (b * c - a * d),
    2 * (b * d + a * c),
    2 * (b * c + a * d),
    a * a + c * c - b * b - d * d,
    2 * (c * d - a * b),
    2 * (b * d - a * c),
    2 * (c * d + a * b),
    a * a + d * d - b * b - c * c,
  ];
}
