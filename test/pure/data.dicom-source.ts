// Reading what a segmentation repeats of a DICOM series, from folders as they are found.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Element, encodeDicomFile } from '../../data/dicom-encode.ts';
import { isDataError, type Volume } from '../../data/index.ts';
import { readDicomSeries, seriesUnder } from '../../data/node.ts';

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
    [0x00280010, 'US', 3],
    [0x00280011, 'US', 4],
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

test('series are told apart, other files passed over; the labels choose theirs', async ({ dir }) => {
  const folder = join(dir, 'study');
  await mkdir(join(folder, 'deeper'), { recursive: true });
  for (const k of [2, 0, 1]) await writeFile(join(folder, `a${9 - k}`), image('1.5', k));
  for (const k of [20, 21]) await writeFile(join(folder, 'deeper', `b${k}.dcm`), image('1.6', k));
  await writeFile(join(folder, 'scout.dcm'), image('1.5', 7, [0x00200037, 'DS', [0, 1, 0, 0, 0, -1]]));
  await writeFile(join(folder, 'report.txt'), 'no image');
  await writeFile(join(folder, 'empty.dcm'), '');
  await writeFile(join(folder, 'unplaced.dcm'), image('1.7', 0, [0x00200032, 'DS', '']));
  const all = await readDicomSeries(folder);
  assert.equal(all.map((s) => [s.seriesUid, s.instances.length]).sort(), [
    ['1.5', 1],
    ['1.5', 3],
    ['1.6', 2],
  ]);
  const own = seriesUnder(grid(3), all);
  assert.equal(
    own.instances.map((i) => i.sopInstanceUid),
    ['1.5.0', '1.5.1', '1.5.2'],
  );
  assert.is(own.attributes.PatientName, 'Müller^A');
  assert.is(own.attributes.PatientID, undefined);
  assert.is(seriesUnder(grid(2, 20), all).seriesUid, '1.6');
  assert.throws(
    () => seriesUnder({ ...grid(3), dims: [4, 5, 3] }, all),
    (err: unknown) => isDataError(err, 'dicom-seg-grid'),
  );
});

test('two series on one grid, no series, no folder, an unknown character set: told', async ({ dir }) => {
  const twice = join(dir, 'twice');
  await mkdir(twice);
  await writeFile(join(twice, 'a'), image('1.5', 0));
  await writeFile(join(twice, 'b'), image('1.6', 0));
  const all = await readDicomSeries(twice);
  assert.throws(
    () => seriesUnder(grid(1), all),
    (err: unknown) => isDataError(err, 'dicom-several-series') && /1\.5 .*1\.6/.test(err.message),
  );
  const empty = join(dir, 'empty');
  await mkdir(empty);
  await rejects(readDicomSeries(empty), 'dicom-no-images');
  await rejects(readDicomSeries(join(dir, 'nowhere')), 'file-missing');
  const strange = join(dir, 'strange');
  await mkdir(strange);
  await writeFile(
    join(strange, 'a'),
    image('1.5', 0, [0x00080005, 'CS', '\\ISO 2022 IR 87'], [0x00100010, 'PN', '\x1b$B']),
  );
  await rejects(readDicomSeries(strange), 'dicom-charset');
});

test.run();
