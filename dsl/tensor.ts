// Tensor: what a model's author holds. A value of the graph, with its axes by name.
//
//   const y = x.split('c', { h: 3, e: 8 }).permute('b h n e').mul(scale).softmax('e')
//
// Binary operations broadcast by axis name: an axis that one side lacks is expanded. The result's axes are those of the
// operand with more axes, in its order.
import { opError } from './errors.ts';
import { here, make, typeOf, type Value } from './graph.ts';
import { concat as concatOp } from './ops/concat.ts';
import { type ContractAttrs, contract } from './ops/contract.ts';
import { gather as gatherOp } from './ops/gather.ts';
import { iota as iotaOp, random as randomOp, scalarValue, step as stepOp } from './ops/leaf.ts';
import { type MapFn, map } from './ops/map.ts';
import { reduce } from './ops/reduce.ts';
import { stopGradient } from './ops/stop-gradient.ts';
import { type ViewStep, view } from './ops/view.ts';
import { type Axis, type DType, numel, type StepSlot, show, type TensorType } from './types.ts';

export type Operand = Tensor | number;

/** The type parameter says the axes to the reader, `Tensor<'b d h w c'>`; they are checked when the graph is built. */
export class Tensor<_Axes extends string = string> {
  readonly value: Value;
  constructor(value: Value) {
    this.value = value;
  }

  get type(): TensorType {
    return typeOf(this.value);
  }
  get dtype(): DType {
    return this.type.dtype;
  }
  get axes(): readonly Axis[] {
    return this.type.axes;
  }
  get names(): string[] {
    return this.axes.map((a) => a.name);
  }
  size(name?: string): number {
    return name === undefined ? numel(this.type) : this.axes[this.at(name)]!.size;
  }
  has(name: string): boolean {
    return this.axes.some((a) => a.name === name);
  }
  toString(): string {
    return show(this.type);
  }

  /** Position of an axis, or an error that lists what there is. */
  at(name: string): number {
    const i = this.axes.findIndex((a) => a.name === name);
    if (i < 0)
      throw opError(
        'axis',
        { tensor: this.type },
        `no axis named '${name}'`,
        `use one of: ${this.names.join(', ')}`,
        here(),
      );
    return i;
  }

  // ── arithmetic
  add(o: Operand): Tensor {
    return binary('add', this, o);
  }
  sub(o: Operand): Tensor {
    return binary('sub', this, o);
  }
  mul(o: Operand): Tensor {
    return binary('mul', this, o);
  }
  div(o: Operand): Tensor {
    return binary('div', this, o);
  }
  max(o: Operand): Tensor {
    return binary('max', this, o);
  }
  min(o: Operand): Tensor {
    return binary('min', this, o);
  }
  pow(o: Operand): Tensor {
    return binary('pow', this, o);
  }
  mod(o: Operand): Tensor {
    return binary('mod', this, o);
  }
  lt(o: Operand): Tensor {
    return binary('lt', this, o);
  }
  le(o: Operand): Tensor {
    return binary('le', this, o);
  }
  gt(o: Operand): Tensor {
    return binary('gt', this, o);
  }
  ge(o: Operand): Tensor {
    return binary('ge', this, o);
  }
  eq(o: Operand): Tensor {
    return binary('eq', this, o);
  }
  ne(o: Operand): Tensor {
    return binary('ne', this, o);
  }
  and(o: Operand): Tensor {
    return binary('and', this, o);
  }
  or(o: Operand): Tensor {
    return binary('or', this, o);
  }
  neg(): Tensor {
    return unary('neg', this);
  }
  abs(): Tensor {
    return unary('abs', this);
  }
  exp(): Tensor {
    return unary('exp', this);
  }
  log(): Tensor {
    return unary('log', this);
  }
  sqrt(): Tensor {
    return unary('sqrt', this);
  }
  rsqrt(): Tensor {
    return unary('rsqrt', this);
  }
  tanh(): Tensor {
    return unary('tanh', this);
  }
  erf(): Tensor {
    return unary('erf', this);
  }
  floor(): Tensor {
    return unary('floor', this);
  }
  not(): Tensor {
    return unary('not', this);
  }
  isfinite(): Tensor {
    return unary('isfinite', this);
  }
  cast(dtype: DType): Tensor {
    // f16 is reached from f32 alone, and left for it.
    return (dtype === 'f16' || this.dtype === 'f16' ? this.to('f32') : this).to(dtype);
  }
  private to(dtype: DType): Tensor {
    return this.dtype === dtype ? this : new Tensor(make(map, [this.value], { fn: 'cast', dtype }));
  }
  /** this (bool) ? a : b */
  where(a: Operand, b: Operand): Tensor {
    const [x, y] = align('select', toTensor(a, b), toTensor(b, a));
    const [c, x2] = align('select', this, x);
    const [, y2] = align('select', this, y);
    return new Tensor(make(map, [c.value, x2.value, y2.value], { fn: 'select' }));
  }

