// Inflating a gzip stream under a cap, with its checksum verified: a small file must not be able to fill the memory, and a
// damaged one must not pass. Pure TypeScript over fflate, so that it runs in a browser as in Node.

import { Gunzip } from 'fflate';
import { DataError } from './errors.ts';

/** Compressed bytes given to the inflater at a time: deflate expands at most 1032 times, so a step yields at most 16 MiB. */
const STEP = 16 * 1024;

export const isGzip = (bytes: Uint8Array): boolean => bytes.length > 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;

/**
 * Inflates gzip `bytes`. `limit(head)` is asked once, with the first `headLength` bytes of the content, how many bytes the
 * content may have; those beyond are an error.
 *
 * @throws `gzip-truncated` the stream ends early · `gzip-corrupt` bad data, CRC or length · `gzip-bomb` more content than
 *   the limit · whatever `limit` throws
 */
export function gunzipCapped(bytes: Uint8Array, headLength: number, limit: (head: Uint8Array) => number): Uint8Array {
  if (bytes.length < 18) {
    throw new DataError('gzip-truncated', 'The file ends within the gzip header.', {
      found: `${bytes.length} bytes`,
      expected: 'at least 18',
      fix: 'copy or download the file again',
    });
  }
  const pieces: Uint8Array[] = [];
  let held = 0;
  let cap = -1;
  let out: Uint8Array | undefined;
  let members = 1;
  const inflater = new Gunzip((chunk) => {
    if (out) {
      if (held + chunk.length > cap) throw bomb(held + chunk.length, cap, bytes.length);
      out.set(chunk, held);
      held += chunk.length;
      return;
    }
    pieces.push(chunk.slice());
    held += chunk.length;
    if (held >= headLength) {
      const head = joined(pieces, held);
      cap = limit(head);
      if (held > cap) throw bomb(held, cap, bytes.length);
      out = new Uint8Array(cap);
      out.set(head);
    }
  });
  // Called for the second member and later ones.
  inflater.onmember = () => {
    members++;
  };
  try {
    for (let at = 0; at < bytes.length; at += STEP) {
      inflater.push(bytes.subarray(at, at + STEP), at + STEP >= bytes.length);
    }
  } catch (err) {
    if (err instanceof DataError) throw err;
    const reason = err instanceof Error ? err.message : String(err);
    const early = /EOF/.test(reason);
    throw new DataError(early ? 'gzip-truncated' : 'gzip-corrupt', `The gzip stream cannot be inflated: ${reason}.`, {
      found: `${bytes.length} compressed bytes giving ${held} bytes of content before the fault`,
      expected: early ? 'a complete stream' : 'valid deflate data',
      fix: 'copy or download the file again; `gzip -t FILE` tests it',
    });
  }
  const content = out ? out.subarray(0, held) : joined(pieces, held);
  if (members === 1) checkTrailer(bytes, content);
  return content;
}

function bomb(held: number, cap: number, compressed: number): DataError {
  return new DataError('gzip-bomb', 'The gzip stream holds more than its own header declares.', {
    found: `at least ${held} bytes from ${compressed} compressed ones`,
    expected: `at most ${cap} bytes`,
    fix: 'do not trust this file; write it again from its source',
  });
}

/** The last eight bytes of a one-member stream are CRC-32 and length of the content. */
function checkTrailer(bytes: Uint8Array, content: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const crc = view.getUint32(bytes.length - 8, true);
  const length = view.getUint32(bytes.length - 4, true);
  const found = crc32(content);
  if (length === content.length >>> 0 && crc === found) return;
  const cut = length !== content.length >>> 0;
  throw new DataError(
    cut ? 'gzip-truncated' : 'gzip-corrupt',
    "The gzip stream's trailer does not match its content.",
    {
      found: `${content.length} bytes with CRC-32 ${found.toString(16)}`,
      expected: `${length} bytes with CRC-32 ${crc.toString(16)}`,
      fix: 'copy or download the file again; `gzip -t FILE` tests it',
    },
  );
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

let tables: Uint32Array | undefined;

/** CRC-32 (IEEE 802.3), eight bytes at a time. */
export function crc32(bytes: Uint8Array): number {
  tables ??= makeTables();
  const t = tables;
  let crc = 0xffffffff;
  let i = 0;
  for (const end = bytes.length - 7; i < end; i += 8) {
    const low = crc ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    crc =
      t[1792 + (low & 255)]! ^
      t[1536 + ((low >>> 8) & 255)]! ^
      t[1280 + ((low >>> 16) & 255)]! ^
      t[1024 + (low >>> 24)]! ^
      t[768 + bytes[i + 4]!]! ^
      t[512 + bytes[i + 5]!]! ^
      t[256 + bytes[i + 6]!]! ^
      t[bytes[i + 7]!]!;
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ t[(crc ^ bytes[i]!) & 255]!;
  return (crc ^ 0xffffffff) >>> 0;
}

function makeTables(): Uint32Array {
  const t = new Uint32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    t[n] = c;
  }
  for (let n = 0; n < 256; n++)
    for (let s = 1; s < 8; s++) t[s * 256 + n] = (t[(s - 1) * 256 + n]! >>> 8) ^ t[t[(s - 1) * 256 + n]! & 255]!;
  return t;
}
