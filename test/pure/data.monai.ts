// The data room against MONAI and nibabel: test/golden/data.json comes from test/reference/data.py.

import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { distance } from '../../data/affine.ts';
import { rotate90 } from '../../data/augment.ts';
import {
  axisCodes,
  blendWindows,
  type Dims,
  diagonalAffine,
  dice,
  importanceMap,
  padTo,
  resampleImage,
  resampleLabels,
  voxelCount,
  windowStarts,
} from '../../data/index.ts';

type Triple = [number, number, number];
const golden = JSON.parse(readFileSync(new URL('../golden/data.json', import.meta.url), 'utf8'));

function pattern(dims: Dims, step: Triple = [7, 13, 5], modulus = 17): Float32Array {
  const out = new Float32Array(voxelCount(dims));
  for (let i = 0, at = 0; i < dims[0]; i++)
    for (let j = 0; j < dims[1]; j++)
      for (let k = 0; k < dims[2]; k++) out[at++] = (step[0] * i + step[1] * j + step[2] * k) % modulus;
  return out;
}

function close(found: ArrayLike<number>, expected: readonly number[], tolerance: number, what: string): void {
  assert.is(found.length, expected.length, `${what}: length`);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(found[i]! - expected[i]!));
  assert.ok(worst <= tolerance, `${what}: worst difference ${worst}`);
}

test('resampling follows MONAI Spacing: size, affine, trilinear and nearest values', () => {
  for (const c of golden.spacing) {
    const volume = { data: pattern(c.dims), dims: c.dims as Dims, affine: diagonalAffine(c.old, [10, -20, 30]) };
    const image = resampleImage(volume, c.new);
    assert.equal([...image.dims], c.out);
    assert.ok(distance(image.affine, c.affine) < 1e-5);
    close(image.data, c.bilinear, 2e-4, 'bilinear');
    // MONAI computes coordinates in float32: at an exact half either neighbour may be taken.
    const labels = resampleLabels(volume, c.new).data;
    const other = labels.reduce((n, v, i) => n + (v === c.nearest[i] ? 0 : 1), 0);
    const halves = c.old[0] === 3 ? 1 : 0;
    assert.ok(other <= halves * labels.length * 0.6, `nearest: ${other} of ${labels.length} differ`);
  }
});

test('window starts and blended logits follow MONAI sliding_window_inference', async () => {
  for (const c of golden.windows) {
    const dims = c.dims as Dims;
    const roi = c.roi as Dims;
    const local = pattern(roi, [3, 5, 11], 7);
    const n = voxelCount(roi);
    const padded = dims.map((v, a) => Math.max(v, roi[a]!)) as unknown as Dims;
    assert.equal(windowStarts(padded, roi, c.overlap), c.starts);
    const blended = await blendWindows(
      pattern(dims),
      dims,
      (patch) => {
        const out = new Float32Array(3 * n);
        out.set(patch);
        for (let i = 0; i < n; i++) out[n + i] = patch[i]! * local[i]!;
        out.set(local, 2 * n);
        return out;
      },
      { roi, classes: 3, overlap: c.overlap, mode: c.mode },
    );
    close(blended, c.blended, 1e-3, `blend ${dims}`);
  }
});

test('importance map follows MONAI', () => {
  for (const c of golden.importance) close(importanceMap(c.roi), c.map, 1e-6, `importance ${c.roi}`);
});

test('axis codes of oblique affines follow nibabel', () => {
  for (const c of golden.orientation) assert.is(axisCodes(c.affine), c.codes);
});

test('Dice, quarter turns and padding follow MONAI and NumPy', () => {
  const dims: Dims = [6, 6, 6];
  const result = dice(pattern(dims, [1, 2, 3], 5), pattern(dims, [2, 1, 3], 4), 6);
  golden.dice.forEach((v: number | null, c: number) => {
    if (v === null) assert.ok(Number.isNaN(result.dice[c]));
    else assert.ok(Math.abs(result.dice[c]! - v) < 1e-5);
  });
  close(rotate90(pattern([3, 2, 3]), [3, 2, 3], [0, 2]), golden.rot90, 0, 'rot90');
  const small = { data: pattern([3, 5, 3]), dims: [3, 5, 3] as Dims, affine: diagonalAffine([1, 1, 1]) };
  close(padTo(small, [6, 5, 4], -1).data, golden.pad, 0, 'pad');
});

test.run();
