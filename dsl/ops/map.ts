// map: one scalar function applied at every element. Inputs have the output's axes (broadcasting is a view). The table
// below is all there is to elementwise arithmetic: the function, its type and its gradient.
import { defineOp, make, type Op, typeOf, type Value } from '../graph.ts';
import { type BinaryOp, type DType, roundToHalf, type TensorType, type UnaryOp } from '../types.ts';
import { scalarValue } from './leaf.ts';
import { expandAs } from './view.ts';

export type MapFn = UnaryOp | BinaryOp | 'select' | 'cast';
export interface MapAttrs {
  readonly fn: MapFn;
  /** For cast. */
  readonly dtype?: DType;
}

const COMPARISONS = new Set<MapFn>(['lt', 'le', 'eq', 'ne', 'gt', 'ge', 'and', 'or', 'not', 'isfinite']);
const isFloat = (d: DType): boolean => d === 'f32' || d === 'f16';
/** f16 is reached from f32 alone, and left for it. */
const castable = (from: DType, to: DType): boolean =>
  (from !== 'f16' && to !== 'f16') || (isFloat(from) && isFloat(to));
const arity = (fn: MapFn): number => (fn === 'select' ? 3 : fn in UNARY || fn === 'cast' ? 1 : 2);

export const map: Op<MapAttrs> = defineOp<MapAttrs>({
  name: 'map',
  infer(inputs, { fn, dtype }, fail) {
    if (inputs.length !== arity(fn))
      fail(`${fn} takes ${arity(fn)} operands, found ${inputs.length}`, 'give the right number of operands');
    const like = inputs[inputs.length - 1]!;
    for (const t of inputs) {
      const same =
        t.axes.length === like.axes.length &&
        t.axes.every((a, i) => a.name === like.axes[i]!.name && a.size === like.axes[i]!.size);
      if (!same) fail(`${fn} needs equal axes`, 'rename or expand an operand so that axis names and sizes agree');
    }
    const operands = fn === 'select' ? inputs.slice(1) : inputs;
    if (operands.some((t) => t.dtype !== like.dtype)) fail(`${fn} needs one dtype`, 'cast one operand');
    if (fn === 'select' && inputs[0]!.dtype !== 'bool') fail('the condition of select is bool', 'compare first');
    if (fn === 'cast' ? !castable(like.dtype, dtype!) : operands.some((t) => t.dtype === 'f16'))
      fail(`${fn}: f16 is for storage, arithmetic is f32`, "cast first: x.cast('f32')");
    const out: DType = fn === 'cast' ? dtype! : COMPARISONS.has(fn) ? 'bool' : like.dtype;
    return [{ dtype: out, axes: like.axes }];
  },
  gradient(node, [dy]) {
    // f16 tensors have f32 cotangents.
    if (!dy || !isFloat(node.types[0]!.dtype)) return node.inputs.map(() => null);
    const y: Value = { node, out: 0 };
    const [a, b, c] = node.inputs as [Value, Value, Value];
    const k = (v: number): Value => expandAs(scalarValue(v), node.types[0]!);
    switch (node.attrs.fn as MapFn) {
      case 'neg':
        return [f('neg', dy)];
      case 'abs':
        return [f('select', f('lt', a, k(0)), f('neg', dy), dy)];
      case 'exp':
        return [f('mul', dy, y)];
      case 'log':
        return [f('div', dy, a)];
      case 'sqrt':
        return [f('div', f('mul', dy, k(0.5)), y)];
      case 'rsqrt':
        return [f('mul', dy, f('mul', k(-0.5), f('mul', y, f('mul', y, y))))];
      case 'tanh':
        return [f('mul', dy, f('sub', k(1), f('mul', y, y)))];
      case 'erf':
        return [f('mul', dy, f('mul', k(2 / Math.sqrt(Math.PI)), f('exp', f('neg', f('mul', a, a)))))];
      case 'add':
        return [dy, dy];
      case 'sub':
        return [dy, f('neg', dy)];
      case 'mul':
        return [f('mul', dy, b), f('mul', dy, a)];
      case 'div':
        return [f('div', dy, b), f('neg', f('div', f('mul', dy, y), b))];
      case 'max':
        return [f('select', f('ge', a, b), dy, k(0)), f('select', f('ge', a, b), k(0), dy)];
      case 'min':
        return [f('select', f('le', a, b), dy, k(0)), f('select', f('le', a, b), k(0), dy)];
      case 'pow':
        return [f('mul', dy, f('mul', b, f('pow', a, f('sub', b, k(1))))), f('mul', dy, f('mul', y, f('log', a)))];
      case 'select':
        return [null, f('select', a, b === c ? dy : dy, k(0)), f('select', a, k(0), dy)];
      case 'cast':
        return [isFloat(typeOf(a).dtype) ? dy : null];
      default:
        return node.inputs.map(() => null);
    }
  },
  evaluate(inputs, types, { fn, dtype }) {
    const n = inputs[0]!.length;
    const out = new Float64Array(n);
    const [a, b, c] = inputs as [Float64Array, Float64Array, Float64Array];
    if (fn === 'select') for (let i = 0; i < n; i++) out[i] = a[i] ? b[i]! : c[i]!;
    else if (fn === 'cast') for (let i = 0; i < n; i++) out[i] = castTo(a[i]!, dtype!);
    else if (fn in UNARY) for (let i = 0; i < n; i++) out[i] = UNARY[fn as UnaryOp](a[i]!);
    else {
      const g = BINARY[fn as BinaryOp];
      const integer = types[0]!.dtype !== 'f32';
      for (let i = 0; i < n; i++) out[i] = integer && fn === 'div' ? Math.trunc(a[i]! / b[i]!) : g(a[i]!, b[i]!);
    }
    return [out];
  },
  print: (a) => (a.dtype ? `${a.fn} ${a.dtype}` : a.fn),
});

