// Simplification: equal nodes become one, views that undo each other vanish, arithmetic with constants folds. Dead code needs
// no pass: what no root reaches is not in the graph.
import { attributed, make, type Node, opOf, transform, typeOf, type Value } from '../dsl/graph.ts';
import { key, linear, variable } from '../dsl/int.ts';
import { concat } from '../dsl/ops/concat.ts';
import { type ContractAttrs, contract, plain } from '../dsl/ops/contract.ts';
import { iota, scalarValue } from '../dsl/ops/leaf.ts';
import { BINARY, castTo, isComparison, type MapAttrs, map, UNARY } from '../dsl/ops/map.ts';
import { expandAs, type ViewStep, view, viewCoords } from '../dsl/ops/view.ts';
import type { Axis, BinaryOp, TensorType, UnaryOp } from '../dsl/types.ts';

/** Rewrites until nothing changes (at most a few rounds). */
export function simplify(roots: readonly Value[]): Value[] {
  let now = [...roots];
  for (let round = 0; round < 8; round++) {
    const seen = new Map<string, Node>();
    let changed = false;
    const next = transform(now, (n, original) => {
      const r = attributed({ region: original.region, site: original.site }, () => rule(n));
      if (r) {
        changed = true;
        return r;
      }
      // common subexpressions
      if (!opOf(n).unique) {
        const k = `${n.op}|${opOf(n).print(n.attrs)}|${n.types.map(typeKey)}|${n.inputs.map((v) => `${v.node.id}.${v.out}`)}`;
        const same = seen.get(k);
        if (same && same !== n) {
          changed = true;
          return same.types.map((_, out) => ({ node: same, out }));
        }
        seen.set(k, n);
      }
      return n.types.map((_, out) => ({ node: n, out }));
    });
    now = next;
    if (!changed) break;
  }
  return now;
}

const typeKey = (t: TensorType): string => `${t.dtype}${t.axes.map((a) => `${a.name}${a.size}`)}`;

/** One node's replacement, or null. */
function rule(n: Node): Value[] | null {
  switch (n.op) {
    case 'stopGradient':
      return [n.inputs[0]!];
    case 'map':
      return mapRule(n);
    case 'view':
      return viewRule(n);
    case 'concat':
      return concatRule(n);
    case 'contract':
      return productRule(n);
    case 'gatherAdjoint':
      return [oneHotProduct(n)];
    default:
      return null;
  }
}

/** Rows summed by index are a product with the index as one-hot rows: a matmul, which is what kernels are fastest at. */
function oneHotProduct(n: Node): Value {
  const [index, dy] = n.inputs as [Value, Value];
  const at = typeOf(index).axes;
  const [rows, ...rest] = n.types[0]!.axes as [Axis, ...Axis[]];
  const hot = make(view, [index], { s: 'expand', axis: at.length, to: { name: 'row', size: rows.size } });
  const all = make(iota, [], { axis: { name: 'row', size: rows.size } });
  const numbers = typeOf(index).dtype === 'i32' ? all : make(map, [all], { fn: 'cast', dtype: typeOf(index).dtype });
  const equal = make(map, [hot, expandAs(numbers, typeOf(hot))], { fn: 'eq' });
  const places = at.map((_, i) => `i${i}`);
  const others = rest.map((_, i) => `r${i}`);
  const product = make(contract, [make(map, [equal], { fn: 'cast', dtype: 'f32' }), dy], {
    vars: [
      ...at.map((a, i) => ({ name: places[i]!, size: a.size })),
      { name: 'row', size: rows.size },
      ...rest.map((a, i) => ({ name: others[i]!, size: a.size })),
    ],
    out: ['row', ...others],
    a: [...places, 'row'].map(plain),
    b: [...places, ...others].map(plain),
  });
  return make(view, [product], { s: 'rename', names: [rows.name, ...rest.map((a) => a.name)] });
}

