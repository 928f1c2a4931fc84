// Reading what a segmentation repeats of a DICOM series, from folders as they are found.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type DataSet, type Element, encodeDicomFile } from '../../data/dicom-encode.ts';
import { isDataError, type Volume } from '../../data/index.ts';
import { seriesUnder } from '../../data/node.ts';

const test = suite('series of a segmentation', { dir: '' });
test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 't3dc-dicom-'));
});
test.after(({ dir }) => rm(dir, { recursive: true, force: true }));

const rejects = (promise: Promise<unknown>, code: string) =>
  promise.then(
    () => assert.unreachable(),
    (err) => assert.ok(isDataError(err, code), String(err)),
  );

/** One axial image of 4 columns and 3 rows. */
function image(series: string, k: number, ...more: Element[]): Uint8Array {
  const elements: Element[] = [
    [0x00080005, 'CS', 'ISO_IR 100'],
    [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
    [0x00080018, 'UI', `${series}.${k}`],
    [0x00080020, 'DA', '20200101'],
    [0x00100010, 'PN', new Uint8Array([...'M\xfcller^A'].map((c) => c.charCodeAt(0)))],
    [0x0020000d, 'UI', '1.9'],
    [0x0020000e, 'UI', series],
    [0x00200032, 'DS', [-10, -20, 3 * k]],
    [0x00200037, 'DS', [1, 0, 0, 0, 1, 0]],
    [0x00200052, 'UI', '1.8'],
    [0x00080060, 'CS', 'CT'],
    [0x00280002, 'US', 1],
    [0x00280004, 'CS', 'MONOCHROME2'],
    [0x00280010, 'US', 3],
    [0x00280011, 'US', 4],
    [0x00280030, 'DS', [0.5, 0.5]],
    [0x00280100, 'US', 16],
    [0x7fe00010, 'OB', new Uint8Array(24)],
  ];
  const replaced = new Set(more.map(([tag]) => tag));
  return encodeDicomFile([...elements.filter(([tag]) => !replaced.has(tag)), ...more], { uid: '1.2', version: 'x' });
}

/** The grid of those images, of `slices` slices from k0 on. */
const grid = (slices: number, k0 = 0): Omit<Volume, 'data'> => ({
  dims: [4, 3, slices],
  affine: [-0.5, 0, 0, 10, 0, -0.5, 0, 20, 0, 0, 3, 3 * k0, 0, 0, 0, 1],
});

test('the labels find their series among others, scouts and files that are none', async ({ dir }) => {
  const folder = join(dir, 'study');
  await mkdir(join(folder, 'deeper'), { recursive: true });
  for (const k of [2, 0, 1]) await writeFile(join(folder, `a${9 - k}`), image('1.5', k));
  for (const k of [20, 21]) await writeFile(join(folder, 'deeper', `b${k}.dcm`), image('1.6', k));
  await writeFile(join(folder, 'scout.dcm'), image('1.5', 7, [0x00200037, 'DS', [0, 1, 0, 0, 0, -1]]));
  await writeFile(join(folder, 'report.txt'), 'no image');
  await writeFile(join(folder, 'empty.dcm'), '');
  await writeFile(join(folder, 'unplaced.dcm'), image('1.7', 0, [0x00200032, 'DS', '']));
  // One image alone of the same scan: the whole series is meant.
  await writeFile(join(folder, 'copy.dcm'), image('1.4', 1));
  const own = await seriesUnder(grid(3), folder, null);
  assert.equal(
    own.instances.map((i) => i.sopInstanceUid),
    ['1.5.0', '1.5.1', '1.5.2'],
  );
  assert.is(own.attributes.PatientName, 'Müller^A');
  assert.is(own.attributes.PatientID, undefined);
  assert.is(own.frameOfReferenceUid, '1.8');
  assert.is((await seriesUnder(grid(2, 20), folder, null)).seriesUid, '1.6');
  await rejects(seriesUnder({ ...grid(3), dims: [4, 5, 3] }, folder, null), 'dicom-seg-grid');
  await rejects(seriesUnder(grid(3), folder, { series: '1.6' }), 'dicom-seg-grid');
});

test('two series on one grid: told, or chosen by wish or by the rules of reading', async ({ dir }) => {
  const twice = join(dir, 'twice');
  await mkdir(twice);
  await writeFile(join(twice, 'a'), image('1.5', 0, [0x00181210, 'SH', 'B70f'], [0x00200011, 'IS', 3]));
  await writeFile(join(twice, 'b'), image('1.6', 0, [0x00181210, 'SH', 'B20f'], [0x00200011, 'IS', 4]));
  await rejects(seriesUnder(grid(1), twice, null), 'dicom-several-series');
  assert.is((await seriesUnder(grid(1), twice, {})).seriesUid, '1.6', 'the soft kernel');
  assert.is((await seriesUnder(grid(1), twice, { series: '3' })).seriesUid, '1.5');
});

test('frames of one file are references of their own', async ({ dir }) => {
  const folder = join(dir, 'enhanced');
  await mkdir(folder);
  const group = (k: number): DataSet => [[0x00209113, 'SQ', [[[0x00200032, 'DS', [-10, -20, 3 * k]]]]]];
  const enhanced = image(
    '1.5',
    0,
    [0x00200032, 'DS', ''],
    [0x00200037, 'DS', ''],
    [0x00280008, 'IS', 3],
    [0x52009229, 'SQ', [[[0x00209116, 'SQ', [[[0x00200037, 'DS', [1, 0, 0, 0, 1, 0]]]]]]]],
    [0x52009230, 'SQ', [group(2), group(0), group(1)]],
  );
  await writeFile(join(folder, 'a'), enhanced);
  const { instances } = await seriesUnder(grid(3), folder, null);
  assert.equal(
    instances.map((i) => [i.sopInstanceUid, i.frame, i.position[2]]),
    [
      ['1.5.0', 1, 6],
      ['1.5.0', 2, 0],
      ['1.5.0', 3, 3],
    ],
  );
});

test('no images, no folder, an unknown character set: told', async ({ dir }) => {
  const empty = join(dir, 'empty');
  await mkdir(empty);
  await rejects(seriesUnder(grid(1), empty, null), 'dicom-no-images');
  await rejects(seriesUnder(grid(1), join(dir, 'nowhere'), null), 'file-missing');
  const strange = join(dir, 'strange');
  await mkdir(strange);
  const kanji: Element[] = [
    [0x00080005, 'CS', '\\ISO 2022 IR 87'],
    [0x00100010, 'PN', '\x1b$B'],
  ];
  await writeFile(join(strange, 'a'), image('1.5', 0, ...kanji));
  await rejects(seriesUnder(grid(1), strange, null), 'dicom-charset');
});

test.run();
