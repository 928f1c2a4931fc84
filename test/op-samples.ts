// Samples of every primitive: small graphs that put each of its branches under the tests that loop over them (gradients against
// finite differences here, targets against this reference in test/device). One list, so that a new primitive is tested
// everywhere by an entry here.

import { make } from '../dsl/graph.ts';
import {
  concat,
  constant,
  einsum,
  gather,
  iota,
  overTiles,
  rawContract,
  stepScalar,
  type Tensor,
  uniform,
} from '../dsl/index.ts';
import { attention } from '../dsl/nn/attention.ts';
import { gatherAdjoint } from '../dsl/ops/gather.ts';
import { Tensor as T } from '../dsl/tensor.ts';
import type { DType } from '../dsl/types.ts';

export interface SampleInput {
  readonly axes: Readonly<Record<string, number>>;
  readonly dtype?: DType;
  /** Floats lie in base ± scale; default 0 ± 1. */
  readonly base?: number;
  readonly scale?: number;
  /** Integers lie below this. */
  readonly classes?: number;
}

export interface Sample {
  readonly op: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, SampleInput>>;
  build(x: Readonly<Record<string, Tensor>>): Tensor;
  /** Inputs in which the result is linear, the others fixed: their adjoints are tested to rounding. */
  readonly linear?: readonly string[];
  /** Inputs through which no gradient flows. */
  readonly blocked?: readonly string[];
}

const v = (axes: Readonly<Record<string, number>>, base = 0, scale = 1): SampleInput => ({ axes, base, scale });

// ── map ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const unary: [string, (x: Tensor) => Tensor, SampleInput][] = [
  ['neg', (x) => x.neg(), v({ i: 3, j: 4 })],
  ['abs', (x) => x.abs().add(x.neg().sub(0.5).abs()), v({ i: 12 }, 0.3, 0.29)],
  ['exp', (x) => x.exp(), v({ i: 9 })],
  ['log', (x) => x.log(), v({ i: 9 }, 1.5, 1)],
  ['sqrt', (x) => x.sqrt(), v({ i: 9 }, 1.5, 1)],
  ['rsqrt', (x) => x.rsqrt(), v({ i: 9 }, 1.5, 1)],
  ['tanh', (x) => x.tanh(), v({ i: 9 }, 0, 2)],
  ['erf', (x) => x.erf(), v({ i: 11 }, 0, 4)],
  ['cast', (x) => x.cast('f32').mul(x.cast('f32')), v({ i: 5 })],
];
const maps: Sample[] = unary.map(([name, f, x]) => ({ op: 'map', name, inputs: { x }, build: (t) => f(t.x!) }));

const pair = { x: v({ i: 3, j: 4 }), y: v({ i: 3, j: 4 }) };
const positive = { x: v({ i: 3, j: 4 }, 1.5, 1), y: v({ i: 3, j: 4 }, 1.5, 1) };
maps.push(
  {
    op: 'map',
    name: 'add of a row',
    inputs: { x: v({ i: 3, j: 4 }), y: v({ j: 4 }) },
    build: ({ x, y }) => x!.add(y!),
    linear: ['x', 'y'],
  },
  {
    op: 'map',
    name: 'sub of a column',
    inputs: { x: v({ i: 3, j: 4 }), y: v({ i: 3 }) },
    build: ({ x, y }) => x!.sub(y!),
    linear: ['x', 'y'],
  },
  { op: 'map', name: 'mul', inputs: pair, build: ({ x, y }) => x!.mul(y!), linear: ['x', 'y'] },
  { op: 'map', name: 'mul with itself', inputs: { x: v({ i: 5 }) }, build: ({ x }) => x!.mul(x!) },
  { op: 'map', name: 'div', inputs: { x: pair.x, y: positive.y }, build: ({ x, y }) => x!.div(y!), linear: ['x'] },
  { op: 'map', name: 'max', inputs: pair, build: ({ x, y }) => x!.max(y!) },
  { op: 'map', name: 'min', inputs: pair, build: ({ x, y }) => x!.min(y!) },
  { op: 'map', name: 'pow', inputs: positive, build: ({ x, y }) => x!.pow(y!) },
  {
    op: 'map',
    name: 'floor and comparisons',
    inputs: { x: v({ i: 9 }, 0, 3) },
    build: ({ x }) => x!.floor().add(x!.gt(1).cast('f32')),
    blocked: ['x'],
  },
  {
    op: 'map',
    name: 'select',
    inputs: { ...pair, c: v({ i: 3, j: 4 }) },
    build: ({ x, y, c }) => c!.gt(0).where(x!, y!),
    linear: ['x', 'y'],
    blocked: ['c'],
  },
  {
    op: 'map',
    name: 'select of equal branches',
    inputs: { x: v({ i: 6 }), c: v({ i: 6 }) },
    build: ({ x, c }) => c!.gt(0).where(x!, x!),
    linear: ['x'],
    blocked: ['c'],
  },
  {
    op: 'map',
    name: 'integers',
    inputs: { n: { axes: { i: 6 }, dtype: 'i32', classes: 40 }, x: v({ i: 6 }) },
    build: ({ n, x }) =>
      x!.mul(
        n!
          .mod(7)
          .add(n!.lt(20).and(n!.ne(3)).cast('i32'))
          .cast('f32'),
      ),
    linear: ['x'],
  },
);

