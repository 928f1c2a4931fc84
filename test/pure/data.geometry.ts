// Orientation, resampling, boxes, the preprocessing contract and its way back.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply, distance, IDENTITY, invert, multiply, shifted } from '../../data/affine.ts';
import {
  ABDOMEN,
  applyWindow,
  axisCodes,
  connectedComponents,
  cut,
  type Dims,
  diagonalAffine,
  dice,
  dicePerClass,
  foregroundBox,
  isDataError,
  keepLargest,
  phantom,
  prepare,
  preprocessFrom,
  reorient,
  resampleLinear,
  resampleNearest,
  restoreOrientation,
  showDice,
  toCanonical,
  type Volume,
} from '../../data/index.ts';
import { pasteArray } from '../../data/pad.ts';

const throwsCode = (run: () => unknown, code: string) => assert.throws(run, (err: unknown) => isDataError(err, code));

function numbered(dims: Dims, affine = diagonalAffine([1, 2, 3], [5, 6, 7])): Volume<Int32Array> {
  return { data: Int32Array.from({ length: dims[0] * dims[1] * dims[2] }, (_, i) => i), dims, affine };
}

const ORDERS: Dims[] = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

test('all 48 orientations: canonical is RAS, every voxel keeps its place in the world, and back is exact', () => {
  const volume = numbered([3, 4, 5]);
  for (const axes of ORDERS)
    for (let bits = 0; bits < 8; bits++) {
      const flips = [0, 1, 2].map((a) => (bits & (1 << a)) !== 0) as [boolean, boolean, boolean];
      const turned = reorient(volume, { axes, flips });
      const { volume: canonical, orientation } = toCanonical(turned);
      assert.is(axisCodes(canonical.affine), 'RAS');
      assert.equal([...canonical.data], [...volume.data]);
      assert.ok(distance(canonical.affine, volume.affine) < 1e-9);
      const back = restoreOrientation(canonical, orientation);
      assert.equal([...back.data], [...turned.data]);
      assert.equal(back.dims, turned.dims);
      // A voxel's world place: find value 17 on both grids.
      const place = (v: Volume) => {
        const at = v.data.indexOf(17);
        const [, h, w] = v.dims;
        return apply(v.affine, [Math.floor(at / (h * w)), Math.floor(at / w) % h, at % w]);
      };
      assert.equal(place(turned).map(Math.round), place(volume).map(Math.round));
    }
});

test('affine inverse and shift', () => {
  const a = [2, 0.1, 0, 4, -0.2, 3, 0.3, 5, 0, 0.1, 1.5, -6, 0, 0, 0, 1];
  assert.ok(distance(multiply(a, invert(a)), IDENTITY) < 1e-12);
  assert.equal(apply(shifted(a, [1, 2, 3]), [0, 0, 0]), apply(a, [1, 2, 3]));
  throwsCode(() => invert(new Array(16).fill(0)), 'affine-singular');
});

test('the general resampler agrees with the separable one, and an oblique grid keeps a linear field', () => {
  const volume = { ...numbered([6, 5, 7]), data: Float32Array.from(numbered([6, 5, 7]).data, (v) => Math.sin(v)) };
  const grid = { dims: [5, 6, 4] as Dims, affine: diagonalAffine([1.1, 1.7, 3.3], [5.2, 5.5, 8]) };
  const straight = resampleLinear(volume, grid).data;
  const tilted = resampleLinear(volume, { ...grid, affine: grid.affine.map((v, i) => (i === 1 ? 1e-6 : v)) }).data;
  assert.ok(straight.every((v, i) => Math.abs(v - tilted[i]!) < 1e-4));
  // f = x + 2 y − z in world mm, sampled well inside, on a turned grid.
  const affine = diagonalAffine([2, 2, 2]);
  const field = new Float32Array(1000);
  for (let i = 0; i < 1000; i++) field[i] = 2 * Math.floor(i / 100) + 4 * (Math.floor(i / 10) % 10) - 2 * (i % 10);
  const c = Math.cos(0.3);
  const s = Math.sin(0.3);
  const turned = { dims: [4, 4, 4] as Dims, affine: [c, -s, 0, 7, s, c, 0, 7, 0, 0, 1, 7, 0, 0, 0, 1] };
  const out = resampleLinear({ data: field, dims: [10, 10, 10], affine }, turned).data;
  for (let i = 0, at = 0; i < 4; i++)
    for (let j = 0; j < 4; j++)
      for (let k = 0; k < 4; k++, at++) {
        const [x, y, z] = apply(turned.affine, [i, j, k]);
        assert.ok(Math.abs(out[at]! - (x + 2 * y - z)) < 1e-4);
      }
});

test('cut and paste are inverse, also beyond the border', () => {
  const volume = numbered([4, 5, 6]);
  const box = { start: [-1, 2, 3] as Dims, size: [4, 5, 2] as Dims };
  const part = cut(volume, box, -1);
  assert.is(part.data[0], -1);
  assert.is(part.data[(1 * 5 + 0) * 2], (0 * 5 + 2) * 6 + 3);
  assert.equal(apply(part.affine, [1, 0, 0]), apply(volume.affine, [0, 2, 3]));
  const canvas = volume.data.slice();
  canvas.fill(0);
  pasteArray(canvas, volume.dims, part.data, box);
  for (let i = 0; i < canvas.length; i++) assert.ok(canvas[i] === 0 || canvas[i] === volume.data[i]);
  assert.is(canvas[(2 * 5 + 4) * 6 + 4], volume.data[(2 * 5 + 4) * 6 + 4]);
});

