// Slabs: a dispatch that would bind more of a tensor than a device allows is cut along the output's outermost axis, and
// binds windows: the parts of its tensors that the slab's index expressions can reach.
import { add, type Int, int, mul, range, variable } from '../dsl/int.ts';
import { elementBytes } from '../dsl/types.ts';
import { type Expr, substitute, walk } from '../kernels/expr.ts';
import { type Affine, axisVar, type Kernel, type Operand } from '../kernels/ir.ts';

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

/** Cuts a kernel into as few slabs as keep every binding at or under `maxBytes`, and their work under MAX_FLOPS where it can
 *  be cut so far; they start at multiples of `multiple`. `outermost` and `multiple` come from the emitter. */
export function slabs(k: Kernel, outermost: number, maxBytes: number, multiple = 1, maxFlops = MAX_FLOPS): Slab[] {
  const limits = k.bufs.map((b) => Math.floor(maxBytes / elementBytes(b.dtype)));
  const whole: Slab = { first: 0, count: outermost, windows: k.bufs.map((b) => [0, b.size]) };
  const units = Math.ceil(outermost / multiple);
  const least = Math.max(1, Math.min(units, Math.ceil(k.flops / maxFlops)));
  const fits = k.bufs.every((b, i) => b.size <= limits[i]!);
  if (fits && least === 1) return [whole];
  const uses = loads(k);
  for (let parts = fits ? least : Math.max(2, least); parts <= units; parts++) {
    const step = Math.ceil(units / parts) * multiple;
    const list: Slab[] = [];
    for (let first = 0; first < outermost; first += step)
      list.push(slab(k, uses, first, Math.min(step, outermost - first), outermost));
    if (list.every((s) => s.windows.every(([lo, hi], i) => hi - lo <= limits[i]!))) return list;
  }
  const worst = slab(k, uses, 0, Math.min(multiple, outermost), outermost)
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

function slab(k: Kernel, uses: readonly Use[], first: number, count: number, outermost: number): Slab {
  const { name, group, stores } = outer(k);
  const size = group?.size ?? 1;
  const end = Math.min(group?.all ?? Number.POSITIVE_INFINITY, (first + count) * size);
  const ranges = new Map([[name, [first * size, end - 1] as const]]);
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
  for (const s of stores) grow(s.buf, first * s.inner, (first + count) * s.inner);
  return {
    first,
    count,
    windows: k.bufs.map((b, i) => {
      const unit = ALIGN / elementBytes(b.dtype);
      if (hi[i]! <= lo[i]!) return [0, Math.min(b.size, unit)] as const;
      return [Math.floor(lo[i]! / unit) * unit, hi[i]!] as const;
    }),
  };
}