maps.push({
  op: 'map',
  name: 'mod takes the sign of the divisor',
  inputs: { n: { axes: { i: 12 }, dtype: 'i32', classes: 12 }, x: v({ i: 12 }) },
  build: ({ n, x }) => x!.mul(n!.sub(6).mod(4).cast('f32').add(n!.cast('f32').sub(6.5).mod(2.5))),
  linear: ['x'],
});

// ── reduce ────────────────────────────────────────────────────────────────────────────────────────────────────────
const cube = { x: v({ a: 3, b: 4, c: 2 }) };
const reduces: Sample[] = [
  { op: 'reduce', name: 'sum of the first', inputs: cube, build: ({ x }) => x!.sum('a'), linear: ['x'] },
  { op: 'reduce', name: 'sum of the middle', inputs: cube, build: ({ x }) => x!.sum('b'), linear: ['x'] },
  { op: 'reduce', name: 'sum of two apart', inputs: cube, build: ({ x }) => x!.sum('a c'), linear: ['x'] },
  { op: 'reduce', name: 'sum of all', inputs: cube, build: ({ x }) => x!.sum('a b c'), linear: ['x'] },
  { op: 'reduce', name: 'mean', inputs: cube, build: ({ x }) => x!.mean('b c'), linear: ['x'] },
  { op: 'reduce', name: 'max', inputs: cube, build: ({ x }) => x!.amax('b') },
  { op: 'reduce', name: 'max of two', inputs: cube, build: ({ x }) => x!.amax('a c') },
  { op: 'reduce', name: 'min', inputs: cube, build: ({ x }) => x!.amin('c') },
  { op: 'reduce', name: 'argmax', inputs: cube, build: ({ x }) => x!.argmax('b').cast('f32'), blocked: ['x'] },
];

