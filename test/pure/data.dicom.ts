// DICOM series against what pydicom wrote (test/reference/dicom.py) and nibabel says of the same arrays.

import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unzipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apply, distance } from '../../data/affine.ts';
import { kernelOf, phaseOf } from '../../data/dicom/choose.ts';
import { firstDicom, listDicom, type ReadDicomOptions, readDicom } from '../../data/dicom/folder.ts';
import { optionalPackage } from '../../data/dicom/optional.ts';
import { decodeRle } from '../../data/dicom/rle.ts';
import { isDataError } from '../../data/index.ts';
import { layoutOf } from '../../data/layouts/index.ts';
import { readVolume } from '../../data/node.ts';

const golden = new URL('../golden/dicom/', import.meta.url);
const test = suite<{ dir: string }>('dicom');

test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 't3dc-dicom-'));
});
test.after(({ dir }) => rm(dir, { recursive: true }));

/** A case's files in a folder of their own, with a change made to them. */
async function unpacked(
  dir: string,
  name: string,
  change: (path: string, bytes: Uint8Array) => Uint8Array | null = (_, b) => b,
): Promise<string> {
  const root = await mkdtemp(join(dir, `${name}-`));
  for (const [path, bytes] of Object.entries(unzipSync(await readFile(new URL(`${name}.zip`, golden))))) {
    const content = change(path, bytes);
    if (!content) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return root;
}

async function refuses(made: Promise<unknown>, code: string, said: RegExp): Promise<void> {
  try {
    await made;
  } catch (err) {
    assert.ok(isDataError(err), String((err as Error).stack));
    assert.is(err.code, code, err.message);
    assert.match(err.message, said);
    assert.match(err.message, /do:/);
    return;
  }
  assert.unreachable(`expected ${code}`);
}

async function equalsTruth(root: string, options?: ReadDicomOptions): Promise<string[]> {
  const notes: string[] = [];
  const { volume } = await readDicom(root, { minSlices: 1, ...options, onNote: (n) => notes.push(n) });
  const truth = await readVolume(join(root, 'truth.nii.gz'));
  assert.equal(volume.dims, truth.dims);
  assert.ok(distance(volume.affine, truth.affine) < 1e-4, `${volume.affine} and ${truth.affine}`);
  assert.equal([...volume.data], [...truth.data]);
  return notes;
}

test('an oblique series: nested, without extensions, unsorted, rescaled by the slice', async ({ dir }) => {
  const root = await unpacked(dir, 'oblique');
  await equalsTruth(root);
  const { series, skipped } = await listDicom(root);
  assert.is(series.length, 1);
  assert.is(series[0]!.patient, 'P1');
  assert.equal(
    skipped.map((s) => s.reason),
    ['no DICOM file', 'no DICOM file', 'no DICOM file'],
  );
  const { volume } = await readDicom(root, { minSlices: 1 });
  assert.instance(volume.data, Float32Array);
});

test('readVolume takes the folder, and one slice for its series', async ({ dir }) => {
  const root = await unpacked(dir, 'padding');
  const whole = await readVolume(root, { dicom: { minSlices: 1 } });
  const one = await readVolume(join(root, '2.dcm'));
  assert.equal([...one.data], [...whole.data]);
  assert.instance(whole.data, Int16Array);
});

test('stored bits alone count; a range of padding is air', async ({ dir }) => {
  const notes = await equalsTruth(await unpacked(dir, 'padding'));
  assert.ok(notes.some((n) => n === '16 padded pixels set to -1024 HU'));
});

test('RLE, JPEG-LS, JPEG 2000, JPEG Lossless, deflate, big endian, implicit VR', async ({ dir }) => {
  await equalsTruth(await unpacked(dir, 'compressed'));
});

test('an enhanced multi-frame CT, also by its file', async ({ dir }) => {
  const root = await unpacked(dir, 'enhanced');
  await equalsTruth(root);
  const { volume, series } = await readDicom(join(root, 'all.dcm'));
  assert.equal(volume.dims, [4, 5, 6]);
  assert.is(series.slices[0]!.kernel, 'B30f');
});

test('the scan of a study is chosen, and why', async ({ dir }) => {
  const root = await unpacked(dir, 'study');
  const { choice, series } = await readDicom(root);
  assert.is(series.number, 3);
  const told = new Map(choice.verdicts.map((v) => [v.series.number, `${v.decision}: ${v.reasons.join(', ')}`]));
  assert.match(told.get(1)!, /refused: a localiser \(scout\), 1 slices, fewer than 8/);
  assert.match(told.get(2)!, /not chosen: .*phase arterial.*has the wished phase/);
  assert.match(told.get(3)!, /chosen: 9 slices of 2 mm, phase portal-venous, kernel B30f \(soft\), ImageType ORIGINAL/);
  assert.match(told.get(4)!, /not chosen: .*\(sharp\).*has the wished kernel/);
  assert.match(told.get(5)!, /not chosen: .*DERIVED.*has original and not derived/);
  assert.match(told.get(6)!, /refused: a projection or rendering \(MIP\)/);
  assert.is(told.has(7), false);
  const { skipped } = await listDicom(root);
  assert.equal(
    skipped.map((s) => s.reason),
    ['no image'],
  );
  assert.is((await readDicom(root, { phase: 'arterial' })).series.number, 2);
  assert.is((await readDicom(root, { kernel: 'sharp' })).series.number, 4);
  assert.is((await readDicom(root, { series: '5' })).series.number, 5);
  await refuses(readDicom(root, { series: '1' }), 'dicom-no-series', /a localiser/);
  await refuses(readDicom(root, { series: '9' }), 'dicom-no-series', /not the series asked for \(9\)/);
});

test('what words and kernels say', () => {
  const phases = ['Abd 5.0 ven', 'THX_ABD_PV', 'art. Leber', 'nativ', 'Spätphase', 'w/o contrast', 'Thorax 1.0'];
  assert.equal(phases.map(phaseOf), [
    'portal-venous',
    'portal-venous',
    'arterial',
    'native',
    'delayed',
    'native',
    'unknown',
  ]);
  const kernels = ['B30f', 'Br40d', 'B70f', 'I50f', 'STANDARD', 'BONEPLUS', 'FC08', 'FC52', 'B', 'YC', ''];
  assert.equal(kernels.map(kernelOf), [
    'soft',
    'soft',
    'sharp',
    'sharp',
    'soft',
    'sharp',
    'soft',
    'sharp',
    'soft',
    'sharp',
    'unknown',
  ]);
});

test('phases in one series are two stacks', async ({ dir }) => {
  const root = await unpacked(dir, 'phases');
  const { series } = await listDicom(root);
  assert.is(series.length, 2);
  assert.is(series[1]!.id, `${series[0]!.id}#2`);
  const second = await readDicom(root, { series: series[1]!.id });
  assert.is(second.volume.data[0], 200 - 1024);
  assert.is(second.volume.data.at(-1), 207 - 1024);
});

test('images that are there twice: one of equal ones, none of others', async ({ dir }) => {
  const notes: string[] = [];
  const root = await unpacked(dir, 'doubled-equal');
  const { volume } = await readDicom(root, { minSlices: 1, onNote: (n) => notes.push(n) });
  assert.is(volume.dims[2], 5);
  assert.ok(notes.includes('6 images are there twice; one of each was taken'), notes.join('\n'));
  const other = await unpacked(dir, 'doubled-other');
  await refuses(readDicom(other, { minSlices: 1 }), 'dicom-slices-doubled', /a3 and .*b3 at/);
});

const HU = ([x, y, z]: readonly number[]): number => -2 * x! - 3 * y! - z! / 2; // of the place in R, A, S

test('uneven slices are refused by name, or resampled', async ({ dir }) => {
  const root = await unpacked(dir, 'uneven');
  await refuses(readDicom(root), 'dicom-spacing-uneven', /from 2\.000 to 3\.000 mm apart/);
  const { volume, notes } = await readDicom(root, { uneven: 'resample' });
  assert.equal(volume.dims, [8, 9, 9]);
  assert.ok(Math.abs(volume.affine[10]! - 2) < 1e-6);
  assert.match(notes[0]!, /2\.00 to 3\.00 mm apart, resampled to 2\.00 mm/);
  for (let i = 0; i < 8; i++)
    for (let j = 0; j < 9; j++)
      for (let k = 0; k < 9; k++) {
        const expected = HU(apply(volume.affine, [i, j, k]));
        assert.ok(Math.abs(volume.data[(i * 9 + j) * 9 + k]! - expected) < 0.1, `${i} ${j} ${k}`);
      }
});

test('a missing slice is named', async ({ dir }) => {
  await refuses(
    readDicom(await unpacked(dir, 'missing')),
    'dicom-slice-missing',
    /1 between images 4 and 5 \(-94\.00 and -90\.00 mm\)/,
  );
});

test('a tilted gantry is made upright, with air around, or refused', async ({ dir }) => {
  const root = await unpacked(dir, 'tilted');
  await refuses(readDicom(root, { tilt: 'refuse' }), 'dicom-tilt', /15\.0°/);
  const { volume, notes } = await readDicom(root);
  const [d, h, w] = volume.dims;
  assert.equal([d, h, w], [8, 9 + 8, 8]); // 14 mm · tan 15° = 7.5 rows of 0.5 mm
  assert.match(notes[0]!, /tilted by 15\.0°/);
  assert.ok(Math.abs(volume.affine[6]!) < 1e-9 && Math.abs(volume.affine[2]!) < 1e-9);
  let inside = 0;
  for (let i = 0; i < d; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++) {
        const [x, y, z] = apply(volume.affine, [i, j, k]);
        const row = (-y + 30 - (z + 100) * Math.tan(Math.PI / 12)) / 0.5; // in the slice as it was
        const v = volume.data[(i * h + j) * w + k]!;
        if (row > 1e-3 && row < 8 - 1e-3) {
          inside++;
          assert.ok(Math.abs(v - HU([x, y, z])) < 0.2, `${v} and ${HU([x, y, z])} at ${i} ${j} ${k}`);
        } else if (row < -1 || row > 9) assert.is(v, -1024);
      }
  assert.ok(inside > 8 * 7 * 8);
});

test('slices off the line are refused', async ({ dir }) => {
  await refuses(readDicom(await unpacked(dir, 'crooked')), 'dicom-positions', /6\.00 pixels beside/);
});

/** Cuts or changes one text in every DICOM file. */
const replaced =
  (from: string, to: string) =>
  (path: string, bytes: Uint8Array): Uint8Array | null => {
    if (path.startsWith('truth')) return null;
    const text = Buffer.from(bytes).toString('latin1');
    return Buffer.from(text.replace(from, to), 'latin1');
  };

test('damage and what is no CT', async ({ dir }) => {
  const cut = await unpacked(dir, 'padding', (path, b) => (path === '1.dcm' ? b.subarray(0, b.length - 20) : b));
  await refuses(readDicom(cut, { minSlices: 1 }), 'dicom-damaged', /1\.dcm: .*overrun/);
  const tall = await unpacked(dir, 'padding', replaced('US\x02\x00\x06\x00', 'US\x02\x00\x09\x00'));
  await refuses(readDicom(tall, { minSlices: 1 }), 'dicom-truncated', /60 bytes of pixels\n.*90: 5 × 9 of 16 bits/);
  const mr = await unpacked(dir, 'padding', replaced('CS\x02\x00CT', 'CS\x02\x00MR'));
  await refuses(readDicom(mr, { minSlices: 1 }), 'dicom-no-series', /modality MR, no CT/);
  const slope = await unpacked(dir, 'padding', replaced('\x53\x10DS\x04\x001.0 ', '\x53\x10DS\x04\x000.0 '));
  await refuses(readDicom(slope, { minSlices: 1 }), 'dicom-rescale', /slope 0/);
  const syntax = await unpacked(dir, 'padding', replaced('1.2.840.10008.1.2.1\0', '1.2.840.10008.1.2.9\0'));
  await refuses(readDicom(syntax, { minSlices: 1 }), 'dicom-transfer-syntax', /1\.2\.840\.10008\.1\.2\.9/);
  const colour = await unpacked(dir, 'padding', replaced('MONOCHROME2', 'MONOCHROME1'));
  await refuses(readDicom(colour, { minSlices: 1 }), 'dicom-pixels', /MONOCHROME1/);
  const skewed = await unpacked(dir, 'padding', replaced('0.0000000000\\1.0000000000', '0.0100000000\\1.0000000000'));
  await refuses(readDicom(skewed, { minSlices: 1 }), 'dicom-orientation', /perpendicular/);
  await refuses(readVolume(join(dir, 'nowhere')), 'file-missing', /nowhere/);
  const empty = await mkdtemp(join(dir, 'empty-'));
  await refuses(readVolume(empty), 'dicom-none', /no file in/);
});

test('a study of links to its files, as data stores keep them, is recognised and read; links to folders are not followed', async ({
  dir,
}) => {
  const root = await unpacked(dir, 'padding');
  const linked = await mkdtemp(join(dir, 'linked-'));
  await mkdir(join(linked, 'study'));
  for (const name of ['0.dcm', '1.dcm', '2.dcm', '3.dcm']) await symlink(join(root, name), join(linked, 'study', name));
  await symlink(linked, join(linked, 'study', 'round'));
  const { layout, reasons } = await layoutOf(linked, 'auto');
  assert.equal([layout.name, reasons], ['dicom', [`${join(linked, 'study', '0.dcm')} is DICOM`]]);
  const { volume } = await readDicom(linked, { minSlices: 1 });
  assert.is(volume.dims[2], 4);
  assert.is(await firstDicom(linked, 0), null);
});

test('two studies in one folder are not one volume', async ({ dir }) => {
  const root = await unpacked(dir, 'padding');
  await mkdir(join(root, 'other'));
  await writeFile(
    join(root, 'other', 'x'),
    replaced('498.9.1\0', '498.9.8\0')('x', await readFile(join(root, '1.dcm')))!,
  );
  await refuses(readDicom(root), 'dicom-several-studies', /2 in /);
});

test('run-length coding is decoded within its bounds', () => {
  const frame = (planes: number[][]): Uint8Array => {
    const head = new Uint8Array(64);
    const view = new DataView(head.buffer);
    view.setUint32(0, planes.length, true);
    let at = 64;
    planes.forEach((p, i) => {
      view.setUint32(4 + 4 * i, at, true);
      at += p.length;
    });
    return Uint8Array.from([...head, ...planes.flat()]);
  };
  const bytes = decodeRle(
    frame([
      [254, 1, 128],
      [2, 7, 8, 9],
    ]),
    3,
    2,
  );
  assert.equal([...bytes], [7, 1, 8, 1, 9, 1]);
  for (const bad of [
    [[254, 1]],
    [
      [0, 1],
      [2, 7, 8, 9],
    ],
    [
      [254, 1],
      [5, 7, 8, 9],
    ],
    [
      [200, 1],
      [2, 7, 8, 9],
    ],
  ])
    assert.throws(
      () => decodeRle(frame(bad), 3, 2),
      (e: unknown) => isDataError(e, 'dicom-pixels'),
    );
});

test('a package that is not installed is named with what to do', async () => {
  await refuses(optionalPackage('@t3dc/none/decode', 'reading this'), 'dicom-package', /npm install @t3dc\/none/);
});

test.run();
