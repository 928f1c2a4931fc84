// Retrieval on wasm: scores from an index's parts are those that pre-training compares, and their ranking is its.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import type { EntrySpec } from '../../dsl/index.ts';
import { model } from '../../dsl/index.ts';
import t3d from '../../models/t3d/index.ts';
import { type Inputs, open, type Session } from '../../runtime/index.ts';
import { type ReportEmbedding, Retrieval, zeroShot } from '../../tasks/retrieval.ts';
import { uniform } from '../counters.ts';
import { B, inputsOf, METHODS, PARTS, S, settingsOf } from '../retrieve-model.ts';

/** Of each method, its `diagnose` and its parts, under the method's name, and those of t3d under their own: one artifact. */
const every = model({
  name: 'retrieve',
  settings: settingsOf('t3d'),
  build: (own) => {
    const entries: Record<string, EntrySpec> = {};
    for (const method of METHODS) {
      const all = t3d.build(settingsOf(method)).entries;
      for (const name of ['diagnose', ...PARTS]) entries[`${method} ${name}`] = all[name]!;
    }
    const plain = { ...own, pretrain: { ...own.pretrain, placeKeys: false } };
    for (const name of PARTS) entries[name] = t3d.build(plain).entries[name]!;
    return { entries };
  },
});

let session: Session;
test.before(async () => {
  const built = await build(every, { targets: ['wasm'] });
  session = await open(built.files, { device: 'wasm', threads: 1, seed: 5, onNotice: () => {} });
});
test.after(() => session.close());

const call = (name: string, all: Inputs): Promise<Record<string, Float32Array>> => {
  const ports = session.manifest.entries[name]!.inputs;
  return session.entries[name]!(Object.fromEntries(ports.map((p) => [p.name, all[p.name]!]))) as Promise<
    Record<string, Float32Array>
  >;
};

const places = Array.from({ length: B }, (_, i) => i);

/** Cross-entropy of rows and columns, whose diagonal is right, over the pairs that may be told apart; and the share of rows whose
 *  largest score is there. */
function contrast(scores: ArrayLike<number>, mask: ArrayLike<number>): { loss: number; accuracy: number } {
  const at = (j: number, i: number): number =>
    i === j || mask[j * B + i] ? scores[j * B + i]! : Number.NEGATIVE_INFINITY;
  const entropy = (of: (a: number, b: number) => number): number =>
    places.reduce((sum, a) => sum + Math.log(places.reduce((z, b) => z + Math.exp(of(a, b)), 0)) - of(a, a), 0) / B;
  const hits = places.filter((j) => places.every((i) => at(j, j) >= at(j, i))).length;
  return { loss: (entropy(at) + entropy((a, b) => at(b, a))) / 2, accuracy: hits / B };
}

for (const method of METHODS) {
  test(`${method}: with a batch's own moments, scores of its parts are the logits of pre-training`, async () => {
    const inputs = inputsOf(method);
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
    assert.ok(Math.max(...scores!) - Math.min(...scores!) > 0.1, `scores ${scores}`);
    // One pair of studies at a time, so that every score is held to its row's and its column's own; then all together.
    const masks = places.flatMap((j) => places.flatMap((i) => (i === j ? [] : [j * B + i])));
    for (const kept of [...masks, null]) {
      const mask = Int32Array.from({ length: B * B }, (_, n) => (kept === null || n === kept ? 1 : 0));
      const trained = await call(`${method} diagnose`, { ...inputs, pair_mask: mask });
      const found = contrast(scores!, mask);
      const off = Math.abs(found.loss - trained.tcl![0]!);
      assert.ok(off < 1e-5 * Math.max(1, found.loss), `${found.loss} for ${trained.tcl![0]} with ${kept}`);
      if (kept === null) assert.is(found.accuracy, trained.accuracy![0]);
    }
  });
}

/** Six pairs, with a batch of four: as embedded, random, with a sentence missing here and there. */
function embedded(): { studies: Float32Array[]; reports: ReportEmbedding[] } {
  const tokens = 2 * 2 ** 3;
  const draw = (name: string, n: number, each: number): Float32Array => uniform(11, `${name} ${n}`, each);
  return {
    studies: Array.from({ length: 6 }, (_, n) => draw('study', n, tokens * 8)),
    reports: Array.from({ length: 6 }, (_, n) => ({
      query: draw('query', n, S * 8),
      sentence: draw('sentence', n, S * 8),
      valid: Float32Array.from({ length: S }, (_, s) => (s === 0 || (n + s) % 3 > 0 ? 1 : 0)),
    })),
  };
}