// ── view ──────────────────────────────────────────────────────────────────────────────────────────────────────────
const view = (name: string, axes: Readonly<Record<string, number>>, f: (x: Tensor) => Tensor): Sample => ({
  op: 'view',
  name,
  inputs: { x: v(axes) },
  build: ({ x }) => f(x!),
  linear: ['x'],
});
const views: Sample[] = [
  view('split', { a: 2, b: 12 }, (x) => x.split('b', { p: 2, q: -1, r: 3 })),
  view('merge', { a: 2, b: 3, c: 4 }, (x) => x.merge('b c', 'n')),
  view('permute', { a: 2, b: 3, c: 4 }, (x) => x.permute('c a b')),
  view('slice', { a: 7, b: 3 }, (x) => x.slice('a', 2, 4)),
  view('slice of the first', { a: 5, b: 3 }, (x) => x.slice('a', 0, 1)),
  view('pad', { a: 4, b: 3 }, (x) => x.pad('a', 2, 1).pad('b', 0, 2)),
  view('roll forward', { a: 7, b: 2 }, (x) => x.roll('a', 3)),
  view('roll back', { a: 7, b: 2 }, (x) => x.roll('a', -3)),
  view('expand', { a: 3, b: 2 }, (x) => x.expand('n', 4, 'b')),
  view('expand by one', { a: 3, b: 2 }, (x) => x.expand('n', 1)),
  view('squeeze', { a: 3, n: 1, b: 2 }, (x) => x.squeeze('n')),
  view('rename', { a: 3, b: 2 }, (x) => x.rename({ a: 'z' })),
  view('shear with a hole', { a: 4, b: 3 }, (x) =>
    x.view({ s: 'shear', axis: 0, by: 1, coef: -1, offset: 1, size: 4 }),
  ),
  view('shear that grows', { a: 3, b: 4 }, (x) => x.view({ s: 'shear', axis: 0, by: 1, coef: 2, offset: -3, size: 6 })),
  view('shear of the last', { a: 3, b: 5 }, (x) =>
    x.view({ s: 'shear', axis: 1, by: 0, coef: -1, offset: 2, size: 3 }),
  ),
  view('a chain', { a: 5, b: 3 }, (x) =>
    x.pad('a', 0, 1).roll('a', -2).split('a', { w: 2, t: 3 }).permute('w b t').merge('w b', 'g').slice('t', 1, 2),
  ),
];

// ── contract ──────────────────────────────────────────────────────────────────────────────────────────────────────
const bilinear = ['x', 'w'];
/** A convolution along one axis: x [c i], w [k c o]. */
function conv1d(i: number, k: number, stride: number, padding: number, dilation = 1): Sample {
  const out = Math.floor((i + 2 * padding - dilation * (k - 1) - 1) / stride) + 1;
  const at = (name: string) => ({ terms: [{ var: name, coef: 1 }], offset: 0 });
  const step = {
    terms: [
      { var: 'i', coef: stride },
      { var: 'k', coef: dilation },
    ],
    offset: -padding,
  };
  return {
    op: 'contract',
    name: `conv of ${i}, kernel ${k}, stride ${stride}, padding ${padding}${dilation > 1 ? `, dilation ${dilation}` : ''}`,
    inputs: { x: v({ i, c: 2 }), w: v({ k, c: 2, o: 3 }) },
    build: ({ x, w }) =>
      rawContract(x!, w!, {
        vars: [
          { name: 'i', size: out },
          { name: 'o', size: 3 },
          { name: 'k', size: k },
          { name: 'c', size: 2 },
        ],
        out: ['i', 'o'],
        a: [step, at('c')],
        b: [at('k'), at('c'), at('o')],
      }),
    linear: bilinear,
  };
}
/** Stride 2 along two axes at once: four residue classes. */
function conv2d(i: number, j: number): Sample {
  const out = (n: number): number => Math.floor((n + 2 - 3) / 2) + 1;
  const at = (name: string) => ({ terms: [{ var: name, coef: 1 }], offset: 0 });
  const step = (o: string, k: string) => ({
    terms: [
      { var: o, coef: 2 },
      { var: k, coef: 1 },
    ],
    offset: -1,
  });
  return {
    op: 'contract',
    name: `conv of ${i} × ${j}, kernel 3, stride 2, padding 1`,
    inputs: { x: v({ i, j, c: 1 }), w: v({ k: 3, l: 3, c: 1, o: 2 }) },
    build: ({ x, w }) =>
      rawContract(x!, w!, {
        vars: [
          { name: 'i', size: out(i) },
          { name: 'j', size: out(j) },
          { name: 'o', size: 2 },
          { name: 'k', size: 3 },
          { name: 'l', size: 3 },
          { name: 'c', size: 1 },
        ],
        out: ['i', 'j', 'o'],
        a: [step('i', 'k'), step('j', 'l'), at('c')],
        b: [at('k'), at('l'), at('c'), at('o')],
      }),
    linear: bilinear,
  };
}
const contracts: Sample[] = [
  {
    op: 'contract',
    name: 'matmul',
    inputs: { x: v({ n: 3, k: 4 }), w: v({ k: 4, m: 2 }) },
    build: ({ x, w }) => einsum(x!, w!, 'n m'),
    linear: bilinear,
  },
  {
    op: 'contract',
    name: 'matmul, transposed result',
    inputs: { x: v({ n: 3, k: 4 }), w: v({ m: 2, k: 4 }) },
    build: ({ x, w }) => einsum(x!, w!, 'm n'),
    linear: bilinear,
  },
  {
    op: 'contract',
    name: 'batched matmul',
    inputs: { x: v({ b: 2, n: 3, k: 2 }), w: v({ b: 2, k: 2, m: 2 }) },
    build: ({ x, w }) => einsum(x!, w!, 'b n m'),
    linear: bilinear,
  },
  {
    op: 'contract',
    name: 'outer product',
    inputs: { x: v({ n: 3 }), w: v({ m: 4 }) },
    build: ({ x, w }) => einsum(x!, w!, 'n m'),
    linear: bilinear,
  },
  {
    op: 'contract',
    name: 'inner product',
    inputs: { x: v({ n: 3, m: 2 }), w: v({ m: 2, n: 3 }) },
    build: ({ x, w }) => constant(2).mul(einsum(x!, w!.permute('n m'), 'n').sum('n')),
    linear: bilinear,
  },
  {
    op: 'contract',
    name: 'with itself',
    inputs: { x: v({ n: 3, k: 2 }) },
    build: ({ x }) => einsum(x!, x!.rename({ n: 'm' }), 'n m'),
  },
  conv1d(5, 3, 1, 1),
  conv1d(5, 3, 1, 0),
  conv1d(7, 3, 2, 1),
  conv1d(6, 3, 2, 1),
  conv1d(8, 2, 2, 0),
  conv1d(7, 2, 2, 0),
  conv1d(9, 3, 3, 0),
  conv1d(8, 1, 2, 0),
  conv1d(10, 5, 2, 2),
  conv1d(11, 4, 3, 1),
  conv1d(7, 3, 1, 2, 2),
  conv2d(5, 4),
  conv2d(4, 4),
];

