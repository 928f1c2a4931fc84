// Arrays between a page and its worker. A page's own are copied, in pieces where they are large, so that no copy holds a frame;
// what the worker gives is handed over.
import type { Pieces, ToWorker } from './messages.ts';

/** Copied in one go: a few milliseconds. */
const PIECE = 8 * 2 ** 20;

interface Handed {
  readonly value: unknown;
  readonly transfer: Transferable[];
}

type Bytes = ArrayBufferView | ArrayBufferLike;
let pieces = 0;

/**
 * A value whose arrays may travel: copies of them, or, with `transfer`, they themselves where that is possible. Null when it
 * is no longer wanted. Views keep their type; a view of a part of a buffer, or of shared memory, is always copied.
 */
export async function hand(
  value: unknown,
  transfer: boolean,
  post: (message: ToWorker, transfer: Transferable[]) => void,
  wanted: () => boolean,
): Promise<Handed | null> {
  const list = new Set<Transferable>();
  const out = await map(value, async (array) => {
    const whole =
      !ArrayBuffer.isView(array) || (array.byteOffset === 0 && array.byteLength === array.buffer.byteLength);
    const buffer = ArrayBuffer.isView(array) ? array.buffer : array;
    if (transfer && whole && buffer instanceof ArrayBuffer) {
      list.add(buffer);
      return array;
    }
    const bytes = bytesOf(array);
    if (bytes.length <= PIECE) {
      const copy = bytes.slice();
      list.add(copy.buffer);
      return typed(nameOf(array), copy.buffer);
    }
    const sent: Pieces = { pieces: pieces++, array: nameOf(array) };
    for (let offset = 0; offset < bytes.length && wanted(); offset += PIECE) {
      const copy = bytes.slice(offset, offset + PIECE);
      post({ type: 'piece', id: sent.pieces, offset, of: bytes.length, bytes: copy }, [copy.buffer]);
      await turn();
    }
    if (!wanted()) post({ type: 'drop', id: sent.pieces }, []);
    return sent;
  });
  return wanted() ? { value: out, transfer: [...list] } : null;
}

/** The worker's side of `hand`: what came in pieces is put together. */
export class Pieced {
  readonly #open = new Map<number, Uint8Array<ArrayBuffer>>();

  take(m: Extract<ToWorker, { type: 'piece' }>): void {
    let whole = this.#open.get(m.id);
    if (!whole) this.#open.set(m.id, (whole = new Uint8Array(m.of)));
    whole.set(m.bytes, m.offset);
  }

  drop(id: number): void {
    this.#open.delete(id);
  }

  /** The value with its arrays in place. */
  whole(value: unknown): unknown {
    if (isPieces(value)) {
      const found = this.#open.get(value.pieces)!;
      this.#open.delete(value.pieces);
      return typed(value.array, found.buffer);
    }
    return mapPlain(value, (v) => this.whole(v));
  }
}

/** Buffers that a result holds, to be handed over. */
export function buffersOf(value: unknown, into = new Set<Transferable>()): Set<Transferable> {
  if (isBytes(value)) {
    const buffer = ArrayBuffer.isView(value) ? value.buffer : value;
    if (buffer instanceof ArrayBuffer) into.add(buffer);
  } else if (Array.isArray(value)) {
    // Long lists are of numbers or texts.
    if (typeof value[0] === 'object') for (const v of value) buffersOf(v, into);
  } else if (isPlain(value)) for (const v of Object.values(value)) buffersOf(v, into);
  return into;
}

async function map(value: unknown, array: (bytes: Bytes) => Promise<unknown>): Promise<unknown> {
  if (isBytes(value)) return array(value);
  if (value instanceof Map) return map(Object.fromEntries(value), array);
  if (Array.isArray(value))
    return value.some((v) => typeof v === 'object') ? Promise.all(value.map((v) => map(v, array))) : value;
  if (!isPlain(value)) return value;
  const out: Record<string, unknown> = {};
  for (const [key, v] of Object.entries(value)) out[key] = await map(v, array);
  return out;
}

function mapPlain(value: unknown, f: (v: unknown) => unknown): unknown {
  if (isBytes(value)) return value;
  if (Array.isArray(value)) return value.some((v) => typeof v === 'object') ? value.map(f) : value;
  return isPlain(value) ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, f(v)])) : value;
}

const isShared = (v: unknown): boolean => typeof SharedArrayBuffer !== 'undefined' && v instanceof SharedArrayBuffer;
const isBytes = (v: unknown): v is Bytes => ArrayBuffer.isView(v) || v instanceof ArrayBuffer || isShared(v);
const isPlain = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && Object.getPrototypeOf(v) === Object.prototype;
const isPieces = (v: unknown): v is Pieces => isPlain(v) && typeof v.pieces === 'number' && typeof v.array === 'string';

const bytesOf = (array: Bytes): Uint8Array =>
  ArrayBuffer.isView(array)
    ? new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
    : new Uint8Array(array as ArrayBuffer);

const ARRAYS = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const;

/** Subclasses (a bundled polyfill's, Node's Buffer) travel as what they are of. */
const nameOf = (array: Bytes): string =>
  Object.entries(ARRAYS).find(([, type]) => array instanceof type)?.[0] ?? 'ArrayBuffer';

const typed = (name: string, buffer: ArrayBuffer): unknown =>
  name in ARRAYS ? new ARRAYS[name as keyof typeof ARRAYS](buffer) : buffer;

/** A turn of the event loop, in which a frame may be drawn. */
const turn = (): Promise<void> => new Promise((done) => setTimeout(done, 0));
