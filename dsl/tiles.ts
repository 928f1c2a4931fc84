// overTiles: a function applied tile by tile.
//
//   const { v } = overTiles({ x: tiles }, 'tile', ({ x }) => ({ v: encode(x) }));   // x [c d h w] -> v [tile n c]
//
// Memory is one tile's whatever their number: the scheduler loops. What f makes is computed for each tile; what it only uses,
// parameters among it, is computed once. The gradient is exact, in two passes: the first keeps the results alone, the second
// computes each tile again, with the same random numbers. A batch of tiles at a time is an inner axis:
// tiles.split('tile', { tile: -1, b: 4 }).
import { ModelError } from './errors.ts';
import { make, makeNode, type Node, nextId, remake, typeOf, type Value, withRegion } from './graph.ts';
import { rowOf, slot, tiles as tilesOp } from './ops/tiles.ts';
import { Tensor } from './tensor.ts';

type Tensors = Readonly<Record<string, Tensor>>;

/** Leaves that are the same in every tile: they enter a body as inputs of its node. */
const GIVEN = new Set(['input', 'parameter', 'arena', 'slot']);
let inside = false;

/**
 * @param given tensors that share `axis`; f gets each without it
 * @param sum results to add over the tiles; the others are stacked along `axis`, their first
 * @throws ModelError `model-tiles`
 */
export function overTiles<T extends Tensors, R extends Tensors>(
  given: T,
  axis: string,
  f: (tile: T) => R,
  sum: readonly (keyof R)[] = [],
): R {
  const names = Object.keys(given);
  const fail = (problem: string): never => {
    throw new ModelError('model-tiles', `overTiles: ${problem}`);
  };
  if (inside) fail('tiles within tiles\n  fix: merge both axes into one');
  if (names.length === 0) fail(`nothing to cut along '${axis}'`);
  const inputs: Value[] = names.map((n) => {
    const x = given[n]!;
    x.at(axis);
    return x.permute([axis, ...x.names.filter((a) => a !== axis)].join(' ')).value;
  });
  const count = typeOf(inputs[0]!).axes[0]!.size;
  names.forEach((n) => {
    if (given[n]!.size(axis) !== count)
      fail(`'${n}' has ${given[n]!.size(axis)} along '${axis}', '${names[0]}' ${count}\n  fix: cut all alike`);
  });
  const slots = inputs.map((v, index) => make(slot, [], { index, type: rowOf(typeOf(v)) }));
  const start = nextId();
  inside = true;
  let made: R;
  try {
    made = withRegion('overTiles', () => f(Object.fromEntries(names.map((n, i) => [n, new Tensor(slots[i]!)])) as T));
  } finally {
    inside = false;
  }
  const results = Object.keys(made);
  for (const s of sum)
    if (!results.includes(s as string)) fail(`sum names '${String(s)}'; f gave ${results.join(', ')}`);

  // What comes from outside becomes an input.
  const tiled = inputs.map(() => true);
  const own = new Set(slots.map((s) => s.node));
  const done = new Map<Node, Node>();
  const captured = new Map<string, Value>();
  const enter = (v: Value): Value => {
    const known = done.get(v.node);
    if (known) return { node: known, out: v.out };
    const { node } = v;
    if (own.has(node)) return v;
    const leaf = node.inputs.length === 0 && !GIVEN.has(node.op) && node.op !== 'random';
    if (GIVEN.has(node.op) || (node.id < start && !leaf)) {
      const key = `${node.id}.${v.out}`;
      let s = captured.get(key);
      if (!s) {
        s = make(slot, [], { index: inputs.length, type: typeOf(v) });
        captured.set(key, s);
        inputs.push(v);
        tiled.push(false);
      }
      return s;
    }
    const again = remake(node, node.inputs.map(enter));
    done.set(node, again);
    return { node: again, out: v.out };
  };
  const body = results.map((n) => enter(made[n]!.value));
  const node = makeNode(tilesOp, inputs, {
    axis,
    count,
    tiled,
    body,
    results: results.map((n) => (sum.includes(n) ? ('sum' as const) : ('stack' as const))),
  });
  return Object.fromEntries(results.map((n, out) => [n, new Tensor({ node, out })])) as unknown as R;
}
