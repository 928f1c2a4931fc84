// tiles: a function of one tile, applied to many, in the memory of one. The function is a graph of its own under the node, over
// slots that stand for the node's inputs. Its gradient is another such node: each tile is computed again, with the rows of the
// cotangents, so that between the two passes only the results are kept.
import { differentiateAll } from '../differentiate.ts';
import { defineOp, make, type Node, type Op, opOf, topological, type Value } from '../graph.ts';
import { numel, show, type TensorType } from '../types.ts';

/** What becomes of the tiles' results: rows of one tensor, or their sum. */
export type TileResult = 'stack' | 'sum';

export interface TilesAttrs {
  /** Name of the axis over tiles: the first of the inputs that are tiled, and of the results that are stacked. */
  readonly axis: string;
  readonly count: number;
  /** Per input: whether a tile sees its row alone. */
  readonly tiled: readonly boolean[];
  /** A tile's results, over slots. */
  readonly body: readonly Value[];
  readonly results: readonly TileResult[];
}

/** Inside of a body: the node's input of this number, or its row. */
export const slot: Op<{ readonly index: number; readonly type: TensorType }> = defineOp<{
  readonly index: number;
  readonly type: TensorType;
}>({
  name: 'slot',
  infer: (_, a) => [a.type],
  gradient: () => [],
  evaluate: () => {
    throw new Error('leaf');
  },
  print: (a) => `${a.index}`,
});

export const slotsOf = (body: readonly Value[]): Map<number, Node> =>
  new Map(
    topological(body)
      .filter((n) => n.op === 'slot')
      .map((n) => [n.attrs.index as number, n]),
  );

/** The type of a tile's row of an input. */
export const rowOf = (t: TensorType): TensorType => ({ dtype: t.dtype, axes: t.axes.slice(1) });

export const tiles: Op<TilesAttrs> = defineOp<TilesAttrs>({
  name: 'tiles',
  infer(inputs, { axis, count, tiled, body, results }, fail) {
    inputs.forEach((t, i) => {
      if (tiled[i] && t.axes[0]?.size !== count)
        fail(`input ${i} has ${t.axes[0]?.size ?? 'no'} rows for ${count} tiles`, 'give each tile one row');
    });
    for (const [i, n] of slotsOf(body)) {
      const t = inputs[i];
      const expected = t && (tiled[i] ? rowOf(t) : t);
      if (!expected || show(expected) !== show(n.types[0]!))
        fail(`slot ${i} is ${show(n.types[0]!)}`, `it stands for ${expected ? show(expected) : 'no input'}`);
    }
    return body.map((v, i) => {
      const t = v.node.types[v.out]!;
      return results[i] === 'sum' ? t : { dtype: t.dtype, axes: [{ name: axis, size: count }, ...t.axes] };
    });
  },
  gradient(node, cotangents) {
    const { tiled, body, results, ...rest } = node.attrs as TilesAttrs;
    const given = cotangents.flatMap((dy, i) => (dy ? [{ dy, i }] : []));
    const first = node.inputs.length;
    const slots = given.map(({ i }, n) =>
      make(slot, [], { index: first + n, type: body[i]!.node.types[body[i]!.out]! }),
    );
    const wanted = [...slotsOf(body)].filter(([, n]) => n.types[0]!.dtype === 'f32');
    const found = differentiateAll(
      given.map(({ i }) => body[i]!),
      slots,
      wanted.map(([, n]) => ({ node: n, out: 0 })),
    );
    const flowing = wanted.flatMap(([index], n) => (found[n] ? [{ index, value: found[n]! }] : []));
    const back = flowing.length
      ? make(tiles, [...node.inputs, ...given.map(({ dy }) => dy)], {
          ...rest,
          tiled: [...tiled, ...given.map(({ i }) => results[i] === 'stack')],
          body: flowing.map((f) => f.value),
          results: flowing.map(({ index }): TileResult => (tiled[index] ? 'stack' : 'sum')),
        })
      : null;
    return node.inputs.map((_, index) => {
      const out = flowing.findIndex((f) => f.index === index);
      return back && out >= 0 ? { node: back.node, out } : null;
    });
  },
  evaluate(inputs, _, { count, tiled, body, results }, outputs, context) {
    const out = outputs.map((t) => new Float64Array(numel(t)));
    const order = topological(body);
    for (let tile = 0; tile < count; tile++) {
      const values = new Map<Node, readonly Float64Array[]>();
      const inside = { ...context, step: { ...context.step, tile } };
      for (const n of order) {
        if (n.op === 'slot') {
          const all = inputs[n.attrs.index]!;
          const row = all.length / count;
          values.set(n, [tiled[n.attrs.index] ? all.subarray(tile * row, (tile + 1) * row) : all]);
          continue;
        }
        const given = n.inputs.map((v) => values.get(v.node)![v.out]!);
        const types = n.inputs.map((v) => v.node.types[v.out]!);
        values.set(n, opOf(n).evaluate(given, types, n.attrs, n.types, inside));
      }
      body.forEach((v, i) => {
        const result = values.get(v.node)![v.out]!;
        if (results[i] === 'stack') out[i]!.set(result, tile * result.length);
        else for (let k = 0; k < result.length; k++) out[i]![k]! += result[k]!;
      });
    }
    return out;
  },
  print({ axis, count, tiled, body, results }) {
    const ids = new Map<Node, number>();
    const text = topological(body).map((n) => {
      ids.set(n, ids.size);
      return `${n.op} ${opOf(n).print(n.attrs)} (${n.inputs.map((v) => `${ids.get(v.node)}.${v.out}`)}) ${n.types.map(show)}`;
    });
    const ends = body.map((v, i) => `${results[i]} ${ids.get(v.node)}.${v.out}`);
    return `${axis}=${count} of ${tiled.map((t) => (t ? 'rows' : 'whole')).join(' ')} {${text.join('; ')}} -> ${ends.join(' ')}`;
  },
});
