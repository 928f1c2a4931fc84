// TensorBoard's event files: scalars and pictures, a record each. The format is TFRecord's framing around tensorflow.Event
// protobufs (tensorboard/compat/proto/{event,summary}.proto); the few fields that are needed are written by hand here.
import { appendFileSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Values by tag, `train/loss`; null is left out. */
export type Scalars = Readonly<Record<string, number | null>>;

export interface EventPicture {
  readonly tag: string;
  /** A PNG file. */
  readonly png: Uint8Array;
}

/** An event file of a run's folder, appended to as the run goes. */
export class EventFile {
  readonly #path: string;
  readonly #now: () => number;

  private constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  /**
   * Begins the folder's next file. `resumeAt`: earlier files stay, and TensorBoard drops what they say of later steps; null: they
   * are removed. `now` gives seconds since 1970.
   */
  static open(dir: string, resumeAt: number | null, now: () => number = () => Date.now() / 1000): EventFile {
    const old = readdirSync(dir).filter((name) => NAME.test(name));
    if (resumeAt === null) for (const name of old) unlinkSync(join(dir, name));
    const last = resumeAt === null ? -1 : Math.max(-1, ...old.map((name) => Number(NAME.exec(name)![1])));
    // TensorBoard reads the files in the order of their names.
    const file = new EventFile(join(dir, `events.out.tfevents.${String(last + 1).padStart(6, '0')}.t3dc`), now);
    file.#append(concat([double(1, now()), text(3, 'brain.Event:2')]));
    if (resumeAt !== null && old.length > 0)
      file.#append(concat([double(1, now()), varint(2, resumeAt + 1), message(7, varint(1, SESSION_START))]));
    return file;
  }

  scalars(step: number, values: Scalars): void {
    const found = Object.entries(values).filter((v): v is [string, number] => v[1] !== null);
    if (found.length > 0)
      this.#summary(
        step,
        found.map(([tag, value]) => concat([text(1, tag), float(2, value)])),
      );
  }

  picture(step: number, { tag, png }: EventPicture): void {
    const header = new DataView(png.buffer, png.byteOffset, png.byteLength);
    const [width, height] = [header.getUint32(16), header.getUint32(20)];
    const image = concat([varint(1, height), varint(2, width), varint(3, RGB), bytes(4, png)]);
    this.#summary(step, [concat([text(1, tag), message(4, image)])]);
  }

  #summary(step: number, values: readonly Uint8Array[]): void {
    const summary = concat(values.map((v) => message(1, v)));
    this.#append(concat([double(1, this.#now()), varint(2, step), message(5, summary)]));
  }

  #append(event: Uint8Array): void {
    appendFileSync(this.#path, framed(event));
  }
}

const NAME = /^events\.out\.tfevents\.(\d{6})\.t3dc$/;
/** SessionLog.SessionStatus.START: what earlier files hold from this step on is purged. */
const SESSION_START = 1;
/** Summary.Image.colorspace */
const RGB = 3;

/** u64 length, its masked CRC, the data, their masked CRC; little-endian. */
export function framed(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length + 16);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(out.subarray(0, 8))), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return out;
}

/** A CRC of bytes that hold CRCs themselves is a poor one: TFRecord turns and shifts it. */
const masked = (crc: number): number => ((((crc >>> 15) | (crc << 17)) >>> 0) + 0xa282ead8) >>> 0;

let table: Uint32Array | undefined;

/** CRC-32C (Castagnoli). */
export function crc32c(data: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    return c;
  });
  let crc = 0xffffffff;
  for (const byte of data) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// ── protobuf fields, by number

const [VARINT, FIXED64, LENGTH, FIXED32] = [0, 1, 2, 5];

function varintBytes(n: number): number[] {
  const out: number[] = [];
  for (let v = BigInt(n); ; v >>= 7n) {
    if (v < 128n) return [...out, Number(v)];
    out.push(Number(v & 127n) | 128);
  }
}
const key = (field: number, type: number): number[] => varintBytes((field << 3) | type);
const varint = (field: number, n: number): Uint8Array => Uint8Array.from([...key(field, VARINT), ...varintBytes(n)]);
const bytes = (field: number, data: Uint8Array): Uint8Array =>
  concat([Uint8Array.from([...key(field, LENGTH), ...varintBytes(data.length)]), data]);
const message = bytes;
const text = (field: number, s: string): Uint8Array => bytes(field, new TextEncoder().encode(s));
function double(field: number, v: number): Uint8Array {
  const out = new Uint8Array(9);
  out.set(key(field, FIXED64));
  new DataView(out.buffer).setFloat64(1, v, true);
  return out;
}
function float(field: number, v: number): Uint8Array {
  const out = new Uint8Array(5);
  out.set(key(field, FIXED32));
  new DataView(out.buffer).setFloat32(1, v, true);
  return out;
}
function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}
