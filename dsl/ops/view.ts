// view: another way to read the same elements. One step per node; the compiler composes the steps into index arithmetic and
// copies nothing. Steps with a hole (pad, shear) read zero outside.
import { defineOp, make, type Op, type Value } from '../graph.ts';
import { add, type Cond, div, type Int, int, mul, rem, sub, variable } from '../int.ts';
import { type Axis, numel, type TensorType } from '../types.ts';
import { reduce } from './reduce.ts';

export type ViewStep =
  /** Axis (of size a*b*…) becomes several. */
  | { readonly s: 'split'; readonly axis: number; readonly into: readonly Axis[] }
  /** `count` adjacent axes become one. */
  | { readonly s: 'merge'; readonly axis: number; readonly count: number; readonly name: string }
  /** out axis i is in axis order[i]. */
  | { readonly s: 'permute'; readonly order: readonly number[] }
  | { readonly s: 'slice'; readonly axis: number; readonly start: number; readonly size: number }
  | { readonly s: 'pad'; readonly axis: number; readonly lo: number; readonly hi: number }
  /** out[i] = in[(i - shift) mod size], as torch.roll. */
  | { readonly s: 'roll'; readonly axis: number; readonly shift: number }
  /** A new axis at this position along which nothing changes. */
  | { readonly s: 'expand'; readonly axis: number; readonly to: Axis }
  /** Drops an axis of size 1. */
  | { readonly s: 'squeeze'; readonly axis: number }
  | { readonly s: 'rename'; readonly names: readonly string[] }
  /** out[…i…j…] = in[…(i + coef*j + offset)…j…], zero outside; axis i gets `size`. Diagonals, relative positions. */
  | {
      readonly s: 'shear';
      readonly axis: number;
      readonly by: number;
      readonly coef: number;
      readonly offset: number;
      readonly size: number;
    };

export const view: Op<ViewStep> = defineOp<ViewStep>({
  name: 'view',
  infer([t], st, fail) {
    return [{ dtype: t!.dtype, axes: viewAxes(t!, st, fail) }];
  },
  gradient(node, [dy]) {
    return [dy ? adjoint(node.inputs[0]!.node.types[node.inputs[0]!.out]!, node.attrs, dy) : null];
  },
  evaluate([x], [t], st, [o]) {
    const out = new Float64Array(numel(o!));
    const names = o!.axes.map((a, i) => variable(`i${i}`, a.size));
    const { coords, conds } = viewCoords(st, t!, names);
    const index = new Int32Array(o!.axes.length);
    for (let n = 0; n < out.length; n++) {
      let r = n;
      for (let i = index.length - 1; i >= 0; i--) {
        index[i] = r % o!.axes[i]!.size;
        r = Math.floor(r / o!.axes[i]!.size);
      }
      if (!conds.every((c) => inside(c, index))) continue;
      let at = 0;
      coords.forEach((c, i) => {
        at = at * t!.axes[i]!.size + value(c, index);
      });
      out[n] = x![at]!;
    }
    return [out];
  },
  print: printStep,
});

const inside = (c: Cond, index: Int32Array): boolean => {
  const v = value(c.e, index);
  return v >= c.lo && v < c.hi;
};

function value(e: Int, index: Int32Array): number {
  switch (e.k) {
    case 'const':
      return e.v;
    case 'var':
      return index[Number(e.name.slice(1))]!;
    case 'add':
      return value(e.a, index) + value(e.b, index);
    case 'mul':
      return value(e.a, index) * e.c;
    case 'div':
      return Math.floor(value(e.a, index) / e.c);
    case 'mod': {
      const v = value(e.a, index) % e.c;
      return v < 0 ? v + e.c : v;
    }
  }
}

function viewAxes(t: TensorType, st: ViewStep, fail: (problem: string, fix: string) => never): Axis[] {
  const axes = [...t.axes];
  const at = 'axis' in st ? axes[st.axis] : undefined;
  if ('axis' in st && st.s !== 'expand' && !at) fail(`${st.s}: no axis ${st.axis}`, 'name an axis of the tensor');
  switch (st.s) {
    case 'split': {
      const n = st.into.reduce((p, a) => p * a.size, 1);
      if (n !== at!.size)
        fail(
          `split: ${at!.name}=${at!.size} is not ${st.into.map((a) => `${a.name}=${a.size}`).join(' × ')}`,
          'pad the axis first or choose sizes whose product is its size',
        );
      axes.splice(st.axis, 1, ...st.into);
      break;
    }
    case 'merge': {
      const part = axes.slice(st.axis, st.axis + st.count);
      axes.splice(st.axis, st.count, { name: st.name, size: part.reduce((p, a) => p * a.size, 1) });
      break;
    }
    case 'permute':
      if ([...st.order].sort((a, b) => a - b).some((v, i) => v !== i) || st.order.length !== axes.length)
        fail('permute: not a permutation of the axes', 'list every axis once');
      return st.order.map((i) => axes[i]!);
    case 'slice':
      if (st.start < 0 || st.size < 1 || st.start + st.size > at!.size)
        fail(`slice: ${st.start} … ${st.start + st.size} of ${at!.name}=${at!.size}`, 'stay inside the axis');
      axes[st.axis] = { name: at!.name, size: st.size };
      break;
    case 'pad':
      if (st.lo < 0 || st.hi < 0) fail('pad: negative padding', 'use slice to take elements away');
      axes[st.axis] = { name: at!.name, size: at!.size + st.lo + st.hi };
      break;
    case 'expand':
      axes.splice(st.axis, 0, st.to);
      break;
    case 'squeeze':
      if (at!.size !== 1) fail(`squeeze: ${at!.name}=${at!.size}`, 'reduce or slice the axis to size 1 first');
      axes.splice(st.axis, 1);
      break;
    case 'rename':
      return axes.map((a, i) => ({ name: st.names[i]!, size: a.size }));
    case 'shear':
      axes[st.axis] = { name: at!.name, size: st.size };
      break;
    case 'roll':
      break;
  }
  const names = axes.map((a) => a.name);
  const twice = names.find((n, i) => names.indexOf(n) !== i);
  if (twice !== undefined) fail(`${st.s}: two axes named ${twice}`, 'give the new axis another name');
  return axes;
}

