// The safetensors file format: an 8-byte little-endian header length, a JSON header, then the tensors' bytes.
// Reading is as strict as the reference implementation: header at most 100 MB and starting with `{`, no duplicate keys,
// offsets contiguous and covering the data exactly, byte length = shape × dtype.
// Source: https://github.com/huggingface/safetensors#format
import { messageOf, T3dcError } from './errors.ts';
import { fromHalf } from './half.ts';
import { elements } from './parameters.ts';

const WIDTHS = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const;
export type StoredDType = keyof typeof WIDTHS;

export interface StoredTensor {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Little-endian, row-major; a view of the file. */
  readonly data: Uint8Array;
}

export type Metadata = Readonly<Record<string, string>>;

export interface SafetensorsFile {
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

const MAX_HEADER = 100_000_000;

/** Throws T3dcError 'bad-checkpoint'. The tensors are views of `file`. */
export function readSafetensors(file: Uint8Array): SafetensorsFile {
  if (file.byteLength < 8)
    throw bad('the file is too short for a header', `${file.byteLength} bytes`, 'at least 8 bytes');
  const length = Number(new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true));
  if (length > MAX_HEADER)
    throw bad('the header is too long, or this is not a safetensors file', `${length} bytes`, `at most ${MAX_HEADER}`);
  if (8 + length > file.byteLength)
    throw bad('the header ends beyond the file', `${file.byteLength} bytes`, `at least ${8 + length} bytes`);
  const text = decodeUtf8(file.subarray(8, 8 + length));
  if (!text.startsWith('{')) throw bad('the header does not start with {', JSON.stringify(text.slice(0, 16)), '{');
  const header = parseHeader(text);

  const data = file.subarray(8 + length);
  const metadata: Record<string, string> = {};
  const entries: { name: string; begin: number; end: number; tensor: StoredTensor }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') {
      for (const [k, v] of Object.entries(record(value, '__metadata__'))) {
        if (typeof v !== 'string') throw bad(`metadata ${k} is not a string`, typeof v, 'a string');
        metadata[k] = v;
      }
      continue;
    }
    const info = record(value, name);
    const { dtype, shape, data_offsets: offsets } = info;
    if (typeof dtype !== 'string' || !Object.hasOwn(WIDTHS, dtype))
      throw bad(`${name} has an unknown dtype`, dtype, Object.keys(WIDTHS).join(', '));
    if (!isNaturals(shape)) throw bad(`${name} has no valid shape`, shape, 'whole numbers');
    if (!isNaturals(offsets) || offsets.length !== 2)
      throw bad(`${name} has no valid data_offsets`, offsets, 'two whole numbers');
    const [begin, end] = offsets as [number, number];
    const want = elements(shape) * WIDTHS[dtype as StoredDType];
    if (begin > end || end - begin !== want)
      throw bad(`${name}: its byte length does not fit its shape`, `${end - begin} bytes`, `${want} bytes`);
    entries.push({ name, begin, end, tensor: { dtype: dtype as StoredDType, shape, data: data.subarray(begin, end) } });
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== at) throw bad(`${name}: tensors overlap or leave a gap`, `offset ${begin}`, `offset ${at}`);
    at = end;
  }
  if (at !== data.byteLength)
    throw bad(
      'the tensors do not cover the file exactly (truncated?)',
      `${data.byteLength} bytes of data`,
      `${at} bytes`,
    );
  return { metadata, tensors: new Map(entries.map((e) => [e.name, e.tensor])) };
}

/** A tensor's values as f32. f64 and i64 are rounded. Throws T3dcError 'bad-checkpoint' for dtypes without values (F8). */
export function toFloat32(t: StoredTensor): Float32Array {
  const n = elements(t.shape);
  const out = new Float32Array(n);
  const view = new DataView(t.data.buffer, t.data.byteOffset, t.data.byteLength);
  const fill = (width: number, get: (at: number) => number): Float32Array => {
    for (let i = 0; i < n; i++) out[i] = get(i * width);
    return out;
  };
  switch (t.dtype) {
    case 'F32':
      new Uint8Array(out.buffer).set(t.data);
      return out;
    case 'F16':
      return fill(2, (at) => fromHalf(view.getUint16(at, true)));
    case 'BF16': {
      const bits = new Uint32Array(out.buffer);
      for (let i = 0; i < n; i++) bits[i] = view.getUint16(2 * i, true) << 16;
      return out;
    }
    case 'F64':
      return fill(8, (at) => view.getFloat64(at, true));
    case 'I64':
      return fill(8, (at) => Number(view.getBigInt64(at, true)));
    case 'U64':
      return fill(8, (at) => Number(view.getBigUint64(at, true)));
    case 'I32':
      return fill(4, (at) => view.getInt32(at, true));
    case 'U32':
      return fill(4, (at) => view.getUint32(at, true));
    case 'I16':
      return fill(2, (at) => view.getInt16(at, true));
    case 'U16':
      return fill(2, (at) => view.getUint16(at, true));
    case 'I8':
      return fill(1, (at) => view.getInt8(at));
    case 'U8':
    case 'BOOL':
      return fill(1, (at) => view.getUint8(at));
    default:
      throw bad('this dtype cannot be read as f32', t.dtype, 'F32, F16, BF16, F64 or an integer type');
  }
}

export interface WriteTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** A file with the tensors in the given order, the header padded so that the data begins at a multiple of 8 bytes. */
export function writeSafetensors(tensors: readonly WriteTensor[], metadata: Metadata = {}): Uint8Array {
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  // Widest dtype first keeps every tensor aligned to its own width, as the reference writer does.
  const order = [...tensors].sort((a, b) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  let at = 0;
  for (const t of order) {
    if (t.name in header) throw bad('two tensors have one name', t.name);
    if (t.data.length !== elements(t.shape))
      throw bad(`${t.name}: its data does not fit its shape`, t.data.length, elements(t.shape));
    const dtype = t.data instanceof Float32Array ? 'F32' : t.data instanceof Int32Array ? 'I32' : 'U8';
    header[t.name] = { dtype, shape: t.shape, data_offsets: [at, at + t.data.byteLength] };
    at += t.data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.fill(0x20, 8, 8 + length);
  file.set(text, 8);
  let to = 8 + length;
  for (const t of order) {
    file.set(new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength), to);
    to += t.data.byteLength;
  }
  return file;
}

/** JSON.parse keeps the last of two equal keys; the format forbids them, so keys are counted on the way. */
function parseHeader(text: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (e) {
    throw bad(`the header is not JSON: ${messageOf(e)}`);
  }
  const header = record(json, 'the header');
  const seen = new Set<string>();
  let depth = 0;
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}]/gs;
  for (const m of text.matchAll(token)) {
    if (m[0] === '{') depth++;
    else if (m[0] === '}') depth--;
    else if (depth === 1 && m[1] !== undefined) {
      const key = JSON.parse(m[0].slice(0, m[0].length - m[1].length)) as string;
      if (seen.has(key)) throw bad('the header names a tensor twice', key);
      seen.add(key);
    }
  }
  return header;
}

function decodeUtf8(data: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw bad('the header is not UTF-8');
  }
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw bad(`${what} is not an object`, JSON.stringify(value));
  return value as Record<string, unknown>;
}

const isNaturals = (v: unknown): v is number[] => Array.isArray(v) && v.every((n) => Number.isSafeInteger(n) && n >= 0);

const bad = (message: string, found?: unknown, expected?: unknown): T3dcError =>
  new T3dcError('bad-checkpoint', `safetensors: ${message}`, {
    found,
    expected,
    hint: 'Fetch or write the file again.',
  });
