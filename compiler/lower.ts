// Lowering: the fused graph becomes kernels, in the order of the graph.
import { sourceLine } from '../dsl/errors.ts';
import { type Node, typeOf, type Value } from '../dsl/graph.ts';
import { type Int, key, linear, unlinear, variable } from '../dsl/int.ts';
import type { AttentionAttrs } from '../dsl/ops/attention.ts';
import { operands as attentionOperands } from '../dsl/ops/attention.ts';
import { type DType, numel, type TensorType } from '../dsl/types.ts';
import type { Expr } from '../kernels/expr.ts';
import type { AttentionShape, LoopVar, Store } from '../kernels/ir.ts';
import { contractKernel } from './contract.ts';
import { type Fusion, isLeaf } from './fuse.ts';
import { axisVars, Inliner, type Storage } from './inline.ts';
import { lowerTiles } from './lower-tiles.ts';
import type { Program, ProgramTensor, Step, TensorTable } from './program.ts';

export interface Root {
  readonly value: Value;
  readonly target: ProgramTensor;
}

/** The dtype in which a value is stored; where there is another than its own, contractions may multiply halves too. */
export type Precision = (v: Value, fusion: Fusion) => DType;
const keep: Precision = (v) => typeOf(v).dtype;

/** Partial sums of an attention's bias gradient: windows are summed in this many groups at most, then the groups; in fewer where
 *  the scores of one window are many, since that is enough to spread over a device, and each group's are stored. */
const BIAS_PARTS = 8;
const BIAS_SCORES = 1 << 21;

export class Lowering {
  readonly kernels: Step[] = [];
  private readonly places = new Map<string, ProgramTensor>();
  private readonly names = new Map<string, number>();
  private readonly table: TensorTable;
  private readonly leaf: (n: Node) => ProgramTensor;
  private readonly fusion: Fusion;
  private readonly stores: Precision;

  constructor(table: TensorTable, fusion: Fusion, leaf: (n: Node) => ProgramTensor, stores: Precision = keep) {
    this.table = table;
    this.fusion = fusion;
    this.leaf = leaf;
    this.stores = stores;
  }

  /** Kernels for everything the roots need; each root ends in its target. */
  run(name: string, roots: readonly Root[]): Program<Step> {
    const copies: Root[] = [];
    for (const r of roots) {
      const k = valueKey(r.value);
      if (isLeaf(r.value.node) || this.places.has(k)) copies.push(r);
      else this.places.set(k, r.target);
    }
    const finals = new Map([...this.fusion.epilogue].map(([anchor, last]) => [last, anchor]));
    for (const n of this.fusion.order) {
      if (!this.fusion.stored.has(n)) continue;
      const anchor = finals.get(n);
      if (anchor) this.anchor(anchor, n);
      else if (this.fusion.epilogue.has(n)) continue;
      else if (
        n.op === 'map' ||
        n.op === 'view' ||
        n.op === 'concat' ||
        n.op === 'gather' ||
        n.op === 'random' ||
        n.op === 'scalar' ||
        n.op === 'iota' ||
        n.op === 'step'
      )
        this.elementwise({ node: n, out: 0 }, this.place({ node: n, out: 0 }));
      else this.anchor(n, n);
    }
    for (const r of copies) this.elementwise(r.value, r.target, true);
    return { name, kernels: this.kernels, tensors: this.table.list };
  }

  private readonly storage: Storage = (v) => {
    if (isLeaf(v.node)) {
      const t = this.leaf(v.node);
      return { tensor: t.id, label: t.label, dtype: t.type.dtype };
    }
    const t = this.places.get(valueKey(v));
    return t && this.written.has(t.id) ? { tensor: t.id, label: t.label, dtype: t.type.dtype } : null;
  };
  private readonly written = new Set<number>();

  /** The tensor that holds a stored value. */
  private place(v: Value): ProgramTensor {
    const k = valueKey(v);
    const known = this.places.get(k);
    if (known) return known;
    const t = this.table.temp({ ...typeOf(v), dtype: this.stores(v, this.fusion) }, shortRegion(v.node));
    this.places.set(k, t);
    return t;
  }

