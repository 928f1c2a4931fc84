// Small kernels built by hand, one for each thing an emitter can get wrong. Tests run them on every target against
// evaluate.ts.
//
// Contract: deterministic; a kernel writes every element of its outputs; f32 inputs are exact Float32 values.
import type { DType } from '../dsl/types.ts';
import { type BinaryOp, type Expr, lit, type UnaryOp, when } from './expr.ts';
import { add, div, type Int, int, linear, mul, rem, sub, variable } from './int.ts';
import {
  type Affine,
  axisVar,
  type Buf,
  type ContractKernel,
  type Kernel,
  type LoopVar,
  type Operand,
  type ReduceOp,
} from './ir.ts';

export interface Sample {
  readonly name: string;
  readonly kernel: Kernel;
  readonly flops: number;
}

/** Inputs drawn from a small generator, outputs NaN: one array per buffer of the kernel. Floats lie in (-1, 1). */
export function fill(kernel: Kernel, seed: number): Float64Array[] {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const next = (): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
  return kernel.bufs.map((b) => {
    const a = new Float64Array(b.size);
    if (b.access === 'write') return a.fill(Number.NaN);
    const draw: Record<DType, () => number> = {
      f32: () => Math.fround(next() * 2 - 1),
      f16: () => Math.round((next() * 2 - 1) * 256) / 256,
      i32: () => Math.floor(next() * 4),
      u32: () => Math.floor(next() * 4),
      bool: () => (next() < 0.5 ? 0 : 1),
    };
    for (let i = 0; i < a.length; i++) a[i] = draw[b.dtype]();
    return a;
  });
}

// Little builders ------------------------------------------------------------------------------------------------------

export const load = (buf: number, index: Int, dtype: DType = 'f32'): Expr => ({ k: 'load', buf, index, dtype });
const compare = new Set(['lt', 'le', 'eq', 'ne', 'gt', 'ge']);
export const bin = (op: BinaryOp, a: Expr, b: Expr): Expr => ({
  k: 'bin',
  op,
  a,
  b,
  dtype: compare.has(op) ? 'bool' : a.dtype,
});
export const un = (op: UnaryOp, a: Expr): Expr => ({
  k: 'un',
  op,
  a,
  dtype: op === 'isfinite' || op === 'not' ? 'bool' : a.dtype,
});
const select = (c: Expr, a: Expr, b: Expr): Expr => ({ k: 'select', c, a, b, dtype: a.dtype });
const acc: Expr = { k: 'acc', dtype: 'f32' };
const leakyRelu = (x: Expr): Expr => select(bin('gt', x, lit(0)), x, bin('mul', x, lit(0.01)));

const product = (n: readonly number[]): number => n.reduce((a, b) => a * b, 1);

/** A buffer of a kernel; numbered by its place. */
export function buf(label: string, size: number, access: Buf['access'] = 'read', dtype: DType = 'f32'): Buf {
  return { tensor: 0, dtype, size, access, label };
}
const number = (bufs: Buf[]): Buf[] => bufs.map((b, tensor) => ({ ...b, tensor }));

const base = (name: string, bufs: Buf[], flops: number) => ({
  name,
  region: name,
  ops: [name],
  lines: ['kernels/samples.ts'],
  bufs: number(bufs),
  flops,
});

export function sample(kernel: Kernel): Sample {
  return { name: kernel.name, kernel, flops: kernel.flops };
}

/** The row-major index of axes of these sizes, over the operand's own variables x0 … */
const axes = (shape: readonly number[]): Int =>
  linear(
    shape.map((s, i) => variable(axisVar(i), s)),
    shape,
  );
const affine = (size: number, offset: number, ...terms: [string, number][]): Affine => ({
  size,
  offset,
  terms: terms.map(([name, coef]) => ({ var: name, coef })),
});
const vars = (o: Record<string, number>): LoopVar[] => Object.entries(o).map(([name, size]) => ({ name, size }));

// Contractions ---------------------------------------------------------------------------------------------------------

export interface MatmulOptions {
  readonly batch?: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly bias?: boolean;
  readonly gelu?: boolean;
}