test('foreground box and window', () => {
  const data = new Int16Array(5 * 6 * 7).fill(-1000);
  data[(2 * 6 + 3) * 7 + 1] = 40;
  data[(3 * 6 + 1) * 7 + 5] = 40;
  assert.equal(foregroundBox(data, [5, 6, 7], -500), { start: [2, 1, 1], size: [2, 3, 5] });
  assert.equal(foregroundBox(data, [5, 6, 7], -500, [4, 1, 1]), { start: [0, 0, 0], size: [5, 5, 7] });
  throwsCode(() => foregroundBox(data, [5, 6, 7], 100), 'foreground-empty');
  assert.equal(
    [...applyWindow(new Int16Array([-300, -175, 37.5, 250, 900]), [-175, 250])].map((v) => Math.round(v * 1e3)),
    [0, 0, 499, 1000, 1000],
  );
  throwsCode(() => applyWindow(new Float32Array([Number.NaN]), [0, 1]), 'volume-nonfinite');
  throwsCode(() => applyWindow(new Float32Array(1), [1, 1]), 'window-empty');
});

test('prepare and restore: labels come back to the input grid, in any orientation, organs at Dice ≥ 0.97', () => {
  const made = phantom({ seed: 3, index: 0, size: [64, 64, 48], spacing: [5, 5, 6] });
  const contract = {
    ...ABDOMEN,
    spacing: [2.5, 2.5, 3] as const,
    thickSlices: { above: 8, action: 'refuse' as const },
  };
  for (const orientation of [
    { axes: [0, 1, 2], flips: [false, false, false] },
    { axes: [1, 2, 0], flips: [true, false, true] },
  ] as const) {
    const image = reorient(made.image, orientation);
    const label = reorient(made.label, orientation);
    const ready = prepare(image, label, contract);
    assert.is(axisCodes(ready.affine), 'RAS');
    assert.ok(ready.image.every((v) => v >= 0 && v <= 1));
    assert.is(ready.label!.length, ready.image.length);
    const back = ready.restore(ready.label!);
    assert.equal(back.dims, image.dims);
    assert.equal(back.affine, image.affine);
    const { dice: scores } = dice(back.data, label.data, 8);
    for (const score of scores.slice(1)) assert.ok(score >= 0.97, `Dice ${scores.join(' ')}`);
    throwsCode(() => ready.restore(new Uint8Array(5)), 'volume-shape');
  }
});

test('prepare refuses thick slices, or keeps them and says so; other grids and bad contracts are errors', () => {
  const thick: Volume = { ...numbered([4, 4, 4]), affine: diagonalAffine([1, 1, 8]) };
  const air = { ...ABDOMEN, foreground: null };
  throwsCode(() => prepare(thick, undefined, air), 'volume-thick-slices');
  const kept = prepare(thick, undefined, { ...air, thickSlices: { above: 5, action: 'in-plane' } });
  assert.equal(kept.spacing, [1.5, 1.5, 8]);
  assert.match(kept.notes[0]!, /8\.00 mm along S kept/);
  throwsCode(() => prepare(thick, numbered([4, 4, 3]), air), 'volume-grids');
  throwsCode(() => preprocessFrom({ ...ABDOMEN, spacing: [1, 0, 1] }), 'preprocess-invalid');
  throwsCode(() => preprocessFrom(null), 'preprocess-invalid');
  assert.equal(preprocessFrom(JSON.parse(JSON.stringify(ABDOMEN))), ABDOMEN);
});

test('nearest resampling to the same grid is the identity', () => {
  const volume = numbered([3, 4, 5]);
  assert.equal([...resampleNearest(volume, volume).data], [...volume.data]);
});

test('Dice: empty classes are NaN, left out and counted', () => {
  const result = dice(new Uint8Array([0, 1, 1, 2]), new Uint8Array([0, 1, 0, 0]), 4);
  assert.ok(Math.abs(result.dice[1]! - 2 / 3) < 1e-12);
  assert.ok(Number.isNaN(result.dice[2]!) && Number.isNaN(result.dice[3]!));
  assert.is(result.empty, 2);
  assert.ok(Math.abs(result.mean - 2 / 3) < 1e-12);
  const text = showDice(dicePerClass([result.dice, [1, 0.5, 0.25, Number.NaN]]), ['', 'liver', 'spleen', 'cyst']);
  assert.is(text, 'liver 0.583, spleen 0.250 (1 of 2 empty), cyst – (empty in all 2), mean 0.417 over 2 classes');
  throwsCode(() => dice(new Uint8Array(3), new Uint8Array(4), 2), 'dice-shape');
});

test('components: connectivity, largest kept per label', () => {
  const dims: Dims = [3, 3, 4];
  const labels = new Uint8Array(36);
  const put = (i: number, j: number, k: number, v: number) => {
    labels[(i * 3 + j) * 4 + k] = v;
  };
  put(0, 0, 0, 1);
  put(1, 1, 1, 1); // touches the first by a corner
  put(2, 2, 3, 1);
  put(0, 2, 3, 2);
  assert.is(connectedComponents(labels, dims, 26).components.length, 3);
  assert.is(connectedComponents(labels, dims, 6).components.length, 4);
  const kept = keepLargest(labels, dims);
  assert.is(kept.removed, 1);
  assert.is(kept.labels[(2 * 3 + 2) * 4 + 3], 0);
  assert.is(kept.labels[(0 * 3 + 2) * 4 + 3], 2);
  assert.is(keepLargest(labels, dims, { labels: [2] }).removed, 0);
});

test.run();
