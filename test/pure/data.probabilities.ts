// Probability files, assembled from slabs, against probabilities held whole.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ABDOMEN,
  type Dims,
  diagonalAffine,
  type Orientation,
  type Placement,
  type ProbabilitySlab,
  prepare,
  reorient,
  restoreOrientation,
  segmentScan,
  stream,
  type Volume,
  voxelCount,
} from '../../data/index.ts';
import { ProbabilityFiles, readVolume } from '../../data/node.ts';

const NAMES = ['background', 'right kidney', 'Leber/links'];
const roi: Dims = [6, 7, 5];

function scan(turn: Orientation): Volume {
  const dims: Dims = [15, 12, 11];
  const s = stream(3);
  const data = Int16Array.from({ length: voxelCount(dims) }, (_, at) => {
    const i = Math.floor(at / 132);
    return i < 2 || i > 12 || at % 11 === 0 ? -1000 : Math.floor(s.uniform() * 400 - 170);
  });
  return reorient({ data, dims, affine: diagonalAffine([1, 2, 1.5], [4, 5, 6]) }, turn);
}

const predict = (patch: Float32Array) =>
  Float32Array.from({ length: 3 * patch.length }, (_, i) => 4 * Math.sin(i % 89) * patch[i % patch.length]!);

const TURNS: readonly Orientation[] = [
  { axes: [0, 1, 2], flips: [false, false, false] },
  { axes: [0, 1, 2], flips: [true, true, true] },
  { axes: [2, 0, 1], flips: [false, true, false] },
  { axes: [1, 2, 0], flips: [true, false, true] },
  { axes: [0, 2, 1], flips: [false, false, true] },
];

test('files hold the probabilities on the scan grid, in any orientation, in strips or not', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-probabilities-'));
  try {
    for (const [n, turn] of TURNS.entries())
      for (const type of ['uint16', 'float32'] as const) {
        const image = scan(turn);
        const prepared = prepare(image, undefined, {
          ...ABDOMEN,
          spacing: [1.4, 1.7, 1.9],
          foreground: { above: -500, margin: 0 },
        });
        const { placement } = prepared;
        const { dims } = placement.canonical;
        const expected = NAMES.map((_, c) => new Float32Array(voxelCount(dims)).fill(c === 0 ? 1 : 0));
        const folder = join(dir, `${n}-${type}`);
        const files = await ProbabilityFiles.create(folder, NAMES, type);
        const onProbabilities = (slab: ProbabilitySlab) => {
          files.add(slab, placement);
          const { start, size } = slab.box;
          const plane = size[1] * size[2];
          for (let p = 0; p < plane; p++)
            for (let c = 0; c < 3; c++)
              expected[c]![
                (start[0] * dims[1] + start[1] + Math.floor(p / size[2])) * dims[2] + start[2] + (p % size[2])
              ] = slab.values[c * plane + p]!;
        };
        await segmentScan(prepared, predict, { roi, classes: 3, maxBytes: n % 2 ? 3000 : undefined, onProbabilities });
        const progress: number[] = [];
        const paths = await files.finish({ onProgress: (done) => progress.push(done) });
        assert.equal(progress, [1, 2, 3]);
        assert.equal((await readdir(folder)).sort(), [
          '00-background.nii.gz',
          '01-right-kidney.nii.gz',
          '02-Leber-links.nii.gz',
        ]);
        for (const [c, path] of paths.entries()) {
          const found = await readVolume(path);
          assert.equal(found.dims, image.dims);
          assert.ok(found.affine.every((v, i) => Math.abs(v - image.affine[i]!) < 1e-5));
          assert.is(found.header?.description, `probability of ${NAMES[c]}`);
          const own = restoreOrientation({ ...placement.canonical, data: expected[c]! }, placement.orientation).data;
          const worst = own.reduce((most, v, i) => Math.max(most, Math.abs(v - found.data[i]!)), 0);
          assert.ok(worst <= (type === 'uint16' ? 0.5 / 65535 + 1e-7 : 0), `turn ${n}, class ${c}, ${type}: ${worst}`);
        }
      }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('an abort leaves no half file, and discard no spool', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-probabilities-'));
  try {
    const prepared = prepare(scan(TURNS[0]!), undefined, ABDOMEN);
    const files = await ProbabilityFiles.create(dir, NAMES);
    const onProbabilities = (slab: ProbabilitySlab, placement: Placement = prepared.placement) =>
      files.add(slab, placement);
    await segmentScan(prepared, predict, { roi, classes: 3, onProbabilities });
    await files.finish({ signal: AbortSignal.abort(new Error('enough')) }).then(
      () => assert.unreachable(),
      (err) => assert.is(err.message, 'enough'),
    );
    await files.discard();
    assert.equal(await readdir(dir), []);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