/** c[b m n] = a[b m k] b[b k n] (+ bias[n]); transposes exchange the stored axes. */
export function matmul(m: number, k: number, n: number, o: MatmulOptions = {}): Sample {
  const batch = o.batch ?? 1;
  const name = `matmul ${batch > 1 ? `${batch}×` : ''}${m}×${k}×${n}${o.transposeA ? ' aT' : ''}${o.transposeB ? ' bT' : ''}${o.bias ? ' bias' : ''}${o.gelu ? ' gelu' : ''}`;
  const aShape = o.transposeA ? [batch, k, m] : [batch, m, k];
  const bShape = o.transposeB ? [batch, n, k] : [batch, k, n];
  const names = (list: string[], shape: number[]): Affine[] => list.map((v, i) => affine(shape[i]!, 0, [v, 1]));
  const x = load(0, axes(aShape));
  const half = bin('mul', x, lit(0.5));
  const gelu = bin('mul', half, bin('add', lit(1), un('erf', bin('mul', x, lit(Math.SQRT1_2)))));
  const a: Operand = {
    axes: names(o.transposeA ? ['b', 'k', 'm'] : ['b', 'm', 'k'], aShape),
    value: o.gelu ? gelu : x,
  };
  const b: Operand = {
    axes: names(o.transposeB ? ['b', 'n', 'k'] : ['b', 'k', 'n'], bShape),
    value: load(1, axes(bShape)),
  };
  const kernel: ContractKernel = {
    ...base(
      name,
      [
        buf('a', batch * m * k),
        buf('b', batch * k * n),
        buf('c', batch * m * n, 'write'),
        ...(o.bias ? [buf('bias', n)] : []),
      ],
      2 * batch * m * k * n,
    ),
    kind: 'contract',
    pattern: 'matmul',
    vars: new Map([
      ['b', batch],
      ['m', m],
      ['k', k],
      ['n', n],
    ]),
    out: ['b', 'm', 'n'],
    batch: ['b'],
    m: ['m'],
    n: ['n'],
    k: ['k'],
    a,
    b,
    stores: [{ buf: 2, value: o.bias ? bin('add', acc, load(3, variable('n', n))) : acc }],
  };
  return sample(kernel);
}

export interface ConvOptions {
  readonly b?: number;
  /** Input depth, height, width. */
  readonly size: readonly [number, number, number];
  readonly ci: number;
  readonly co: number;
  readonly kernel?: number;
  readonly stride?: number;
  readonly pad?: number;
  /** On x: leakyRelu(x * scale[b c] + shift[b c]). */
  readonly prologue?: boolean;
  readonly bias?: boolean;
  /** Weight gradient: parts of the outermost spatial axis. */
  readonly split?: number;
}

function convShape(o: ConvOptions) {
  const kernel = o.kernel ?? 3;
  const stride = o.stride ?? 1;
  const pad = o.pad ?? (kernel - 1) >> 1;
  const out = o.size.map((n) => Math.floor((n + 2 * pad - kernel) / stride) + 1) as [number, number, number];
  return { kernel, stride, pad, out, b: o.b ?? 1 };
}

const describe = (o: ConvOptions): string =>
  `${o.ci}→${o.co} k${o.kernel ?? 3} s${o.stride ?? 1} ${o.size.join('×')}${(o.b ?? 1) > 1 ? ` b${o.b}` : ''}${o.prologue ? ' prologue' : ''}${o.bias ? ' bias' : ''}`;

const spatial = ['d', 'h', 'w'] as const;

function inputOperand(o: ConvOptions, bufs: { x: number; scale: number; shift: number }): Operand {
  const { kernel, stride, pad, b } = convShape(o);
  const shape = [b, ...o.size, o.ci];
  let value = load(bufs.x, axes(shape));
  if (o.prologue) {
    const bc = linear([variable('x0', b), variable('x4', o.ci)], [b, o.ci]);
    value = leakyRelu(bin('add', bin('mul', value, load(bufs.scale, bc)), load(bufs.shift, bc)));
  }
  return {
    value,
    axes: [
      affine(b, 0, ['b', 1]),
      ...spatial.map((s, i) =>
        kernel === 1 ? affine(o.size[i]!, -pad, [s, stride]) : affine(o.size[i]!, -pad, [s, stride], [`k${s}`, 1]),
      ),
      affine(o.ci, 0, ['ci', 1]),
    ],
  };
}

