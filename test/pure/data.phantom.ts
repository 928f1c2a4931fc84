// The synthetic phantom, its pictures, and datasets on disk.

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// @ts-expect-error pngjs ships no types
import { PNG } from 'pngjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply } from '../../data/affine.ts';
import { textWidth } from '../../data/font.ts';
import {
  axisCodes,
  type Dims,
  drawPicture,
  isDataError,
  PHANTOM_LABELS,
  phantom,
  phantomClasses,
  pictureOf,
  writeNifti,
} from '../../data/index.ts';
import { datasetFrom, readVolume, splitCases, writeFileAtomic, writePhantomSet, writeVolume } from '../../data/node.ts';

const size: Dims = [64, 64, 64];
const hash = (data: ArrayBufferView) =>
  createHash('sha256')
    .update(Buffer.from(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
    .slice(0, 16);

async function rejectsCode(promise: Promise<unknown>, code: string): Promise<void> {
  await promise.then(
    () => assert.unreachable(`expected ${code}`),
    (err) => assert.ok(isDataError(err, code), String(err)),
  );
}

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-data-'));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('the same seed gives the same bytes, on every engine and machine', () => {
  const a = phantom({ seed: 1, index: 0, size });
  const b = phantom({ seed: 1, index: 0, size });
  assert.equal(hash(a.image.data), hash(b.image.data));
  assert.is(hash(a.image.data), 'ab691d341f385ca8');
  assert.is(hash(a.label.data), 'b9c655c52d40c8e2');
  assert.not.equal(hash(phantom({ seed: 1, index: 1, size }).image.data), hash(a.image.data));
  assert.not.equal(hash(phantom({ seed: 2, index: 0, size }).image.data), hash(a.image.data));
});

test('six patients: every organ present, of believable size, on its side, at its HU', () => {
  const litres = {
    liver: [0.9, 3],
    spleen: [0.12, 0.7],
    'right kidney': [0.07, 0.35],
    'left kidney': [0.07, 0.35],
    lungs: [1.5, 6],
    spine: [0.5, 2],
    aorta: [0.1, 0.5],
  };
  const hu = { liver: 103, spleen: 126, 'right kidney': 180, 'left kidney': 180, lungs: -790, aorta: 212 };
  for (let index = 0; index < 6; index++) {
    const { image, label, truth } = phantom({ seed: 4, index, size });
    assert.is(axisCodes(image.affine), 'RAS');
    const sum = new Float64Array(8);
    const where = new Float64Array(8);
    label.data.forEach((id, i) => {
      sum[id]! += image.data[i]!;
      where[id]! += apply(label.affine, [Math.floor(i / 4096), Math.floor(i / 64) % 64, i % 64])[0];
    });
    const mm = 6 ** 3 / 1e6;
    PHANTOM_LABELS.forEach((name, id) => {
      if (id === 0) return;
      const n = truth.labels[id]!.voxels;
      const [lo, hi] = litres[name as keyof typeof litres];
      assert.ok(n * mm > lo! && n * mm < hi!, `patient ${index}: ${name} ${(n * mm).toFixed(2)} l`);
      const expected = hu[name as keyof typeof hu];
      if (expected !== undefined)
        assert.ok(Math.abs(sum[id]! / n - expected) < 100, `patient ${index}: ${name} ${sum[id]! / n} HU`);
    });
    // x grows to the patient's right.
    assert.ok(where[1]! > 0 && where[3]! > 0, 'liver and right kidney on the right');
    assert.ok(where[2]! < 0 && where[4]! < 0, 'spleen and left kidney on the left');
  }
});

test('lesions are told as they are painted', () => {
  let lesions = 0;
  for (let index = 0; index < 8; index++) {
    const { label, truth } = phantom({ seed: 9, index, size, lesionClass: true });
    const told = truth.report.findings.filter((f) => f.about === 'lesion').map((f) => f.lesion);
    assert.equal(told.sort(), Array.from(truth.lesions.keys()), 'the report tells them');
    const painted = truth.lesions.reduce((n, l) => n + l.voxels, 0);
    assert.is(label.data.filter((v) => v === 8).length, painted);
    for (const lesion of truth.lesions) {
      lesions++;
      assert.ok(lesion.voxels > 5, `${lesion.voxels} voxels`);
      if (lesion.side) assert.is(lesion.side, lesion.centre[0] > 31.5 ? 'right' : 'left');
      const [i, j, k] = lesion.centre;
      assert.is(label.data[(i * 64 + j) * 64 + k], 8);
    }
  }
  assert.ok(lesions >= 5, `${lesions} lesions in 8 patients`);
  assert.is(phantomClasses({ lesionClass: true })[8], 'lesion');
});

test('other shapes, spacings and no noise', () => {
  const made = phantom({
    seed: 1,
    index: 0,
    size: [40, 32, 20],
    spacing: [9, 10, 8],
    noise: 0,
    blur: 0,
    maxLesions: 0,
  });
  assert.equal(made.image.dims, [40, 32, 20]);
  assert.equal(made.truth.lesions, []);
  assert.throws(
    () => phantom({ seed: 1, index: 0, size: [8, 64, 64] }),
    (err: unknown) => isDataError(err, 'phantom-size'),
  );
});

