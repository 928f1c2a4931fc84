// reduce: sum, max, min or argmax over axes.
import { defineOp, make, type Op, typeOf, type Value } from '../graph.ts';
import { numel, type TensorType } from '../types.ts';
import { scalarValue } from './leaf.ts';
import { map } from './map.ts';
import { expandAs, view } from './view.ts';

export interface ReduceAttrs {
  readonly fn: 'sum' | 'max' | 'min' | 'argmax';
  /** Positions, ascending. argmax takes one and gives the first maximum's index, i32. */
  readonly axes: readonly number[];
}

export const reduce: Op<ReduceAttrs> = defineOp<ReduceAttrs>({
  name: 'reduce',
  infer([t], { fn, axes }, fail) {
    if (axes.length === 0 || axes.some((a) => a < 0 || a >= t!.axes.length))
      fail('reduce: no such axis', 'name axes of the tensor');
    if (t!.dtype === 'f16') fail(`${fn}: f16 is for storage, arithmetic is f32`, "cast first: x.cast('f32')");
    if (fn === 'argmax' && axes.length !== 1) fail('argmax takes one axis', 'merge the axes first');
    return [{ dtype: fn === 'argmax' ? 'i32' : t!.dtype, axes: t!.axes.filter((_, i) => !axes.includes(i)) }];
  },
  gradient(node, [dy]) {
    const x = node.inputs[0]!;
    const t = typeOf(x);
    const { fn, axes } = node.attrs as ReduceAttrs;
    if (!dy || fn === 'argmax') return [null];
    const back = (v: Value): Value => {
      let r = v;
      for (const a of axes) r = make(view, [r], { s: 'expand', axis: a, to: t.axes[a]! });
      return r;
    };
    if (fn === 'sum') return [back(dy)];
    // shared evenly among equal extremes, as PyTorch's amax
    const hit = make(map, [x, back({ node, out: 0 })], { fn: 'eq' });
    const one = make(map, [hit], { fn: 'cast', dtype: 'f32' });
    const share = make(map, [dy, make(reduce, [one], { fn: 'sum', axes })], { fn: 'div' });
    return [make(map, [hit, back(share), expandAs(scalarValue(0), t)], { fn: 'select' })];
  },
  evaluate([x], [t], { fn, axes }, [o]) {
    const out = new Float64Array(numel(o!)).fill(fn === 'sum' ? 0 : fn === 'min' ? Infinity : -Infinity);
    const best = fn === 'argmax' ? new Float64Array(out.length) : null;
    const stride = strides(t!, axes);
    const n = numel(t!);
    const dims = t!.axes.map((a) => a.size);
    const index = new Array<number>(dims.length).fill(0);
    for (let i = 0; i < n; i++) {
      let at = 0;
      for (let d = 0; d < dims.length; d++) at += index[d]! * stride[d]!;
      const v = x![i]!;
      if (fn === 'sum') out[at]! += v;
      else if (fn === 'max') out[at] = Math.max(out[at]!, v);
      else if (fn === 'min') out[at] = Math.min(out[at]!, v);
      else if (v > out[at]!) {
        out[at] = v;
        best![at] = index[axes[0]!]!;
      }
      for (let d = dims.length - 1; d >= 0; d--) {
        if (++index[d]! < dims[d]!) break;
        index[d] = 0;
      }
    }
    return [best ?? out];
  },
  print: (a) => `${a.fn} ${a.axes.join(' ')}`,
});

function strides(t: TensorType, drop: readonly number[]): number[] {
  const out = new Array<number>(t.axes.length).fill(0);
  let s = 1;
  for (let i = t.axes.length - 1; i >= 0; i--) {
    if (drop.includes(i)) continue;
    out[i] = s;
    s *= t.axes[i]!.size;
  }
  return out;
}