/** y[b d h w co] = sum over taps and ci of x[b d h w ci] * weight[kd kh kw ci co] (+ bias[co]). */
export function conv(o: ConvOptions): Sample {
  const { kernel, out, b } = convShape(o);
  const w = [kernel, kernel, kernel, o.ci, o.co];
  const sizes = new Map(
    Object.entries({ b, d: out[0], h: out[1], w: out[2], co: o.co, kd: kernel, kh: kernel, kw: kernel, ci: o.ci }),
  );
  const bufs = [
    buf('x', b * product(o.size) * o.ci),
    buf('weight', product(w)),
    buf('y', b * product(out) * o.co, 'write'),
  ];
  if (o.bias) bufs.push(buf('bias', o.co));
  const bias = 3;
  const scale = bufs.length;
  if (o.prologue) bufs.push(buf('scale', b * o.ci), buf('shift', b * o.ci));
  const kernelIr: ContractKernel = {
    ...base(`conv ${describe(o)}`, bufs, 2 * b * product(out) * product(w)),
    kind: 'contract',
    pattern: 'conv',
    vars: sizes,
    out: ['b', 'd', 'h', 'w', 'co'],
    batch: [],
    m: ['b', 'd', 'h', 'w'],
    n: ['co'],
    k: ['kd', 'kh', 'kw', 'ci'],
    a: inputOperand(o, { x: 0, scale, shift: scale + 1 }),
    b: {
      value: load(1, axes(w)),
      axes: ['kd', 'kh', 'kw', 'ci', 'co'].map((v, i) => affine(w[i]!, 0, [v, 1])),
    },
    stores: [{ buf: 2, value: o.bias ? bin('add', acc, load(bias, variable('co', o.co))) : acc }],
  };
  return sample(kernelIr);
}

/** dx[b d h w ci] = sum over taps and co of dy[b (d - kd + pad) …] * weight[kd kh kw ci co]; stride 1. */
export function convDataGrad(o: ConvOptions): Sample {
  const { kernel, pad, out, b } = convShape(o);
  const w = [kernel, kernel, kernel, o.ci, o.co];
  const sizes = new Map(
    Object.entries({
      b,
      d: o.size[0],
      h: o.size[1],
      w: o.size[2],
      co: o.co,
      kd: kernel,
      kh: kernel,
      kw: kernel,
      ci: o.ci,
    }),
  );
  const kernelIr: ContractKernel = {
    ...base(
      `convDataGrad ${describe(o)}`,
      [buf('dy', b * product(out) * o.co), buf('weight', product(w)), buf('dx', b * product(o.size) * o.ci, 'write')],
      2 * b * product(o.size) * product(w),
    ),
    kind: 'contract',
    pattern: 'convDataGrad',
    vars: sizes,
    out: ['b', 'd', 'h', 'w', 'ci'],
    batch: [],
    m: ['b', 'd', 'h', 'w'],
    n: ['ci'],
    k: ['kd', 'kh', 'kw', 'co'],
    a: {
      value: load(0, axes([b, ...out, o.co])),
      axes: [
        affine(b, 0, ['b', 1]),
        ...spatial.map((s, i) => affine(out[i]!, pad, [s, 1], [`k${s}`, -1])),
        affine(o.co, 0, ['co', 1]),
      ],
    },
    b: {
      value: load(1, axes(w)),
      axes: ['kd', 'kh', 'kw', 'ci', 'co'].map((v, i) => affine(w[i]!, 0, [v, 1])),
    },
    stores: [{ buf: 2, value: acc }],
  };
  return sample(kernelIr);
}