  private base(n: Node, also: readonly Node[] = []) {
    const region = n.region;
    const nodes = [n, ...also];
    return {
      name: this.unique(shortRegion(n)),
      region,
      ops: [...new Set(nodes.map((m) => (m.op === 'map' ? m.attrs.fn : m.op)))],
      lines: [...new Set(nodes.map((m) => sourceLine(m.site)).filter((l) => l !== '?'))],
    };
  }
  private unique(name: string): string {
    const n = (this.names.get(name) ?? 0) + 1;
    this.names.set(name, n);
    return n === 1 ? name : `${name}#${n}`;
  }

  private elementwise(v: Value, target: ProgramTensor, copy = false): void {
    const inl = new Inliner(
      copy || this.written.has(target.id)
        ? this.storage
        : (x) => (x.node === v.node && x.out === v.out && !isLeaf(x.node) ? null : this.storage(x)),
    );
    const { coords, vars } = axisVars(v);
    const value = inl.at(v, coords);
    const store = this.store(inl, target, v, value);
    this.push({
      ...this.base(v.node),
      kind: 'map',
      bufs: inl.bufs,
      vars,
      stores: [store],
      flops: numel(typeOf(v)) * cost(value),
    });
    this.written.add(target.id);
  }

  /** A stored value once more, into another tensor. */
  copy(root: Root): void {
    this.elementwise(root.value, root.target, true);
  }

  /** Several values over the same elements written by one kernel, in place where they read what they write. */
  together(name: string, roots: readonly Root[]): void {
    const inl = new Inliner(this.storage);
    const { coords, vars } = axisVars(roots[0]!.value);
    const values = roots.map((r) => inl.at(r.value, coords));
    const stores = roots.map((r, i) => this.store(inl, r.target, r.value, values[i]!));
    const n = roots[0]!.value.node;
    this.push({
      ...this.base(n),
      name,
      kind: 'map',
      bufs: inl.bufs,
      vars,
      stores,
      flops: numel(typeOf(roots[0]!.value)) * values.reduce((s, e) => s + cost(e), 0),
    });
  }

  private anchor(n: Node, last: Node): void {
    switch (n.op) {
      case 'contract':
        this.contract(n, last);
        break;
      case 'reduce':
        this.reduce(n, last);
        break;
      case 'attention':
        this.attention(n);
        break;
      case 'attentionGrad':
        this.attentionGrad(n);
        break;
      case 'tiles':
        this.tiles(n);
        break;
      default:
        throw new Error(`lower: no kernel for ${n.op}`);
    }
  }

  /** The epilogue's expression, with the anchor's result as `acc`, and its store. Output coordinates as given. */
  private epilogue(inl: Inliner, n: Node, last: Node, coords: readonly Int[]): Store[] {
    const dims = n.types[0]!.axes.map((a) => a.size);
    const at = linear(coords, dims);
    inl.acc = { value: { node: n, out: 0 }, index: key(at) };
    const out: Value = { node: last, out: 0 };
    const target = this.place(out);
    const lastDims = typeOf(out).axes.map((a) => a.size);
    const value = last === n ? inl.at(out, coords) : inl.at(out, unlinear(at, lastDims));
    inl.acc = null;
    return [this.store(inl, target, out, value)];
  }

  /** Writes a value to its tensor, as f16 where the tensor is. An adjoint that is too large for it becomes infinite, so that
   *  the step is skipped; a value of the forward pass is clamped. */
  private store(inl: Inliner, target: ProgramTensor, v: Value, value: Expr): Store {
    const type = { ...typeOf(v), dtype: target.type.dtype };
    const buf = inl.buf(target.id, { type, label: target.label }, 'write');
    if (type.dtype === typeOf(v).dtype) return { buf, value };
    return { buf, value: { k: 'cast', a: value, dtype: type.dtype, overflow: /\.grad\b/.test(v.node.region) } };
  }

