// Tiles: the bodies of `tiles` nodes go through the same passes as the graph around them, without results that nobody reads and
// inputs that are not needed for the rest.
import { attributed, make, type Node, topological, transform, type Value, valuesOf } from '../dsl/graph.ts';
import { slot, slotsOf, type TilesAttrs, tiles } from '../dsl/ops/tiles.ts';

/** Rounds of pruning: a node that needs fewer inputs leaves results of another unread. */
const ROUNDS = 4;

export function insideTiles(
  roots: readonly Value[],
  passes: readonly { readonly run: (roots: readonly Value[]) => Value[] }[],
): Value[] {
  let now = [...roots];
  for (let round = 0; round < ROUNDS; round++) {
    const next = prune(now);
    if (next === null) break;
    now = next;
  }
  return transform(now, (n) => {
    if (n.op !== 'tiles') return valuesOf(n);
    const body = passes.reduce((b, p) => p.run(b), [...(n.attrs as TilesAttrs).body]);
    return valuesOf(rebuilt(n, body, (n.attrs as TilesAttrs).results));
  });
}

/** null where every result of every node is read. */
function prune(roots: readonly Value[]): Value[] | null {
  const read = new Map<Node, Set<number>>();
  for (const v of [...roots, ...topological(roots).flatMap((n) => n.inputs)])
    if (v.node.op === 'tiles') read.set(v.node, (read.get(v.node) ?? new Set()).add(v.out));
  if ([...read].every(([n, outs]) => outs.size === n.types.length)) return null;
  return transform(roots, (n, original) => {
    const outs = read.get(original);
    if (!outs || outs.size === n.types.length) return valuesOf(n);
    const kept = n.types.map((_, i) => i).filter((i) => outs.has(i));
    const { body, results } = n.attrs as TilesAttrs;
    const less = rebuilt(
      n,
      kept.map((i) => body[i]!),
      kept.map((i) => results[i]!),
    );
    // Nobody asks for the others.
    return n.types.map((_, i) => ({ node: less, out: Math.max(0, kept.indexOf(i)) }));
  });
}

/** The node with another body, and the inputs that it needs. */
function rebuilt(n: Node, body: readonly Value[], results: TilesAttrs['results']): Node {
  const attrs = n.attrs as TilesAttrs;
  const used = [...slotsOf(body).keys()].sort((a, b) => a - b);
  return attributed({ region: n.region, site: n.site }, () => {
    const renumbered = transform(body, (m) =>
      m.op === 'slot' && used.indexOf(m.attrs.index) !== m.attrs.index
        ? [make(slot, [], { ...m.attrs, index: used.indexOf(m.attrs.index) })]
        : valuesOf(m),
    );
    return make(
      tiles,
      used.map((i) => n.inputs[i]!),
      { ...attrs, tiled: used.map((i) => attrs.tiled[i]!), body: renumbered, results },
    ).node;
  });
}
