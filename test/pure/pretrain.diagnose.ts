// Diagnostics of leaks on a stand-in for a session whose losses are known; features of frozen text layers, computed once for each row.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError } from '../../data/errors.ts';
import { type Dims, diagonalAffine, type Volume } from '../../data/index.ts';
import { ABDOMEN } from '../../data/prepare.ts';
import { TextTokenizer } from '../../data/tokens.ts';
import { tokenizerJson, trainWordPiece } from '../../data/wordpiece.ts';
import type { Session } from '../../runtime/index.ts';
import { diagnoseLeaks, usedText } from '../../tasks/diagnose.ts';
import { frozenText } from '../../tasks/frozen-text.ts';
import { LesionStore, lesionsShown } from '../../tasks/lesion-store.ts';
import type { PretrainBatch } from '../../tasks/pretrain-batches.ts';
import type { PretrainContract } from '../../tasks/pretrain-contract.ts';

const tokenizer = new TextTokenizer(tokenizerJson(trainWordPiece(['liver cyst'], 40)));
const contract = {
  method: 't3d',
  takes: 'whole',
  batch: 3,
  size: [1, 1, 1],
  tiles: 2,
  restored: 1,
  text: { length: 4, sentences: 2, vocabulary: 40, padId: 0, hidden: null, restores: true },
  pairs: true,
  sentenceIds: true,
  rotation: false,
} as unknown as PretrainContract;

/** Study b's tiles and tokens are all b + 10. */
const batch: PretrainBatch = {
  inputs: {
    tiles: Float32Array.from([10, 10, 11, 11, 12, 12]),
    input_ids: Int32Array.from([10, 11, 12].flatMap((v) => [v, v, v, v])),
    attention_mask: new Int32Array(12).fill(1),
    sentence_ids: new Int32Array(12).fill(1),
    pair_mask: new Int32Array(9).fill(1),
  },
  items: [],
  rows: [10, 11, 12].map((v) => ({
    ids: new Int32Array(4).fill(v),
    mask: new Int32Array(4).fill(1),
    sentence: new Int32Array(4).fill(1),
    used: [0],
  })),
};

/** Its accuracy counts studies whose tiles equal their tokens (of the text alone: always 1); its restoration is 0.1 worse with another's
 *  report. */
const stand = (textAlone: boolean): Session =>
  ({
    entry: () => ({}),
    entries: {
      diagnose: async ({ tiles, input_ids }: Record<string, Float32Array | Int32Array>) => {
        const own = [0, 1, 2].filter(
          (b) => tiles![2 * b] === input_ids![4 * b] && tiles![2 * b + 1] === input_ids![4 * b],
        );
        const swapped = [0, 1, 2].filter((b) => input_ids![4 * b] !== b + 10).length;
        const one = (v: number) => Float32Array.of(v);
        return {
          tcl: one(2),
          tir: one(0.5 + 0.1 * swapped),
          accuracy: one(textAlone ? 1 : own.length / 3),
          grad_tokens: one(textAlone ? 0 : 3),
        };
      },
    },
  }) as unknown as Session;

const options = { tokenizer, lambdas: { tcl: 2, tir: 3 } };

test('images and reports are exchanged, and what follows is told', async () => {
  const d = await diagnoseLeaks(stand(false), contract, [batch, batch], 2, options);
  assert.is(d.batches, 2);
  assert.is(d.accuracy, 1);
  assert.is(d.accuracyImagesShuffled, 0);
  assert.is(d.accuracyTextNull, 0);
  assert.is(d.gradTokens, 3);
  assert.ok(Math.abs(d.deltaText! - 0.3) < 1e-6);
  assert.is(usedText(d), true);
  assert.ok(Math.abs(d.loss - (2 * 2 + 3 * 0.5)) < 1e-6);
  assert.is(batch.inputs.tiles![0], 10, 'the batch is as it was');
});

test('a loss that the text alone solves is found out', async () => {
  const d = await diagnoseLeaks(stand(true), contract, [batch], 1, options);
  assert.is(d.accuracyImagesShuffled, 1);
  assert.is(d.gradTokens, 0);
});