  private contract(n: Node, last: Node): void {
    const inl = new Inliner(this.storage);
    const k = contractKernel(n, inl, (coords) => this.epilogue(inl, n, last, coords));
    const halves = this.stores === keep ? {} : { halves: true };
    this.push({ ...this.base(n, last === n ? [] : [last]), ...k, ...halves, bufs: inl.bufs });
    this.written.add(this.place({ node: last, out: 0 }).id);
  }

  private reduce(n: Node, last: Node): void {
    const inl = new Inliner(this.storage);
    const x = n.inputs[0]!;
    const t = typeOf(x);
    const red = n.attrs.axes as number[];
    const { coords } = axisVars(x);
    const value = inl.at(x, coords);
    const varsOf = (keep: boolean): LoopVar[] =>
      t.axes
        .map((a, i) => ({ name: `i${i}`, size: a.size, i }))
        .filter((v) => v.size > 1 && red.includes(v.i) !== keep)
        .map(({ name, size }) => ({ name, size }));
    const keepCoords = coords.filter((_, i) => !red.includes(i));
    const stores = this.epilogue(inl, n, last, keepCoords);
    this.push({
      ...this.base(n, last === n ? [] : [last]),
      kind: 'reduce',
      op: n.attrs.fn,
      keep: varsOf(true),
      red: varsOf(false),
      value,
      stores,
      bufs: inl.bufs,
      flops: numel(t) * (1 + cost(value)),
    });
    this.written.add(this.place({ node: last, out: 0 }).id);
  }

  private attention(n: Node): void {
    const inl = new Inliner(this.storage);
    const parts = this.attentionParts(n, inl);
    const oT = this.place({ node: n, out: 0 });
    const lT = this.place({ node: n, out: 1 });
    const o = inl.buf(oT.id, { type: oT.type, label: oT.label }, 'write');
    const lse = inl.buf(lT.id, { type: lT.type, label: `${lT.label}.lse` }, 'write');
    const { g, h, n: nn, m, e } = parts.shape;
    this.push({ ...this.base(n), kind: 'attention', ...parts, o, lse, bufs: inl.bufs, flops: 4 * g * h * nn * m * e });
    this.written.add(oT.id).add(lT.id);
  }

  private attentionGrad(n: Node): void {
    const a = n.attrs as AttentionAttrs;
    const end = attentionOperands(a).end;
    const g = n.types[0]!.axes[0]!.size;
    const label = shortRegion(n);
    const emit = (part: 'dq' | 'dkv' | 'dbias', targets: ProgramTensor[], products: number, partials = 1): void => {
      const inl = new Inliner(this.storage);
      const p = this.attentionParts(n, inl);
      const s = p.shape;
      const q4 = [variable('g', s.g), variable('i', s.n), variable('h', s.h), variable('e', s.e)];
      const row = [variable('g', s.g), variable('h', s.h), variable('i', s.n)];
      const dO = inl.at(n.inputs[end]!, q4);
      const lse = inl.at(n.inputs[end + 1]!, row);
      const delta = inl.at(n.inputs[end + 2]!, row);
      const outs = targets.map((t) => inl.buf(t.id, { type: t.type, label: t.label }, 'write'));
      this.push({
        ...this.base(n),
        name: this.unique(`${label}.${part}`),
        kind: 'attentionGrad',
        part,
        ...p,
        dO,
        lse,
        delta,
        outs,
        parts: partials,
        bufs: inl.bufs,
        flops: products * 2 * s.g * s.h * s.n * s.m * s.e,
      });
      for (const t of targets) this.written.add(t.id);
    };
    emit('dq', [this.place({ node: n, out: 0 })], 3);
    emit('dkv', [this.place({ node: n, out: 1 }), this.place({ node: n, out: 2 })], 4);
    if (!a.bias) return;
    const out = this.place({ node: n, out: 3 });
    const partials = Math.min(BIAS_PARTS, g, Math.ceil(BIAS_SCORES / numel(out.type)));
    if (partials === 1) {
      emit('dbias', [out], 2);
      return;
    }
    const type: TensorType = { dtype: 'f32', axes: [{ name: 'part', size: partials }, ...out.type.axes] };
    const partial = this.table.temp(type, `${label}.dbias.parts`);
    emit('dbias', [partial], 2, partials);
    this.sumParts(n, partial, out);
  }

