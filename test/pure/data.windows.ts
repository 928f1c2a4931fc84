// Sliding windows: what test/pure/data.monai.ts does not compare with MONAI.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  blendWindows,
  type Dims,
  isDataError,
  type Predict,
  segmentWindows,
  stream,
  voxelCount,
  withMirrors,
} from '../../data/index.ts';

async function rejectsCode(promise: Promise<unknown>, code: string): Promise<void> {
  try {
    await promise;
  } catch (err) {
    assert.ok(isDataError(err, code), String(err));
    return;
  }
  assert.unreachable(`expected ${code}`);
}

function noise(dims: Dims, seed = 1): Float32Array {
  const s = stream(seed);
  return Float32Array.from({ length: voxelCount(dims) }, () => s.uniform());
}

/** Three classes whose logits are functions of the voxel alone, so that any blending returns them. */
const pointwise: Predict = (patch) => {
  const out = new Float32Array(3 * patch.length);
  patch.forEach((v, i) => {
    out[i] = v;
    out[patch.length + i] = 1 - v;
    out[2 * patch.length + i] = 0.6;
  });
  return out;
};
const pointLabel = (v: number) =>
  [v, Math.fround(1 - v), Math.fround(0.6)].reduce((best, x, c, all) => (x > all[best]! ? c : best), 0);

/** Three classes that look at a voxel's neighbours and at its place in the window, so that every blending step shows. */
const blurred: Predict = (patch) => {
  const out = new Float32Array(3 * patch.length);
  for (let i = 0; i < patch.length; i++) {
    const near = patch[(i + 1) % patch.length]! - patch[(i + patch.length - 1) % patch.length]!;
    out[i] = patch[i]! + 0.1 * Math.sin(i);
    out[patch.length + i] = 0.5 + near;
    out[2 * patch.length + i] = 0.6 + 0.1 * Math.cos(i);
  }
  return out;
};

test('labels are the argmax of the blended logits, for volumes larger and smaller than the roi', async () => {
  for (const dims of [
    [11, 9, 13],
    [3, 9, 5],
    [6, 6, 6],
  ] as const) {
    const image = noise(dims);
    const options = { roi: [6, 6, 6] as Dims, classes: 3, overlap: 0.5 };
    const labels = await segmentWindows(image, dims, pointwise, options);
    const blended = await blendWindows(image, dims, pointwise, options);
    image.forEach((v, i) => {
      assert.ok(Math.abs(blended[i]! - v) < 1e-5);
      if (Math.abs(v - 0.6) > 1e-4 && Math.abs(v - 0.4) > 1e-4) assert.is(labels[i], pointLabel(v));
    });
  }
});

test('more than 256 classes give 16-bit labels', async () => {
  const dims: Dims = [4, 4, 4];
  const labels = await segmentWindows(
    new Float32Array(64),
    dims,
    () => Float32Array.from({ length: 300 * 64 }, (_, i) => (Math.floor(i / 64) === 290 ? 1 : 0)),
    { roi: dims, classes: 300 },
  );
  assert.ok(labels instanceof Uint16Array && labels.every((l) => l === 290));
});

test('progress counts every window; abort stops with the reason', async () => {
  const seen: number[] = [];
  const dims: Dims = [10, 6, 6];
  await segmentWindows(noise(dims), dims, pointwise, {
    roi: [6, 6, 6],
    classes: 3,
    onProgress: (done, total) => {
      assert.is(total, 3);
      seen.push(done);
    },
  });
  assert.equal(seen, [1, 2, 3]);
  const control = new AbortController();
  let calls = 0;
  const run = segmentWindows(noise(dims), dims, pointwise, {
    roi: [6, 6, 6],
    classes: 3,
    signal: control.signal,
    onProgress: () => ++calls === 1 && control.abort(new Error('enough')),
  });
  await run.then(
    () => assert.unreachable(),
    (err) => assert.is(err.message, 'enough'),
  );
  assert.is(calls, 1);
});

