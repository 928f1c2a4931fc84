// concat: several tensors side by side along one axis. Consumers read through it by the coordinate; nothing is copied.
import { defineOp, make, type Op, typeOf, type Value } from '../graph.ts';
import { numel } from '../types.ts';
import { view } from './view.ts';

export interface ConcatAttrs {
  readonly axis: number;
}

export const concat: Op<ConcatAttrs> = defineOp<ConcatAttrs>({
  name: 'concat',
  infer(inputs, { axis }, fail) {
    const first = inputs[0]!;
    let size = 0;
    for (const t of inputs) {
      const same =
        t.dtype === first.dtype &&
        t.axes.length === first.axes.length &&
        t.axes.every((a, i) => a.name === first.axes[i]!.name && (i === axis || a.size === first.axes[i]!.size));
      if (!same) fail('concat: the other axes differ', 'make axis names and sizes agree but for the concatenated one');
      size += t.axes[axis]!.size;
    }
    return [{ dtype: first.dtype, axes: first.axes.map((a, i) => (i === axis ? { name: a.name, size } : a)) }];
  },
  gradient(node, [dy]) {
    if (!dy) return node.inputs.map(() => null);
    let start = 0;
    return node.inputs.map((v: Value) => {
      const size = typeOf(v).axes[node.attrs.axis]!.size;
      const g = make(view, [dy], { s: 'slice', axis: node.attrs.axis, start, size });
      start += size;
      return g;
    });
  },
  evaluate(inputs, types, { axis }, [o]) {
    const out = new Float64Array(numel(o!));
    const inner = o!.axes.slice(axis + 1).reduce((p, a) => p * a.size, 1);
    const outer = o!.axes.slice(0, axis).reduce((p, a) => p * a.size, 1);
    const row = o!.axes[axis]!.size * inner;
    let start = 0;
    inputs.forEach((x, k) => {
      const w = types[k]!.axes[axis]!.size * inner;
      for (let r = 0; r < outer; r++) out.set(x.subarray(r * w, (r + 1) * w), r * row + start);
      start += w;
    });
    return [out];
  },
  print: (a) => `${a.axis}`,
});