/** A contract that sums over nothing is a product of two expanded tensors. */
function productRule(n: Node): Value[] | null {
  const at = n.attrs as ContractAttrs;
  const size = new Map(at.vars.map((v) => [v.name, v.size]));
  if (at.vars.some((v) => v.size > 1 && !at.out.includes(v.name))) return null;
  const sides = [at.a, at.b].map((list, i) => {
    let v = n.inputs[i]!;
    // one axis per variable of the output, in its order; variables of size 1 have nothing to say
    for (let d = list.length - 1; d >= 0; d--) {
      const ix = list[d]!;
      const long = ix.terms.filter((t) => size.get(t.var)! > 1);
      const axis = typeOf(v).axes[d]!;
      if (axis.size === 1 && long.length === 0 && ix.offset === 0) v = make(view, [v], { s: 'squeeze', axis: d });
      else if (long.length !== 1 || long[0]!.coef !== 1 || ix.offset !== 0 || axis.size !== size.get(long[0]!.var))
        return null;
    }
    const names = list.flatMap((ix) => ix.terms.filter((t) => size.get(t.var)! > 1).map((t) => t.var));
    if (new Set(names).size !== names.length) return null;
    v = make(view, [v], { s: 'rename', names });
    const order = at.out.filter((o) => names.includes(o)).map((o) => names.indexOf(o));
    if (order.some((o, k) => o !== k)) v = make(view, [v], { s: 'permute', order });
    return expandAs(v, n.types[0]!);
  });
  const [a, b] = sides;
  return a && b ? [make(map, [a, b], { fn: 'mul' })] : null;
}

/** The number that a value is everywhere, or null. */
function constantOf(v: Value): number | null {
  if (v.node.op === 'scalar') return v.node.attrs.value;
  if (v.node.op === 'view' && v.node.attrs.s !== 'pad' && v.node.attrs.s !== 'shear')
    return constantOf(v.node.inputs[0]!);
  if (v.node.op === 'stopGradient') return constantOf(v.node.inputs[0]!);
  return null;
}

function mapRule(n: Node): Value[] | null {
  const { fn, dtype } = n.attrs as MapAttrs;
  const t = n.types[0]!;
  const c = n.inputs.map(constantOf);
  const all = (x: number): Value[] => [expandAs(scalarValue(x, t.dtype), t)];
  if (c.every((x) => x !== null)) {
    if (fn in UNARY) return all(UNARY[fn as UnaryOp](c[0]!));
    if (fn in BINARY && (t.dtype === 'f32' || isComparison(fn))) return all(BINARY[fn as BinaryOp](c[0]!, c[1]!));
    if (fn === 'cast') return all(castTo(c[0]!, dtype!));
  }
  const [a, b] = n.inputs as [Value, Value];
  const m = (f: MapAttrs['fn'], ...v: Value[]): Value[] => [make(map, v, { fn: f })];
  switch (fn) {
    case 'cast':
      return typeOf(a).dtype === dtype ? [a] : null;
    case 'add':
      if (c[0] === 0) return [b];
      if (c[1] === 0) return [a];
      if (b.node.op === 'map' && b.node.attrs.fn === 'neg') return m('sub', a, b.node.inputs[0]!);
      return joinAddends(n);
    case 'sub':
      if (c[1] === 0) return [a];
      if (c[0] === 0) return m('neg', b);
      return null;
    case 'mul':
      if (c[0] === 1) return [b];
      if (c[1] === 1) return [a];
      if (t.dtype === 'f32' && (c[0] === 0 || c[1] === 0)) return all(0);
      if (c[0] !== null) return m('mul', b, a);
      if (c[1] !== null && a.node.op === 'map' && a.node.attrs.fn === 'mul') {
        const inner = constantOf(a.node.inputs[1]!);
        if (inner !== null) return m('mul', a.node.inputs[0]!, all(inner * c[1]!)[0]!);
      }
      if (c[1] === -1) return m('neg', a);
      return null;
    case 'div':
      if (c[1] === 1) return [a];
      if (c[1] !== null && t.dtype === 'f32' && Number.isInteger(Math.log2(Math.abs(c[1]!))))
        return m('mul', a, all(1 / c[1]!)[0]!);
      return null;
    case 'neg':
      return a.node.op === 'map' && a.node.attrs.fn === 'neg' ? [a.node.inputs[0]!] : null;
    case 'select':
      return c[0] !== null ? [n.inputs[c[0] ? 1 : 2]!] : null;
    default:
      return null;
  }
}