test('faults are named', async () => {
  const dims: Dims = [8, 8, 8];
  const options = { roi: [4, 4, 4] as Dims, classes: 2 };
  await rejectsCode(
    segmentWindows(noise(dims), dims, () => new Float32Array(7), options),
    'predict-shape',
  );
  await rejectsCode(
    segmentWindows(noise(dims), dims, () => new Float32Array(128).fill(Number.NaN), options),
    'predict-nonfinite',
  );
  await rejectsCode(segmentWindows(noise(dims), dims, pointwise, { ...options, maxBytes: 383 }), 'windows-memory');
  await rejectsCode(blendWindows(noise(dims), dims, pointwise, { ...options, maxBytes: 4095 }), 'windows-memory');
  await rejectsCode(segmentWindows(noise(dims), dims, pointwise, { ...options, overlap: 1 }), 'windows-options');
  await rejectsCode(segmentWindows(new Float32Array(5), dims, pointwise, options), 'windows-options');
});

test('mirrors: a pointwise model is unchanged, a position-dependent one is averaged over its mirror images', async () => {
  const roi: Dims = [2, 3, 4];
  const patch = noise(roi);
  const same = await withMirrors(pointwise, roi, 3, { axes: [0, 1, 2] })(patch, [0, 0, 0]);
  const plain = (await pointwise(patch, [0, 0, 0])) as Float32Array;
  assert.ok(same.every((v, i) => Math.abs(v - plain[i]!) < 1e-6));
  const ramp: Predict = (p) => Float32Array.from(p, (_, i) => i % 4);
  const flat = await withMirrors(ramp, roi, 1, { axes: [2] })(patch, [0, 0, 0]);
  assert.ok(flat.every((v) => v === 1.5));
});

test('mirrors: classes with a side change places with the right-left axis, and only with that', async () => {
  const roi: Dims = [4, 2, 2];
  // Class 1 is whatever is bright in the first half along d, class 2 in the second: right and left.
  const sided: Predict = (p) => {
    const out = new Float32Array(3 * 16);
    p.forEach((v, i) => {
      out[(i < 8 ? 16 : 32) + i] = v;
    });
    return out;
  };
  const patch = noise(roi);
  const plain = sided(patch, [0, 0, 0]) as Float32Array;
  const pairs = [[1, 2]] as const;
  const swapped = await withMirrors(sided, roi, 3, { axes: [0, 1], pairs })(patch, [0, 0, 0]);
  swapped.forEach((v, i) => {
    assert.ok(Math.abs(v - plain[i]!) < 1e-6);
  });
  const unswapped = await withMirrors(sided, roi, 3, { axes: [0] })(patch, [0, 0, 0]);
  assert.ok(Math.abs(unswapped[16]! - plain[16]! / 2) < 1e-6 && Math.abs(unswapped[32]! - plain[16]! / 2) < 1e-6);
});

test('a bound on memory changes the work, not a bit of the result', async () => {
  const dims: Dims = [9, 17, 7];
  const image = noise(dims, 4);
  const options = { roi: [4, 6, 5] as Dims, classes: 3, overlap: 0.6 };
  const row = (options.classes + 1) * 4 * dims[2] * 4;
  const whole = await segmentWindows(image, dims, blurred, options);
  const logits = await blendWindows(image, dims, blurred, options);
  let least = 0;
  for (const rows of [1, 2, 5, 16, 17]) {
    let windows = 0;
    const bounded = { ...options, maxBytes: rows * row, onProgress: (_: number, total: number) => (windows = total) };
    assert.equal([...(await segmentWindows(image, dims, blurred, bounded))], [...whole], `${rows} rows`);
    if (rows === 17) least = windows;
    else assert.ok(windows > least);
    const held = { ...options, maxBytes: Math.max(rows * row, logits.byteLength) };
    assert.equal([...(await blendWindows(image, dims, blurred, held))], [...logits]);
  }
});

test.run();