/** dw[s kd kh kw ci co] = sum over b, d within part s, h, w of x[b d+kd … ci] * dy[b d h w co]. */
export function convWeightGrad(o: ConvOptions): Sample {
  const { kernel, stride, out, b } = convShape(o);
  const split = o.split ?? 1;
  const chunk = Math.ceil(out[0] / split);
  const sizes = new Map(
    Object.entries({
      s: split,
      b,
      d: chunk,
      h: out[1],
      w: out[2],
      co: o.co,
      kd: kernel,
      kh: kernel,
      kw: kernel,
      ci: o.ci,
    }),
  );
  const bufs = [
    buf('x', b * product(o.size) * o.ci),
    buf('dy', b * product(out) * o.co),
    buf('dw', split * kernel ** 3 * o.ci * o.co, 'write'),
  ];
  if (o.prologue) bufs.push(buf('scale', b * o.ci), buf('shift', b * o.ci));
  const x = inputOperand(o, { x: 0, scale: 3, shift: 4 });
  const kernelIr: ContractKernel = {
    ...base(`convWeightGrad ${describe(o)} split ${split}`, bufs, 2 * b * product(out) * kernel ** 3 * o.ci * o.co),
    kind: 'contract',
    pattern: 'convWeightGrad',
    vars: sizes,
    out: ['s', 'kd', 'kh', 'kw', 'ci', 'co'],
    batch: ['s'],
    m: ['kd', 'kh', 'kw', 'ci'],
    n: ['co'],
    k: ['b', 'd', 'h', 'w'],
    a: {
      value: x.value,
      axes: x.axes.map((a, i) => (i === 1 ? { ...a, terms: [{ var: 's', coef: chunk * stride }, ...a.terms] } : a)),
    },
    b: {
      value: load(1, axes([b, ...out, o.co])),
      axes: [
        affine(b, 0, ['b', 1]),
        affine(out[0], 0, ['s', chunk], ['d', 1]),
        affine(out[1], 0, ['h', 1]),
        affine(out[2], 0, ['w', 1]),
        affine(o.co, 0, ['co', 1]),
      ],
    },
    stores: [{ buf: 2, value: acc }],
  };
  return sample(kernelIr);
}

/** conv over the concatenation of two tensors along c: the operand is an `if` on the channel coordinate. */
export function convConcat(size: readonly [number, number, number], c0: number, c1: number, co: number): Sample {
  const ci = c0 + c1;
  const s = conv({ size, ci, co });
  const k = s.kernel as ContractKernel;
  const c = variable('x4', ci);
  const at = (channel: Int, width: number): Int =>
    linear([...size.map((n, i) => variable(axisVar(i + 1), n)), channel], [...size, width]);
  const value = when([{ e: c, lo: 0, hi: c0 }], load(0, at(c, c0)), load(3, at(sub(c, int(c0)), c1)));
  const kernel: ContractKernel = {
    ...k,
    name: `convConcat ${c0}+${c1}→${co} ${size.join('×')}`,
    bufs: number([
      { ...k.bufs[0]!, size: product(size) * c0 },
      k.bufs[1]!,
      k.bufs[2]!,
      buf('skip', product(size) * c1),
    ]),
    a: { ...k.a, value },
  };
  return sample(kernel);
}

/** Depthwise convolution: y[d h w c] = sum over taps of x[d+kd … c] * weight[kd kh kw c]. No matrix multiplication. */
function depthwise(size: readonly [number, number, number], c: number): Sample {
  const s = conv({ size, ci: 1, co: c });
  const k = s.kernel as ContractKernel;
  const x = [...size, c];
  const w = [3, 3, 3, c];
  const kernel: ContractKernel = {
    ...k,
    name: `depthwise c${c} ${size.join('×')}`,
    pattern: 'depthwise',
    bufs: number([{ ...k.bufs[0]!, size: product(x) }, k.bufs[1]!, k.bufs[2]!]),
    out: ['d', 'h', 'w', 'co'],
    batch: ['co'],
    m: ['d', 'h', 'w'],
    n: [],
    k: ['kd', 'kh', 'kw'],
    a: {
      value: load(0, axes(x)),
      axes: [
        ...spatial.map((v, i) => affine(size[i]!, -1, [v, 1] as [string, number], [`k${v}`, 1] as [string, number])),
        affine(c, 0, ['co', 1]),
      ],
    },
    b: { value: load(1, axes(w)), axes: ['kd', 'kh', 'kw', 'co'].map((v, i) => affine(w[i]!, 0, [v, 1])) },
  };
  return sample(kernel);
}

/** Transposed convolution with kernel 2 and stride 2 as one contract: y[d p h q w r co], columns p q r co around the rows. */
function upsample(size: readonly [number, number, number], ci: number, co: number): Sample {
  const [d, h, w] = size;
  const x = [d, h, w, ci];
  const wt = [ci, 2, 2, 2, co];
  const kernel: ContractKernel = {
    ...base(
      `upsample ${ci}→${co} ${size.join('×')}`,
      [buf('x', product(x)), buf('weight', product(wt)), buf('y', product(size) * 8 * co, 'write')],
      2 * product(size) * product(wt),
    ),
    kind: 'contract',
    pattern: 'matmul',
    vars: new Map(Object.entries({ d, h, w, p: 2, q: 2, r: 2, co, ci })),
    out: ['d', 'p', 'h', 'q', 'w', 'r', 'co'],
    batch: [],
    m: ['d', 'h', 'w'],
    n: ['p', 'q', 'r', 'co'],
    k: ['ci'],
    a: { value: load(0, axes(x)), axes: ['d', 'h', 'w', 'ci'].map((v, i) => affine(x[i]!, 0, [v, 1])) },
    b: { value: load(1, axes(wt)), axes: ['ci', 'p', 'q', 'r', 'co'].map((v, i) => affine(wt[i]!, 0, [v, 1])) },
    stores: [{ buf: 2, value: acc }],
  };
  return sample(kernel);
}

