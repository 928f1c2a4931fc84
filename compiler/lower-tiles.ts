// Lowering of `tiles`: the body's kernels, between a copy of the tile's rows and the results' places. Which tile it is stands in the
// step block, so that the kernels are the same for all.
import { make, type Node, typeOf, type Value, withRegion } from '../dsl/graph.ts';
import { gather } from '../dsl/ops/gather.ts';
import { iota, scalarValue, step } from '../dsl/ops/leaf.ts';
import { map } from '../dsl/ops/map.ts';
import { slot, slotsOf, type TilesAttrs } from '../dsl/ops/tiles.ts';
import { expandAs } from '../dsl/ops/view.ts';
import type { Buf } from '../kernels/ir.ts';
import { beneath, fuse } from './fuse.ts';
import { order } from './order.ts';
import type { Program, ProgramKernel, ProgramTensor, Step, TensorTable, Tiles } from './program.ts';

interface Placed {
  readonly value: Value;
  readonly target: ProgramTensor;
}

export interface TilesContext {
  readonly table: TensorTable;
  /** Where an input of the node lies. */
  readonly stored: (v: Value) => ProgramTensor;
  /** Where a result goes. */
  readonly place: (out: number) => ProgramTensor;
  /** A lowering of its own over the same table, with these leaves. */
  readonly lowering: (
    fusion: ReturnType<typeof fuse>,
    leaf: (n: Node) => ProgramTensor,
  ) => { run(name: string, roots: readonly Placed[]): Program<Step> };
}

export function lowerTiles(n: Node, base: Pick<Tiles, 'name' | 'region' | 'ops' | 'lines'>, c: TilesContext): Tiles {
  const { axis, count, tiled, body, results } = n.attrs as TilesAttrs;
  const inputs = n.inputs.map((v) => c.stored(beneath(v)));
  const outputs = body.map((_, out) => c.place(out));
  const leaves = new Map<Node, ProgramTensor>();
  const leaf = (m: Node): ProgramTensor => leaves.get(m)!;
  const tile = make(map, [make(step, [], { slot: 'tile' })], { fn: 'cast', dtype: 'i32' });

  const kernels: ProgramKernel[] = [];
  const add = (name: string, roots: readonly Placed[]): void => {
    const values = roots.map((r) => beneath(r.value));
    const lowering = c.lowering(fuse(values), leaf);
    const made = lowering.run(
      name,
      roots.map((r, i) => ({ value: values[i]!, target: r.target })),
    );
    kernels.push(...flat(made));
  };

  withRegion(n.region, () => {
    for (const [index, s] of slotsOf(body)) {
      if (!tiled[index]) {
        leaves.set(s, inputs[index]!);
        continue;
      }
      // The row by itself, so that the kernels that read it index it as they would any tensor.
      const all = make(slot, [], { index, type: typeOf(n.inputs[index]!) });
      leaves.set(all.node, inputs[index]!);
      const row = c.table.temp(typeOf({ node: s, out: 0 }), `${base.name}.tile`);
      add(`${base.name}.row`, [{ value: make(gather, [all, tile], null), target: row }]);
      leaves.set(s, row);
    }
    add(
      base.name,
      body.map((v, i) => {
        const target = outputs[i]!;
        const old = make(slot, [], { index: n.inputs.length + i, type: n.types[i]! });
        leaves.set(old.node, target);
        const t = typeOf(old);
        if (results[i] === 'sum') {
          const first = make(map, [tile, scalarValue(0, 'i32')], { fn: 'eq' });
          const more = make(map, [old, v], { fn: 'add' });
          return { value: make(map, [expandAs(first, t), v, more], { fn: 'select' }), target };
        }
        // Rows are small beside what makes them: all are written again, this one anew.
        const rows = make(iota, [], { axis: { name: axis, size: count } });
        const mine = make(map, [rows, expandAs(tile, typeOf(rows))], { fn: 'eq' });
        return { value: make(map, [expandAs(mine, t), expandAs(v, t), old], { fn: 'select' }), target };
      }),
    );
  });

  const program = order({ name: base.name, kernels, tensors: c.table.list });
  const outside = new Map<number, Buf>();
  const known = new Set([...inputs, ...outputs].map((t) => t.id));
  const written = new Set(outputs.map((t) => t.id));
  for (const k of program.kernels)
    for (const b of k.bufs)
      if (known.has(b.tensor)) outside.set(b.tensor, { ...b, access: written.has(b.tensor) ? 'write' : 'read' });
  const bufs = [...outside.values()];
  return {
    ...base,
    kind: 'tiles',
    count,
    inner: program.kernels,
    bufs,
    tensors: bufs.map((b) => b.tensor),
    flops: count * kernels.reduce((s, k) => s + k.flops, 0),
  };
}

function flat(p: Program<Step>): ProgramKernel[] {
  return p.kernels.map((k) => {
    if (k.kind === 'tiles') throw new Error(`lower: tiles within tiles (${k.region})`);
    return k;
  });
}
