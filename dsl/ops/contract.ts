// contract: a sum of products over variables with affine accesses, zero outside the bounds. Matmul, convolution, transposed
// convolution and all their gradients are contracts; so is the gradient of a contract.
//
//   out[o…] = sum over the other variables of a[affine(vars)] * b[affine(vars)]
import { defineOp, make, type Op, typeOf, type Value } from '../graph.ts';
import { type Axis, numel, type TensorType } from '../types.ts';
import { concat } from './concat.ts';
import { scalarValue } from './leaf.ts';
import { expandAs, type ViewStep, view } from './view.ts';

export interface AffineIndex {
  readonly terms: readonly { readonly var: string; readonly coef: number }[];
  readonly offset: number;
}
export interface ContractAttrs {
  readonly vars: readonly Axis[];
  readonly out: readonly string[];
  readonly a: readonly AffineIndex[];
  readonly b: readonly AffineIndex[];
}

export const plain = (name: string): AffineIndex => ({ terms: [{ var: name, coef: 1 }], offset: 0 });

export const contract: Op<ContractAttrs> = defineOp<ContractAttrs>({
  name: 'contract',
  infer([a, b], at, fail) {
    if (a!.axes.length !== at.a.length || b!.axes.length !== at.b.length)
      fail('contract: one index per operand axis', 'give an index for every axis');
    if (a!.dtype !== 'f32' || b!.dtype !== 'f32') fail('contract: operands are f32', 'cast first');
    const size = new Map(at.vars.map((v) => [v.name, v.size]));
    for (const ix of [...at.a, ...at.b])
      for (const t of ix.terms) if (!size.has(t.var)) fail(`contract: unknown variable ${t.var}`, 'list it in vars');
    return [{ dtype: 'f32', axes: at.out.map((n) => ({ name: n, size: size.get(n)! })) }];
  },
  gradient(node, [dy]) {
    if (!dy) return [null, null];
    return [operandGradient(node.inputs, node.attrs, dy, 0), operandGradient(node.inputs, node.attrs, dy, 1)];
  },
  evaluate([a, b], [ta, tb], at, [o]) {
    const out = new Float64Array(numel(o!));
    const red = at.vars.filter((v) => !at.out.includes(v.name));
    const vars = [...at.out.map((n) => at.vars.find((v) => v.name === n)!), ...red];
    const ia = compile(at.a, ta!, vars);
    const ib = compile(at.b, tb!, vars);
    const index = new Int32Array(vars.length);
    const outer = out.length;
    const inner = red.reduce((p, v) => p * v.size, 1);
    for (let i = 0; i < outer; i++) {
      let s = 0;
      for (let j = 0; j < inner; j++) {
        const x = ia(index);
        const y = x < 0 ? -1 : ib(index);
        if (x >= 0 && y >= 0) s += a![x]! * b![y]!;
        for (let d = vars.length - 1; d >= 0; d--) {
          if (++index[d]! < vars[d]!.size) break;
          index[d] = 0;
        }
      }
      out[i] = s;
    }
    return [out];
  },
  print(at) {
    const ix = (list: readonly AffineIndex[]): string =>
      list
        .map((l) =>
          [
            ...l.terms.map((t) => (t.coef === 1 ? t.var : `${t.coef}${t.var}`)),
            ...(l.offset ? [String(l.offset)] : []),
          ].join('+'),
        )
        .join(',');
    return `[${at.out.join(' ')}] = a[${ix(at.a)}] b[${ix(at.b)}] over ${at.vars.map((v) => `${v.name}=${v.size}`).join(' ')}`;
  },
});

function compile(list: readonly AffineIndex[], t: TensorType, vars: readonly Axis[]): (index: Int32Array) => number {
  const dims = list.map((l, i) => ({
    size: t.axes[i]!.size,
    offset: l.offset,
    terms: l.terms.map((x) => ({ at: vars.findIndex((v) => v.name === x.var), coef: x.coef })),
  }));
  return (index) => {
    let at = 0;
    for (const d of dims) {
      let x = d.offset;
      for (const s of d.terms) x += s.coef * index[s.at]!;
      if (x < 0 || x >= d.size) return -1;
      at = at * d.size + x;
    }
    return at;
  };
}