const f = (fn: MapFn, ...inputs: Value[]): Value => make(map, inputs, { fn });

export function castTo(x: number, dtype: DType): number {
  if (dtype === 'bool') return x !== 0 ? 1 : 0;
  if (dtype === 'f16') return roundToHalf(x);
  return dtype === 'f32' ? x : dtype === 'u32' ? Math.trunc(x) >>> 0 : Math.trunc(x) | 0;
}

export const UNARY: Record<UnaryOp, (x: number) => number> = {
  neg: (x) => -x,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  tanh: Math.tanh,
  erf,
  floor: Math.floor,
  not: (x) => (x ? 0 : 1),
  isfinite: (x) => (Number.isFinite(x) ? 1 : 0),
};

export const BINARY: Record<BinaryOp, (x: number, y: number) => number> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  max: Math.max,
  min: Math.min,
  pow: (x, y) => x ** y,
  // the sign of the divisor: -1 mod 7 is 6
  mod: (x, y) => x - y * Math.floor(x / y),
  lt: (x, y) => (x < y ? 1 : 0),
  le: (x, y) => (x <= y ? 1 : 0),
  eq: (x, y) => (x === y ? 1 : 0),
  ne: (x, y) => (x !== y ? 1 : 0),
  gt: (x, y) => (x > y ? 1 : 0),
  ge: (x, y) => (x >= y ? 1 : 0),
  and: (x, y) => (x && y ? 1 : 0),
  or: (x, y) => (x || y ? 1 : 0),
};

/** erf in float64: its Taylor series below 3, the continued fraction of erfc above. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 100; n++) {
      term *= (-a * a) / n;
      const d = term / (2 * n + 1);
      sum += d;
      if (Math.abs(d) < 1e-18 * Math.abs(sum)) break;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let t = 0;
  for (let k = 60; k > 0; k--) t = k / 2 / (a + t);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + t)));
}

export const isComparison = (fn: MapFn): boolean => COMPARISONS.has(fn);
export type { TensorType };