// Maps and reductions --------------------------------------------------------------------------------------------------

/** Every scalar function on one row of values. */
function functions(n: number): Sample {
  const x = load(0, variable('i', n));
  const y = load(1, variable('i', n));
  const outs: [string, Expr][] = [
    ['exp', un('exp', bin('mul', x, lit(20)))],
    ['log', un('log', un('abs', x))],
    ['tanh', un('tanh', bin('mul', x, lit(3)))],
    ['erf', un('erf', bin('mul', x, lit(4)))],
    ['sqrt', bin('add', un('sqrt', un('abs', x)), un('rsqrt', bin('add', un('abs', y), lit(0.01))))],
    ['minmax', bin('sub', bin('max', x, y), bin('min', x, lit(0.25)))],
    [
      'select',
      select(bin('le', x, y), bin('div', x, bin('add', y, lit(2))), un('neg', un('floor', bin('mul', x, lit(8))))),
    ],
    ['pow', bin('pow', un('abs', x), lit(1.5))],
    ['finite', select(un('isfinite', bin('div', x, un('floor', un('abs', y)))), lit(1), lit(2))],
    ['random', { k: 'random', op: 17, index: variable('i', n), dtype: 'f32' }],
    ['iota', { k: 'cast', a: { k: 'index', i: rem(variable('i', n), 7), dtype: 'i32' }, dtype: 'f32' }],
    ['logic', select(bin('and', bin('lt', x, y), un('not', bin('ge', y, lit(0.5)))), lit(3), lit(-3))],
  ];
  return sample({
    ...base(`map functions ${n}`, [buf('x', n), buf('y', n), ...outs.map(([l]) => buf(l, n, 'write'))], 0),
    kind: 'map',
    vars: vars({ i: n }),
    stores: outs.map(([, value], i) => ({ buf: i + 2, value })),
  });
}

/** y[d h w c] = x shifted by a roll along d and padded along h, times a row broadcast over channels. */
export function padRoll(d: number, h: number, w: number, c: number): Sample {
  const H = h + 3;
  const dv = variable('d', d);
  const hv = variable('h', H);
  const wv = variable('w', w);
  const cv = variable('c', c);
  const row = add(hv, int(-1));
  const at = linear([rem(add(dv, int(2)), d), row, wv, cv], [d, h, w, c]);
  const value = when([{ e: row, lo: 0, hi: h }], bin('mul', load(0, at), load(1, cv)), lit(0));
  return sample({
    ...base(
      `map pad roll ${d}×${h}×${w}×${c}`,
      [buf('x', d * h * w * c), buf('gain', c), buf('y', d * H * w * c, 'write')],
      0,
    ),
    kind: 'map',
    vars: vars({ d, h: H, w, c }),
    stores: [{ buf: 2, value }],
  });
}

/** y[r c] = x[r c] * scale[r] + transpose(z)[c r]: stride 0 and stride n along the row. */
function broadcast(r: number, c: number): Sample {
  const rv = variable('r', r);
  const cv = variable('c', c);
  const x = load(0, linear([rv, cv], [r, c]));
  const z = load(2, linear([cv, rv], [c, r]));
  return sample({
    ...base(
      `map broadcast ${r}×${c}`,
      [buf('x', r * c), buf('scale', r), buf('z', r * c), buf('y', r * c, 'write')],
      0,
    ),
    kind: 'map',
    vars: vars({ r, c }),
    stores: [{ buf: 3, value: bin('add', bin('mul', x, load(1, rv)), z) }],
  });
}