function operandGradient(inputs: readonly Value[], at: ContractAttrs, dy: Value, which: 0 | 1): Value {
  const x = inputs[which]!;
  const tx = typeOf(x);
  const mine = which === 0 ? at.a : at.b;
  const theirs = which === 0 ? at.b : at.a;
  const strided: number[] = [];
  const solvedVar = new Map<number, string>();
  mine.forEach((ix, i) => {
    const t = ix.terms[0];
    if (ix.terms.length === 1 && t!.coef === 1 && ix.offset === 0 && sizeOf(at, t!.var) === tx.axes[i]!.size) return;
    const solve = ix.terms.find((s) => at.out.includes(s.var) && s.coef > 0);
    if (!solve) throw new Error(`contract gradient: axis ${tx.axes[i]!.name} has no output variable to solve for`);
    solvedVar.set(i, solve.var);
    if (solve.coef > 1) strided.push(i);
  });

  // Strided axes: one contract per residue class, interleaved by a view (no remainder test per tap).
  const build = (residues: readonly number[]): Value => {
    const depth = residues.length;
    if (depth === strided.length) return residueClass(residues);
    const i = strided[depth]!;
    const stride = strideOf(mine[i]!, solvedVar.get(i)!);
    const parts: Value[] = [];
    for (let r = 0; r < stride; r++)
      parts.push(
        make(view, [build([...residues, r])], {
          s: 'expand',
          axis: i + 1,
          to: { name: `${tx.axes[i]!.name}_residue`, size: 1 },
        }),
      );
    const joined = make(concat, parts, { axis: i + 1 });
    const merged = make(view, [joined], { s: 'merge', axis: i, count: 2, name: typeOf(joined).axes[i]!.name });
    return cut(merged, i, tx.axes[i]!.size);
  };

  const residueClass = (residues: readonly number[]): Value => {
    let other = inputs[1 - which]!;
    const size = new Map(at.vars.map((v) => [v.name, v.size]));
    const outVars: Axis[] = [];
    const solves = new Map<string, AffineIndex>();
    for (let i = 0; i < mine.length; i++) {
      const ix = mine[i]!;
      const o = solvedVar.get(i);
      if (o === undefined) {
        outVars.push({ name: ix.terms[0]!.var, size: tx.axes[i]!.size });
        continue;
      }
      const s = strideOf(ix, o);
      const rest = ix.terms.filter((t) => t.var !== o);
      const name = `${tx.axes[i]!.name}'`;
      if (s === 1) {
        outVars.push({ name, size: tx.axes[i]!.size });
        solves.set(o, {
          terms: [{ var: name, coef: 1 }, ...rest.map((t) => ({ var: t.var, coef: -t.coef }))],
          offset: -ix.offset,
        });
        continue;
      }
      // x = s q + r and x = s o + c k + offset: of k only k0, k0 + s, … remain
      if (rest.length !== 1) throw new Error('contract gradient: a strided axis has one tap variable');
      const { var: k, coef: c } = rest[0]!;
      const r = residues[strided.indexOf(i)]!;
      const taps = size.get(k)!;
      let k0 = 0;
      while (k0 < Math.min(s, taps) && mod(r - ix.offset - c * k0, s) !== 0) k0++;
      if (k0 >= Math.min(s, taps)) return zeros(tx, strided, mine, solvedVar);
      const count = Math.ceil((taps - k0) / s);
      const axis = theirs.findIndex(
        (t) => t.terms.length === 1 && t.terms[0]!.var === k && t.terms[0]!.coef === 1 && t.offset === 0,
      );
      if (axis < 0) throw new Error('contract gradient: taps must be a plain axis of the other operand');
      other = everyNth(other, axis, k0, s, count);
      size.set(k, count);
      outVars.push({ name, size: Math.ceil(tx.axes[i]!.size / s) });
      solves.set(o, {
        terms: [
          { var: name, coef: 1 },
          { var: k, coef: -c },
        ],
        offset: (r - ix.offset - c * k0) / s,
      });
    }
    const dyIndex = at.out.map((o) => solves.get(o) ?? plain(o));
    const red = at.vars
      .filter((v) => !solves.has(v.name) && !outVars.some((w) => w.name === v.name))
      .map((v) => ({ name: v.name, size: size.get(v.name)! }));
    const operands = which === 0 ? [dy, other] : [other, dy];
    const g = make(contract, operands, {
      vars: [...outVars, ...red],
      out: outVars.map((v) => v.name),
      a: which === 0 ? dyIndex : theirs,
      b: which === 0 ? theirs : dyIndex,
    });
    return g;
  };

  return renameTo(build([]), tx);
}

const mod = (a: number, c: number): number => ((a % c) + c) % c;
const sizeOf = (at: ContractAttrs, name: string): number => at.vars.find((v) => v.name === name)!.size;
const strideOf = (ix: AffineIndex, v: string): number => ix.terms.find((t) => t.var === v)!.coef;

function zeros(
  tx: TensorType,
  strided: readonly number[],
  mine: readonly AffineIndex[],
  solved: ReadonlyMap<number, string>,
): Value {
  const axes = tx.axes.map((a, i) => ({
    name: solved.has(i) ? `${a.name}'` : mine[i]!.terms[0]!.var,
    size: strided.includes(i) ? Math.ceil(a.size / strideOf(mine[i]!, solved.get(i)!)) : a.size,
  }));
  return expandAs(scalarValue(0), { dtype: 'f32', axes });
}

function cut(v: Value, axis: number, size: number): Value {
  return typeOf(v).axes[axis]!.size === size ? v : make(view, [v], { s: 'slice', axis, start: 0, size });
}

/** Elements start, start + n, … (count of them) of an axis. */
function everyNth(v: Value, axis: number, start: number, n: number, count: number): Value {
  const a = typeOf(v).axes[axis]!;
  const whole = count * n;
  const step = (x: Value, s: ViewStep): Value => make(view, [x], s);
  let w = start === 0 ? v : step(v, { s: 'slice', axis, start, size: a.size - start });
  const have = a.size - start;
  if (have < whole) w = step(w, { s: 'pad', axis, lo: 0, hi: whole - have });
  if (have > whole) w = step(w, { s: 'slice', axis, start: 0, size: whole });
  w = step(w, {
    s: 'split',
    axis,
    into: [
      { name: a.name, size: count },
      { name: `${a.name}_of`, size: n },
    ],
  });
  w = step(w, { s: 'slice', axis: axis + 1, start: 0, size: 1 });
  return step(w, { s: 'squeeze', axis: axis + 1 });
}

function renameTo(v: Value, t: TensorType): Value {
  const names = t.axes.map((a) => a.name);
  return typeOf(v).axes.every((a, i) => a.name === names[i]) ? v : make(view, [v], { s: 'rename', names });
}