  // ── reductions; `axes` is a space-separated list
  sum(axes: string): Tensor {
    return reduction('sum', this, axes);
  }
  mean(axes: string): Tensor {
    const n = axes.split(' ').reduce((p, a) => p * this.size(a), 1);
    return reduction('sum', this, axes).mul(1 / n);
  }
  amax(axes: string): Tensor {
    return reduction('max', this, axes);
  }
  amin(axes: string): Tensor {
    return reduction('min', this, axes);
  }
  argmax(axis: string): Tensor {
    return reduction('argmax', this, axis);
  }

  // ── views
  view(step: ViewStep): Tensor {
    return new Tensor(make(view, [this.value], step));
  }
  /** split('c', { h: 3, e: 8 }): c of 24 becomes h of 3 and e of 8. One size may be -1. */
  split(axis: string, into: Readonly<Record<string, number>>): Tensor {
    const size = this.size(axis);
    const known = Object.values(into).reduce((p, n) => (n < 0 ? p : p * n), 1);
    const list = Object.entries(into).map(([name, n]) => ({ name, size: n < 0 ? size / known : n }));
    return this.view({ s: 'split', axis: this.at(axis), into: list });
  }
  /** merge('h e', 'c'): adjacent axes become one. */
  merge(axes: string, name: string): Tensor {
    const list = axes.split(' ');
    const at = this.at(list[0]!);
    list.forEach((n, i) => {
      if (this.axes[at + i]?.name !== n)
        throw opError(
          'merge',
          { tensor: this.type },
          `'${axes}' are not adjacent in this order`,
          'permute first',
          here(),
        );
    });
    return this.view({ s: 'merge', axis: at, count: list.length, name });
  }
  permute(order: string): Tensor {
    const list = order.split(' ').map((n) => this.at(n));
    return list.every((v, i) => v === i) ? this : this.view({ s: 'permute', order: list });
  }
  slice(axis: string, start: number, size: number): Tensor {
    return start === 0 && size === this.size(axis) ? this : this.view({ s: 'slice', axis: this.at(axis), start, size });
  }
  pad(axis: string, lo: number, hi: number): Tensor {
    return lo === 0 && hi === 0 ? this : this.view({ s: 'pad', axis: this.at(axis), lo, hi });
  }
  roll(axis: string, shift: number): Tensor {
    return shift % this.size(axis) === 0 ? this : this.view({ s: 'roll', axis: this.at(axis), shift });
  }
  /** A new axis in front of `before` (or at the end), along which nothing changes. */
  expand(name: string, size: number, before?: string): Tensor {
    return this.view({
      s: 'expand',
      axis: before === undefined ? this.axes.length : this.at(before),
      to: { name, size },
    });
  }
  squeeze(axis: string): Tensor {
    return this.view({ s: 'squeeze', axis: this.at(axis) });
  }
  /** rename({ i: 'o' }) */
  rename(names: Readonly<Record<string, string>>): Tensor {
    for (const n of Object.keys(names)) this.at(n);
    const list = this.names.map((n) => names[n] ?? n);
    return list.every((n, i) => n === this.names[i]) ? this : this.view({ s: 'rename', names: list });
  }
  /** The same values, seen as constant by differentiation. */
  detach(): Tensor {
    return new Tensor(make(stopGradient, [this.value], null));
  }
}

export const tensor = (v: Value): Tensor => new Tensor(v);

/** A number as a tensor without axes. */
export const constant = (v: number, dtype: DType = 'f32'): Tensor => new Tensor(scalarValue(v, dtype));
/** 0 … size-1 along a new axis, i32. */
export const iota = (name: string, size: number): Tensor => new Tensor(make(iotaOp, [], { axis: { name, size } }));
export const stepScalar = (slot: StepSlot): Tensor => new Tensor(make(stepOp, [], { slot }));

