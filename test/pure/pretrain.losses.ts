// The losses of pre-training, values and gradients, against PyTorch in float64 (test/reference/pretrain.py). And what their masks promise.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Tensor } from '../../dsl/index.ts';
import { type ParameterInfo, type Trace, tracing } from '../../dsl/scope.ts';
import { attendedTokens, tokenGrid, voxelsOf } from '../../models/t3d/attended-mask.ts';
import { backbone } from '../../models/t3d/backbone.ts';
import { findingsLoss } from '../../models/t3d/classify.ts';
import {
  attentionOf,
  pooledContrast,
  sentenceContrast,
  sentenceFeatures,
  viewContrast,
} from '../../models/t3d/contrast.ts';
import { sectionContrast } from '../../models/t3d/match-sections.ts';
import { PRETRAIN_DEFAULTS, type PretrainSettings } from '../../models/t3d/pretrain-settings.ts';
import { cleanTarget, orNull, restorationLoss, restore } from '../../models/t3d/restore.ts';
import { DEFAULTS } from '../../models/t3d/settings.ts';
import { classes, uniform } from '../counters.ts';
import { evaluate, evaluateWithGradients, leaf, reorder } from '../evaluate-graph.ts';
import { compareGolden, loadGolden, parameterValue, type TensorGolden } from '../golden.ts';

interface Case {
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly options: Readonly<Record<string, number | readonly number[] | readonly (readonly number[])[]>>;
  readonly parameters: Readonly<Record<string, number>>;
  readonly values: Readonly<Record<string, number>>;
  readonly gradients: Readonly<Record<string, TensorGolden>>;
}
const golden = loadGolden<{ seed: number; cases: Readonly<Record<string, Case>> }>('pretrain/losses');
const VALUE = 1e-9;
const GRADIENT = 1e-7;

type Tensors = Readonly<Record<string, Tensor>>;
type Outputs = {
  readonly loss: Tensor;
  readonly accuracy?: Tensor;
  readonly counters?: Tensor;
  readonly counterAccuracy?: Tensor;
  readonly view?: Tensor;
};
interface Spec {
  readonly axes: Readonly<Record<string, string>>;
  /** Inputs that the options hold or that are drawn as classes: axes and values. */
  readonly integers?: (o: Case['options']) => Readonly<Record<string, readonly [string, ArrayLike<number>]>>;
  run(x: Tensors, p: PretrainSettings, o: Case['options']): Outputs;
}

const flat = (o: Case['options'], key: string): number[] => [o[key] as readonly number[]].flat(2) as number[];
const candidates = (o: Case['options']) => ({ candidates: ['b b2', flat(o, 'candidates')] as const });
const VOLUME = 'b c d h w';
/** Which sentences of so many reports there are, by their counts. */
const upTo = (counts: readonly number[]): number[] => counts.flatMap((n) => [0, 1, 2].map((s) => (s < n ? 1 : 0)));

const SPECS: Readonly<Record<string, Spec>> = {
  sentences: {
    axes: { V: 'b n c', E: 'b s c' },
    integers: (o) => ({
      ...candidates(o),
      valid: ['b s', upTo(flat(o, 'counts'))],
    }),
    run: (x, p) => sentenceContrast(x.V!, x.E!, x.valid!.ne(0), x.candidates!, p),
  },
  options: {
    axes: { V: 'b n c', Vb: 'b n c', E: 'b s c', F: 'b f s c' },
    integers: (o) => ({
      ...candidates(o),
      valid: ['b s', upTo(flat(o, 'counts'))],
      ...(o.false ? { there: ['b f s', upTo(flat(o, 'false'))] } : {}),
    }),
    run(x, p) {
      const made = sentenceContrast(x.V!, x.E!, x.valid!.ne(0), x.candidates!, p, {
        view: x.Vb ?? null,
        counter: x.F ? { features: x.F, valid: x.there!.ne(0) } : null,
      });
      return made.view ? { ...made, loss: made.loss.add(made.view.mul(0.5)) } : made;
    },
  },
  sections: {
    axes: { U: 'b s c', E: 'b s c' },
    integers: (o) => ({
      ...candidates(o),
      found: ['b s', upTo(flat(o, 'found'))],
      valid: ['b s', upTo(flat(o, 'counts'))],
    }),
    run: (x, p) =>
      sectionContrast(
        { features: x.U!, valid: x.found!.ne(0) },
        { features: x.E!, valid: x.valid!.ne(0) },
        x.candidates!,
        p,
      ),
  },
  tokens: {
    axes: { V: 'b n c', tokens: 'b t c' },
    integers: (o) => ({ ...candidates(o), sentence: ['b t', flat(o, 'sentence')] }),
    run(x, p) {
      // One more than any report has.
      const { features, valid } = sentenceFeatures(x.tokens!, x.sentence!, 4);
      return sentenceContrast(x.V!, features, valid, x.candidates!, p);
    },
  },
  pooled: {
    axes: { image: 'b c', text: 'b c' },
    integers: candidates,
    run: (x, p) => pooledContrast(x.image!, x.text!, x.candidates!, p),
  },
  views: { axes: { views: 'b v c' }, run: (x, p) => viewContrast(x.views!, p) },
  restoration: {
    axes: { corrupt: VOLUME, clean: VOLUME, features: 'b t c' },
    integers: (o) => ({
      mask: ['b d h w', classes(golden.seed, 'restoration.mask', 2 * 6 * 5 * 7, 3).map((v) => (v === 0 ? 1 : 0))],
      ...(o.keep ? { keep: ['b t', flat(o, 'keep')] } : {}),
      ...(o.drop ? { drop: ['b', flat(o, 'drop')] } : {}),
    }),
    run(x, p, o) {
      const net = backbone({ ...DEFAULTS, backbone: 'unet', channels: o.channels as number[] }, true);
      const told = x.features ? { features: x.features, mask: x.keep! } : null;
      const shown = told && x.drop ? orNull(told, x.drop.ne(0)) : told;
      const made = restore(x.corrupt!, shown, net, p);
      return { loss: restorationLoss(made, x.clean!, x.mask!, cleanTarget(x.clean!, net), p) };
    },
  },
  findings: {
    axes: { logits: 'b f' },
    integers: (o) => ({ target: ['b f', flat(o, 'target')] }),
    run: (x) => ({ loss: findingsLoss(x.logits!, x.target!.cast('f32')) }),
  },
};

