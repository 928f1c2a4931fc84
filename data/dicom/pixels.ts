// The stored values of a frame: native pixels of any width, sign and byte order, and the compressed transfer syntaxes that CT
// archives use.

import { DataError } from '../errors.ts';
import { type DataSet, dicomParser, type Element, PIXEL_DATA } from './file.ts';
import { optionalPackage } from './optional.ts';
import { decodeRle } from './rle.ts';
import type { PixelFormat } from './slice.ts';

export type StoredValues = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

const UID = '1.2.840.10008.1.2';
const NATIVE = new Set([UID, `${UID}.1`, `${UID}.1.99`, `${UID}.2`]);
const BIG_ENDIAN = `${UID}.2`;

type Decode = (frame: Uint8Array, format: PixelFormat) => Promise<Uint8Array>;

const DECODERS: Readonly<Record<string, Decode>> = {
  [`${UID}.5`]: async (frame, f) => decodeRle(frame, f.rows * f.columns, f.bitsAllocated / 8),
  [`${UID}.4.57`]: jpegLossless,
  [`${UID}.4.70`]: jpegLossless,
  [`${UID}.4.80`]: (frame) => emscripten('@cornerstonejs/codec-charls/decode', 'JpegLSDecoder', frame),
  [`${UID}.4.81`]: (frame) => emscripten('@cornerstonejs/codec-charls/decode', 'JpegLSDecoder', frame),
  [`${UID}.4.90`]: (frame) => emscripten('@cornerstonejs/codec-openjpeg/decode', 'J2KDecoder', frame),
  [`${UID}.4.91`]: (frame) => emscripten('@cornerstonejs/codec-openjpeg/decode', 'J2KDecoder', frame),
};

/** Others that a file may name, for the error. */
const KNOWN: Readonly<Record<string, string>> = {
  [`${UID}.4.50`]: 'JPEG Baseline, 8 bits',
  [`${UID}.4.51`]: 'JPEG Extended, lossy',
  [`${UID}.4.92`]: 'JPEG 2000 Part 2',
  [`${UID}.4.93`]: 'JPEG 2000 Part 2',
  [`${UID}.4.201`]: 'High-Throughput JPEG 2000',
  [`${UID}.4.202`]: 'High-Throughput JPEG 2000',
  [`${UID}.4.203`]: 'High-Throughput JPEG 2000',
};

/**
 * The stored values of frame `n`, row by row.
 * @throws `dicom-pixels`, `dicom-truncated`, `dicom-transfer-syntax`, `dicom-package`
 */
export async function frameValues(set: DataSet, format: PixelFormat, n: number, file: string): Promise<StoredValues> {
  checkFormat(format, file);
  const element = set.elements[PIXEL_DATA];
  if (!element) throw pixelsError(file, 'no pixel data', 'pixel data (7FE0,0010)');
  const length = format.rows * format.columns * (format.bitsAllocated / 8);
  const { transferSyntax: syntax } = format;
  let bytes: Uint8Array;
  if (NATIVE.has(syntax)) bytes = nativeFrame(set, element, n, length, format, file);
  else {
    const decode = DECODERS[syntax];
    if (!decode) throw unknownSyntax(syntax, file);
    bytes = await decoded(decode, await encodedFrame(set, element, n, format, file), format, file);
    if (bytes.length !== length) throw pixelsError(file, `a frame of ${bytes.length} bytes`, `${length}`);
  }
  return valuesOf(bytes, format, syntax === BIG_ENDIAN);
}

function nativeFrame(
  set: DataSet,
  element: Element,
  n: number,
  length: number,
  format: PixelFormat,
  file: string,
): Uint8Array {
  const from = element.dataOffset + n * length;
  const end = Math.min(set.byteArray.length, element.dataOffset + element.length);
  if (from + length > end) {
    throw new DataError('dicom-truncated', 'The file ends before its pixels do.', {
      found: `${file}: ${Math.max(0, end - element.dataOffset)} bytes of pixels`,
      expected: `${length * Math.max(1, format.frames)}: ${format.columns} × ${format.rows} of ${format.bitsAllocated} bits, ${format.frames} frames`,
      fix: 'copy or export the file again',
    });
  }
  return set.byteArray.subarray(from, from + length);
}

async function encodedFrame(
  set: DataSet,
  element: Element,
  n: number,
  format: PixelFormat,
  file: string,
): Promise<Uint8Array> {
  const parser = await dicomParser();
  const fragments = element.fragments ?? [];
  try {
    if (format.frames <= 1) return parser.readEncapsulatedPixelDataFromFragments(set, element, 0, fragments.length);
    if (element.basicOffsetTable?.length) return parser.readEncapsulatedImageFrame(set, element, n);
    if (fragments.length === format.frames) return parser.readEncapsulatedPixelDataFromFragments(set, element, n, 1);
    const table = parser.createJPEGBasicOffsetTable(set, element);
    return parser.readEncapsulatedImageFrame(set, element, n, table);
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err);
    throw pixelsError(
      file,
      `frame ${n} of ${format.frames} in ${fragments.length} fragments: ${why}`,
      'each frame whole',
    );
  }
}