let randomIds = 0;
/** Restarts the numbering of random nodes, so that a model traced twice draws the same numbers. */
export const resetRandomIds = (): void => {
  randomIds = 0;
};
/** Uniform in [0, 1), anew at every step and microstep, the same when recomputed. */
export function uniform(axes: readonly Axis[]): Tensor {
  return new Tensor(make(randomOp, [], { id: ++randomIds, axes }));
}

export function concat(tensors: readonly Tensor[], axis: string): Tensor {
  return new Tensor(
    make(
      concatOp,
      tensors.map((t) => t.value),
      { axis: tensors[0]!.at(axis) },
    ),
  );
}

/** Rows of `table` (its first axis) by an integer tensor. */
export const gather = (table: Tensor, index: Tensor): Tensor =>
  new Tensor(make(gatherOp, [table.value, index.value], null));

export const rawContract = (a: Tensor, b: Tensor, attrs: ContractAttrs): Tensor =>
  new Tensor(make(contract, [a.value, b.value], attrs));

/** Sum of products over the shared axes that `out` does not name: einsum('b n c') of [b n k] and [k c]. */
export function einsum(a: Tensor, b: Tensor, out: string): Tensor {
  const vars = new Map<string, number>();
  for (const x of [...a.axes, ...b.axes]) {
    const known = vars.get(x.name);
    if (known !== undefined && known !== x.size)
      throw opError(
        'einsum',
        { a: a.type, b: b.type },
        `axis ${x.name} is ${known} on one side and ${x.size} on the other`,
        'make the sizes equal or rename one',
        here(),
      );
    vars.set(x.name, x.size);
  }
  const names = out.split(' ');
  for (const n of names)
    if (!vars.has(n))
      throw opError(
        'einsum',
        { a: a.type, b: b.type },
        `no axis named '${n}' for the output`,
        `use axes of the operands: ${[...vars.keys()].join(', ')}`,
        here(),
      );
  const plain = (t: Tensor) => t.axes.map((x) => ({ terms: [{ var: x.name, coef: 1 }], offset: 0 }));
  return rawContract(a, b, {
    vars: [...vars].map(([name, size]) => ({ name, size })),
    out: names,
    a: plain(a),
    b: plain(b),
  });
}

function toTensor(o: Operand, like: Operand): Tensor {
  return typeof o === 'number' ? constant(o, typeof like === 'number' ? 'f32' : like.dtype) : o;
}

function expandTo(t: Tensor, like: Tensor): Tensor {
  let v = t;
  like.axes.forEach((a, i) => {
    if (v.axes[i]?.name !== a.name) v = v.view({ s: 'expand', axis: i, to: a });
  });
  return v;
}

/** Both with the axes of the one that has more. */
function align(op: string, a: Tensor, b: Tensor): [Tensor, Tensor] {
  const [small, large] = a.axes.length <= b.axes.length ? [a, b] : [b, a];
  let from = 0;
  for (const x of small.axes) {
    const i = large.axes.findIndex((y, k) => k >= from && y.name === x.name);
    if (i < 0) {
      const known = large.has(x.name)
        ? `axis '${x.name}' stands in another order`
        : `axis '${x.name}' is on one side only`;
      throw opError(
        op,
        { a: a.type, b: b.type },
        known,
        large.has(x.name) ? 'permute one operand' : `rename or reduce '${x.name}', or expand the other operand`,
        here(),
      );
    }
    if (large.axes[i]!.size !== x.size)
      throw opError(
        op,
        { a: a.type, b: b.type },
        `axis '${x.name}' is ${x.size} on one side and ${large.axes[i]!.size} on the other`,
        'make the sizes equal (slice, pad or expand)',
        here(),
      );
    from = i + 1;
  }
  const e = expandTo(small, large);
  return small === a ? [e, large] : [large, e];
}

function binary(fn: MapFn, a: Tensor, o: Operand): Tensor {
  const [x, y] = align(fn, a, toTensor(o, a));
  return new Tensor(make(map, [x.value, y.value], { fn }));
}
const unary = (fn: MapFn, a: Tensor): Tensor => new Tensor(make(map, [a.value], { fn }));

function reduction(fn: 'sum' | 'max' | 'min' | 'argmax', t: Tensor, axes: string): Tensor {
  const list = axes.split(' ').map((n) => t.at(n));
  return new Tensor(make(reduce, [t.value], { fn, axes: list.sort((a, b) => a - b) }));
}