// ── gather, concat, the rest ──────────────────────────────────────────────────────────────────────────────────────
const index: SampleInput = { axes: { n: 7 }, dtype: 'i32', classes: 5 };
const others: Sample[] = [
  {
    op: 'gather',
    name: 'rows',
    inputs: { table: v({ r: 5, c: 3 }), index },
    build: ({ table, index: i }) => gather(table!, i!),
    linear: ['table'],
  },
  {
    op: 'gather',
    name: 'by two axes',
    inputs: { table: v({ r: 4 }), index: { axes: { p: 2, q: 3 }, dtype: 'i32', classes: 4 } },
    build: ({ table, index: i }) => gather(table!, i!),
    linear: ['table'],
  },
  {
    op: 'gatherAdjoint',
    name: 'sums of rows',
    inputs: { index, x: v({ n: 7, c: 2 }) },
    build: ({ index: i, x }) => new T(make(gatherAdjoint, [i!.value, x!.value], { rows: 5, name: 'r' })),
    linear: ['x'],
  },
  {
    op: 'concat',
    name: 'along the first',
    inputs: { x: v({ a: 2, b: 3 }), y: v({ a: 1, b: 3 }), z: v({ a: 3, b: 3 }) },
    build: ({ x, y, z }) => concat([x!, y!, z!], 'a'),
    linear: ['x', 'y', 'z'],
  },
  {
    op: 'concat',
    name: 'along the last',
    inputs: { x: v({ a: 2, b: 3 }), y: v({ a: 2, b: 1 }) },
    build: ({ x, y }) => concat([x!, y!], 'b'),
    linear: ['x', 'y'],
  },
  {
    op: 'concat',
    name: 'of one tensor twice',
    inputs: { x: v({ a: 2, b: 3 }) },
    build: ({ x }) => concat([x!, x!.mul(2), x!], 'b'),
    linear: ['x'],
  },
  {
    op: 'concat',
    name: 'the largest of two rows in one',
    inputs: { x: v({ a: 2, b: 9 }), y: v({ a: 2, b: 6 }) },
    build: ({ x, y }) => concat([x!, y!], 'b').amax('b'),
  },
  {
    op: 'stopGradient',
    name: 'a factor seen as constant',
    inputs: { x: v({ a: 4 }) },
    build: ({ x }) => x!.detach(),
    blocked: ['x'],
  },
  {
    op: 'iota',
    name: 'position',
    inputs: { x: v({ a: 5 }) },
    build: ({ x }) => x!.mul(iota('a', 5).cast('f32')),
    linear: ['x'],
  },
  {
    op: 'step',
    name: 'learning rate',
    inputs: { x: v({ a: 3 }) },
    build: ({ x }) => x!.mul(stepScalar('lr')),
    linear: ['x'],
  },
  {
    op: 'random',
    name: 'a mask',
    inputs: { x: v({ a: 3, b: 5 }) },
    build: ({ x }) => x!.mul(uniform(x!.axes)),
    linear: ['x'],
  },
];