test('a picture is a PNG of the expected layout, radiologically oriented', () => {
  const { image, label } = phantom({ seed: 1, index: 0, size });
  const rows = [{ title: 'CT' }, { title: 'truth', labels: label }];
  const options = { classes: phantomClasses(), panel: 120, title: 'phantom' };
  const file = pictureOf(image, rows, options);
  const decoded = PNG.sync.read(Buffer.from(file));
  const canvas = drawPicture(image, rows, options);
  assert.is(decoded.width, canvas.width);
  assert.is(decoded.height, canvas.height);
  for (let p = 0; p < canvas.width * canvas.height; p++) {
    for (let c = 0; c < 3; c++) if (decoded.data[p * 4 + c] !== canvas.rgb[p * 3 + c]) assert.unreachable(`pixel ${p}`);
  }
  // One white voxel at the right front: left upper quarter of the axial panel.
  const spot = { ...image, data: new Int16Array(image.data.length).fill(-1000) };
  const at: Dims = [56, 54, 20];
  spot.data[(at[0] * 64 + at[1]) * 64 + at[2]] = 1000;
  const picture = drawPicture(spot, [{ title: '' }], { classes: [], panel: 128, slices: at });
  let [x, y, n] = [0, 0, 0];
  for (let j = 32; j < 64; j++)
    for (let i = 10; i < 42; i++) {
      if (picture.rgb[(j * picture.width + i) * 3]! > 100) {
        x += i - 10;
        y += j - 32;
        n++;
      }
    }
  assert.ok(n > 0 && Math.abs(x / n - 15) < 2 && Math.abs(y / n - 19) < 2, `${x / n}, ${y / n}`);
  assert.is(textWidth('liver'), 29);
});

test('a phantom set is written whole and read back as a dataset', async () => {
  await inFolder(async (dir) => {
    const names = await writePhantomSet(dir, { seed: 3, count: 2, first: 5, size: [24, 24, 24] });
    assert.equal(names, ['phantom_0005', 'phantom_0006']);
    const set = await datasetFrom(dir, { labelled: true });
    assert.is(set.layout, 'dataset.json');
    assert.equal(set.classes, phantomClasses());
    assert.equal(
      set.cases.map((c) => c.name),
      names,
    );
    const made = phantom({ seed: 3, index: 6, size: [24, 24, 24] });
    const image = await readVolume(set.cases[1]!.image);
    const label = await readVolume(set.cases[1]!.label!);
    assert.equal([...image.data], [...made.image.data]);
    assert.equal([...label.data], [...made.label.data]);
    assert.equal(
      (await readdir(join(dir, 'images'))).sort(),
      names.map((n) => `${n}.nii.gz`),
    );
    const json = JSON.parse(await readFile(join(dir, 'dataset.json'), 'utf8'));
    assert.equal(json.training[1].truth, made.truth);
  });
});

test('datasets by folder and by name; what is wrong is named', async () => {
  await inFolder(async (dir) => {
    const file = writeNifti(phantom({ seed: 1, index: 0, size: [16, 16, 16] }).label);
    const put = async (path: string) => writeFileAtomic(join(dir, path), file);
    await put('nnunet/imagesTr/a_0000.nii.gz');
    await put('nnunet/imagesTr/b_0000.nii.gz');
    await put('nnunet/labelsTr/a.nii.gz');
    await writeFile(
      join(dir, 'nnunet/dataset.json'),
      JSON.stringify({ name: 'X', labels: { background: 0, liver: 1 } }),
    );
    const set = await datasetFrom(join(dir, 'nnunet'));
    assert.equal(
      set.cases.map((c) => [c.name, Boolean(c.label)]),
      [
        ['a', true],
        ['b', false],
      ],
    );
    assert.equal([set.name, set.classes, set.layout], ['X', ['background', 'liver'], 'imagesTr/labelsTr']);
    await rejectsCode(datasetFrom(join(dir, 'nnunet'), { labelled: true }), 'dataset-unpaired');
    await put('nnunet/labelsTr/c.nii.gz');
    await rejectsCode(datasetFrom(join(dir, 'nnunet')), 'dataset-unpaired');

    await put('flat/p1.nii.gz');
    await put('flat/p1_seg.nii.gz');
    const flat = await datasetFrom(join(dir, 'flat'), { labelled: true });
    assert.equal(
      flat.cases.map((c) => c.name),
      ['p1'],
    );

    await put('mri/imagesTr/a_0000.nii.gz');
    await put('mri/imagesTr/a_0001.nii.gz');
    await put('mri/labelsTr/a.nii.gz');
    await rejectsCode(datasetFrom(join(dir, 'mri')), 'dataset-channels');

    await mkdir(join(dir, 'empty'));
    await rejectsCode(datasetFrom(join(dir, 'empty')), 'dataset-empty');
    await rejectsCode(datasetFrom(join(dir, 'nowhere')), 'dataset-missing');
    await writeFileAtomic(join(dir, 'bad/dataset.json'), '{');
    await rejectsCode(datasetFrom(join(dir, 'bad')), 'dataset-json');
    await rejectsCode(readVolume(join(dir, 'none.nii')), 'file-missing');
    await rejectsCode(
      writeVolume(join(dir, 'x.png'), phantom({ seed: 1, index: 0, size: [16, 16, 16] }).image),
      'file-name',
    );
  });
});

test('an atomic write that fails leaves the old file and no draft', async () => {
  await inFolder(async (dir) => {
    const path = join(dir, 'a.txt');
    await writeFileAtomic(path, 'old');
    await writeFileAtomic(path, 42 as never).then(
      () => assert.unreachable(),
      () => {},
    );
    assert.is(await readFile(path, 'utf8'), 'old');
    assert.equal(await readdir(dir), ['a.txt']);
  });
});

test('cases are split by position', () => {
  const cases = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, image: name }));
  const { train, validation } = splitCases(cases, 4);
  assert.equal([train.map((c) => c.name), validation.map((c) => c.name)], [['a', 'b', 'c', 'e'], ['d']]);
  assert.is(splitCases(cases, 0).train.length, 5);
});

test.run();