const named = (axes: string, shape: readonly number[]): Record<string, number> =>
  Object.fromEntries(axes.split(' ').map((a, i) => [a, shape[i]!]));

function check(name: string, g: Case): void {
  const family = name.split('.')[0]!;
  const spec = SPECS[family]!;
  const inputs: Record<string, Tensor> = {};
  const leaves: Record<string, ArrayLike<number>> = {};
  for (const [key, shape] of Object.entries(g.inputs)) {
    inputs[key] = leaf(key, named(spec.axes[key]!, shape));
    const scale = key === 'logits' ? 6 : 1;
    leaves[key] = uniform(
      golden.seed,
      `${family}.${key}`,
      shape.reduce((a, b) => a * b),
      scale,
    );
  }
  const sizes = Object.assign(
    { b2: 4, s: 3, f: 3 },
    ...Object.values(inputs).map((t) =>
      named(
        t.names.join(' '),
        t.axes.map((a) => a.size),
      ),
    ),
  );
  for (const [key, [axes, values]] of Object.entries(spec.integers?.(g.options) ?? {})) {
    inputs[key] = leaf(
      key,
      named(
        axes,
        axes.split(' ').map((a) => sizes[a]),
      ),
      'i32',
    );
    leaves[key] = values;
  }
  const trace: Trace = { parameters: new Map() };
  const p = { ...PRETRAIN_DEFAULTS, ...g.options } as PretrainSettings;
  const out = tracing(trace, () => spec.run(inputs, p, g.options));

  const tensors: Record<string, Tensor> = { ...inputs };
  const infos: Record<string, ParameterInfo> = {};
  for (const { info, tensor } of trace.parameters.values()) {
    const shape = info.axes.map((a) => a.size);
    const drawn = parameterValue(info.name, shape, golden.seed);
    leaves[info.name] = reorder(
      info,
      info.name in g.parameters ? drawn.fill(g.parameters[info.name]!) : drawn,
      'stored',
    );
    tensors[info.name] = tensor;
    infos[info.name] = info;
  }
  const wanted = Object.keys(g.gradients);
  assert.equal(Object.keys(infos).sort(), wanted.filter((n) => !(n in inputs)).sort(), 'parameters');
  const found = evaluateWithGradients(
    out.loss,
    wanted.map((n) => tensors[n]!),
    leaves,
  );
  const more: Readonly<Record<string, Tensor | undefined>> = {
    accuracy: out.accuracy,
    counters: out.counters,
    counter_accuracy: out.counterAccuracy,
    view: out.view,
  };
  const values = {
    loss: found.y[0]!,
    ...Object.fromEntries(
      Object.entries(more).flatMap(([n, t]) => (t ? [[n, evaluate([t.value], leaves)[0]![0]!]] : [])),
    ),
  };
  assert.equal(Object.keys(values), Object.keys(g.values));
  for (const [n, v] of Object.entries(g.values)) {
    const is = values[n as keyof typeof values]!;
    assert.ok(Math.abs(is - v) <= VALUE * Math.abs(v), `${n}: ${is} for ${v}`);
  }
  const most = Math.max(...wanted.map((n) => g.gradients[n]!.norm));
  wanted.forEach((n, i) => {
    const back = found.gradients[i];
    assert.ok(back, `${n}: no gradient`);
    // Zero but for rounding: a bias that softmax or a norm ignores.
    const c = compareGolden(g.gradients[n]!, infos[n] ? reorder(infos[n]!, back!, 'checkpoint') : back!, {
      relL2: GRADIENT,
      floor: 1e-6 * most,
    });
    assert.ok(c.ok, `gradient of ${n}: ${c.message}`);
  });
}