  private sumParts(n: Node, partial: ProgramTensor, out: ProgramTensor): void {
    const inl = new Inliner(() => null);
    const [part, ...rest] = partial.type.axes;
    const keep = rest.map((a, i) => ({ name: `i${i + 1}`, size: a.size })).filter((v) => v.size > 1);
    const coords = [variable('i0', part!.size), ...rest.map((a, i) => variable(`i${i + 1}`, a.size))];
    const buf = inl.buf(partial.id, { type: partial.type, label: partial.label }, 'read');
    const value: Expr = {
      k: 'load',
      buf,
      index: linear(
        coords,
        partial.type.axes.map((a) => a.size),
      ),
      dtype: 'f32',
    };
    const store = inl.buf(out.id, { type: out.type, label: out.label }, 'write');
    this.push({
      ...this.base(n),
      name: this.unique(`${shortRegion(n)}.sum`),
      kind: 'reduce',
      op: 'sum',
      keep,
      red: [{ name: 'i0', size: part!.size }],
      value,
      stores: [{ buf: store, value: { k: 'acc', dtype: 'f32' } }],
      bufs: inl.bufs,
      flops: numel(partial.type),
    });
    this.written.add(out.id);
  }

  private attentionParts(n: Node, inl: Inliner) {
    const a = n.attrs as AttentionAttrs;
    const { bias, gq, gk } = attentionOperands(a);
    const [G, N, H, E] = typeOf(n.inputs[0]!).axes.map((x) => x.size) as [number, number, number, number];
    const M = typeOf(n.inputs[1]!).axes[1]!.size;
    const shape: AttentionShape = { g: G, h: H, n: N, m: M, e: E, scale: a.scale, maskValue: a.maskValue };
    const g = variable('g', G);
    const h = variable('h', H);
    const i = variable('i', N);
    const j = variable('j', M);
    const e = variable('e', E);
    const at = (index: number, coords: Int[]): Expr => inl.at(n.inputs[index]!, coords);
    return {
      shape,
      q: at(0, [g, i, h, e]),
      k: at(1, [g, j, h, e]),
      v: at(2, [g, j, h, e]),
      bias: bias > 0 ? at(bias, [h, i, j]) : null,
      gq: gq > 0 ? at(gq, [g, i]) : null,
      gk: gk > 0 ? at(gk, [g, j]) : null,
    };
  }

  private tiles(n: Node): void {
    const outputs = n.types.map((_, out) => this.place({ node: n, out }));
    this.push(
      lowerTiles(n, this.base(n), {
        table: this.table,
        stored: (v) => (isLeaf(v.node) ? this.leaf(v.node) : this.place(v)),
        place: (out) => outputs[out]!,
        lowering: (fusion, leaf) => new Lowering(this.table, fusion, leaf, this.stores),
      }),
    );
    for (const t of outputs) this.written.add(t.id);
  }

  private push(k: Step): void {
    this.kernels.push(k);
  }
}

const valueKey = (v: Value): string => `${v.node.id}.${v.out}`;

/** `decoder1 / conv_block / conv1 / conv3d` -> `decoder1.conv_block.conv1.conv3d` */
function shortRegion(n: Node): string {
  return (n.region || n.op).split(' / ').join('.');
}

/** Operations of an expression, for the FLOP count. */
function cost(e: Expr): number {
  const seen = new Set<Expr>();
  const visit = (x: Expr): number => {
    if (seen.has(x)) return 0;
    seen.add(x);
    switch (x.k) {
      case 'un':
        return 1 + visit(x.a);
      case 'bin':
        return 1 + visit(x.a) + visit(x.b);
      case 'select':
        return 1 + visit(x.c) + visit(x.a) + visit(x.b);
      case 'if':
        return visit(x.then) + visit(x.else);
      case 'cast':
        return visit(x.a);
      default:
        return 0;
    }
  };
  return visit(e);
}
