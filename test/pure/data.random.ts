// Random numbers, crops and augmentation.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { applyAugmentation, drawAugmentation, mirror, rotatablePlanes } from '../../data/augment.ts';
import {
  AUGMENT,
  type AugmentOptions,
  augment,
  chooseCrop,
  cropPair,
  type Dims,
  isDataError,
  LabelIndex,
  type RandomStream,
  stream,
  threefry,
} from '../../data/index.ts';

const throwsCode = (run: () => unknown, code: string) => assert.throws(run, (err: unknown) => isDataError(err, code));

test('threefry2x32, 20 rounds: the known answers of Random123', () => {
  assert.equal(threefry(0, 0, 0, 0), [0x6b200159, 0x99ba4efe]);
  const ones = 0xffffffff;
  assert.equal(threefry(ones, ones, ones, ones), [0x1cb996fc, 0xbb002be7]);
  assert.equal(threefry(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3), [0xc4923a9c, 0x483df7a0]);
});

test('streams: equal paths agree, different ones do not, forks do not advance', () => {
  const draws = (s: RandomStream) => Array.from({ length: 4 }, () => s.u32());
  assert.equal(draws(stream(7, 1, 2)), draws(stream(7, 1, 2)));
  const all = [
    stream(7, 1, 2),
    stream(7, 2, 1),
    stream(7, 1),
    stream(7, 1, 2, 0),
    stream(8, 1, 2),
    stream(7 + 2 ** 40, 1, 2),
  ];
  assert.is(new Set(all.map((s) => draws(s).join())).size, all.length);
  const a = stream(1);
  const b = stream(1);
  a.fork(5).u32();
  assert.is(a.u32(), b.u32());
});

test('moments of uniform, normal and int', () => {
  const s = stream(11);
  const n = 20000;
  let [sum, square, normals, normalSquares] = [0, 0, 0, 0];
  const bins = new Array(7).fill(0);
  for (let i = 0; i < n; i++) {
    const u = s.uniform();
    assert.ok(u >= 0 && u < 1);
    sum += u;
    square += u * u;
    const z = s.normal();
    normals += z;
    normalSquares += z * z;
    bins[s.int(7)]++;
  }
  assert.ok(Math.abs(sum / n - 0.5) < 0.01 && Math.abs(square / n - 1 / 3) < 0.01);
  assert.ok(Math.abs(normals / n) < 0.03 && Math.abs(normalSquares / n - 1) < 0.04);
  for (const b of bins) assert.ok(Math.abs(b / n - 1 / 7) < 0.01);
});

function labelled(): { label: Uint8Array; dims: Dims } {
  const dims: Dims = [6, 7, 8];
  const label = new Uint8Array(6 * 7 * 8);
  for (let i = 0; i < 30; i++) label[i * 5 + 40] = 1;
  label[300] = 2;
  return { label, dims };
}

test('label index: every voxel of a class is found by its number', () => {
  const { label, dims } = labelled();
  const index = new LabelIndex(label, dims, 3);
  assert.equal([...index.counts], [label.length - 31, 30, 1]);
  for (const c of [0, 1, 2]) {
    const found = Array.from({ length: index.counts[c]! }, (_, n) => index.pick(n, (x) => x === c)).map(
      ([i, j, k]) => (i * 7 + j) * 8 + k,
    );
    assert.equal(
      found,
      [...label.keys()].filter((p) => label[p] === c),
    );
  }
  throwsCode(() => new LabelIndex(label, dims, 2), 'label-range');
});

test('crops: inside the volume, around the chosen class, the same for the same stream', () => {
  const { label, dims } = labelled();
  const index = new LabelIndex(label, dims, 3);
  const size: Dims = [3, 3, 3];
  let rare = 0;
  for (let n = 0; n < 300; n++) {
    const box = chooseCrop(dims, size, { kind: 'classes', ratios: [0, 1, 1] }, stream(1, n), index);
    assert.ok(box.start.every((s, a) => s >= 0 && s + size[a]! <= dims[a]!));
    const crop = cropPair(new Float32Array(label.length), label, dims, box);
    assert.ok(crop.label!.some((v) => v > 0));
    if (crop.label!.includes(2)) rare++;
    assert.equal(chooseCrop(dims, size, { kind: 'classes', ratios: [0, 1, 1] }, stream(1, n), index), box);
  }
  assert.ok(rare > 120, `class 2 in ${rare} of 300`);
  const positive = (p: number) =>
    Array.from({ length: 200 }, (_, n) => {
      const box = chooseCrop(dims, [1, 1, 1], { kind: 'foreground', positive: p }, stream(2, n), index);
      return label[(box.start[0] * 7 + box.start[1]) * 8 + box.start[2]]! > 0;
    }).filter(Boolean).length;
  assert.is(positive(1), 200);
  assert.is(positive(0), 0);
  assert.ok(Math.abs(positive(0.5) - 100) < 30);
  throwsCode(() => chooseCrop(dims, size, { kind: 'foreground' }, stream(1)), 'crop-no-label');
});