async function decoded(decode: Decode, frame: Uint8Array, format: PixelFormat, file: string): Promise<Uint8Array> {
  try {
    return await decode(frame, format);
  } catch (err) {
    if (err instanceof DataError && err.code === 'dicom-package') throw err;
    throw pixelsError(file, err instanceof Error ? err.message : String(err), `pixels of ${format.transferSyntax}`);
  }
}

interface LosslessPackage {
  readonly Decoder: new () => { decompress(buffer: ArrayBuffer, offset: number, length: number): ArrayBuffer };
}

async function jpegLossless(frame: Uint8Array): Promise<Uint8Array> {
  const { Decoder } = await optionalPackage<LosslessPackage>('jpeg-lossless-decoder-js', 'JPEG Lossless');
  const out: ArrayBuffer | ArrayBufferView = new Decoder().decompress(
    frame.buffer as ArrayBuffer,
    frame.byteOffset,
    frame.length,
  );
  return ArrayBuffer.isView(out) ? new Uint8Array(out.buffer, out.byteOffset, out.byteLength) : new Uint8Array(out);
}

interface WasmDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  decode(): void;
  delete(): void;
}
type WasmModule = Record<string, new () => WasmDecoder>;

const modules = new Map<string, Promise<WasmModule>>();

/** CharLS and OpenJPEG, compiled to plain JavaScript: nothing is fetched. They print on stdout unless told not to. */
async function emscripten(name: string, decoderName: string, frame: Uint8Array): Promise<Uint8Array> {
  const init = await optionalPackage<(options: object) => Promise<WasmModule>>(name, 'this compression');
  const quiet = { print() {}, printErr() {} };
  if (!modules.has(name)) modules.set(name, init(quiet));
  const decoder = new (await modules.get(name)!)[decoderName]!();
  try {
    decoder.getEncodedBuffer(frame.length).set(frame);
    decoder.decode();
    return decoder.getDecodedBuffer().slice();
  } finally {
    decoder.delete();
  }
}

function checkFormat(format: PixelFormat, file: string): void {
  const { samples, photometric, bitsAllocated, bitsStored, highBit } = format;
  if (samples !== 1 || !/^MONOCHROME2$/.test(photometric))
    throw pixelsError(file, `${samples} samples a pixel, ${photometric}`, 'one, MONOCHROME2');
  if (![8, 16, 32].includes(bitsAllocated) || bitsStored < 1 || bitsStored > bitsAllocated || highBit >= bitsAllocated)
    throw pixelsError(
      file,
      `${bitsStored} of ${bitsAllocated} bits, the highest ${highBit}`,
      '8, 16 or 32 bits allocated',
    );
}

const hostLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function valuesOf(bytes: Uint8Array, format: PixelFormat, bigEndian: boolean): StoredValues {
  const { bitsAllocated, bitsStored, highBit, signed } = format;
  const size = bitsAllocated / 8;
  const own = new Uint8Array(bytes); // aligned, and not a view of the file
  if (size > 1 && bigEndian === hostLittleEndian)
    for (let at = 0; at < own.length; at += size) own.subarray(at, at + size).reverse();
  const { buffer } = own;
  const values: StoredValues =
    size === 1
      ? signed
        ? new Int8Array(buffer)
        : own
      : size === 2
        ? new (signed ? Int16Array : Uint16Array)(buffer)
        : new (signed ? Int32Array : Uint32Array)(buffer);
  // Bits beside the stored ones hold overlays or nothing; the sign is the highest stored bit.
  if (bitsStored < bitsAllocated) {
    const [up, down] = [31 - highBit, 32 - bitsStored];
    for (let i = 0; i < values.length; i++)
      values[i] = signed ? (values[i]! << up) >> down : (values[i]! << up) >>> down;
  }
  return values;
}

function unknownSyntax(syntax: string, file: string): DataError {
  return new DataError('dicom-transfer-syntax', 'This compression is not read.', {
    found: `${KNOWN[syntax] ?? 'transfer syntax'} (${syntax}) in ${file}`,
    expected: 'no compression, deflate, RLE, JPEG Lossless, JPEG-LS or JPEG 2000',
    fix: 'decompress the series first, e.g. gdcmconv --raw or dcmdjpeg',
  });
}

function pixelsError(file: string, found: string, expected: string): DataError {
  return new DataError('dicom-pixels', 'The pixels of a DICOM file cannot be used.', {
    found: `${file}: ${found}`,
    expected,
    fix: 'choose another series, or export this one again',
  });
}
