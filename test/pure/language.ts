// The language's own rules: broadcasting by name, parameters and scopes, errors that say what to do, randomness.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trace } from '../../compiler/trace.ts';
import { differentiate } from '../../dsl/differentiate.ts';
import { topological } from '../../dsl/graph.ts';
import {
  concat,
  dropout,
  einsum,
  f32,
  gather,
  leakyRelu,
  linear,
  model,
  oneHot,
  param,
  relu,
  scope,
  stochasticDepth,
  type Tensor,
} from '../../dsl/index.ts';
import { type Trace, tracing } from '../../dsl/scope.ts';
import { roundToHalf, show } from '../../dsl/types.ts';
import t3d from '../../models/t3d/index.ts';
import { fromHalf, toHalf } from '../../runtime/half.ts';
import { evaluate, evaluateWithGradients, leaf } from '../evaluate-graph.ts';

const value = (t: Tensor, leaves: Record<string, ArrayLike<number>>, step: Record<string, number> = {}): number[] => [
  ...evaluate([t.value], leaves, { step })[0]!,
];
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const refused = (f: () => unknown, code: string, ...patterns: RegExp[]): void =>
  assert.throws(f, (e: Error & { code?: string }) => {
    assert.is(e.code, code);
    for (const p of patterns) assert.match(e.message, p);
    return true;
  });

test('operands broadcast by name; the result has the axes of the larger', () => {
  const x = leaf('x', { a: 2, b: 3 });
  assert.is(show(x.add(leaf('y', { a: 2 })).type), 'f32[a=2 b=3]');
  assert.is(show(leaf('y', { b: 3 }).add(x).type), 'f32[a=2 b=3]');
  assert.equal(value(x.mul(leaf('y', { a: 2 })), { x: range(6), y: [1, 10] }), [0, 1, 2, 30, 40, 50]);
  assert.equal(value(leaf('y', { b: 3 }).sub(x), { x: range(6), y: [1, 1, 1] }), [1, 0, -1, -2, -3, -4]);
  assert.equal(value(x.gt(2).where(x, -1), { x: range(6) }), [-1, -1, -1, 3, 4, 5]);
  assert.equal(value(oneHot(leaf('l', { n: 2 }, 'i32'), 3), { l: [2, 0] }), [0, 0, 1, 1, 0, 0]);
});

test('what does not fit is refused with both shapes and a remedy', () => {
  const x = leaf('x', { a: 2, b: 3 });
  refused(
    () => scope('encoder', () => x.add(leaf('y', { b: 4 }))),
    'model-shape',
    /axis 'b' is 4 .* 3/,
    /f32\[a=2 b=3\]/,
    /scope: encoder/,
    /model: test\/pure\/language\.ts:\d+/,
    /fix: /,
  );
  refused(() => x.add(leaf('y', { b: 3, a: 2 })), 'model-shape', /another order/, /permute/);
  refused(() => x.add(leaf('y', { c: 2 })), 'model-shape', /one side only/);
  refused(() => x.sum('z'), 'model-shape', /no axis named 'z'/, /a, b/);
  refused(() => x.split('b', { p: 2, q: 2 }), 'model-shape', /b=3 is not p=2/);
  refused(() => x.merge('b a', 'n'), 'model-shape', /not adjacent/);
  refused(() => x.slice('a', 1, 2), 'model-shape', /stay inside/);
  refused(() => x.expand('a', 2), 'model-shape', /two axes named a/);
  refused(() => x.squeeze('b'), 'model-shape', /b=3/);
  refused(() => concat([x, leaf('y', { a: 3, b: 3 })], 'b'), 'model-shape', /other axes differ/);
  refused(() => einsum(x, leaf('y', { b: 4, c: 2 }), 'a c'), 'model-shape', /axis b is 3 .* 4/);
  refused(() => einsum(x, leaf('y', { b: 3, c: 2 }), 'a z'), 'model-shape', /no axis named 'z'/);
  refused(() => gather(x, leaf('y', { n: 2 })), 'model-shape', /integer/);
  refused(() => x.add(leaf('y', { b: 3 }, 'i32')), 'model-shape', /one dtype/);
});

test('parameters are named by scopes, shared by name, and keep their shape', () => {
  const t: Trace = { parameters: new Map() };
  tracing(t, () => {
    const x = leaf('x', { n: 2, c: 3 });
    const layer = () => scope('a', () => scope('b', () => linear(x, 4)));
    layer();
    layer();
    refused(
      () => scope('a', () => scope('b', () => linear(x, 5))),
      'model-parameter',
      /a\.b\.weight/,
      /\[4,3\].*\[5,3\]/,
    );
  });
  assert.equal([...t.parameters.keys()], ['a.b.weight', 'a.b.bias']);
  const weight = t.parameters.get('a.b.weight')!;
  assert.equal(weight.info.permutation, [1, 0]);
  assert.is(show(weight.tensor.type), 'f32[c=3 out=4]');
  refused(() => param('p', { n: 1 }, { init: { kind: 'constant', value: 0 } }), 'model-no-trace', /outside of a model/);
});

