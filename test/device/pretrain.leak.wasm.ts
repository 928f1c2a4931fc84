// What text alone can do. Where all studies look alike, no text gets the contrast below ln B, nor another view of each study, nor false
// reports that their words give away. Where a feature of the image holds its
// report's own text (as in a fused model, which stands here and not in T3D), text alone solves it, and the diagnostics show that.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import { differentiateAll } from '../../dsl/differentiate.ts';
import { adamW, type EntrySpec, f32, i32, linear, model, scope, Tensor } from '../../dsl/index.ts';
import {
  attentionOf,
  type Contrast,
  pooledContrast,
  sentenceContrast,
  sentenceFeatures,
} from '../../models/t3d/contrast.ts';
import { PRETRAIN_DEFAULTS } from '../../models/t3d/pretrain-settings.ts';
import { textTransformer } from '../../models/t3d/text.ts';
import { TEXT_DEFAULTS } from '../../models/t3d/text-settings.ts';
import { type Inputs, open, type Session } from '../../runtime/index.ts';
import { classes, uniform } from '../counters.ts';

const [B, N, C, T, S] = [8, 12, 16, 12, 3];
const CHANCE = Math.log(B);
const TEXT = {
  ...TEXT_DEFAULTS,
  vocabSize: 40,
  hiddenSize: 16,
  intermediateSize: 32,
  layers: 1,
  heads: 2,
  maxPositions: T,
};
const P = { ...PRETRAIN_DEFAULTS, sentences: S, agreement: 1 };

type Tensors = Readonly<Record<string, Tensor>>;
type Compare = (V: Tensor, E: Tensor, valid: Tensor, candidates: Tensor) => Contrast;

/** T3D's: the values that are compared are the study's alone. */
const places: Compare = (V, E, valid, candidates) => sentenceContrast(V, E, valid, candidates, P);

/** Each study is asked with its own report, and what it answers is mixed with that report's features: p + W·E. */
function fused(V: Tensor, E: Tensor, valid: Tensor, candidates: Tensor): Contrast {
  const weight = valid.cast('f32');
  const text = E.mul(weight).sum('s').div(weight.sum('s').max(1)); // [b c]
  const found = attentionOf(V, E, P).expand('c', C).mul(V).sum('n').mean('s');
  const mixed = found.add(scope('mix', () => linear(text, C, { axis: 'c', bias: false })));
  return pooledContrast(mixed, text, candidates, P);
}

function entries(name: string, compare: Compare): Record<string, EntrySpec> {
  const inputs = {
    V: f32({ b: B, n: N, c: C }),
    input_ids: i32({ b: B, t: T }),
    attention_mask: i32({ b: B, t: T }),
    sentence_ids: i32({ b: B, t: T }),
    pair_mask: i32({ b: B, b2: B }),
  };
  const run = (x: Tensors): Contrast => {
    const tokens = scope('text', () => textTransformer(x.input_ids!, x.attention_mask!, TEXT));
    const { features: E, valid } = sentenceFeatures(tokens, x.sentence_ids!, S);
    return compare(x.V!, E, valid, x.pair_mask!);
  };
  const norm = (x: Tensor): Tensor => x.mul(x).sum(x.names.join(' ')).sqrt();
  return {
    [name]: {
      inputs,
      loss: 'loss',
      optimizer: adamW({ lr: 3e-3 }),
      run(x) {
        const { loss, accuracy } = run(x);
        return { loss, accuracy };
      },
    },
    /** As T3D's `diagnose`; image: |∂L/∂V|·|V|, what a change of the images by a part does to the loss. */
    [`${name} diagnose`]: {
      inputs,
      run(x) {
        const { loss, accuracy } = run(x);
        const [slope] = differentiateAll([loss.value], [null], [x.V!.value]);
        return { loss, accuracy, image: norm(new Tensor(slope!)).mul(norm(x.V!)) };
      },
    },
  };
}

/** With another view of each study, and false reports; the loss is all of it. */
const withOptions: EntrySpec = {
  inputs: {
    V: f32({ b: B, n: N, c: C }),
    Vb: f32({ b: B, n: N, c: C }),
    input_ids: i32({ b: B, t: T }),
    counter_ids: i32({ b: B, t: T }),
    attention_mask: i32({ b: B, t: T }),
    sentence_ids: i32({ b: B, t: T }),
    pair_mask: i32({ b: B, b2: B }),
  },
  loss: 'loss',
  optimizer: adamW({ lr: 3e-3 }),
  run(x) {
    const sentences = (ids: Tensor) =>
      sentenceFeatures(
        scope('text', () => textTransformer(ids, x.attention_mask!, TEXT)),
        x.sentence_ids!,
        S,
      );
    const own = sentences(x.input_ids!);
    const counter = sentences(x.counter_ids!);
    const made = sentenceContrast(x.V!, own.features, own.valid, x.pair_mask!, P, {
      view: x.Vb!,
      counter: { features: counter.features.expand('f', 1, 's'), valid: counter.valid.expand('f', 1, 's') },
    });
    return { loss: made.loss.add(made.view!), tcl: made.loss, view: made.view!, right: made.counterAccuracy! };
  },
};

let session: Session;
test.before(async () => {
  const spec = model({
    name: 'leak',
    settings: {},
    build: () => ({
      entries: { ...entries('places', places), ...entries('fused', fused), options: withOptions },
    }),
  });
  const built = await build(spec, { targets: ['wasm'] });
  session = await open(built.files, { device: 'wasm', threads: 1, onNotice: () => {} });
});
test.before.each(() => session.initialise(3));
test.after(() => session?.close());

