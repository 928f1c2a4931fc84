// DICOM segmentations read back by a reader of the test's own. test/reference/dicom_seg.py compares with highdicom.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decimalString } from '../../data/dicom-encode.ts';
import {
  type DicomSeries,
  type Dims,
  isDataError,
  type Orientation,
  reorient,
  stream,
  type Volume,
  writeDicomSeg,
} from '../../data/index.ts';
import { segmentCodes } from '../../data/segment-codes.ts';

type Read = Map<number, Read[] | Uint8Array>;

/** Explicit VR Little Endian with defined lengths; elements must rise. */
function read(bytes: Uint8Array): Read {
  const out: Read = new Map();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let last = -1;
  for (let at = 0; at < bytes.length; ) {
    const tag = view.getUint16(at, true) * 65536 + view.getUint16(at + 2, true);
    assert.ok(tag > last, 'tags rise');
    last = tag;
    const vr = String.fromCharCode(bytes[at + 4]!, bytes[at + 5]!);
    const long = vr === 'OB' || vr === 'SQ';
    const length = long ? view.getUint32(at + 8, true) : view.getUint16(at + 6, true);
    assert.is(length % 2, 0);
    const value = bytes.subarray(at + (long ? 12 : 8), at + (long ? 12 : 8) + length);
    assert.is(value.length, length);
    out.set(tag, vr === 'SQ' ? items(value) : value);
    at += (long ? 12 : 8) + length;
  }
  return out;
}

function items(bytes: Uint8Array): Read[] {
  const out: Read[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    assert.is(view.getUint32(at, true), 0xe000fffe);
    const length = view.getUint32(at + 4, true);
    out.push(read(bytes.subarray(at + 8, at + 8 + length)));
    at += 8 + length;
  }
  return out;
}

const bytesOf = (r: Read, tag: number): Uint8Array => r.get(tag) as Uint8Array;
const text = (r: Read, tag: number): string => new TextDecoder().decode(bytesOf(r, tag)).replace(/[\0 ]+$/, '');
const seq = (r: Read, tag: number): Read[] => r.get(tag) as Read[];
const number = (r: Read, tag: number): number => bytesOf(r, tag)[0]! + 256 * bytesOf(r, tag)[1]!;

const COLUMNS = 7;
const ROWS = 5;
const SLICES = 6;
const c = Math.cos(0.3);
const s = Math.sin(0.3);
const position = (k: number) => [-30, 12 - 2.5 * k * s, -80 + 2.5 * k * c] as const;

/** Rows run to the patient's left, columns towards the back and, tilted, upwards. */
const SERIES: DicomSeries = {
  rows: ROWS,
  columns: COLUMNS,
  orientation: [1, 0, 0, 0, c, s],
  instances: [3, 0, 5, 1, 4, 2].map((k) => ({
    sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
    sopInstanceUid: `1.2.3.${k}`,
    position: position(k),
  })),
  studyUid: '1.2.4',
  seriesUid: '1.2.5',
  frameOfReferenceUid: '1.2.6',
  attributes: { PatientName: 'Müller^Ä', PatientID: 'x', StudyDate: '20200304', StudyTime: '101112' },
};
const OPTIONS = { classNames: ['background', 'liver', 'left kidney', 'Wirbel'], algorithm: 'test', version: '1' };

function labels(): Volume<Uint8Array> {
  const dims: Dims = [COLUMNS, ROWS, SLICES];
  const random = stream(5);
  const data = Uint8Array.from({ length: COLUMNS * ROWS * SLICES }, (_, at) =>
    at % SLICES === 2 || random.uniform() < 0.5 ? 0 : 1 + random.int(2),
  );
  // LPS directions and origin to RAS: x and y change their signs.
  const affine = [-0.7, 0, 0, 30, 0, -0.9 * c, 2.5 * s, -12, 0, 0.9 * s, 2.5 * c, -80, 0, 0, 0, 1];
  return { data, dims, affine };
}

/** Frames of a file by segment and position: voxels [row, column]. */
function frames(file: Uint8Array) {
  const r = read(file.subarray(132));
  const bits = bytesOf(r, 0x7fe00010);
  return {
    r,
    list: seq(r, 0x52009230).map((f, n) => ({
      segment: number(seq(f, 0x0062000a)[0]!, 0x0062000b),
      position: text(seq(f, 0x00209113)[0]!, 0x00200032).split('\\').map(Number),
      source: seq(f, 0x00089124).map((d) => text(seq(d, 0x00082112)[0]!, 0x00081155)),
      pixels: Array.from({ length: ROWS * COLUMNS }, (_, p) => {
        const bit = n * ROWS * COLUMNS + p;
        return (bits[bit >> 3]! >> (bit & 7)) & 1;
      }),
    })),
  };
}

const TURNS: readonly Orientation[] = [
  { axes: [0, 1, 2], flips: [false, false, false] },
  { axes: [2, 1, 0], flips: [true, false, false] },
  { axes: [1, 2, 0], flips: [false, true, true] },
];