/** In a sum of several terms: two pads that fill parts of one axis become a concat, one view of two terms is done once. */
function joinAddends(n: Node): Value[] | null {
  const terms: Value[] = [];
  const flatten = (v: Value): void => {
    if (v.node.op === 'map' && v.node.attrs.fn === 'add' && terms.length < 32) v.node.inputs.forEach(flatten);
    else terms.push(v);
  };
  n.inputs.forEach(flatten);
  if (terms.filter((t) => t.node.op === 'view').length < 2) return null;
  for (let i = 0; i < terms.length; i++)
    for (let j = i + 1; j < terms.length; j++) {
      const joined = joinPads(terms[i]!, terms[j]!) ?? sameView(terms[i]!, terms[j]!);
      if (!joined) continue;
      const rest = terms.filter((_, k) => k !== i && k !== j);
      return [[...rest, joined].reduce((x, y) => make(map, [x, y], { fn: 'add' }))];
    }
  return null;
}

/** view(a) + view(b) = view(a + b): every view is linear. */
function sameView(a: Value, b: Value): Value | null {
  const [x, y] = [a.node, b.node];
  if (x.op !== 'view' || y.op !== 'view' || x.attrs.s === 'expand' || opOf(x).print(x.attrs) !== opOf(y).print(y.attrs))
    return null;
  const [u, v] = [x.inputs[0]!, y.inputs[0]!];
  // only where it brings pads together; otherwise both sides may be read elsewhere as they are
  if (u.node.op !== 'view' || v.node.op !== 'view' || !sameAxes(typeOf(u), typeOf(v))) return null;
  return make(view, [make(map, [u, v], { fn: 'add' })], x.attrs);
}

/** pad(a) + pad(b) of disjoint parts of one axis that fill it is a concat: so the slices of one tensor become one again. */
function joinPads(a: Value, b: Value): Value | null {
  const parts: { v: Value; start: number; size: number }[] = [];
  let axis = -1;
  const collect = (v: Value): boolean => {
    if (v.node.op !== 'view' || v.node.attrs.s !== 'pad') return false;
    const st = v.node.attrs as Extract<ViewStep, { s: 'pad' }>;
    if (axis >= 0 && st.axis !== axis) return false;
    axis = st.axis;
    const inner = v.node.inputs[0]!;
    parts.push({ v: inner, start: st.lo, size: typeOf(inner).axes[axis]!.size });
    return true;
  };
  if (!collect(a) || !collect(b)) return null;
  parts.sort((x, y) => x.start - y.start);
  const [p, q] = parts as [(typeof parts)[0], (typeof parts)[0]];
  if (p.start + p.size !== q.start) return null;
  const joined = make(concat, [p.v, q.v], { axis });
  const whole = typeOf(a).axes[axis]!.size;
  const hi = whole - q.start - q.size;
  return p.start === 0 && hi === 0 ? joined : make(view, [joined], { s: 'pad', axis, lo: p.start, hi });
}

function concatRule(n: Node): Value[] | null {
  const axis = n.attrs.axis as number;
  if (n.inputs.length === 1) return [n.inputs[0]!];
  // concat of a concat along the same axis
  if (n.inputs.some((v) => v.node.op === 'concat' && v.node.attrs.axis === axis)) {
    return [
      make(
        concat,
        n.inputs.flatMap((v) => (v.node.op === 'concat' && v.node.attrs.axis === axis ? v.node.inputs : [v])),
        { axis },
      ),
    ];
  }
  // one view of every part, not along the axis: outside
  const lifted = liftView(n);
  if (lifted) return lifted;
  // neighbouring slices of one tensor
  for (let i = 0; i + 1 < n.inputs.length; i++) {
    const [x, y] = [n.inputs[i]!, n.inputs[i + 1]!];
    const sx = sliceOf(x, axis);
    const sy = sliceOf(y, axis);
    if (!sx || !sy || sx.of.node !== sy.of.node || sx.of.out !== sy.of.out || sx.start + sx.size !== sy.start) continue;
    const whole = make(view, [sx.of], { s: 'slice', axis, start: sx.start, size: sx.size + sy.size });
    return [make(concat, [...n.inputs.slice(0, i), whole, ...n.inputs.slice(i + 2)], { axis })];
  }
  return null;
}