/** Concatenation along the row variable, and an integer one-hot. */
function concat(r: number, c0: number, c1: number): Sample {
  const c = c0 + c1;
  const rv = variable('r', r);
  const cv = variable('c', c);
  const value = when(
    [{ e: cv, lo: 0, hi: c0 }],
    load(0, linear([rv, cv], [r, c0])),
    load(1, linear([rv, sub(cv, int(c0))], [r, c1])),
  );
  const hot: Expr = {
    k: 'cast',
    a: bin('eq', load(2, rv, 'i32'), { k: 'index', i: cv, dtype: 'i32' }),
    dtype: 'f32',
  };
  return sample({
    ...base(
      `map concat ${r}×${c0}+${c1}`,
      [
        buf('x', r * c0),
        buf('z', r * c1),
        buf('label', r, 'read', 'i32'),
        buf('y', r * c, 'write'),
        buf('hot', r * c, 'write'),
      ],
      0,
    ),
    kind: 'map',
    vars: vars({ r, c }),
    stores: [
      { buf: 3, value },
      { buf: 4, value: hot },
    ],
  });
}

/** Window partition [d h w c] -> [window token c] and a gather of embedding rows. */
function windows(d: number, ws: number, c: number): Sample {
  const n = d / ws;
  const g = variable('g', n ** 3);
  const t = variable('t', ws ** 3);
  const cv = variable('c', c);
  const coordinate = (step: number, i: number): Int =>
    add(mul(rem(div(g, step ** i), n), ws), rem(div(t, ws ** i), ws));
  const at = linear([coordinate(n, 2), coordinate(n, 1), coordinate(n, 0), cv], [d, d, d, c]);
  const gathered: Expr = {
    k: 'load',
    buf: 2,
    index: cv,
    dtype: 'f32',
    at: { expr: load(1, t, 'i32'), stride: c },
  };
  return sample({
    ...base(
      `map windows ${d}/${ws} c${c}`,
      [buf('x', d ** 3 * c), buf('ids', ws ** 3, 'read', 'i32'), buf('table', 4 * c), buf('y', d ** 3 * c, 'write')],
      0,
    ),
    kind: 'map',
    vars: vars({ g: n ** 3, t: ws ** 3, c }),
    stores: [{ buf: 3, value: bin('add', load(0, at), gathered) }],
  });
}

/** In-place update: p -= lr * g, with moments (AdamW's shape). */
function update(n: number): Sample {
  const i = variable('i', n);
  const m = bin('add', bin('mul', load(1, i), lit(0.9)), bin('mul', load(2, i), lit(0.1)));
  const lr: Expr = { k: 'step', slot: 'lr', dtype: 'f32' };
  return sample({
    ...base(`map update ${n}`, [buf('p', n, 'readwrite'), buf('m', n, 'readwrite'), buf('g', n)], 0),
    kind: 'map',
    vars: vars({ i: n }),
    stores: [
      { buf: 0, value: bin('sub', load(0, i), bin('mul', lr, m)) },
      { buf: 1, value: m },
    ],
  });
}

/** Row reduction over the innermost axis: keep r, reduce c. */
export function rowReduce(op: ReduceOp, r: number, c: number, square = false): Sample {
  const x = load(0, linear([variable('r', r), variable('c', c)], [r, c]));
  const dtype = op === 'argmax' ? 'i32' : 'f32';
  const result: Expr = op === 'argmax' ? { k: 'acc', dtype: 'i32' } : op === 'sum' ? bin('mul', acc, lit(1 / c)) : acc;
  return sample({
    ...base(
      `reduce row ${op}${square ? ' of squares' : ''} ${r}×${c}`,
      [buf('x', r * c), buf('y', r, 'write', dtype)],
      0,
    ),
    kind: 'reduce',
    op,
    keep: vars({ r }),
    red: vars({ c }),
    value: square ? bin('mul', x, x) : x,
    stores: [{ buf: 1, value: result }],
  });
}

/** Column reduction: keep b and c, reduce d h w (InstanceNorm statistics). */
export function columnReduce(op: ReduceOp, b: number, [d, h, w]: [number, number, number], c: number): Sample {
  const shape = [b, d, h, w, c];
  const at = linear(
    ['b', 'd', 'h', 'w', 'c'].map((v, i) => variable(v, shape[i]!)),
    shape,
  );
  return sample({
    ...base(`reduce column ${op} ${shape.join('×')}`, [buf('x', product(shape)), buf('y', b * c, 'write')], 0),
    kind: 'reduce',
    op,
    keep: vars({ b, c }),
    red: vars({ d, h, w }),
    value: load(0, at),
    stores: [{ buf: 1, value: acc }],
  });
}

