// Labels on the scan's own grid from logits that are never held whole, against all of them held, resampled and arg-maxed.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ABDOMEN,
  blendWindows,
  type Dims,
  diagonalAffine,
  type Orientation,
  type Predict,
  type Prepared,
  type Preprocess,
  prepare,
  reorient,
  resampleLinear,
  restoreOrientation,
  segmentScan,
  segmentWindows,
  stream,
  type Volume,
  voxelCount,
  withMirrors,
} from '../../data/index.ts';
import { pasteArray } from '../../data/pad.ts';

const CLASSES = 4;
const roi: Dims = [8, 9, 7];

/** A scan of noise, with air around a body. */
function scan(dims: Dims, spacing: readonly [number, number, number], turn?: Orientation): Volume {
  const s = stream(dims[0] + 7 * dims[2]);
  const inside = (i: number, j: number) => i > 1 && i < dims[0] - 2 && j > 0 && j < dims[1] - 3;
  const data = Int16Array.from({ length: voxelCount(dims) }, (_, at) => {
    const j = Math.floor(at / dims[2]) % dims[1];
    return inside(Math.floor(at / (dims[1] * dims[2])), j) ? Math.floor(s.uniform() * 400 - 170) : -1000;
  });
  const volume = { data, dims, affine: diagonalAffine(spacing, [-20, 7, 3]) };
  return turn ? reorient(volume, turn) : volume;
}

/** Logits that depend on a voxel, its neighbours and its place in the window. */
const predict: Predict = (patch) => {
  const n = patch.length;
  const out = new Float32Array(CLASSES * n);
  for (let c = 0; c < CLASSES; c++)
    for (let i = 0; i < n; i++)
      out[c * n + i] =
        Math.sin((c + 1) * 3 * patch[i]! + c) + 0.3 * patch[(i + 5 * c + 1) % n]! + 0.05 * Math.cos(i * (c + 1));
  return out;
};

/** All logits held, resampled whole and arg-maxed. */
async function whole(prepared: Prepared, model: Predict, overlap: number): Promise<Uint8Array> {
  const { dims, affine, placement } = prepared;
  const logits = await blendWindows(prepared.image, dims, model, { roi, classes: CLASSES, overlap });
  const n = voxelCount(dims);
  const grid = { dims: placement.box.size, affine: placement.boxAffine };
  const planes = Array.from(
    { length: CLASSES },
    (_, c) => resampleLinear({ data: logits.subarray(c * n, (c + 1) * n), dims, affine }, grid).data,
  );
  const labels = Uint8Array.from(planes[0]!, (_, p) => {
    let best = 0;
    for (let c = 1; c < CLASSES; c++) if (planes[c]![p]! > planes[best]![p]!) best = c;
    return best;
  });
  const full = new Uint8Array(voxelCount(placement.canonical.dims));
  pasteArray(full, placement.canonical.dims, labels, placement.box);
  return restoreOrientation({ ...placement.canonical, data: full }, placement.orientation).data;
}

const TURN: Orientation = { axes: [1, 2, 0], flips: [true, false, true] };
const CASES: readonly { scan: Volume; spacing: Preprocess['spacing'] }[] = [
  { scan: scan([23, 19, 17], [1, 1.3, 2.7]), spacing: [1.5, 1.5, 2] },
  { scan: scan([11, 29, 13], [3, 0.9, 2], TURN), spacing: [1.5, 1.7, 2.5] },
  { scan: scan([21, 20, 5], [1, 1, 4], { axes: [2, 0, 1], flips: [false, true, true] }), spacing: [2.2, 1.9, 1.1] },
  { scan: scan([13, 17, 19], [2, 2, 2]), spacing: null },
];

for (const tta of [false, true]) {
  test(`tiles give the labels of the whole, to the bit${tta ? ', with mirrors' : ''}`, async () => {
    const mirrors = { axes: [0, 1, 2], pairs: [[1, 2]] as const };
    const model = tta ? withMirrors(predict, roi, CLASSES, mirrors) : predict;
    for (const { scan: image, spacing } of CASES)
      for (const foreground of [ABDOMEN.foreground, null]) {
        const prepared = prepare(image, undefined, { ...ABDOMEN, spacing, foreground });
        const options = { roi, classes: CLASSES, overlap: 0.4 };
        const expected = await whole(prepared, model, 0.4);
        const found = await segmentScan(prepared, model, options);
        assert.equal(found.labels.dims, image.dims);
        assert.equal(found.labels.affine, image.affine);
        assert.equal([...found.labels.data], [...expected]);
        assert.ok(new Set(expected).size === CLASSES, 'every class is there');
        // In strips of few rows: more windows, the same labels.
        const bounded = {
          ...options,
          maxBytes: ((CLASSES + 1) * roi[0] + 2 * CLASSES) * Math.max(prepared.dims[2], roi[2]) * 4 * 3,
        };
        const strips = await segmentScan(prepared, model, bounded);
        assert.ok(strips.windows > found.windows);
        assert.equal([...strips.labels.data], [...expected]);
      }
  });
}