test('a crop larger than the volume is padded evenly', () => {
  const box = chooseCrop([4, 5, 6], [8, 5, 6], { kind: 'uniform' }, stream(1));
  assert.equal(box.start, [-2, 0, 0]);
  const { image } = cropPair(new Float32Array(120).fill(1), undefined, [4, 5, 6], box);
  assert.is(image.filter((v) => v === 1).length, 120);
});

const cube = (spacing: [number, number, number] = [1, 1, 1]) => ({
  image: Float32Array.from({ length: 64 }, (_, i) => i / 64),
  label: Uint8Array.from({ length: 64 }, (_, i) => (i < 32 ? 3 : 4)),
  dims: [4, 4, 4] as Dims,
  spacing,
});
const often: AugmentOptions = { ...AUGMENT, flip: 0.5, rot90: 0.5, shiftChance: 0.5 };
const KEYS = Array.from({ length: 200 }, (_, index) => ({ seed: 5, epoch: index % 3, index }));

test('augmentation is decided by (seed, epoch, index), and image and label go together', () => {
  for (const key of KEYS.slice(0, 40)) {
    const a = augment(cube(), often, key);
    const b = augment(cube(), often, key);
    assert.equal(a.applied, b.applied);
    assert.equal([...a.sample.image], [...b.sample.image]);
    // Each voxel's label still belongs to its (unshifted) value.
    a.sample.image.forEach((v, i) => {
      assert.is(a.sample.label![i], Math.round((v - a.applied.shift) * 64) < 32 ? 3 : 4);
    });
    assert.ok(Math.abs(a.applied.shift) <= 0.1);
  }
  assert.is(new Set(KEYS.map((key) => JSON.stringify(augment(cube(), often, key).applied))).size > 100, true);
});

test('left and right: never mirrored when fixed; labels change places when pairs are given', () => {
  assert.ok(KEYS.every((key) => !drawAugmentation(cube(), often, key).flips[0]));
  const swap = { ...often, rot90: 0, lateral: [[3, 4]] as const };
  const mirrored = KEYS.filter((key) => drawAugmentation(cube(), swap, key).flips[0]);
  assert.ok(mirrored.length > 60);
  for (const key of mirrored) {
    const { sample, applied } = augment(cube(), swap, key);
    assert.ok(applied.sidesSwapped);
    // Mirroring moves label 3 to the far half, and swapping names it 4 there: the near half is 3 as before.
    assert.equal([...sample.label!], [...cube().label]);
  }
});

test('rotation only in planes of equal size and spacing; none for directional text', () => {
  assert.equal(rotatablePlanes(cube([1, 1, 2])), [[0, 1]]);
  assert.equal(rotatablePlanes({ dims: [4, 5, 6], spacing: [1, 1, 1] }), []);
  for (const key of KEYS) {
    const turn = drawAugmentation(cube([1, 1, 2]), often, key).rot90;
    assert.ok(!turn || (turn.plane[0] === 0 && turn.plane[1] === 1));
    const calm = drawAugmentation(cube(), { ...often, directional: true, lateral: 'free' }, key);
    assert.ok(!calm.rot90 && !calm.flips[1] && !calm.flips[2]);
  }
});

test('four quarter turns and two mirrorings are the identity', () => {
  const start = cube();
  let image: Float32Array = start.image;
  for (let n = 0; n < 4; n++) {
    const applied = {
      flips: [false, false, false] as const,
      rot90: { plane: [0, 2] as const, turns: 1 as const },
      shift: 0,
      sidesSwapped: false,
    };
    image = applyAugmentation({ ...start, image }, applied, often).image;
    if (n < 3) assert.not.equal([...image], [...start.image]);
  }
  assert.equal([...image], [...start.image]);
  for (const axis of [0, 1, 2]) {
    mirror(image, start.dims, axis);
    mirror(image, start.dims, axis);
  }
  assert.equal([...image], [...start.image]);
});

test.run();
