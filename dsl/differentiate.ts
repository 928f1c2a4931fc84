// Reverse-mode differentiation on the graph. Each primitive says its own gradient, in primitives; composites have none.
import { attributed, make, type Node, opOf, topological, typeOf, type Value } from './graph.ts';
import { scalarValue } from './ops/leaf.ts';
import { map } from './ops/map.ts';
import { expandAs } from './ops/view.ts';

/** Cotangents of `wrt` for the cotangent of `of` (default: ones). null where nothing flows. */
export const differentiate = (of: Value, wrt: readonly Value[], cotangent?: Value): (Value | null)[] =>
  differentiateAll([of], [cotangent ?? null], wrt);

/** The same for several values at once, each with its cotangent (null: ones). */
export function differentiateAll(
  of: readonly Value[],
  given: readonly (Value | null)[],
  wrt: readonly Value[],
): (Value | null)[] {
  const order = topological(of);
  const wanted = new Set(wrt.map((v) => v.node));
  // only nodes between `wrt` and `of` need a cotangent
  const active = new Set<Node>();
  for (const n of order) if (wanted.has(n) || n.inputs.some((v) => active.has(v.node))) active.add(n);

  const cotangents = new Map<Node, (Value | null)[]>();
  const accumulate = (v: Value, g: Value): void => {
    if (!active.has(v.node)) return;
    const list = cotangents.get(v.node) ?? v.node.types.map(() => null);
    const known = list[v.out];
    list[v.out] = known ? make(map, [known, g], { fn: 'add' }) : g;
    cotangents.set(v.node, list);
  };
  of.forEach((v, i) => {
    attributed({ region: `${v.node.region}.grad`, site: v.node.site }, () => {
      accumulate(v, given[i] ?? expandAs(scalarValue(1), typeOf(v)));
    });
  });

  for (const n of order.reverse()) {
    const dy = cotangents.get(n);
    if (!dy || wanted.has(n)) continue;
    attributed({ region: n.region === '' ? 'grad' : `${n.region}.grad`, site: n.site }, () => {
      const back = opOf(n).gradient(n, dy);
      back.forEach((g, i) => {
        if (g) accumulate(n.inputs[i]!, g);
      });
    });
  }
  return wrt.map((v) => cotangents.get(v.node)?.[v.out] ?? null);
}
