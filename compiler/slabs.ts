// Slabs: a dispatch that would bind more of a tensor than a device allows is cut along the output's outermost axis, and
// binds windows: the parts of its tensors that the slab's index expressions can reach.
import { add, type Int, int, mul, range, variable } from '../dsl/int.ts';
import { elementBytes } from '../dsl/types.ts';
import { type Expr, substitute, walk } from '../kernels/expr.ts';
import { type Affine, axisVar, type Kernel, type Operand } from '../kernels/ir.ts';
import type { Part } from './program.ts';

export interface Slab {
  readonly first: number;
  readonly count: number;
  /** Element range [lo, hi) of each buffer. */
  readonly windows: readonly (readonly [number, number])[];
}

/** Windows start at multiples of 256 bytes. */
const ALIGN = 256;

export class SlabError extends Error {
  readonly code = 'plan-binding';
}

/** Work of a slab at most, where the kernel can be cut: less than half a second on a device of 100 GFLOP/s, so that no
 *  driver's watchdog (2 s on Windows) ends it and a page stays alive. */
export const MAX_FLOPS = 4e10;

export interface SlabOptions {
  /** Size of the outermost output axis, and what slabs start at multiples of (default 1); the emitter says both. */
  readonly outermost: number;
  readonly multiple?: number;
  /** Of a binding. */
  readonly maxBytes: number;
  readonly maxFlops?: number;
  /** The range to cut. Default all. */
  readonly part?: Part;
  /** Element at which each buffer starts, where it is a window of its tensor. */
  readonly origins?: readonly (number | undefined)[];
}

/** Cuts a kernel into as few slabs as keep every binding at or under `maxBytes`, and their work under `maxFlops` (MAX_FLOPS)
 *  where it can be cut so far. */
export function slabs(k: Kernel, o: SlabOptions): Slab[] {
  const { outermost, multiple = 1, maxBytes, maxFlops = MAX_FLOPS } = o;
  const { first: from, count: total } = o.part ?? { first: 0, count: outermost };
  const limits = k.bufs.map((b) => Math.floor(maxBytes / elementBytes(b.dtype)));
  const whole: Slab = { first: 0, count: outermost, windows: k.bufs.map((b) => [0, b.size]) };
  const units = Math.ceil(total / multiple);
  const least = Math.max(1, Math.min(units, Math.ceil(k.flops / maxFlops)));
  const fits = k.bufs.every((b, i) => b.size <= limits[i]!);
  if (fits && least === 1 && !o.part) return [whole];
  const uses = loads(k);
  for (let parts = fits || o.part ? least : Math.max(2, least); parts <= units; parts++) {
    const step = Math.ceil(units / parts) * multiple;
    const list: Slab[] = [];
    for (let first = 0; first < total; first += step)
      list.push(slab(k, uses, from + first, Math.min(step, total - first), o));
    if (list.every((s) => s.windows.every(([lo, hi], i) => hi - lo <= limits[i]!))) return list;
  }
  const worst = slab(k, uses, from, Math.min(multiple, total), o)
    .windows.map(([lo, hi], i) => ({ label: k.bufs[i]!.label, size: (hi - lo) * elementBytes(k.bufs[i]!.dtype) }))
    .sort((a, b) => b.size - a.size)[0]!;
  throw new SlabError(
    `${k.name}: even the smallest slab binds ${worst.size} bytes of ${worst.label}; the limit is ${maxBytes} bytes. Build for a device with larger bindings, or a smaller size.`,
  );
}

interface Use {
  readonly buf: number;
  readonly index: Int | null;
}

/** Every read's index over the kernel's variables (null: anywhere). */
function loads(k: Kernel): Use[] {
  const out: Use[] = [];
  const of = (e: Expr | null): void => {
    if (!e) return;
    walk(e, (x) => {
      if (x.k === 'load') out.push({ buf: x.buf, index: x.at ? null : x.index });
    });
  };
  switch (k.kind) {
    case 'map':
      for (const s of k.stores) of(s.value);
      break;
    case 'reduce':
      of(k.value);
      for (const s of k.stores) of(s.value);
      break;
    case 'contract':
      of(onVars(k.a, k.vars));
      of(onVars(k.b, k.vars));
      for (const s of k.stores) of(s.value);
      break;
    case 'attention':
      for (const e of [k.q, k.k, k.v, k.bias, k.gq, k.gk]) of(e);
      break;
    case 'attentionGrad':
      for (const e of [k.q, k.k, k.v, k.bias, k.gq, k.gk, k.dO, k.lse, k.delta]) of(e);
      break;
  }
  return out;
}

