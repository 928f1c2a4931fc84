// Splitting long sums into two stages, as a function of shapes alone: enough independent parts to spread over a device, a
// fixed tree whatever the number of threads, and windows small enough to bind.
import { attributed, make, type Node, transform, typeOf, type Value } from '../dsl/graph.ts';
import { type ContractAttrs, contract } from '../dsl/ops/contract.ts';
import { reduce } from '../dsl/ops/reduce.ts';
import { view } from '../dsl/ops/view.ts';
import { numel } from '../dsl/types.ts';

/** Terms that one sum of a first stage should have at most. */
const LONG_SUM = 1024;
/** Parts of a split contraction together hold at most this many elements. */
const PART_ELEMENTS = 1 << 21;
/** Terms that a part of a split contraction should still have. */
const SHORT_CONTRACTION = 2048;

export function split(roots: readonly Value[]): Value[] {
  return transform(roots, (n, original) =>
    attributed({ region: original.region, site: original.site }, () => {
      if (n.op === 'reduce' && n.attrs.fn !== 'argmax') return [splitReduce(n)];
      if (n.op === 'contract') return [splitContract(n)];
      return n.types.map((_, out) => ({ node: n, out }));
    }),
  );
}

/** A divisor of n, the smallest that is at least `want`. */
function divisor(n: number, want: number): number {
  for (let d = Math.max(1, want); d < n; d++) if (n % d === 0) return d;
  return n;
}

function splitReduce(n: Node): Value {
  const x = n.inputs[0]!;
  const t = typeOf(x);
  const axes = n.attrs.axes as number[];
  const terms = axes.reduce((p, a) => p * t.axes[a]!.size, 1);
  const self: Value = { node: n, out: 0 };
  if (terms <= LONG_SUM) return self;
  // cut the outermost reduced axes until what remains is short
  let inner = terms;
  let v = x;
  const outer: number[] = [];
  for (const a of axes) {
    if (inner <= LONG_SUM) break;
    const size = t.axes[a]!.size;
    if (size === 1) continue;
    const parts = divisor(size, Math.ceil(inner / LONG_SUM));
    if (parts < size) {
      const name = t.axes[a]!.name;
      v = make(view, [v], {
        s: 'split',
        axis: a,
        into: [
          { name: `${name}_part`, size: parts },
          { name, size: size / parts },
        ],
      });
      const gone = axes.filter((b) => b >= a || !outer.includes(b)).map((b) => (b >= a ? b + 1 : b));
      const first = make(reduce, [v], { fn: n.attrs.fn, axes: gone });
      return splitReduce(make(reduce, [first], { fn: n.attrs.fn, axes: positions([...outer, a], gone) }).node);
    }
    outer.push(a);
    inner /= size;
  }
  const rest = axes.filter((a) => !outer.includes(a));
  if (rest.length === 0 || outer.length === 0) return self;
  const first = make(reduce, [v], { fn: n.attrs.fn, axes: rest });
  return splitReduce(make(reduce, [first], { fn: n.attrs.fn, axes: positions(outer, rest) }).node);
}

/** Positions of `kept` axes after `gone` ones are reduced. */
const positions = (kept: readonly number[], gone: readonly number[]): number[] =>
  kept.map((a) => a - gone.filter((g) => g < a).length);

/** A small result of a very long sum (a weight's gradient): cut along the first summed axis that is shared and long. */
function splitContract(n: Node): Value {
  const at = n.attrs as ContractAttrs;
  const self: Value = { node: n, out: 0 };
  const red = at.vars.filter((v) => !at.out.includes(v.name));
  const terms = red.reduce((p, v) => p * v.size, 1);
  const out = numel(n.types[0]!);
  if (terms < 2 * SHORT_CONTRACTION || out * 2 > PART_ELEMENTS || terms < out / 16) return self;
  // only where both operands lie along the output innermost: the sum is over positions, not channels. A single-channel
  // operand has no channel axis; there the sum is far longer than the result.
  const innermost = (l: ContractAttrs['a'], i: number): string | undefined =>
    l.filter((_, d) => typeOf(n.inputs[i]!).axes[d]!.size > 1).at(-1)?.terms[0]?.var;
  if (terms < 16 * out && [at.a, at.b].some((l, i) => red.some((v) => v.name === innermost(l, i)))) return self;
  // the outermost long variable that both operands index, so that parts read disjoint slabs of both
  const inBoth = (name: string): boolean =>
    [at.a, at.b].every((l) => l.some((ix) => ix.terms.some((s) => s.var === name)));
  const cut = red.find((v) => v.size > 1 && inBoth(v.name));
  if (!cut) return self;
  const want = Math.min(Math.floor(PART_ELEMENTS / out), Math.ceil(terms / SHORT_CONTRACTION), 64);
  let parts = divisor(cut.size, Math.min(want, cut.size));
  if (parts * out > PART_ELEMENTS * 2) parts = largestDivisor(cut.size, Math.floor(PART_ELEMENTS / out));
  if (parts <= 1) return self;
  const step = cut.size / parts;
  const name = `${cut.name}_part`;
  const index = (list: ContractAttrs['a']): ContractAttrs['a'] =>
    list.map((ix) => ({
      ...ix,
      terms: ix.terms.flatMap((s) =>
        s.var === cut.name ? [{ var: name, coef: s.coef * step }, ...(step > 1 ? [s] : [])] : [s],
      ),
    }));
  const partial = make(contract, n.inputs, {
    vars: [
      { name, size: parts },
      ...at.vars.flatMap((v) => (v.name === cut.name ? (step > 1 ? [{ name: v.name, size: step }] : []) : [v])),
    ],
    out: [name, ...at.out],
    a: index(at.a),
    b: index(at.b),
  });
  return make(reduce, [partial], { fn: 'sum', axes: [0] });
}

function largestDivisor(n: number, max: number): number {
  for (let d = Math.min(n, max); d > 1; d--) if (n % d === 0) return d;
  return 1;
}
