// attention: softmax(scale q kᵀ + bias + mask) v, per group and head, whose scores no target ever stores.
//   q [g,n,h,e]; k, v [g,m,h,e]; bias [h,n,m] or none; group ids gq [g,n], gk [g,m] (i32) or none: where they differ
//   maskValue is added. Outputs o [g,n,h,e] and lse [g,h,n], the log of the sum of exponentials.
import { defineOp, make, type Op, type Value } from '../graph.ts';
import { type Axis, numel, type TensorType } from '../types.ts';
import { map } from './map.ts';
import { reduce } from './reduce.ts';
import { view } from './view.ts';

export interface AttentionAttrs {
  readonly scale: number;
  readonly maskValue: number;
  readonly bias: boolean;
  readonly groups: boolean;
}

interface Dims {
  g: Axis;
  n: Axis;
  h: Axis;
  e: Axis;
  m: Axis;
}
const dims = (types: readonly TensorType[]): Dims => {
  const [g, n, h, e] = types[0]!.axes as readonly [Axis, Axis, Axis, Axis];
  return { g, n, h, e, m: types[1]!.axes[1]! };
};

/** Positions of the optional operands. */
export const operands = (a: AttentionAttrs): { bias: number; gq: number; gk: number; end: number } => {
  const bias = a.bias ? 3 : -1;
  const gq = a.groups ? (a.bias ? 4 : 3) : -1;
  return { bias, gq, gk: gq < 0 ? -1 : gq + 1, end: 3 + (a.bias ? 1 : 0) + (a.groups ? 2 : 0) };
};

export const attention: Op<AttentionAttrs> = defineOp<AttentionAttrs>({
  name: 'attention',
  infer(inputs, a, fail) {
    const { end, bias, gq } = operands(a);
    if (inputs.length !== end || inputs[0]!.axes.length !== 4)
      fail('attention: q, k, v are [group, token, head, channel]', 'split the channels into heads first');
    if ([...inputs.slice(0, 3), ...(bias > 0 ? [inputs[bias]!] : [])].some((t) => t.dtype !== 'f32'))
      fail('attention: q, k, v and the bias are f32', "cast first: x.cast('f32')");
    const { g, n, h, m } = dims(inputs);
    const k = inputs[1]!.axes;
    if (k[0]!.size !== g.size || k[2]!.size !== h.size || k[3]!.size !== inputs[0]!.axes[3]!.size)
      fail('attention: q and k differ in groups, heads or channels', 'make them agree');
    if (bias > 0 && [h, n, m].some((x, i) => x.size !== inputs[bias]!.axes[i]!.size))
      fail('attention: bias is [head, query, key]', 'permute or slice the bias');
    if (gq > 0 && (inputs[gq]!.axes[0]!.size !== g.size || inputs[gq]!.axes[1]!.size !== n.size))
      fail('attention: group ids are [group, token]', 'expand them over the batch');
    return [
      { dtype: 'f32', axes: inputs[0]!.axes },
      { dtype: 'f32', axes: [g, h, n] },
    ];
  },
  gradient(node, [dO, dlse]) {
    if (dlse) throw new Error('attention: the log-sum-exp has no gradient of its own');
    if (!dO) return node.inputs.map(() => null);
    const a = node.attrs as AttentionAttrs;
    const o: Value = { node, out: 0 };
    const delta = make(view, [make(reduce, [make(map, [dO, o], { fn: 'mul' })], { fn: 'sum', axes: [3] })], {
      s: 'permute',
      order: [0, 2, 1],
    });
    const inputs = [...node.inputs, dO, { node, out: 1 }, delta];
    const g = make(attentionGrad, inputs, a).node;
    const back: (Value | null)[] = [0, 1, 2].map((out) => ({ node: g, out }));
    const bias = operands(a).bias;
    return node.inputs.map((_, i) => (i < 3 ? back[i]! : i === bias ? { node: g, out: 3 } : null));
  },
  evaluate(inputs, types, a) {
    const { g, n, h, e, m } = dims(types);
    const o = new Float64Array(numel(types[0]!));
    const lse = new Float64Array(g.size * h.size * n.size);
    const p = new Float64Array(m.size);
    for (let G = 0; G < g.size; G++)
      for (let H = 0; H < h.size; H++)
        for (let i = 0; i < n.size; i++) {
          const l = scores(inputs, types, a, G, H, i, p);
          lse[(G * h.size + H) * n.size + i] = l;
          for (let j = 0; j < m.size; j++) {
            const w = Math.exp(p[j]! - l);
            for (let c = 0; c < e.size; c++)
              o[((G * n.size + i) * h.size + H) * e.size + c]! +=
                w * inputs[2]![((G * m.size + j) * h.size + H) * e.size + c]!;
          }
        }
    return [o, lse];
  },
  print: printAttrs,
});