/** Parameters that `run` makes, at their counter values. */
function parametersOf<R>(run: () => R): { out: R; leaves: Record<string, ArrayLike<number>> } {
  const trace: Trace = { parameters: new Map() };
  const out = tracing(trace, run);
  const leaves: Record<string, ArrayLike<number>> = {};
  for (const { info } of trace.parameters.values()) {
    const drawn = parameterValue(
      info.name,
      info.axes.map((a) => a.size),
      golden.seed,
    );
    leaves[info.name] = reorder(info, drawn, 'stored');
  }
  return { out, leaves };
}

for (const [name, g] of Object.entries(golden.cases))
  test(`${name}: values to 1e-9, gradients to 1e-7`, () => check(name, g));

test('where all studies look alike no text gets below ln B', () => {
  const [b, n, s, c] = [4, 6, 3, 8];
  const inputs = { V: leaf('V', { b, n, c }), E: leaf('E', { b, s, c: 5 }), pair: leaf('pair', { b, b2: b }, 'i32') };
  const one = uniform(3, 'V', n * c);
  const given = {
    V: Float64Array.from({ length: b * n * c }, (_, i) => one[i % (n * c)]!),
    E: uniform(3, 'E', b * s * 5, 4),
    pair: new Int32Array(b * b).fill(1),
  };
  const p = { ...PRETRAIN_DEFAULTS, agreement: 1, kappa: 30 };
  const { out, leaves } = parametersOf(() => {
    const valid = leaf('valid', { b, s }, 'i32').ne(0);
    return {
      sentences: sentenceContrast(inputs.V, inputs.E, valid, inputs.pair, p).loss,
      pooled: pooledContrast(inputs.V.mean('n'), inputs.E.mean('s'), inputs.pair, p).loss,
    };
  });
  const all = { ...given, ...leaves, valid: Int32Array.from([1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1]) };
  const [sentences, pooled] = evaluate([out.sentences.value, out.pooled.value], all).map((v) => v[0]!);
  assert.ok(sentences! > Math.log(b) + 0.1, `rows are worse than chance: ${sentences}`);
  assert.ok(Math.abs(pooled! - Math.log(b)) < 1e-9, `${pooled}`);
});

test('where all studies look alike, a false report costs ln((B + f) / B) in the rows whatever its words are, and another view ln B', () => {
  const [b, n, s, c, f] = [4, 6, 3, 8, 2];
  const one = uniform(3, 'V', n * c);
  const other = uniform(3, 'Vb', n * c);
  const alike = (x: Float32Array) => Float64Array.from({ length: b * n * c }, (_, i) => x[i % (n * c)]!);
  const F = leaf('F', { b, f, s, c: 5 });
  for (const normalize of ['batch', 'studies'] as const) {
    // The true reports are alike too, so that chance is exact.
    const p = { ...PRETRAIN_DEFAULTS, agreement: 1, kappa: 30, normalize };
    const { out, leaves } = parametersOf(() => {
      const V = leaf('V', { b, n, c });
      const counter = { features: F, valid: leaf('there', { b, f, s }, 'i32').ne(0) };
      const E = leaf('E', { b, s, c: 5 });
      const valid = leaf('valid', { b, s }, 'i32').ne(0);
      return sentenceContrast(V, E, valid, leaf('pair', { b, b2: b }, 'i32'), p, {
        view: leaf('Vb', { b, n, c }),
        counter,
      });
    });
    const words = uniform(3, 'E', s * 5, 4);
    const given = {
      ...leaves,
      V: alike(one),
      Vb: alike(other),
      E: Float64Array.from({ length: b * s * 5 }, (_, i) => words[i % (s * 5)]!),
      F: uniform(3, 'F', b * f * s * 5, 4),
      pair: new Int32Array(b * b).fill(1),
      valid: new Int32Array(b * s).fill(1),
      there: Int32Array.from({ length: b * f * s }, (_, i) => (i < 2 * f * s ? 1 : 0)),
    };
    const [loss, view, counters, right] = evaluate(
      [out.loss, out.view!, out.counters!, out.counterAccuracy!].map((t) => t.value),
      given,
    ).map((v) => v[0]!);
    // Two studies have two false reports each, the others none.
    const expected = (Math.log(b) + (Math.log(b) + Math.log(b + f)) / 2) / 2;
    assert.ok(Math.abs(loss! - expected) < 1e-6, `${normalize}: ${loss} for ${expected}`);
    assert.ok(Math.abs(view! - Math.log(b)) < 1e-9, `${normalize}: ${view}`);
    assert.equal([counters, right], [2 * f, 0]);
    const back = evaluateWithGradients(out.loss, [F], given).gradients[0]!;
    assert.ok(Math.max(...back.map(Math.abs)) < 1e-6, `${normalize}: no words of a false report change it`);
  }
});

