// A DICOM data set to the bytes of a file: Explicit VR Little Endian, sequences and items of defined length.

import { DataError } from './errors.ts';

export type Vr =
  | 'AE'
  | 'AS'
  | 'AT'
  | 'CS'
  | 'DA'
  | 'DS'
  | 'IS'
  | 'LO'
  | 'LT'
  | 'OB'
  | 'PN'
  | 'SH'
  | 'SQ'
  | 'ST'
  | 'TM'
  | 'UI'
  | 'UL'
  | 'US';

/** Text (several values with a backslash between), numbers of US, UL, AT (whole tags), DS, IS; bytes of OB; the items of SQ. */
export type Value = string | number | readonly number[] | Uint8Array | readonly DataSet[];

/** Tag as 0xGGGGEEEE. An empty text is an element without value. */
export type Element = readonly [tag: number, vr: Vr, value: Value];
export type DataSet = readonly Element[];

const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';

/**
 * A whole file: preamble, file meta information, data set.
 * @throws `dicom-length` where an element is larger than DICOM can say
 */
export function encodeDicomFile(dataSet: DataSet, implementation: { uid: string; version: string }): Uint8Array {
  const text = (tag: number) => dataSet.find(([t]) => t === tag)?.[2] ?? '';
  const meta = encode([
    [0x00020001, 'OB', new Uint8Array([0, 1])],
    [0x00020002, 'UI', text(0x00080016)],
    [0x00020003, 'UI', text(0x00080018)],
    [0x00020010, 'UI', EXPLICIT_LITTLE_ENDIAN],
    [0x00020012, 'UI', implementation.uid],
    [0x00020013, 'SH', implementation.version],
  ]);
  const length = encode([[0x00020000, 'UL', meta.length]]);
  const body = encode(dataSet);
  const file = new Uint8Array(132 + length.length + meta.length + body.length);
  file.set([0x44, 0x49, 0x43, 0x4d], 128); // DICM
  file.set(length, 132);
  file.set(meta, 132 + length.length);
  file.set(body, 132 + length.length + meta.length);
  return file;
}

/** The shortest decimal string of at most 16 characters (VR DS) that is nearest to `n`. */
export function decimalString(n: number): string {
  const plain = String(n === 0 ? 0 : n);
  if (plain.length <= 16) return plain;
  for (let digits = 15; digits > 0; digits--) {
    const shorter = String(Number(n.toPrecision(digits)));
    if (shorter.length <= 16) return shorter;
  }
  return '0';
}

/** VRs whose length takes four bytes after two reserved ones. */
const LONG = new Set<Vr>(['OB', 'SQ']);

function encode(dataSet: DataSet): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const [tag, vr, value] of [...dataSet].sort((a, b) => a[0] - b[0])) {
    const body = encodeValue(vr, value);
    const head = new Uint8Array(LONG.has(vr) ? 12 : 8);
    const view = new DataView(head.buffer);
    view.setUint16(0, tag >>> 16, true);
    view.setUint16(2, tag & 0xffff, true);
    head.set([vr.charCodeAt(0), vr.charCodeAt(1)], 4);
    checkLength(tag, body.length, LONG.has(vr) ? 0xfffffffe : 0xfffe);
    if (LONG.has(vr)) view.setUint32(8, body.length, true);
    else view.setUint16(6, body.length, true);
    parts.push(head, body);
    length += head.length + body.length;
  }
  return joined(parts, length);
}

function encodeValue(vr: Vr, value: Value): Uint8Array {
  if (vr === 'SQ') return encodeItems(value as readonly DataSet[]);
  if (value instanceof Uint8Array) return evened(value, 0);
  const numbers = typeof value === 'number' ? [value] : typeof value === 'string' ? [] : (value as readonly number[]);
  if (vr === 'US' || vr === 'UL' || vr === 'AT') {
    const out = new Uint8Array(numbers.length * (vr === 'US' ? 2 : 4));
    const view = new DataView(out.buffer);
    numbers.forEach((n, i) => {
      if (vr === 'US') view.setUint16(2 * i, n, true);
      else if (vr === 'UL') view.setUint32(4 * i, n, true);
      else {
        view.setUint16(4 * i, n >>> 16, true);
        view.setUint16(4 * i + 2, n & 0xffff, true);
      }
    });
    return out;
  }
  const text = typeof value === 'string' ? value : numbers.map(vr === 'DS' ? decimalString : String).join('\\');
  return evened(new TextEncoder().encode(text), vr === 'UI' ? 0 : 0x20);
}

function encodeItems(items: readonly DataSet[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const item of items) {
    const body = encode(item);
    const head = new Uint8Array([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
    new DataView(head.buffer).setUint32(4, body.length, true);
    parts.push(head, body);
    length += head.length + body.length;
  }
  return joined(parts, length);
}

function checkLength(tag: number, length: number, most: number): void {
  if (length <= most) return;
  throw new DataError('dicom-length', 'An element is larger than a DICOM file can say.', {
    found: `${length} bytes in (${(tag >>> 16).toString(16).padStart(4, '0')},${(tag & 0xffff).toString(16).padStart(4, '0')})`,
    expected: `at most ${most}`,
    fix: 'write a smaller region, or NIfTI',
  });
}

function evened(bytes: Uint8Array, pad: number): Uint8Array {
  if (bytes.length % 2 === 0) return bytes;
  const out = new Uint8Array(bytes.length + 1).fill(pad);
  out.set(bytes);
  return out;
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