/** Inputs of attention, then dO [g,n,h,e], lse [g,h,n], delta [g,h,n] = sum_e dO o. Outputs dq, dk, dv and, with bias, dbias. */
export const attentionGrad: Op<AttentionAttrs> = defineOp<AttentionAttrs>({
  name: 'attentionGrad',
  infer(inputs, a) {
    const out = [inputs[0]!, inputs[1]!, inputs[2]!];
    if (a.bias) out.push(inputs[3]!);
    return out;
  },
  gradient: () => {
    throw new Error('attention has first derivatives only');
  },
  evaluate(inputs, types, a) {
    const { g, n, h, e, m } = dims(types);
    const { end, bias } = operands(a);
    const [dO, lse, delta] = inputs.slice(end) as [Float64Array, Float64Array, Float64Array];
    const out = [0, 1, 2].map((i) => new Float64Array(numel(types[i]!)));
    if (a.bias) out.push(new Float64Array(numel(types[bias]!)));
    const [dq, dk, dv, db] = out as [Float64Array, Float64Array, Float64Array, Float64Array | undefined];
    const [q, k, v] = inputs as [Float64Array, Float64Array, Float64Array];
    const s = new Float64Array(m.size);
    for (let G = 0; G < g.size; G++)
      for (let H = 0; H < h.size; H++)
        for (let i = 0; i < n.size; i++) {
          scores(inputs, types, a, G, H, i, s);
          const r = (G * h.size + H) * n.size + i;
          const qi = ((G * n.size + i) * h.size + H) * e.size;
          for (let j = 0; j < m.size; j++) {
            const kj = ((G * m.size + j) * h.size + H) * e.size;
            const p = Math.exp(s[j]! - lse[r]!);
            let dp = 0;
            for (let c = 0; c < e.size; c++) dp += dO[qi + c]! * v[kj + c]!;
            const ds = p * (dp - delta[r]!);
            if (db) db[(H * n.size + i) * m.size + j]! += ds;
            for (let c = 0; c < e.size; c++) {
              dq[qi + c]! += a.scale * ds * k[kj + c]!;
              dk[kj + c]! += a.scale * ds * q[qi + c]!;
              dv[kj + c]! += p * dO[qi + c]!;
            }
          }
        }
    return out;
  },
  print: printAttrs,
});

/** Fills s with the scores of one query and returns their log-sum-exp. */
function scores(
  inputs: readonly Float64Array[],
  types: readonly TensorType[],
  a: AttentionAttrs,
  G: number,
  H: number,
  i: number,
  s: Float64Array,
): number {
  const { n, h, e, m } = dims(types);
  const { bias, gq, gk } = operands(a);
  let top = -Infinity;
  for (let j = 0; j < m.size; j++) {
    let d = 0;
    for (let c = 0; c < e.size; c++)
      d +=
        inputs[0]![((G * n.size + i) * h.size + H) * e.size + c]! *
        inputs[1]![((G * m.size + j) * h.size + H) * e.size + c]!;
    d *= a.scale;
    if (bias > 0) d += inputs[bias]![(H * n.size + i) * m.size + j]!;
    if (gq > 0 && inputs[gq]![G * n.size + i] !== inputs[gk]![G * m.size + j]) d += a.maskValue;
    s[j] = d;
    top = Math.max(top, d);
  }
  let sum = 0;
  for (let j = 0; j < m.size; j++) sum += Math.exp(s[j]! - top);
  return top + Math.log(sum);
}

function printAttrs(a: AttentionAttrs): string {
  return `scale ${a.scale}${a.bias ? ' bias' : ''}${a.groups ? ` groups ${a.maskValue}` : ''}`;
}