// Attention ------------------------------------------------------------------------------------------------------------

export interface AttentionOptions {
  readonly g: number;
  readonly h: number;
  readonly n: number;
  readonly e: number;
  readonly masked?: boolean;
  readonly bias?: boolean;
  readonly parts?: number;
}

/** Attention over qkv [g n 3 h e], bias [h n n], group ids [g n]. */
export function attention(part: 'forward' | 'dq' | 'dkv' | 'dbias', o: AttentionOptions): Sample {
  const { g, h, n, e } = o;
  const name = `attention ${part} g${g} h${h} n${n} e${e}${o.masked ? ' masked' : ''}${o.bias === false ? '' : ' bias'}`;
  const v = (s: string, size: number): Int => variable(s, size);
  const qkv = (which: number, token: string): Expr =>
    load(0, linear([v('g', g), v(token, n), int(which), v('h', h), v('e', e)], [g, n, 3, h, e]));
  const group = (token: string): Expr => load(2, linear([v('g', g), v(token, n)], [g, n]), 'i32');
  const bufs = [buf('qkv', g * n * 3 * h * e), buf('bias', h * n * n), buf('groups', g * n, 'read', 'i32')];
  const operands = {
    q: qkv(0, 'i'),
    k: qkv(1, 'j'),
    v: qkv(2, 'j'),
    bias: o.bias === false ? null : load(1, linear([v('h', h), v('i', n), v('j', n)], [h, n, n])),
    gq: o.masked ? group('i') : null,
    gk: o.masked ? group('j') : null,
    shape: { g, h, n, m: n, e, scale: e ** -0.5, maskValue: -100 },
  };
  const flops = 2 * g * h * n * n * e;
  if (part === 'forward') {
    bufs.push(buf('o', g * n * h * e, 'write'), buf('lse', g * h * n, 'write'));
    return sample({ ...base(name, bufs, 2 * flops), kind: 'attention', ...operands, o: 3, lse: 4 });
  }
  const parts = part === 'dbias' ? (o.parts ?? 1) : 1;
  bufs.push(buf('dO', g * n * h * e), buf('lse', g * h * n), buf('delta', g * h * n));
  if (part === 'dbias') bufs.push(buf('dbias', parts * h * n * n, 'write'));
  else bufs.push(buf(part === 'dq' ? 'dq' : 'dk', g * n * h * e, 'write'));
  if (part === 'dkv') bufs.push(buf('dv', g * n * h * e, 'write'));
  const row = linear([v('g', g), v('h', h), v('i', n)], [g, h, n]);
  return sample({
    ...base(name, bufs, (part === 'dkv' ? 4 : part === 'dq' ? 3 : 2) * flops),
    kind: 'attentionGrad',
    part,
    ...operands,
    dO: load(3, linear([v('g', g), v('i', n), v('h', h), v('e', e)], [g, n, h, e])),
    // Real log-sum-exps are near log n: keeps probabilities near their size.
    lse: bin('add', load(4, row), lit(Math.log(n) + 1)),
    delta: load(5, row),
    outs: part === 'dkv' ? [6, 7] : [6],
    parts,
  });
}