test('nearest: the labels of the prepared grid, brought back as Prepared.restore does', async () => {
  for (const { scan: image, spacing } of CASES) {
    const prepared = prepare(image, undefined, { ...ABDOMEN, spacing });
    const options = { roi, classes: CLASSES, resample: 'nearest' as const };
    const expected = prepared.restore(await segmentWindows(prepared.image, prepared.dims, predict, options));
    for (const maxBytes of [undefined, 2 * (CLASSES + 1) * roi[0] * Math.max(prepared.dims[2], roi[2]) * 4]) {
      const { labels } = await segmentScan(prepared, predict, { ...options, maxBytes });
      assert.equal([...labels.data], [...expected.data]);
      assert.equal(labels.affine, expected.affine);
      assert.equal(labels.header, expected.header);
    }
  }
});

test('probabilities: every voxel of the box once, summing to 1, the label the highest', async () => {
  for (const resample of ['linear', 'nearest'] as const)
    for (const maxBytes of [undefined, 20_000]) {
      const { scan: image, spacing } = CASES[0]!;
      const prepared = prepare(image, undefined, { ...ABDOMEN, spacing });
      const { box } = prepared.placement;
      const seen = new Uint8Array(voxelCount(image.dims));
      const highest = new Uint8Array(seen.length);
      const { labels } = await segmentScan(prepared, predict, {
        roi,
        classes: CLASSES,
        resample,
        maxBytes,
        onProbabilities: ({ box: { start, size }, values }) => {
          const plane = size[1] * size[2];
          assert.is(values.length, CLASSES * plane);
          for (let p = 0; p < plane; p++) {
            const of = Array.from({ length: CLASSES }, (_, c) => values[c * plane + p]!);
            assert.ok(Math.abs(of.reduce((a, b) => a + b) - 1) < 1e-6);
            const at =
              (start[0] * image.dims[1] + start[1] + Math.floor(p / size[2])) * image.dims[2] +
              start[2] +
              (p % size[2]);
            seen[at]!++;
            highest[at] = of.indexOf(Math.max(...of));
          }
        },
      });
      assert.is(
        seen.reduce((a, b) => a + b),
        voxelCount(box.size),
      );
      assert.ok(seen.every((n, at) => n < 2 && (n === 0 ? labels.data[at] === 0 : labels.data[at] === highest[at])));
    }
});

test('memory: what is held beside image and labels is a ring of slabs, whatever the depth', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  // Buffers are given back a little after the collection that frees them.
  const collect = async () => {
    for (let n = 0; n < 3; n++) {
      gc();
      await new Promise((done) => setTimeout(done, 2));
    }
  };
  const classes = 24;
  const patch: Dims = [8, 8, 8];
  const logits = new Float32Array(classes * 512).map((_, i) => Math.sin(i));
  const peak = async (depth: number) => {
    const dims: Dims = [depth, 40, 40];
    const image = scan(dims, [1, 1, 1]);
    const prepared = prepare(image, undefined, { ...ABDOMEN, spacing: [1.25, 1.25, 1.25], foreground: null });
    await collect();
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    let calls = 0;
    const model = async () => {
      if (calls++ % 70 === 69) {
        await collect();
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
      return logits;
    };
    const { labels } = await segmentScan(prepared, model, { roi: patch, classes });
    return most - labels.data.byteLength;
  };
  const shallow = await peak(40);
  const deep = await peak(160);
  const slab = classes * 32 * 32 * 4;
  assert.ok(deep < 12 * slab, `${deep} bytes held, ${deep / slab} slabs of logits`);
  assert.ok(Math.abs(deep - shallow) < slab, `${shallow} and ${deep} bytes`);
  assert.ok(160 * 40 * 40 * 4 * classes > 20 * deep, 'the logits of the whole would be far more');
});

test('abort stops with the reason', async () => {
  const prepared = prepare(CASES[0]!.scan, undefined, ABDOMEN);
  const control = new AbortController();
  const options = {
    roi,
    classes: CLASSES,
    signal: control.signal,
    onProgress: () => control.abort(new Error('enough')),
  };
  await segmentScan(prepared, predict, options).then(
    () => assert.unreachable(),
    (err) => assert.is(err.message, 'enough'),
  );
});

test.run();
