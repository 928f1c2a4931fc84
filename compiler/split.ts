// Splitting long sums into two stages, as a function of shapes alone: enough independent parts to spread over a device, a
// fixed tree whatever the number of threads, and windows small enough to bind.
import { attributed, make, type Node, transform, typeOf, type Value } from '../dsl/graph.ts';
import { type ContractAttrs, contract } from '../dsl/ops/contract.ts';
import { scalarValue } from '../dsl/ops/leaf.ts';
import { map } from '../dsl/ops/map.ts';
import { reduce } from '../dsl/ops/reduce.ts';
import { expandAs, view } from '../dsl/ops/view.ts';
import { numel, type TensorType } from '../dsl/types.ts';

/** Terms that one sum of a first stage should have at most. */
const LONG_SUM = 1024;
/** Parts of a split contraction together hold about this many elements, or half as many as there are terms. */
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

/** The first of two stages: x with an axis cut where need be, the axes that it sums, and those that are left. */
interface Stage {
  readonly x: Value;
  readonly axes: readonly number[];
  /** Positions in what the first stage gives. */
  readonly rest: readonly number[];
}

/** Cuts the outermost summed axes until what remains is short; null where the sum is. */
function firstStage(x: Value, axes: readonly number[]): Stage | null {
  const t = typeOf(x);
  let inner = axes.reduce((p, a) => p * t.axes[a]!.size, 1);
  if (inner <= LONG_SUM) return null;
  const outer: number[] = [];
  for (const a of axes) {
    if (inner <= LONG_SUM) break;
    const size = t.axes[a]!.size;
    if (size === 1) continue;
    const parts = divisor(size, Math.ceil(inner / LONG_SUM));
    if (parts < size) {
      const name = t.axes[a]!.name;
      const cut = make(view, [x], {
        s: 'split',
        axis: a,
        into: [
          { name: `${name}_part`, size: parts },
          { name, size: size / parts },
        ],
      });
      const gone = axes.filter((b) => b >= a || !outer.includes(b)).map((b) => (b >= a ? b + 1 : b));
      return { x: cut, axes: gone, rest: positions([...outer, a], gone) };
    }
    outer.push(a);
    inner /= size;
  }
  const gone = axes.filter((a) => !outer.includes(a));
  return gone.length === 0 || outer.length === 0 ? null : { x, axes: gone, rest: positions(outer, gone) };
}

function splitReduce(n: Node): Value {
  const stage = firstStage(n.inputs[0]!, n.attrs.axes as number[]);
  if (!stage) return { node: n, out: 0 };
  return (
    centredSquares(n) ?? again(make(reduce, [stage.x], { fn: n.attrs.fn, axes: stage.axes }), n.attrs.fn, stage.rest)
  );
}

const again = (x: Value, fn: string, axes: readonly number[]): Value =>
  splitReduce(make(reduce, [x], { fn, axes }).node);

/**
 * Squares about a mean, part by part, as Chan, Golub and LeVeque add them: the squares about a part's own mean, and the part's
 * size times the square of its mean's distance (true about any centre). So a part waits for no other, and both of its sums
 * can be taken while it is at hand. Nothing small is computed in between: a part's mean is its sum, scaled where it is read.
 */
function centredSquares(n: Node): Value | null {
  const square = n.inputs[0]!.node;
  const [c, same] = square.inputs;
  if (n.attrs.fn !== 'sum' || !isMap(square, 'mul') || c!.node !== same!.node || !isMap(c!.node, 'sub')) return null;
  const [x, m] = c!.node.inputs as [Value, Value];
  const axes = n.attrs.axes as number[];
  const centre = beneathExpansion(m, new Set(axes.map((a) => typeOf(x).axes[a]!.name)));
  if (!centre) return null;
  const part = firstStage(x, axes)!;
  const count = part.axes.reduce((p, a) => p * typeOf(part.x).axes[a]!.size, 1);
  const sum = make(reduce, [part.x], { fn: 'sum', axes: part.axes });
  const squares = (v: Value, from: Value): Value => {
    const d = make(map, [v, from], { fn: 'sub' });
    return make(map, [d, d], { fn: 'mul' });
  };
  const mean = (t: TensorType): Value => times(expandAs(sum, t), 1 / count);
  const within = make(reduce, [squares(part.x, mean(typeOf(part.x)))], { fn: 'sum', axes: part.axes });
  const between = squares(mean(typeOf(sum)), expandAs(centre, typeOf(sum)));
  return make(map, [again(within, 'sum', part.rest), times(again(between, 'sum', part.rest), count)], { fn: 'add' });
}

const times = (v: Value, k: number): Value => make(map, [v, expandAs(scalarValue(k), typeOf(v))], { fn: 'mul' });

const isMap = (n: Node, fn: string): boolean => n.op === 'map' && n.attrs.fn === fn;

/** What v repeats along all of the axes, or null where it is not the same along one. */
function beneathExpansion(v: Value, axes: ReadonlySet<string>): Value | null {
  const left = new Set(axes);
  let now = v;
  while (now.node.op === 'view' && now.node.attrs.s === 'expand') {
    left.delete((now.node.attrs.to as { name: string }).name);
    now = now.node.inputs[0]!;
  }
  return left.size === 0 ? now : null;
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
  const most = Math.max(PART_ELEMENTS, terms / 2);
  const want = Math.min(Math.floor(most / out), Math.ceil(terms / SHORT_CONTRACTION), 64);
  let parts = divisor(cut.size, Math.min(want, cut.size));
  if (parts * out > most * 2) parts = largestDivisor(cut.size, Math.floor(most / out));
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