/** concat of expand(…), …: the new axis comes after the concat. Brings the slices beneath together. */
function liftView(n: Node): Value[] | null {
  const axis = n.attrs.axis as number;
  const first = n.inputs[0]!.node;
  if (first.op !== 'view' || first.attrs.s !== 'expand' || first.attrs.axis === axis || first.attrs.to.size !== 1)
    return null;
  const same = n.inputs.every(
    (v) => v.node.op === 'view' && opOf(v.node).print(v.node.attrs) === opOf(first).print(first.attrs),
  );
  if (!same) return null;
  const inner = make(
    concat,
    n.inputs.map((v) => v.node.inputs[0]!),
    { axis: axis > first.attrs.axis ? axis - 1 : axis },
  );
  return [make(view, [inner], first.attrs)];
}

function sliceOf(v: Value, axis: number): { of: Value; start: number; size: number } | null {
  if (v.node.op !== 'view' || v.node.attrs.s !== 'slice' || v.node.attrs.axis !== axis) return null;
  return { of: v.node.inputs[0]!, start: v.node.attrs.start, size: v.node.attrs.size };
}

function viewRule(n: Node): Value[] | null {
  const x = n.inputs[0]!;
  const t = n.types[0]!;
  if (sameAxes(t, typeOf(x)) && n.attrs.s !== 'roll' && isIdentity(n)) return [x];
  // a view of a constant is the constant expanded
  const c = constantOf(x);
  if (c !== null && n.attrs.s !== 'pad' && n.attrs.s !== 'shear' && n.attrs.s !== 'expand')
    return [expandAs(scalarValue(c, t.dtype), t)];
  // two steps that undo each other
  if (x.node.op === 'view') {
    const inner = x.node.inputs[0]!;
    if (sameAxes(t, typeOf(inner)) && composedIdentity(n, x.node)) return [inner];
    if (n.attrs.s === 'rename' && x.node.attrs.s === 'rename') return [make(view, [inner], n.attrs)];
    if (n.attrs.s === 'permute' && x.node.attrs.s === 'permute') {
      return [
        make(view, [inner], {
          s: 'permute',
          order: (n.attrs.order as number[]).map((i) => (x.node.attrs.order as number[])[i]!),
        }),
      ];
    }
    if (n.attrs.s === 'slice' && x.node.attrs.s === 'slice' && n.attrs.axis === x.node.attrs.axis) {
      return [
        make(view, [inner], {
          s: 'slice',
          axis: n.attrs.axis,
          start: n.attrs.start + x.node.attrs.start,
          size: n.attrs.size,
        }),
      ];
    }
    // a slice of a pad that stays inside the original
    if (n.attrs.s === 'slice' && x.node.attrs.s === 'pad' && n.attrs.axis === x.node.attrs.axis) {
      const start = n.attrs.start - x.node.attrs.lo;
      const size = typeOf(inner).axes[n.attrs.axis]!.size;
      if (start >= 0 && start + n.attrs.size <= size)
        return [make(view, [inner], { s: 'slice', axis: n.attrs.axis, start, size: n.attrs.size })];
    }
  }
  return null;
}

const sameAxes = (a: TensorType, b: TensorType): boolean =>
  a.axes.length === b.axes.length && a.axes.every((x, i) => x.name === b.axes[i]!.name && x.size === b.axes[i]!.size);

function isIdentity(n: Node): boolean {
  const t = typeOf(n.inputs[0]!);
  const vars = t.axes.map((a, i) => variable(`i${i}`, a.size));
  const { coords, conds } = viewCoords(n.attrs, t, vars);
  const dims = t.axes.map((a) => a.size);
  return conds.length === 0 && key(linear(coords, dims)) === key(linear(vars, dims));
}

function composedIdentity(outer: Node, inner: Node): boolean {
  const mid = typeOf(outer.inputs[0]!);
  const t = typeOf(inner.inputs[0]!);
  const vars = outer.types[0]!.axes.map((a, i) => variable(`i${i}`, a.size));
  const first = viewCoords(outer.attrs, mid, vars);
  if (first.conds.length) return false;
  const second = viewCoords(inner.attrs, t, first.coords);
  // conditions of the inner step must hold for every element
  const dims = t.axes.map((a) => a.size);
  if (key(linear(second.coords, dims)) !== key(linear(vars, dims))) return false;
  return second.conds.length === 0;
}
