// Inlining: the scalar expression that computes one element of a value, reading through views and maps down to what is
// stored. This is where padding, rolls, windows and concatenations become index arithmetic.
import { type Node, typeOf, type Value } from '../dsl/graph.ts';
import { type Int, int, key, linear, sub, variable } from '../dsl/int.ts';
import type { MapAttrs } from '../dsl/ops/map.ts';
import { viewCoords } from '../dsl/ops/view.ts';
import { type BinaryOp, type DType, numel, show } from '../dsl/types.ts';
import { type Expr, lit, when, zero } from '../kernels/expr.ts';
import type { Buf, LoopVar } from '../kernels/ir.ts';

/** Where a stored value lives, or null when it is not stored. The tensor may be f16 where the value is f32. */
export type Storage = (v: Value) => { tensor: number; label: string; dtype: DType } | null;

/** Collects a kernel's buffers while its expressions are built. */
export class Inliner {
  readonly bufs: Buf[] = [];
  private readonly memo = new Map<string, Expr>();
  private readonly storage: Storage;
  /** The anchor whose result an epilogue starts from, with its canonical linear index. */
  acc: { value: Value; index: string } | null = null;

  constructor(storage: Storage) {
    this.storage = storage;
  }

  buf(tensor: number, v: { type: ReturnType<typeof typeOf>; label: string }, access: 'read' | 'write'): number {
    const i = this.bufs.findIndex((b) => b.tensor === tensor);
    if (i < 0) {
      this.bufs.push({ tensor, dtype: v.type.dtype, size: numel(v.type), access, label: `${v.label} ${show(v.type)}` });
      return this.bufs.length - 1;
    }
    const b = this.bufs[i]!;
    if (b.access !== access) this.bufs[i] = { ...b, access: 'readwrite' };
    return i;
  }

  /** The element of v at `coords` (one per axis of v). */
  at(v: Value, coords: readonly Int[]): Expr {
    const k = `${v.node.id}.${v.out}@${coords.map(key).join(',')}`;
    const known = this.memo.get(k);
    if (known) return known;
    const e = this.build(v, coords);
    this.memo.set(k, e);
    return e;
  }

  private build(v: Value, coords: readonly Int[]): Expr {
    const t = typeOf(v);
    const dims = t.axes.map((a) => a.size);
    if (this.acc && v.node === this.acc.value.node && v.out === this.acc.value.out) {
      if (key(linear(coords, dims)) !== this.acc.index) throw new NotAligned();
      return { k: 'acc', dtype: t.dtype };
    }
    const stored = this.storage(v);
    if (stored) {
      const type = { ...t, dtype: stored.dtype };
      const buf = this.buf(stored.tensor, { type, label: stored.label }, 'read');
      const load: Expr = { k: 'load', buf, index: linear(coords, dims), dtype: type.dtype };
      return type.dtype === t.dtype ? load : { k: 'cast', a: load, dtype: t.dtype };
    }
    const n = v.node;
    switch (n.op) {
      case 'scalar':
        return lit(n.attrs.value, t.dtype);
      case 'iota':
        return { k: 'index', i: coords[0]!, dtype: 'i32' };
      case 'step':
        return { k: 'step', slot: n.attrs.slot, dtype: t.dtype };
      case 'random':
        return { k: 'random', op: n.attrs.id, index: linear(coords, dims), dtype: 'f32' };
      case 'stopGradient':
        return this.at(n.inputs[0]!, coords);
      case 'map':
        return this.map(n, coords);
      case 'view': {
        const { coords: inner, conds } = viewCoords(n.attrs, typeOf(n.inputs[0]!), coords);
        return when(conds, this.at(n.inputs[0]!, inner), zero(t.dtype));
      }
      case 'concat':
        return this.concat(n, coords);
      case 'gather': {
        const [table, index] = n.inputs as [Value, Value];
        const ti = typeOf(index).axes.length;
        const tt = typeOf(table);
        const rest = tt.axes.slice(1).map((a) => a.size);
        const row = this.at(table, [int(0), ...coords.slice(ti)]);
        const at = { expr: this.at(index, coords.slice(0, ti)), stride: rest.reduce((p, s) => p * s, 1) };
        if (row.k === 'load') return { ...row, at };
        if (row.k === 'cast' && row.a.k === 'load') return { ...row, a: { ...row.a, at } };
        throw new Error('gather: the table must be stored');
      }
      default:
        throw new Error(`inline: ${n.op} is not stored and cannot be computed inside another kernel (${n.region})`);
    }
  }

  private map(n: Node, coords: readonly Int[]): Expr {
    const { fn, dtype } = n.attrs as MapAttrs;
    const t = n.types[0]!;
    const args = n.inputs.map((v) => this.at(v, coords));
    if (fn === 'select') return { k: 'select', c: args[0]!, a: args[1]!, b: args[2]!, dtype: t.dtype };
    if (fn === 'cast') return { k: 'cast', a: args[0]!, dtype: dtype! };
    if (fn === 'mod') return floorMod(args[0]!, args[1]!, t.dtype);
    if (args.length === 1) return { k: 'un', op: fn as never, a: args[0]!, dtype: t.dtype };
    return { k: 'bin', op: fn as never, a: args[0]!, b: args[1]!, dtype: t.dtype };
  }

  private concat(n: Node, coords: readonly Int[]): Expr {
    const axis = n.attrs.axis as number;
    const at = coords[axis]!;
    let start = 0;
    const parts = n.inputs.map((v) => {
      const size = typeOf(v).axes[axis]!.size;
      const from = start;
      start += size;
      return { v, from, size };
    });
    let e: Expr | null = null;
    for (const p of parts.reverse()) {
      const inner = this.at(
        p.v,
        coords.map((c, i) => (i === axis ? sub(at, int(p.from)) : c)),
      );
      e = e === null ? inner : when([{ e: at, lo: p.from, hi: p.from + p.size }], inner, e);
    }
    return e!;
  }
}

/** An epilogue that would read the anchor's result at another place than its own. */
export class NotAligned extends Error {}

/** One variable per axis; axes of size 1 are the constant 0 and no variable. */
export function axisVars(v: Value, prefix = 'i'): { coords: Int[]; vars: LoopVar[] } {
  const axes = typeOf(v).axes;
  const coords = axes.map((a, i) => variable(`${prefix}${i}`, a.size));
  return { coords, vars: axes.map((a, i) => ({ name: `${prefix}${i}`, size: a.size })).filter((x) => x.size > 1) };
}

/** The language's mod takes the divisor's sign; the kernels' truncates, as in C. */
function floorMod(a: Expr, b: Expr, dtype: DType): Expr {
  const bin = (op: BinaryOp, x: Expr, y: Expr, d: DType = dtype): Expr => ({ k: 'bin', op, a: x, b: y, dtype: d });
  if (dtype === 'u32') return bin('mod', a, b);
  if (dtype === 'f32') {
    const floor: Expr = { k: 'un', op: 'floor', a: bin('div', a, b), dtype };
    return bin('sub', a, bin('mul', b, floor));
  }
  const rest = bin('mod', a, b);
  const below = (x: Expr): Expr => bin('lt', x, zero(dtype), 'bool');
  const apart = bin('ne', below(rest), below(b), 'bool');
  const c = bin('and', bin('ne', rest, zero(dtype), 'bool'), apart, 'bool');
  return { k: 'select', c, a: bin('add', rest, b), b: rest, dtype };
}