/** What a sentence finds in a study: the softmax over its tokens, in float64. */
function found(study: Float32Array, query: Float32Array): number[] {
  const n = study.length / 8;
  const logits = Array.from(
    { length: n },
    (_, t) => query.reduce((sum, q, c) => sum + q * study[t * 8 + c]!, 0) / Math.sqrt(8),
  );
  const weights = logits.map((l) => Math.exp(l - Math.max(...logits)));
  const all = weights.reduce((a, b) => a + b);
  return Array.from(query, (_, c) => weights.reduce((sum, w, t) => sum + w * study[t * 8 + c]!, 0) / all);
}

const momentsOf = (rows: readonly number[][]): { mean: number[]; variance: number[] } => {
  const mean = rows[0]!.map((_, c) => rows.reduce((sum, r) => sum + r[c]!, 0) / rows.length);
  return { mean, variance: mean.map((m, c) => rows.reduce((sum, r) => sum + (r[c]! - m) ** 2, 0) / rows.length) };
};

const near = (what: string, a: ArrayLike<number>, b: ArrayLike<number>, bound: number): void => {
  for (let i = 0; i < b.length; i++)
    assert.ok(Math.abs(a[i]! - b[i]!) < bound * Math.max(1, Math.abs(b[i]!)), `${what}: ${a[i]} for ${b[i]}`);
};

test('more pairs than a batch: moments of its batches together, and scores, as computed in float64', async () => {
  const retrieval = new Retrieval(session);
  const { studies, reports } = embedded();
  const parts = (r: ReportEmbedding, of: Float32Array): Float32Array[] =>
    Array.from({ length: S }, (_, s) => of.subarray(s * 8, (s + 1) * 8)).filter((_, s) => r.valid[s] === 1);
  const within = [
    [0, 1, 2, 3],
    [4, 5],
  ];
  const everything = [[0, 1, 2, 3, 4, 5]];
  for (const [take, blocks] of [
    ['pairs', within],
    ['all', everything],
  ] as const) {
    const m = await retrieval.moments(studies, reports, take);
    const answers = blocks.flatMap((block) =>
      block.flatMap((j) =>
        block.flatMap((i) => parts(reports[i]!, reports[i]!.query!).map((q) => found(studies[j]!, q))),
      ),
    );
    const said = reports.flatMap((r) => parts(r, r.sentence).map((x) => Array.from(x)));
    const [study, text] = [momentsOf(answers), momentsOf(said)];
    near('mean', m.study.mean, study.mean, 1e-5);
    near('variance', m.study.variance, study.variance, 1e-4);
    near('mean of sentences', m.text.mean, text.mean, 1e-5);
    near('variance of sentences', m.text.variance, text.variance, 1e-4);
    const unit = (x: readonly number[], of: { mean: number[]; variance: number[] }): number[] => {
      const y = x.map((v, c) => (v - of.mean[c]!) / Math.sqrt(of.variance[c]! + 1e-5));
      const norm = Math.hypot(...y);
      return y.map((v) => v / norm);
    };
    const scores = await retrieval.scores(studies, reports, m);
    const settings = settingsOf('t3d').pretrain;
    studies.forEach((v, j) => {
      const row = reports.map((r) => {
        const [queries, sentences] = [parts(r, r.query!), parts(r, r.sentence)];
        const each = queries.map((q, s) => {
          const [p, e] = [unit(found(v, q), study), unit(Array.from(sentences[s]!), text)];
          return p.reduce((sum, x, c) => sum + x * e[c]!, 0);
        });
        return ((settings.kappa / settings.temperature) * each.reduce((a, b) => a + b)) / each.length;
      });
      near(`scores of study ${j}`, scores[j]!, row, 1e-4);
    });
  }
  const [one] = await retrieval.scores(
    [studies[5]!],
    [reports[4]!],
    await retrieval.moments(studies, reports, 'pairs'),
  );
  const all = await retrieval.scores(studies, reports, await retrieval.moments(studies, reports, 'pairs'));
  assert.is(one![0], all[5]![4], 'a pair is scored the same whatever is scored with it');
});

test('zero-shot: the softmax over the mean score of either side', () => {
  const scores = [Float32Array.of(1, 3, 0), Float32Array.of(-200, 0, 200)];
  const p = zeroShot(scores, [0, 1], [2]);
  near('probability', p, [1 / (1 + Math.exp(-2)), 0], 1e-12);
  assert.throws(
    () => zeroShot(scores, [], [2]),
    (e: { code?: string }) => e.code === 'prompts-empty',
  );
});

test.run();