/** Eight reports; the last sentence is missing in some. */
const lengths = Array.from({ length: B }, (_, b) => (b % 3 === 0 ? 8 : T));
const mask = Int32Array.from({ length: B * T }, (_, i) => (i % T < lengths[Math.floor(i / T)]! ? 1 : 0));
const reports: Inputs = {
  input_ids: classes(4, 'reports', B * T, 38).map((v, i) => (mask[i] ? v + 2 : 0)),
  attention_mask: mask,
  sentence_ids: mask.map((m, i) => (m ? Math.floor((i % T) / 4) + 1 : 0)),
  pair_mask: new Int32Array(B * B).fill(1),
};
const one = uniform(4, 'V', N * C, 2);
const alike = Float32Array.from({ length: B * N * C }, (_, i) => one[i % (N * C)]!);
const shown = uniform(4, 'studies', B * C, 1);
/** Noise, new for each `key`; one token of study b shows what study (b + by) mod B has of its own, no louder than the noise. */
function studies(key: string, by = 0): Float32Array {
  const V = uniform(4, key, B * N * C, 1);
  const at = classes(4, `${key} at`, B, N);
  for (let b = 0; b < B; b++) for (let c = 0; c < C; c++) V[(b * N + at[b]!) * C + c] = shown[((b + by) % B) * C + c]!;
  return V;
}
async function trained(entry: string, V: (step: number) => Float32Array, steps = 200): Promise<number[]> {
  const losses: number[] = [];
  const batches = Array.from({ length: steps }, (_, i) => ({ ...reports, V: V(i) }));
  for await (const step of session.train(entry, batches)) losses.push(step.loss);
  return losses;
}
async function diagnosed(name: string, V: Float32Array): Promise<Record<string, number>> {
  const out = await session.entries[`${name} diagnose`]!({ ...reports, V });
  return Object.fromEntries(Object.entries(out).map(([k, v]) => [k, (v as Float32Array)[0]!]));
}

test('studies that look alike: 200 steps on heads and text do not get below ln B', async () => {
  const losses = await trained('places', () => alike);
  const least = Math.min(...losses);
  assert.ok(least > CHANCE - 1e-3, `${least} for ${CHANCE}`);
  assert.ok(
    losses[0]! > CHANCE + 0.1 && losses.at(-1)! < CHANCE + 1e-3,
    `the steps go there: ${losses[0]}, ${losses.at(-1)}`,
  );
});

test('nor with another view of each study and with false reports, though these are known by a word that no other has', async () => {
  // The report with its first word replaced by one of their own.
  const counter_ids = (reports.input_ids as Int32Array).map((v, i) => (i % T === 0 ? 1 : v));
  const other = alike.map((v, i) => v * ((i % C) % 2 ? 1.3 : 0.6));
  const steps: { tcl: number; view: number; right: number }[] = [];
  const batches = Array.from({ length: 200 }, () => ({ ...reports, counter_ids, V: alike, Vb: other }));
  for await (const { outputs } of session.train('options', batches, { outputs: ['tcl', 'view', 'right'] })) {
    const of = (name: string): number => (outputs![name] as Float32Array)[0]!;
    steps.push({ tcl: of('tcl'), view: of('view'), right: of('right') });
  }
  // Rows are over one report more each, columns as ever.
  const floor = (CHANCE + Math.log(B + 1)) / 2;
  const least = (name: 'tcl' | 'view'): number => Math.min(...steps.map((s) => s[name]));
  assert.ok(least('tcl') > floor - 1e-3, `${least('tcl')} for ${floor}`);
  assert.ok(least('view') > CHANCE - 1e-3, `${least('view')} for ${CHANCE}`);
  assert.ok(steps[0]!.tcl > floor + 0.1 && steps.at(-1)!.tcl < floor + 2e-3, `${steps[0]!.tcl}, ${steps.at(-1)!.tcl}`);
});

test('features that hold the text: studies that look alike do not keep it from being solved', async () => {
  const losses = await trained('fused', () => alike);
  assert.ok(losses.at(-1)! < 0.05 * CHANCE, `${losses.at(-1)} for ${CHANCE}`);
});

test('images shuffled between patients, and the gradient by them, tell the one from the other', async () => {
  const results: Record<string, { own: number; shuffled: number; image: number }> = {};
  for (const name of ['places', 'fused']) {
    await session.initialise(3);
    await trained(name, (i) => studies(`${i}`));
    const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;
    const each = await Promise.all(['a', 'b', 'c', 'd'].map((key) => diagnosed(name, studies(key))));
    const others = await Promise.all(Array.from({ length: B - 1 }, (_, by) => diagnosed(name, studies('a', by + 1))));
    results[name] = {
      own: mean(each.map((x) => x.accuracy!)),
      shuffled: mean(others.map((x) => x.accuracy!)),
      image: mean(each.map((x) => x.image!)),
    };
  }
  const { places: ours, fused: leaky } = results as {
    places: (typeof results)[string];
    fused: (typeof results)[string];
  };
  const said = JSON.stringify(results);
  assert.ok(ours.own > 0.85 && ours.shuffled < 2 / B, said);
  assert.ok(leaky.own > 0.95 && leaky.shuffled > 0.95, said);
  assert.ok(leaky.image < 0.02 * ours.image, said);
});

test.run();