test('the masks come back on the planes of the series, whatever the order of axes', async () => {
  const own = labels();
  const files = await Promise.all(TURNS.map((turn) => writeDicomSeg(reorient(own, turn), SERIES, OPTIONS)));
  for (const file of files) assert.equal(file, files[0]);
  const { r, list } = frames(files[0]!);
  assert.is(text(r, 0x00280008), String(list.length));
  assert.is(list.length, 2 * (SLICES - 1), 'the empty plane and the empty segment have no frames');
  const found = new Uint8Array(own.data.length);
  for (const { segment, position: at, source, pixels } of list) {
    const k = Array.from({ length: SLICES }, (_, n) => n).find((n) =>
      position(n).every((v, a) => Math.abs(v - at[a]!) < 1e-6),
    )!;
    assert.equal(source, [`1.2.3.${k}`]);
    pixels.forEach((bit, p) => {
      if (bit) found[((p % COLUMNS) * ROWS + Math.floor(p / COLUMNS)) * SLICES + k] = segment;
    });
  }
  assert.equal(found, own.data);
});

test('patient, references and segments are told; UIDs follow from the content', async () => {
  const file = await writeDicomSeg(labels(), SERIES, OPTIONS);
  const r = read(file.subarray(132));
  assert.is(text(r, 0x00100010), 'Müller^Ä');
  assert.is(text(r, 0x0020000d), '1.2.4');
  assert.is(text(r, 0x00200052), '1.2.6');
  assert.is(text(r, 0x00080023), '20200304');
  assert.is(text(seq(r, 0x00081115)[0]!, 0x0020000e), '1.2.5');
  assert.is(seq(seq(r, 0x00081115)[0]!, 0x0008114a).length, SLICES);
  const segments = seq(r, 0x00620002);
  assert.equal(
    segments.map((x) => [number(x, 0x00620004), text(x, 0x00620005)]),
    [
      [1, 'liver'],
      [2, 'left kidney'],
      [3, 'Wirbel'],
    ],
  );
  assert.is(text(seq(segments[1]!, 0x0062000f)[0]!, 0x00080100), '64033007');
  const uid = text(r, 0x00080018);
  assert.match(uid, /^2\.25\.[1-9]\d{30,38}$/);
  assert.ok(uid.length <= 64);
  const other = labels();
  other.data[0] = other.data[0] === 1 ? 2 : 1;
  const changed = read((await writeDicomSeg(other, SERIES, OPTIONS)).subarray(132));
  for (const tag of [0x00080018, 0x0020000e]) {
    assert.is(text(read((await writeDicomSeg(labels(), SERIES, OPTIONS)).subarray(132)), tag), text(r, tag));
    assert.is.not(text(changed, tag), text(r, tag));
  }
});

test('without a voxel there is one empty frame; slices between the images have no reference', async () => {
  const empty = { ...labels(), data: new Uint8Array(COLUMNS * ROWS * SLICES) };
  const { list } = frames(await writeDicomSeg(empty, SERIES, OPTIONS));
  assert.is(list.length, 1);
  assert.ok(list[0]!.pixels.every((p) => p === 0));
  const few = { ...SERIES, instances: SERIES.instances.filter((_, n) => n % 2 === 0) };
  const sources = frames(await writeDicomSeg(labels(), few, OPTIONS)).list.map((f) => f.source.length);
  assert.ok(sources.includes(0) && sources.includes(1));
});

test('labels on another grid, or of unknown classes, are errors', async () => {
  const fails = async (volume: Volume, series: DicomSeries, code: string) => {
    await writeDicomSeg(volume, series, OPTIONS).then(
      () => assert.unreachable(),
      (err) => assert.ok(isDataError(err, code), String(err)),
    );
  };
  await fails(labels(), { ...SERIES, rows: ROWS + 1 }, 'dicom-seg-grid');
  await fails(labels(), { ...SERIES, orientation: [1, 0, 0, 0, 1, 0] }, 'dicom-seg-grid');
  const away = SERIES.instances.map((i) => ({ ...i, position: [0, 0, i.position[2]] as const }));
  await fails(labels(), { ...SERIES, instances: away }, 'dicom-seg-grid');
  const high = labels();
  high.data[0] = 4;
  await fails(high, SERIES, 'label-range');
});

test('numbers have at most 16 characters; names become codes', () => {
  for (const n of [0, -0, 1.5, -310 / 3, 1e-9 / 3, -1e-7 / 7, 1e9 / 7]) {
    const text = decimalString(n);
    assert.ok(text.length <= 16, text);
    assert.ok(Math.abs(Number(text) - n) <= Math.abs(n) * 1e-9, `${text} for ${n}`);
  }
  const told = (name: string) => {
    const { category, type, side } = segmentCodes(name);
    return [category.value, type.value, side?.meaning];
  };
  assert.equal(told('kidney_right'), ['123037004', '64033007', 'Right']);
  assert.equal(told('Lungs'), ['123037004', '39607008', 'Right and left']);
  assert.equal(told('liver tumour'), ['49755003', '108369006', undefined]);
  assert.equal(told('class 1'), ['123037004', 'class 1', undefined]);
});

test.run();