test('a loss must be a scalar output; entries are found by name', () => {
  const bad = (loss: string) =>
    model({
      name: 'bad',
      settings: {},
      build: () => ({
        entries: { e: { inputs: { x: f32({ n: 3 }) }, loss, run: ({ x }) => ({ y: x!, z: x!.sum('n') }) } },
      }),
    });
  refused(() => trace(bad('w'), {}), 'model-loss', /y, z/);
  refused(() => trace(bad('y'), {}), 'model-loss', /not a scalar/);
  refused(() => trace(bad('z'), {}, ['f']), 'model-entry', /no entry 'f'.*e/);
});

test('slopes at zero are PyTorch’s', () => {
  const x = leaf('x', { n: 3 });
  const slope = (y: Tensor): number[] => [...evaluateWithGradients(y, [x], { x: [-1, 0, 1] }).gradients[0]!];
  assert.equal(slope(relu(x)), [0, 0, 1]);
  assert.equal(slope(leakyRelu(x, 0.5)), [0.5, 0.5, 1]);
  // equal maxima share
  const [g] = evaluateWithGradients(x.amax('n'), [x], { x: [2, 2, 1] }).gradients;
  assert.equal([...g!], [0.5, 0.5, 0]);
});

test('nothing flows through what is detached, and a parameter that is not used has no gradient', () => {
  const x = leaf('x', { n: 2 });
  const [g] = evaluateWithGradients(x.mul(x.detach()), [x], { x: [3, 5] }).gradients;
  assert.equal([...g!], [3, 5]);
  assert.equal(differentiate(x.sum('n').value, [leaf('other', { n: 2 }).value]), [null]);
});

test('dropout keeps the mean, repeats within a step and changes with it', () => {
  const n = 4096;
  const ones = new Float64Array(n).fill(1);
  const y = dropout(leaf('x', { n }), 0.25);
  const first = value(y, { x: ones }, { seedLo: 1, step: 0 });
  assert.equal(value(y, { x: ones }, { seedLo: 1, step: 0 }), first);
  assert.not.equal(value(y, { x: ones }, { seedLo: 1, step: 1 }), first);
  assert.not.equal(value(y, { x: ones }, { seedLo: 1, step: 0, microstep: 1 }), first);
  assert.ok(first.every((v) => v === 0 || Math.abs(v - 1 / 0.75) < 1e-12));
  assert.ok(Math.abs(first.reduce((a, b) => a + b, 0) / n - 1) < 0.03);
  const dropped = value(
    stochasticDepth(leaf('x', { b: 64, c: 2 }), 0.5),
    { x: new Float64Array(128).fill(1) },
    { seedLo: 2 },
  );
  for (let i = 0; i < 64; i++) assert.is(dropped[2 * i], dropped[2 * i + 1], 'a sample is kept or dropped whole');
  assert.ok(dropped.includes(0) && dropped.includes(2));
});

test('f16 stores and does not compute', () => {
  const x = leaf('x', { n: 6 });
  const h = x.cast('f16');
  refused(() => h.add(1), 'model-shape', /f16 is for storage/, /x\.cast\('f32'\)/);
  refused(() => h.sum('n'), 'model-shape', /f16 is for storage/);
  refused(() => einsum(h, leaf('w', { n: 6, m: 2 }), 'm'), 'model-shape', /cast first/);
  assert.is(show(concat([h, h.roll('n', 1)], 'n').type), 'f16[n=12]');
  const numbers = [1 / 3, 1e9, -65519, 2 ** -24, 2 ** -25, 1 + 2 ** -11];
  assert.equal(value(h.cast('f32'), { x: numbers }), [0.333251953125, 65504, -65504, 2 ** -24, 0, 1]);
  assert.equal(value(h.cast('i32').cast('f16').cast('i32'), { x: numbers }), [0, 65504, -65504, 0, 0, 1]);
  const { gradients } = evaluateWithGradients(h.cast('f32').mul(leaf('w', { n: 6 })), [x], { x: numbers, w: range(6) });
  assert.equal([...gradients[0]!], range(6));
});

test('every f16 survives its bits, and both roundings agree', () => {
  for (let h = 0; h < 0x7c00; h++) assert.is(toHalf(fromHalf(h)), h);
  assert.ok(Number.isNaN(fromHalf(toHalf(Number.NaN))));
  let state = 1;
  for (let i = 0; i < 20000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const x = Math.fround(((state >>> 8) / 2 ** 24 - 0.5) * 2 ** ((state & 63) - 40));
    assert.is(fromHalf(toHalf(x)), roundToHalf(x), `${x}`);
  }
});

test('T3D draws random numbers only in training', () => {
  const random = (settings: Partial<typeof t3d.settings>, entry: string): number => {
    const { entries } = trace(t3d, { ...t3d.settings, ...settings }, [entry]);
    return topological(Object.values(entries[0]!.outputs)).filter((n) => n.op === 'random').length;
  };
  const rates = { dropRate: 0.1, dropPathRate: 0.2 };
  assert.is(random(rates, 'logits'), 0);
  assert.is(random({}, 'segment'), 0);
  // patch embedding; in each of 8 blocks the projection, two in the MLP and, but for the first, two residual branches
  assert.is(random(rates, 'segment'), 1 + 8 * 3 + 7 * 2);
});

test.run();
