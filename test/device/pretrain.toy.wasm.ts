// T3D pre-trained for a moment on studies whose pattern their report names: `diagnose` tells that it looks; `ground` shows where.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import t3d from '../../models/t3d/index.ts';
import { type Inputs, open, type Session } from '../../runtime/index.ts';
import { classes, uniform } from '../counters.ts';

const [B, K, N, T] = [8, 2, 12, 8];
const VOXELS = N ** 3;

let session: Session;
test.before(async () => {
  const set = {
    backbone: 'unet',
    channels: [8, 16],
    size: [N, N, N],
    batch: B,
    textTokens: T,
    text: { vocabSize: 16, hiddenSize: 16, intermediateSize: 32, layers: 1, heads: 2, maxPositions: T },
    pretrain: { tiles: K, tileBatch: B, sentences: 2, lambdaTir: 0, agreement: 1 },
    lr: 1e-2,
    schedule: 'constant',
    warmup: 0,
  };
  const built = await build(t3d, { entries: ['pretrain', 'diagnose', 'ground'], targets: ['wasm'], set });
  session = await open(built.files, { device: 'wasm', threads: 2, seed: 2, onNotice: () => {} });
});
test.after(() => session?.close());

/** Patterns that a study may show, one a kind: stripes of two widths along each axis, a checkerboard, and none. */
const PATTERNS: readonly ((z: number, y: number, x: number) => number)[] = [
  (z) => z % 2,
  (_, y) => y % 2,
  (_, __, x) => x % 2,
  (z) => (z >> 1) % 2,
  (_, y) => (y >> 1) % 2,
  (_, __, x) => (x >> 1) % 2,
  (z, y, x) => (z + y + x) % 2,
  () => 1,
];

/** Of each study the tile that shows its kind; and which kind, in the order of the reports moved by `by`. */
const tileOf = (key: string): Int32Array => classes(6, `${key} tile`, B, K);
function batch(key: string, by = 0): Inputs {
  const tiles = uniform(6, key, B * K * VOXELS, 0.3, 0.5);
  const at = tileOf(key);
  for (let b = 0; b < B; b++) {
    const from = (b * K + at[b]!) * VOXELS;
    const pattern = PATTERNS[(b + by) % B]!;
    // a block of 8 voxels a side
    for (let z = 2; z < 10; z++)
      for (let y = 2; y < 10; y++)
        for (let x = 2; x < 10; x++) tiles[from + (z * N + y) * N + x]! += 1.5 * pattern(z, y, x);
  }
  // [CLS] kind word word word [SEP], the second sentence the same in all
  const row = (b: number): number[] => [1, 4 + b, 3, 13, 14, 15, 2, 0];
  return {
    tiles,
    input_ids: Int32Array.from(Array.from({ length: B }, (_, b) => row(b)).flat()),
    attention_mask: Int32Array.from({ length: B * T }, (_, i) => (i % T < 7 ? 1 : 0)),
    sentence_ids: Int32Array.from(Array.from({ length: B }, () => [0, 1, 1, 2, 2, 2, 0, 0]).flat()),
    pair_mask: new Int32Array(B * B).fill(1),
  };
}

const value = (x: unknown): number => (x as Float32Array)[0]!;
const diagnosed = async (key: string, by = 0) => {
  const out = await session.entries.diagnose!(batch(key, by));
  return { accuracy: value(out.accuracy), slope: value(out.grad_tokens), tcl: value(out.tcl) };
};

const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;

test('after some steps reports find their own studies, and others no better than chance', async () => {
  const { slope } = await diagnosed('a');
  assert.ok(slope > 0.1, `the loss depends on the images: ${slope}`);
  const batches = Array.from({ length: 60 }, (_, i) => batch(`${i}`));
  for await (const _ of session.train('pretrain', batches));
  const own: Awaited<ReturnType<typeof diagnosed>>[] = [];
  for (const key of ['a', 'b', 'c', 'd']) own.push(await diagnosed(key));
  const shuffled: number[] = [];
  for (let by = 1; by < B; by++) shuffled.push((await diagnosed('a', by)).accuracy);
  assert.ok(mean(own.map((o) => o.accuracy)) > 0.9, `own: ${JSON.stringify(own)}`);
  assert.ok(mean(own.map((o) => o.tcl)) < 0.2 * Math.log(B), `own: ${JSON.stringify(own)}`);
  assert.ok(
    own.every((o) => o.slope > 1e-4),
    `own: ${JSON.stringify(own)}`,
  );
  assert.ok(mean(shuffled) < 2 / B, `shuffled: ${shuffled}`);
});

test('ground: weights of a study’s tokens add up to one, and go with their tile', async () => {
  const takes = session.manifest.entries.ground!.inputs.map((i) => i.name);
  const weights = async (inputs: Inputs): Promise<Float32Array> => {
    const given = Object.fromEntries(takes.map((n) => [n, inputs[n]!]));
    return (await session.entries.ground!(given)).attention as Float32Array; // [b s k n]
  };
  const inputs = batch('a');
  const tiles = inputs.tiles as Float32Array;
  const swapped = tiles.map((_, i) => tiles[(Math.floor(i / VOXELS) ^ 1) * VOXELS + (i % VOXELS)]!);
  const [a, other] = [await weights(inputs), await weights({ ...inputs, tiles: swapped })];
  const n = a.length / (B * 2 * K);
  assert.is(n, 27);
  for (let row = 0; row < B * 2; row++) {
    const of = (x: Float32Array, k: number): Float32Array => x.subarray((row * K + k) * n, (row * K + k + 1) * n);
    const sum = [...of(a, 0), ...of(a, 1)].reduce((p, v) => p + v, 0);
    assert.ok(Math.abs(sum - 1) < 1e-5, `${sum}`);
    const apart = Math.max(...of(a, 0).map((v, i) => Math.abs(v - of(other, 1)[i]!)));
    assert.ok(apart < 1e-6 && Math.max(...of(a, 0)) > 1e-3, `${apart}`);
  }
});

test.run();