// ── attention ─────────────────────────────────────────────────────────────────────────────────────────────────────
const q = v({ g: 2, n: 3, h: 2, e: 2 });
const k = v({ g: 2, m: 4, h: 2, e: 2 });
const bias = v({ h: 2, n: 3, m: 4 });
const gq: SampleInput = { axes: { g: 2, n: 3 }, dtype: 'i32', classes: 2 };
const gk: SampleInput = { axes: { g: 2, m: 4 }, dtype: 'i32', classes: 2 };
const attentions: Sample[] = [
  { op: 'attention', name: 'plain', inputs: { q, k, v: k }, build: (t) => attention(t.q!, t.k!, t.v!), linear: ['v'] },
  {
    op: 'attention',
    name: 'own scale',
    inputs: { q, k, v: k },
    build: (t) => attention(t.q!, t.k!, t.v!, { scale: 2.5 }),
    linear: ['v'],
  },
  {
    op: 'attention',
    name: 'bias',
    inputs: { q, k, v: k, bias },
    build: (t) => attention(t.q!, t.k!, t.v!, { bias: t.bias! }),
    linear: ['v'],
  },
  // a mask value of -1 leaves what it masks visible, so that its gradient is seen too
  {
    op: 'attention',
    name: 'groups',
    inputs: { q, k, v: k, gq, gk },
    build: (t) => attention(t.q!, t.k!, t.v!, { groups: { q: t.gq!, k: t.gk!, maskValue: -1 } }),
    linear: ['v'],
  },
  {
    op: 'attention',
    name: 'bias and groups',
    inputs: { q, k, v: k, bias, gq, gk },
    build: (t) => attention(t.q!, t.k!, t.v!, { bias: t.bias!, groups: { q: t.gq!, k: t.gk! } }),
    linear: ['v'],
  },
  {
    op: 'attention',
    name: 'self',
    inputs: { q },
    build: (t) => attention(t.q!, t.q!.rename({ n: 'm' }), t.q!.rename({ n: 'm' })),
  },
];

// ── tiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const loops: Sample[] = [
  {
    op: 'tiles',
    name: 'rows with what all share',
    inputs: { x: v({ k: 3, a: 2, c: 4 }), w: v({ c: 4, e: 3 }), s: v({ a: 2 }) },
    build({ x, w, s }) {
      const outside = s!.mul(s!);
      return overTiles({ x: x! }, 'k', (tile) => ({ y: einsum(tile.x!.add(outside).tanh(), w!, 'a e') })).y;
    },
    linear: ['w'],
  },
  {
    op: 'tiles',
    name: 'a sum, an inner axis cut, random numbers',
    inputs: { x: v({ a: 2, k: 4, c: 3 }), y: v({ k: 4 }) },
    build({ x, y }) {
      const made = overTiles(
        { x: x!, y: y! },
        'k',
        (tile) => ({ rows: tile.x!.mul(uniform(tile.x!.axes)), all: tile.x!.mul(tile.x!).mul(tile.y!) }),
        ['all'],
      );
      return made.rows.mul(made.all);
    },
  },
];

export const samples: readonly Sample[] = [
  ...maps,
  ...reduces,
  ...views,
  ...contracts,
  ...others,
  ...attentions,
  ...loops,
];