test('what a report is worth on corrupted voxels of lesions, and how many of them were shown', async () => {
  // Two voxels a tile; the study is four tiles in a row, and its lesions are the voxels 2, 3, 4 and 7.
  const size: Dims = [1, 1, 2];
  const labels = Uint8Array.of(0, 0, 5, 5, 5, 0, 0, 5);
  const affine = diagonalAffine([1, 1, 1]);
  const volume = (data: Int16Array | Uint8Array): Volume => ({ data, dims: [1, 1, 8], affine });
  const preprocess = { ...ABDOMEN, spacing: null, foreground: null };
  const c = { ...contract, size, batch: 2, restored: 1, tiles: 2, preprocess } as unknown as PretrainContract;
  const pairs = [
    {
      name: 'a',
      load: async () => volume(new Int16Array(8).fill(10)),
      loadLabel: async () => volume(labels),
    },
    { name: 'b', load: async () => volume(new Int16Array(8)) },
    {
      name: 'c',
      load: async () => volume(new Int16Array(8)),
      loadLabel: () => Promise.reject(new DataError('file-missing', 'gone', { fix: 'look' })),
    },
  ];
  const notes: string[] = [];
  const store = new LesionStore(pairs, c, [5], (n) => notes.push(n));
  const dims: Dims = [1, 1, 8];
  const item = (pair: number, origins: Dims[]) => ({
    pair,
    dims,
    origins,
    restored: [{ tile: 0, origin: origins[0]! }],
  });
  const items = [
    item(0, [
      [0, 0, 2],
      [0, 0, 6],
    ]),
    item(1, [[0, 0, 0]]),
  ] as unknown as PretrainBatch['items'];
  assert.equal(await lesionsShown(store, c, items), { inside: 2, all: 2 });
  assert.equal(await lesionsShown(store, c, [item(0, [[0, 0, 4]])] as unknown as PretrainBatch['items']), {
    inside: 0,
    all: 2,
  });
  assert.is(await lesionsShown(store, { ...c, takes: 'small' }, items), null);
  assert.is(await store.of(2, dims), null);
  assert.ok(notes.length === 1 && notes[0]!.startsWith('c: its lesions are not counted'), notes.join());
  // Restored values are off by 0.1, by 0.3 where the report is another's; of the study's two voxels one is corrupted.
  const session = {
    entry: () => ({}),
    manifest: { entries: { restore: { inputs: [{ name: 'volume' }, { name: 'input_ids' }] } } },
    entries: {
      diagnose: async () => ({ tcl: [1], tir: [1], accuracy: [1], grad_tokens: [1] }),
      restore: async ({ volume: v, input_ids }: Record<string, Float32Array | Int32Array>) => ({
        restored: Float32Array.from(v!, (x) => x + (input_ids![0] === 10 ? 0.1 : 0.3)),
      }),
    },
  } as unknown as Session;
  const rows = batch.rows.slice(0, 2);
  const two: PretrainBatch = {
    inputs: {
      ...batch.inputs,
      input_ids: Int32Array.from([10, 10, 10, 10, 11, 11, 11, 11]),
      tiles_clean: new Float32Array(4).fill(0.5),
      tiles_corrupt: new Float32Array(4).fill(0.5),
      corrupt_mask: Int32Array.of(1, 0, 1, 1),
    },
    items,
    rows,
  };
  const told = { ...options, lesions: store };
  const d = await diagnoseLeaks(session, c, [two, two], 2, told);
  assert.is(d.lesionVoxels, 2);
  assert.ok(Math.abs(d.deltaTextLesions! - 0.2) < 1e-6 && Math.abs(d.lesionError! - 0.1) < 1e-6, JSON.stringify(d));
  const none = { ...two, inputs: { ...two.inputs, corrupt_mask: Int32Array.of(0, 0, 1, 1) } };
  const nothing = await diagnoseLeaks(session, c, [none], 1, told);
  assert.equal([nothing.lesionVoxels, nothing.deltaTextLesions], [0, null]);
  const without = await diagnoseLeaks(stand(false), contract, [batch], 1, options);
  assert.equal([without.lesionVoxels, without.deltaTextLesions, without.lesionError], [null, null, null]);
});

test('where nothing is compared or restored, nothing is told of it', async () => {
  const bare = { ...contract, pairs: false, restored: 0, text: null } as unknown as PretrainContract;
  const d = await diagnoseLeaks(stand(false), bare, [batch], 1, options);
  assert.equal([d.tir, d.deltaText, d.accuracyTextNull, d.gradTokens], [null, null, null, null]);
  assert.is(usedText(d), null);
});

test('frozen layers run once for each row, a batch at a time, whatever repeats', async () => {
  const calls: number[][] = [];
  const session = {
    entry: () => ({
      inputs: [{ name: 'input_ids' }, { name: 'attention_mask' }],
      outputs: [{ name: 'text_hidden', shape: [2, 4, 3] }],
    }),
    entries: {
      encodeText: async (inputs: Record<string, Int32Array>) => {
        assert.equal(Object.keys(inputs), ['input_ids', 'attention_mask']);
        calls.push([inputs.input_ids![0]!, inputs.input_ids![4]!]);
        return { text_hidden: Float32Array.from({ length: 24 }, (_, n) => inputs.input_ids![Math.floor(n / 3)]!) };
      },
    },
  } as unknown as Session;
  const frozen = frozenText(session);
  const [a, b, c] = batch.rows as [PretrainBatch['rows'][0], PretrainBatch['rows'][0], PretrainBatch['rows'][0]];
  const found = await frozen([a, b, a, c]);
  assert.equal(
    [0, 1, 2, 3].map((n) => [...new Set(found.subarray(n * 12, n * 12 + 12))]),
    [[10], [11], [10], [12]],
  );
  assert.equal(calls, [
    [10, 11],
    [12, 12],
  ]);
  assert.equal(await frozen([c, a]), Float32Array.from([...new Array(12).fill(12), ...new Array(12).fill(10)]));
  assert.is(calls.length, 2);
  // Room for two rows: the first is computed again.
  const small = frozenText(session, 1);
  await small([a, b]);
  await small([c]);
  await small([a]);
  assert.is(calls.length, 5);
});

test.run();
