// Retrieval on wasm: scores from an index's parts are those that pre-training compares, and their ranking is its.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import type { EntrySpec } from '../../dsl/index.ts';
import { model } from '../../dsl/index.ts';
import t3d, { type Settings } from '../../models/t3d/index.ts';
import type { Method } from '../../models/t3d/pretrain-settings.ts';
import { type Inputs, open, type Session } from '../../runtime/index.ts';
import { classes, uniform } from '../counters.ts';

const B = 4;
const K = 2;
const N = 8;
const T = 12;
const S = 3;

const settingsOf = (method: Method): Settings => ({
  ...t3d.settings,
  backbone: 'unet',
  channels: [4, 8],
  size: [N, N, N],
  batch: B,
  textTokens: T,
  textScope: method === 't3d' ? 'sentence' : 'report',
  text: {
    ...t3d.settings.text,
    vocabSize: 40,
    hiddenSize: 8,
    layers: 1,
    heads: 2,
    intermediateSize: 16,
    maxPositions: 16,
  },
  pretrain: {
    ...t3d.settings.pretrain,
    method,
    tiles: method === 'clip' ? 1 : K,
    tileBatch: 1,
    sentences: S,
    lambdaTir: 0,
    placeKeys: true,
    agreement: 1,
  },
});
const PARTS = ['embedStudy', 'embedReport', 'contrastMoments', 'scorePairs'] as const;
const METHODS = ['t3d', 'fullclip', 'clip'] as const;

/** Of each method, its `diagnose` and its parts, under the method's name: one artifact. */
const every = model({
  name: 'retrieve',
  settings: {},
  build: () => {
    const entries: Record<string, EntrySpec> = {};
    for (const method of METHODS) {
      const all = t3d.build(settingsOf(method)).entries;
      for (const name of ['diagnose', ...PARTS]) entries[`${method} ${name}`] = all[name]!;
    }
    return { entries };
  },
});

let session: Session;
test.before(async () => {
  const built = await build(every, { targets: ['wasm'] });
  session = await open(built.files, { device: 'wasm', threads: 1, seed: 5, onNotice: () => {} });
});
test.after(() => session.close());

const LENGTHS = [12, 9, 7, 10];
/** A sentence each three tokens; the third report has two, so that one place is empty. */
function inputsOf(method: Method): Inputs {
  const tiles = method === 'clip' ? 1 : K;
  const mask = Int32Array.from({ length: B * T }, (_, i) => (i % T < LENGTHS[Math.floor(i / T)]! ? 1 : 0));
  return {
    tiles: uniform(9, 'tiles', B * tiles * N ** 3, 0.5, 0.5),
    input_ids: classes(9, 'input_ids', B * T, 38).map((v, i) => (mask[i] ? v + 2 : 0)),
    attention_mask: mask,
    sentence_ids: mask.map((m, i) => (m ? Math.min(S, Math.floor((i % T) / 4) + 1) : 0)),
    pair_mask: new Int32Array(B * B).fill(1),
  };
}

const call = (name: string, all: Inputs): Promise<Record<string, Float32Array>> => {
  const ports = session.manifest.entries[name]!.inputs;
  return session.entries[name]!(Object.fromEntries(ports.map((p) => [p.name, all[p.name]!]))) as Promise<
    Record<string, Float32Array>
  >;
};

/** Cross-entropy of rows and columns, whose diagonal is right, and the share of rows whose largest score is there. */
function contrast(scores: ArrayLike<number>): { loss: number; accuracy: number } {
  const at = (j: number, i: number): number => scores[j * B + i]!;
  const places = Array.from({ length: B }, (_, i) => i);
  const entropy = (of: (a: number, b: number) => number): number =>
    places.reduce((sum, a) => sum + Math.log(places.reduce((z, b) => z + Math.exp(of(a, b)), 0)) - of(a, a), 0) / B;
  const hits = places.filter((j) => places.every((i) => at(j, j) >= at(j, i))).length;
  return { loss: (entropy(at) + entropy((a, b) => at(b, a))) / 2, accuracy: hits / B };
}

for (const method of METHODS) {
  test(`${method}: with a batch's own moments, scores of its parts are the logits of pre-training`, async () => {
    const inputs = inputsOf(method);
    const trained = await call(`${method} diagnose`, inputs);
    const study = await call(`${method} embedStudy`, inputs);
    const report = await call(`${method} embedReport`, inputs);
    const m = await call(`${method} contrastMoments`, { ...study, ...report, present: new Float32Array(B).fill(1) });
    const variance = (of: string): Float32Array => m[`${of}_spread`]!.map((v) => v / m[`${of}_count`]![0]!);
    const { scores } = await call(`${method} scorePairs`, {
      ...study,
      ...report,
      study_mean: m.study_mean!,
      study_variance: variance('study'),
      text_mean: m.text_mean!,
      text_variance: variance('text'),
    });
    const found = contrast(scores!);
    assert.ok(
      Math.abs(found.loss - trained.tcl![0]!) < 1e-5 * Math.max(1, found.loss),
      `${found.loss} for ${trained.tcl![0]}`,
    );
    assert.is(found.accuracy, trained.accuracy![0]);
    assert.ok(found.loss > 0.1 && Math.max(...scores!) - Math.min(...scores!) > 0.1, `scores ${scores}`);
  });
}

test.run();
