// TensorBoard's event files, taken apart again: framing, checksums, scalars, pictures, and what a resumed run leaves.
// That TensorBoard reads them is shown by test/reference/tensorboard_events.py.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32c, EventFile, framed } from '../../cli/tensorboard.ts';
import { encodePng } from '../../data/png.ts';

type Field = number | bigint | Uint8Array;

/** Fields of a protobuf message by number, in order. */
function fields(data: Uint8Array): Map<number, Field[]> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const out = new Map<number, Field[]>();
  let at = 0;
  const varint = (): bigint => {
    let v = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = data[at++]!;
      v |= BigInt(byte & 127) << shift;
      if (byte < 128) return v;
    }
  };
  while (at < data.length) {
    const head = Number(varint());
    let value: Field;
    if ((head & 7) === 0) value = varint();
    else if ((head & 7) === 1) value = view.getFloat64((at += 8) - 8, true);
    else if ((head & 7) === 5) value = view.getFloat32((at += 4) - 4, true);
    else {
      const length = Number(varint());
      value = data.subarray(at, (at += length));
    }
    out.set(head >> 3, [...(out.get(head >> 3) ?? []), value]);
  }
  return out;
}
const message = (m: Map<number, Field[]>, n: number): Map<number, Field[]> => fields(m.get(n)![0] as Uint8Array);
const text = (f: Field): string => new TextDecoder().decode(f as Uint8Array);

/** Records of a file, their lengths and checksums tested bit by bit. */
function records(file: Uint8Array): Map<number, Field[]>[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const out: Map<number, Field[]>[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true));
    const data = file.subarray(at + 12, at + 12 + length);
    assert.is(view.getUint32(at + 8, true), maskedCrc(file.subarray(at, at + 8)));
    assert.is(view.getUint32(at + 12 + length, true), maskedCrc(data));
    out.push(fields(data));
    at += 16 + length;
  }
  return out;
}

/** By long division, for a second opinion on the table. */
function maskedCrc(data: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of data) {
    crc ^= BigInt(byte);
    for (let k = 0; k < 8; k++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f63b78n : crc >> 1n;
  }
  crc ^= 0xffffffffn;
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

const folder = (work: (dir: string) => void): void => {
  const dir = mkdtempSync(join(tmpdir(), 't3dc-events-'));
  try {
    work(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
};

test('CRC-32C has the check value that its standard gives (RFC 3720)', () => {
  assert.is(crc32c(new TextEncoder().encode('123456789')), 0xe3069283);
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.is(crc32c(new Uint8Array(0)), 0);
});

test('a record is framed as TensorBoard itself frames it', () => {
  // struct.pack("<Q", 4), its masked_crc32c, b"t3dc" and its own, by tensorboard.compat
  const expected = '04000000000000004245520474336463adae0b68';
  assert.is(Buffer.from(framed(new TextEncoder().encode('t3dc'))).toString('hex'), expected);
});

test('scalars and pictures: tags, steps, values, times; null is left out', () =>
  folder((dir) => {
    const png = encodePng(
      Uint8Array.from({ length: 5 * 3 * 3 }, (_, i) => i),
      5,
      3,
    );
    const file = EventFile.open(dir, null, () => 1234.5);
    file.scalars(1, { 'train/loss': 0.5, 'train/lr': 1e-3, 'validation/dice/left kidney': null });
    file.scalars(2 ** 33, { 'train/loss': Number.NaN });
    file.scalars(3, { 'validation/dice': null });
    file.picture(300, { tag: 'validation/slices', png });
    assert.equal(readdirSync(dir), ['events.out.tfevents.000000.t3dc']);
    const [version, first, second, third, ...rest] = records(readFileSync(join(dir, readdirSync(dir)[0]!)));
    assert.is(rest.length, 0);
    assert.is(text(version!.get(3)![0]!), 'brain.Event:2');
    assert.equal(first!.get(1), [1234.5]);
    assert.equal(first!.get(2), [1n]);
    const values = message(first!, 5)
      .get(1)!
      .map((v) => fields(v as Uint8Array));
    assert.equal(
      values.map((v) => [text(v.get(1)![0]!), v.get(2)![0]]),
      [
        ['train/loss', 0.5],
        ['train/lr', Math.fround(1e-3)],
      ],
    );
    assert.equal(second!.get(2), [2n ** 33n]);
    assert.ok(Number.isNaN(message(message(second!, 5), 1).get(2)![0]));
    const picture = message(message(third!, 5), 1);
    assert.is(text(picture.get(1)![0]!), 'validation/slices');
    const image = message(picture, 4);
    assert.equal([image.get(1), image.get(2), image.get(3)], [[3n], [5n], [3n]]);
    assert.ok(Buffer.from(image.get(4)![0] as Uint8Array).equals(Buffer.from(png)));
  }));

test('a resumed run begins another file with the step from which the older ones no longer count; a new run removes them', () =>
  folder((dir) => {
    EventFile.open(dir, null).scalars(7, { a: 1 });
    EventFile.open(dir, 4).scalars(5, { a: 2 });
    assert.equal(readdirSync(dir).sort(), ['events.out.tfevents.000000.t3dc', 'events.out.tfevents.000001.t3dc']);
    const [, start, next] = records(readFileSync(join(dir, 'events.out.tfevents.000001.t3dc')));
    assert.equal(start!.get(2), [5n]);
    assert.equal(message(start!, 7).get(1), [1n]);
    assert.equal(next!.get(2), [5n]);
    EventFile.open(dir, null);
    assert.equal(readdirSync(dir), ['events.out.tfevents.000000.t3dc']);
  }));

test.run();
