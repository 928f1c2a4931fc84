// DICOM's RLE Lossless (PS3.5 annex G): PackBits segments, one a byte plane, the most significant first.

import { DataError } from '../errors.ts';

/** A frame's samples, little-endian. @throws `dicom-pixels` */
export function decodeRle(bytes: Uint8Array, pixels: number, bytesPerPixel: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.length >= 64 ? view.getUint32(0, true) : 0;
  if (count !== bytesPerPixel) throw bad(`${count} segments`, `${bytesPerPixel}, one a byte of a pixel`);
  const out = new Uint8Array(pixels * bytesPerPixel);
  for (let segment = 0; segment < count; segment++) {
    const from = view.getUint32(4 + 4 * segment, true);
    const to = segment + 1 < count ? view.getUint32(8 + 4 * segment, true) : bytes.length;
    if (from < 64 || to > bytes.length || from > to) throw bad(`a segment from ${from} to ${to}`, 'within the frame');
    const plane = unpack(bytes.subarray(from, to), pixels);
    for (let i = 0, at = bytesPerPixel - 1 - segment; i < pixels; i++, at += bytesPerPixel) out[at] = plane[i]!;
  }
  return out;
}

function unpack(packed: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let to = 0;
  for (let at = 0; at < packed.length && to < length; ) {
    const n = packed[at++]!;
    if (n === 128) continue;
    const run = n > 128 ? 257 - n : n + 1;
    if (to + run > length) throw bad(`${to + run} bytes of a plane`, `${length}`);
    if (n > 128) out.fill(packed[at++] ?? 0, to, to + run);
    else {
      if (at + run > packed.length) break;
      out.set(packed.subarray(at, at + run), to);
      at += run;
    }
    to += run;
  }
  if (to < length) throw bad(`${to} bytes of a plane`, `${length}`);
  return out;
}

function bad(found: string, expected: string): DataError {
  return new DataError('dicom-pixels', 'Run-length coded pixels cannot be decoded.', {
    found,
    expected,
    fix: 'export the series again',
  });
}
