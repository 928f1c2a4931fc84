// What the float64 references themselves mean, where a gradient test would not notice: values by hand, or by another way to
// compute the same.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { concat, einsum, gather, iota, softmax, type Tensor, uniform } from '../../dsl/index.ts';
import { attention } from '../../dsl/nn/attention.ts';
import { erf } from '../../dsl/ops/map.ts';
import * as counters from '../counters.ts';
import { evaluate, type Leaves, leaf } from '../evaluate-graph.ts';

const run = (t: Tensor, leaves: Leaves, step: Record<string, number> = {}): number[] => [
  ...evaluate([t.value], leaves, { step })[0]!,
];
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const close = (found: ArrayLike<number>, expected: ArrayLike<number>, bound = 1e-12): void => {
  assert.is(found.length, expected.length);
  for (let i = 0; i < found.length; i++)
    assert.ok(
      Math.abs(found[i]! - expected[i]!) <= bound * (1 + Math.abs(expected[i]!)),
      `${i}: ${found[i]} for ${expected[i]}`,
    );
};

test('roll is torch.roll', () => {
  const x = leaf('x', { a: 5 });
  assert.equal(run(x.roll('a', 2), { x: range(5) }), [3, 4, 0, 1, 2]);
  assert.equal(run(x.roll('a', -1), { x: range(5) }), [1, 2, 3, 4, 0]);
});

test('pad, slice, split, merge and permute', () => {
  const x = leaf('x', { a: 2, b: 3 });
  assert.equal(run(x.pad('b', 1, 2), { x: range(6) }), [0, 0, 1, 2, 0, 0, 0, 3, 4, 5, 0, 0]);
  assert.equal(run(x.permute('b a'), { x: range(6) }), [0, 3, 1, 4, 2, 5]);
  assert.equal(run(x.merge('a b', 'n').split('n', { p: 3, q: 2 }).slice('q', 1, 1), { x: range(6) }), [1, 3, 5]);
});

test('shear reads a diagonal', () => {
  // out[i, j] = x[i - j + 1]
  const x = leaf('x', { i: 3 }).expand('j', 2);
  assert.equal(
    run(x.view({ s: 'shear', axis: 0, by: 1, coef: -1, offset: 1, size: 3 }), { x: [5, 6, 7] }),
    [6, 5, 7, 6, 0, 7],
  );
});

test('concat, gather, iota and argmax', () => {
  const x = leaf('x', { a: 2, b: 2 });
  assert.equal(run(concat([x, x.neg()], 'b'), { x: [1, 2, 3, 4] }), [1, 2, -1, -2, 3, 4, -3, -4]);
  const table = leaf('t', { r: 3, c: 2 });
  assert.equal(run(gather(table, iota('n', 3)), { t: range(6) }), range(6));
  assert.equal(run(gather(table, leaf('i', { n: 2 }, 'i32')), { t: range(6), i: [2, 0] }), [4, 5, 0, 1]);
  // the first of equal maxima
  assert.equal(run(leaf('y', { a: 2, b: 4 }).argmax('b'), { y: [1, 7, 7, 0, -3, -5, -3, -4] }), [1, 0]);
});

test('mod takes the sign of the divisor, integers stay integers', () => {
  const n = leaf('n', { a: 4 }, 'i32');
  assert.equal(run(n.mod(7), { n: [-1, 6, 7, -8] }), [6, 6, 0, 6]);
});

test('erf to fifteen digits', () => {
  const expected: [number, number][] = [
    [0, 0],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [3.5, 0.9999992569016276],
    [6, 1],
  ];
  for (const [x, y] of expected) {
    assert.ok(Math.abs(erf(x) - y) < 4e-16 + 1e-15 * y, `erf(${x}) = ${erf(x)} for ${y}`);
    assert.is(erf(-x) + erf(x), 0);
  }
});

test('random numbers are Threefry-2x32 by (seed, step, index, microstep)', () => {
  const step = { seedLo: 0x12345678, seedHi: 9, step: 41, microstep: 2 };
  const r = uniform([{ name: 'a', size: 3 }]);
  const id = r.value.node.attrs.id as number;
  const expected = range(3).map(
    (i) =>
      (counters.threefry2x32((step.seedLo ^ id) >>> 0, (step.seedHi ^ step.step) >>> 0, i, step.microstep)[0] >>> 8) *
      2 ** -24,
  );
  assert.equal(run(r, {}, step), expected);
  assert.not.equal(run(uniform([{ name: 'a', size: 3 }]), {}, step), expected);
});

for (const variant of ['plain', 'bias', 'groups', 'both'] as const) {
  test(`attention is softmax over its scores: ${variant}`, () => {
    const [g, n, m, h, e] = [2, 3, 4, 2, 3];
    const values = Object.fromEntries(
      (
        [
          ['q', g * n * h * e],
          ['k', g * m * h * e],
          ['v', g * m * h * e],
          ['bias', h * n * m],
        ] as const
      ).map(([name, size]) => [name, counters.uniform(2, name, size)]),
    );
    const leaves: Leaves = {
      ...values,
      gq: counters.classes(2, 'gq', g * n, 2),
      gk: counters.classes(2, 'gk', g * m, 2),
    };
    const [q, k, v] = [leaf('q', { g, n, h, e }), leaf('k', { g, m, h, e }), leaf('v', { g, m, h, e })];
    const bias = leaf('bias', { h, n, m });
    const [gq, gk] = [leaf('gq', { g, n }, 'i32'), leaf('gk', { g, m }, 'i32')];
    const useBias = variant === 'bias' || variant === 'both';
    const useGroups = variant === 'groups' || variant === 'both';
    let scores = einsum(q, k, 'g h n m').mul(e ** -0.5);
    if (useBias) scores = scores.add(bias);
    if (useGroups)
      scores = scores.add(
        gq
          .expand('m', m)
          .ne(gk.expand('n', n, 'm'))
          .expand('h', h, 'n')
          .where(-3, 0),
      );
    const expected = einsum(softmax(scores, 'm'), v, 'g n h e');
    const found = attention(q, k, v, {
      ...(useBias ? { bias } : {}),
      ...(useGroups ? { groups: { q: gq, k: gk, maskValue: -3 } } : {}),
    });
    close(run(found, leaves), run(expected, leaves));
  });
}

test.run();