/** An operand's expression over the contract's variables. */
function onVars(o: Operand, vars: ReadonlyMap<string, number>): Expr {
  const at = (x: Affine): Int =>
    x.terms.reduce((e, t) => add(e, mul(variable(t.var, vars.get(t.var) ?? 1), t.coef)), int(x.offset));
  const index = new Map(o.axes.map((x, i) => [axisVar(i), at(x)]));
  return substitute(o.value, (name) => index.get(name));
}

interface Outer {
  /** The outermost output variable, or one whose values it groups; '' where reads do not depend on it. */
  readonly name: string;
  /** Values of `name` in a group, and in all. */
  readonly group?: { readonly size: number; readonly all: number };
  /** Output elements per index. */
  readonly stores: readonly { readonly buf: number; readonly inner: number }[];
}

function outer(k: Kernel): Outer {
  const inner = (list: readonly { size: number }[]): number => list.slice(1).reduce((p, v) => p * v.size, 1);
  switch (k.kind) {
    case 'map':
      return { name: k.vars[0]?.name ?? '', stores: k.stores.map((s) => ({ buf: s.buf, inner: inner(k.vars) })) };
    case 'reduce':
      return { name: k.keep[0]?.name ?? '', stores: k.stores.map((s) => ({ buf: s.buf, inner: inner(k.keep) })) };
    case 'contract': {
      const n = k.out.slice(1).reduce((p, v) => p * k.vars.get(v)!, 1);
      return { name: k.out[0] ?? '', stores: k.stores.map((s) => ({ buf: s.buf, inner: n })) };
    }
    case 'attention':
      return {
        name: 'g',
        stores: [
          { buf: k.o, inner: k.shape.n * k.shape.h * k.shape.e },
          { buf: k.lse, inner: k.shape.h * k.shape.n },
        ],
      };
    case 'attentionGrad': {
      const { n, m, h, e } = k.shape;
      if (k.part === 'dbias') {
        // Each part sums the windows of its own.
        const group = { size: Math.ceil(k.shape.g / k.parts), all: k.shape.g };
        const cut = k.parts > 1 ? { name: 'g', group } : { name: '' };
        return { ...cut, stores: k.outs.map((buf) => ({ buf, inner: k.parts > 1 ? h * n * m : n * m })) };
      }
      return { name: 'g', stores: k.outs.map((buf) => ({ buf, inner: (k.part === 'dq' ? n : m) * h * e })) };
    }
  }
}

/** Per buffer the elements [lo, hi) that a part of the kernel reads or writes, as far as its indices tell; null: none. */
export function reach(
  k: Kernel,
  part: Part,
  outermost: number,
  uses: readonly Use[] = loads(k),
): (readonly [number, number] | null)[] {
  const { name, group, stores } = outer(k);
  const size = group?.size ?? 1;
  const end = Math.min(group?.all ?? Number.POSITIVE_INFINITY, (part.first + part.count) * size);
  const ranges = new Map([[name, [part.first * size, end - 1] as const]]);
  const lo = k.bufs.map((b) => b.size);
  const hi = k.bufs.map(() => 0);
  const grow = (buf: number, a: number, b: number): void => {
    lo[buf] = Math.min(lo[buf]!, Math.max(0, a));
    hi[buf] = Math.max(hi[buf]!, Math.min(k.bufs[buf]!.size, b));
  };
  for (const u of uses) {
    if (!u.index || name === '' || outermost === 1) grow(u.buf, 0, k.bufs[u.buf]!.size);
    else {
      const [a, b] = range(u.index, ranges);
      grow(u.buf, a, b + 1);
    }
  }
  for (const s of stores) grow(s.buf, part.first * s.inner, (part.first + part.count) * s.inner);
  return k.bufs.map((_, i) => (hi[i]! > lo[i]! ? ([lo[i]!, hi[i]!] as const) : null));
}

function slab(k: Kernel, uses: readonly Use[], first: number, count: number, o: SlabOptions): Slab {
  const reached = reach(k, { first, count }, o.outermost, uses);
  return {
    first,
    count,
    windows: k.bufs.map((b, i) => {
      const unit = ALIGN / elementBytes(b.dtype);
      const r = reached[i];
      if (r) return [Math.floor(r[0] / unit) * unit, r[1]] as const;
      const start = o.origins?.[i] ?? 0; // something must be bound
      return [start, start + Math.min(b.size, unit)] as const;
    }),
  };
}