/** Where an output element is read from: input coordinates, and the conditions under which it is there at all. */
export function viewCoords(st: ViewStep, t: TensorType, out: readonly Int[]): { coords: Int[]; conds: Cond[] } {
  const c = [...out];
  const conds: Cond[] = [];
  switch (st.s) {
    case 'split': {
      let e: Int = int(0);
      st.into.forEach((a, i) => {
        e = add(mul(e, a.size), out[st.axis + i]!);
      });
      c.splice(st.axis, st.into.length, e);
      break;
    }
    case 'merge': {
      const part = t.axes.slice(st.axis, st.axis + st.count);
      let stride = part.reduce((p, a) => p * a.size, 1);
      const e = out[st.axis]!;
      const parts = part.map((a, i) => {
        stride /= a.size;
        const q = div(e, stride);
        return i === 0 ? q : rem(q, a.size);
      });
      c.splice(st.axis, 1, ...parts);
      break;
    }
    case 'permute':
      st.order.forEach((from, i) => {
        c[from] = out[i]!;
      });
      break;
    case 'slice':
      c[st.axis] = add(out[st.axis]!, int(st.start));
      break;
    case 'pad':
      c[st.axis] = sub(out[st.axis]!, int(st.lo));
      conds.push({ e: c[st.axis]!, lo: 0, hi: t.axes[st.axis]!.size });
      break;
    case 'roll': {
      const n = t.axes[st.axis]!.size;
      const s = ((-st.shift % n) + n) % n;
      if (s !== 0) c[st.axis] = rem(add(out[st.axis]!, int(s)), n);
      break;
    }
    case 'expand':
      c.splice(st.axis, 1);
      break;
    case 'squeeze':
      c.splice(st.axis, 0, int(0));
      break;
    case 'rename':
      break;
    case 'shear':
      c[st.axis] = add(add(out[st.axis]!, mul(out[st.by]!, st.coef)), int(st.offset));
      conds.push({ e: c[st.axis]!, lo: 0, hi: t.axes[st.axis]!.size });
      break;
  }
  return { coords: c, conds };
}

function adjoint(t: TensorType, st: ViewStep, dy: Value): Value {
  const v = (s: ViewStep): Value => make(view, [dy], s);
  switch (st.s) {
    case 'split':
      return v({ s: 'merge', axis: st.axis, count: st.into.length, name: t.axes[st.axis]!.name });
    case 'merge':
      return v({ s: 'split', axis: st.axis, into: t.axes.slice(st.axis, st.axis + st.count) });
    case 'permute':
      return v({ s: 'permute', order: st.order.map((_, i) => st.order.indexOf(i)) });
    case 'slice':
      return v({ s: 'pad', axis: st.axis, lo: st.start, hi: t.axes[st.axis]!.size - st.start - st.size });
    case 'pad':
      return v({ s: 'slice', axis: st.axis, start: st.lo, size: t.axes[st.axis]!.size });
    case 'roll':
      return v({ s: 'roll', axis: st.axis, shift: -st.shift });
    case 'expand':
      return st.to.size === 1 ? v({ s: 'squeeze', axis: st.axis }) : make(reduce, [dy], { fn: 'sum', axes: [st.axis] });
    case 'squeeze':
      return v({ s: 'expand', axis: st.axis, to: t.axes[st.axis]! });
    case 'rename':
      return v({ s: 'rename', names: t.axes.map((a) => a.name) });
    case 'shear':
      return v({
        s: 'shear',
        axis: st.axis,
        by: st.by,
        coef: -st.coef,
        offset: -st.offset,
        size: t.axes[st.axis]!.size,
      });
  }
}

/** Expands a scalar, or a tensor whose axes are a subsequence of like's, to like's axes. */
export function expandAs(x: Value, like: TensorType): Value {
  let v = x;
  like.axes.forEach((a, i) => {
    const has = v.node.types[v.out]!.axes;
    if (has[i]?.name !== a.name) v = make(view, [v], { s: 'expand', axis: i, to: a });
  });
  return v;
}

function printStep(st: ViewStep): string {
  switch (st.s) {
    case 'split':
      return `split ${st.axis} ${st.into.map((a) => `${a.name}=${a.size}`).join(' ')}`;
    case 'merge':
      return `merge ${st.axis}+${st.count} ${st.name}`;
    case 'permute':
      return `permute ${st.order.join(' ')}`;
    case 'slice':
      return `slice ${st.axis} ${st.start}+${st.size}`;
    case 'pad':
      return `pad ${st.axis} ${st.lo},${st.hi}`;
    case 'roll':
      return `roll ${st.axis} ${st.shift}`;
    case 'expand':
      return `expand ${st.axis} ${st.to.name}=${st.to.size}`;
    case 'squeeze':
      return `squeeze ${st.axis}`;
    case 'rename':
      return `rename ${st.names.join(' ')}`;
    case 'shear':
      return `shear ${st.axis} by ${st.by}*${st.coef}+${st.offset} size ${st.size}`;
  }
}
