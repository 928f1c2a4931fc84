// gather: rows of a table by index, and its adjoint, which sums into the rows in the order of the indices.
import { defineOp, make, type Op, typeOf } from '../graph.ts';
import { numel, sizes } from '../types.ts';

/** table [r, …rest], index [i…] (i32) -> [i…, …rest]. Indices must lie in 0 … r-1. */
export const gather: Op<null> = defineOp<null>({
  name: 'gather',
  infer([table, index], _, fail) {
    if (index!.dtype !== 'i32' && index!.dtype !== 'u32')
      fail('gather: the index is an integer tensor', 'cast it to i32');
    return [{ dtype: table!.dtype, axes: [...index!.axes, ...table!.axes.slice(1)] }];
  },
  gradient(node, [dy]) {
    if (!dy) return [null, null];
    const rows = typeOf(node.inputs[0]!).axes[0]!;
    return [make(gatherAdjoint, [node.inputs[1]!, dy], { rows: rows.size, name: rows.name }), null];
  },
  evaluate([table, index], [t]) {
    const rest = numel(t!) / t!.axes[0]!.size;
    const out = new Float64Array(index!.length * rest);
    index!.forEach((r, i) => {
      out.set(table!.subarray(r * rest, (r + 1) * rest), i * rest);
    });
    return [out];
  },
  print: () => '',
});

/** index [i…], dy [i…, …rest] -> [rows, …rest]: row r is the sum of dy over the places whose index is r. */
export const gatherAdjoint: Op<{ readonly rows: number; readonly name: string }> = defineOp<{
  readonly rows: number;
  readonly name: string;
}>({
  name: 'gatherAdjoint',
  infer: ([index, dy], { rows, name }) => [
    { dtype: dy!.dtype, axes: [{ name, size: rows }, ...dy!.axes.slice(index!.axes.length)] },
  ],
  gradient(node, [dy]) {
    return [null, dy ? make(gather, [dy, node.inputs[0]!], null) : null];
  },
  evaluate([index, dy], _, { rows }, [o]) {
    const rest = sizes(o!)
      .slice(1)
      .reduce((p, s) => p * s, 1);
    const out = new Float64Array(rows * rest);
    index!.forEach((r, i) => {
      for (let c = 0; c < rest; c++) out[r * rest + c]! += dy![i * rest + c]!;
    });
    return [out];
  },
  print: (a) => `${a.rows}`,
});