/** Every sample, small enough for the float64 reference. */
export const samples: readonly Sample[] = [
  matmul(4, 8, 8),
  matmul(1, 1, 1),
  matmul(5, 7, 9, { bias: true }),
  matmul(13, 17, 19, { batch: 3 }),
  matmul(33, 31, 24, { gelu: true }),
  matmul(37, 29, 14, { transposeB: true }),
  matmul(29, 37, 16, { transposeA: true }),
  matmul(11, 23, 10, { batch: 2, transposeA: true, transposeB: true, bias: true }),
  matmul(2, 64, 40, { bias: true }),
  matmul(64, 5, 1),
  // A tile of either target, and one more or less of rows, columns and terms.
  ...[-1, 0, 1].flatMap((d) => [
    matmul(64 + d, 48 + d, 32 + d),
    matmul(32 + d, 96 + d, 64 + d, { transposeA: true, bias: true }),
    conv({ size: [3, 4, 8 + d], ci: 16 + d, co: 32 + d }),
    convDataGrad({ size: [3, 4, 8 + d], ci: 32 + d, co: 16 + d }),
    convWeightGrad({ size: [3, 4, 8 + d], ci: 16 + d, co: 32 + d }),
    functions(64 + d),
    broadcast(3, 256 + d),
    rowReduce('sum', 3, 256 + d),
    columnReduce('sum', 1, [3, 5, 17], 8 + d),
    columnReduce('max', 1, [3, 5, 17], 64 + d),
  ]),
  conv({ size: [4, 5, 6], ci: 8, co: 16 }),
  conv({ size: [5, 6, 7], ci: 12, co: 8, b: 2, prologue: true, bias: true }),
  conv({ size: [6, 5, 7], ci: 6, co: 14, stride: 2, bias: true }),
  conv({ size: [6, 7, 5], ci: 1, co: 16, prologue: true }),
  conv({ size: [4, 6, 4], ci: 1, co: 24, kernel: 2, stride: 2, pad: 0 }),
  conv({ size: [3, 4, 5], ci: 24, co: 14, kernel: 1, bias: true }),
  conv({ size: [1, 1, 9], ci: 5, co: 3 }),
  convDataGrad({ size: [4, 5, 6], ci: 16, co: 8 }),
  convDataGrad({ size: [3, 5, 7], ci: 14, co: 7, b: 2 }),
  convWeightGrad({ size: [4, 5, 6], ci: 8, co: 16 }),
  convWeightGrad({ size: [5, 3, 7], ci: 6, co: 10, b: 2, split: 2, prologue: true }),
  convWeightGrad({ size: [6, 5, 7], ci: 5, co: 14, stride: 2, split: 3 }),
  convWeightGrad({ size: [4, 5, 6], ci: 1, co: 12 }),
  convConcat([3, 4, 5], 8, 12, 16),
  convConcat([3, 4, 5], 6, 5, 9),
  // Sizes past one block of rows, of columns or of the summed variable.
  matmul(601, 40, 24, { gelu: true }),
  matmul(1030, 9, 17, { transposeB: true, bias: true }),
  matmul(24, 1001, 40, { transposeA: true }),
  matmul(7, 1200, 5, { transposeA: true, transposeB: true, batch: 2 }),
  matmul(8, 200, 160),
  conv({ size: [9, 11, 13], ci: 4, co: 8, b: 2, prologue: true }),
  conv({ size: [13, 19, 9], ci: 3, co: 10, stride: 2, bias: true }),
  conv({ size: [11, 12, 13], ci: 1, co: 9 }),
  convDataGrad({ size: [9, 10, 11], ci: 9, co: 6 }),
  convWeightGrad({ size: [7, 11, 13], ci: 6, co: 9, b: 2, prologue: true }),
  convWeightGrad({ size: [2, 3, 5], ci: 40, co: 72 }),
  depthwise([3, 4, 5], 6),
  upsample([3, 4, 5], 7, 12),
  upsample([8, 9, 9], 5, 6),
  functions(67),
  functions(1),
  padRoll(4, 5, 3, 8),
  padRoll(5, 3, 7, 13),
  padRoll(3, 2, 5, 1),
  broadcast(7, 33),
  broadcast(1, 4),
  concat(5, 8, 12),
  concat(6, 7, 10),
  windows(6, 3, 5),
  windows(4, 2, 16),
  update(131),
  rowReduce('sum', 7, 48),
  rowReduce('sum', 5, 1031, true),
  rowReduce('max', 3, 37),
  rowReduce('min', 3, 5),
  rowReduce('argmax', 11, 14),
  rowReduce('argmax', 2, 1),
  columnReduce('sum', 2, [3, 5, 7], 12),
  columnReduce('sum', 1, [11, 13, 17], 3),
  columnReduce('max', 2, [2, 3, 4], 10),
  ...(['forward', 'dq', 'dkv', 'dbias'] as const).flatMap((part) => [
    attention(part, { g: 4, h: 3, n: 27, e: 16, masked: true, parts: 2 }),
    attention(part, { g: 3, h: 2, n: 8, e: 8, bias: false, parts: 2 }),
    attention(part, { g: 1, h: 1, n: 13, e: 5, parts: 1 }),
    attention(part, { g: 1, h: 2, n: 71, e: 8, masked: true }),
    attention(part, { g: 2, h: 1, n: 1, e: 4 }),
    attention(part, { g: 1, h: 1, n: 63, e: 15 }),
    attention(part, { g: 1, h: 1, n: 65, e: 17, masked: true }),
  ]),
];