test('attended: the tokens of a tile that a sentence looks at most, the first of equal ones', () => {
  const [b, k, n, s, c] = [2, 2, 8, 3, 6];
  const p = { ...PRETRAIN_DEFAULTS, attended: 0.3 };
  const values = { V: uniform(5, 'V', b * k * n * c, 2), E: uniform(5, 'E', b * s * 4, 2) };
  // The first study's tiles are the same token again and again.
  values.V.forEach((_, i) => {
    if (i < k * n * c) values.V[i] = values.V[i % c]!;
  });
  const [V, E] = [leaf('V', { b, k, n, c }), leaf('E', { b, s, c: 4 })];
  const [tile, sentence] = [leaf('tile', { b, r: 2 }, 'i32'), leaf('sentence', { b, r: 2 }, 'i32')];
  const { out, leaves } = parametersOf(() => ({
    hidden: attendedTokens(V, E, tile, sentence, p),
    attention: attentionOf(V.merge('k n', 'n'), E, p),
  }));
  const given = { ...values, ...leaves, tile: Int32Array.of(0, 1, 1, 0), sentence: Int32Array.of(0, 2, 2, 1) };
  const [hidden, attention] = evaluate([out.hidden.value, out.attention.value], given);
  assert.equal(out.hidden.names, ['b', 'r', 'n']);
  assert.equal([...hidden!.slice(0, n)], [1, 1, 0, 0, 0, 0, 0, 0]);
  for (const [r, t, q] of [
    [0, 1, 2],
    [1, 0, 1],
  ] as const) {
    const row = Array.from(attention!.slice((s + q) * k * n + t * n, (s + q) * k * n + (t + 1) * n));
    const most = row.map((v, i) => [v, i] as const).sort((x, y) => y[0] - x[0]);
    const chosen = [...hidden!.slice((2 + r) * n, (3 + r) * n)].flatMap((v, i) => (v ? [i] : []));
    assert.equal(chosen, [most[0]![1], most[1]![1]].sort());
  }
});

test('tokens cover their cells of a tile, the last of an axis cut', () => {
  const size = [5, 4, 6] as const;
  assert.equal(tokenGrid(size, 2 * 1 * 2), { cell: 4, grid: [2, 1, 2] });
  assert.throws(() => tokenGrid(size, 7), /no halving/);
  const out = voxelsOf(leaf('x', { b: 1, n: 4 }), size);
  const found = evaluate([out.value], { x: Float32Array.of(1, 2, 3, 4) })[0]!;
  assert.equal(out.names, ['b', 'd', 'h', 'w']);
  assert.is(found.length, 120);
  found.forEach((v, i) => {
    const [d, w] = [Math.floor(i / 24), i % 6];
    assert.is(v, 1 + 2 * Number(d >= 4) + Number(w >= 4));
  });
});

test('attention of a sentence is the softmax of its query over the tokens', () => {
  const [b, n, s, c] = [2, 5, 3, 8];
  const values = { V: uniform(3, 'V', b * n * c, 2), E: uniform(3, 'E', b * s * 6, 2) };
  const { out, leaves } = parametersOf(() =>
    attentionOf(leaf('V', { b, n, c }), leaf('E', { b, s, c: 6 }), PRETRAIN_DEFAULTS),
  );
  const found = evaluate([out.value], { ...values, ...leaves })[0]!;
  assert.equal(out.names, ['b', 's', 'n']);
  const project = (name: string, x: Float32Array, row: number, width: number): number[] => {
    const w = parameterValue(name, [c, width], golden.seed);
    return Array.from({ length: c }, (_, o) =>
      Array.from({ length: width }, (_, i) => w[o * width + i]! * x[row * width + i]!).reduce((a, v) => a + v, 0),
    );
  };
  for (let row = 0; row < b * s; row++) {
    const q = project('contrast.query.weight', values.E, row, 6);
    const scores = Array.from({ length: n }, (_, t) => {
      const k = project('contrast.key.weight', values.V, Math.floor(row / s) * n + t, c);
      return Math.exp(q.reduce((sum, v, i) => sum + v * k[i]!, 0) / Math.sqrt(c));
    });
    const total = scores.reduce((a, v) => a + v);
    scores.forEach((v, t) => {
      assert.ok(Math.abs(found[row * n + t]! - v / total) < 1e-12);
    });
  }
});

test.run();
