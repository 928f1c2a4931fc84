// Scalar expressions: what one element of a fused kernel computes. The compiler builds them by inlining
// views and maps into their consumers; each target prints them.
import type { BinaryOp, DType, StepSlot, UnaryOp } from '../dsl/types.ts';
import { type Cond, decide, type Int, int, key as intKey, substitute as substInt } from './int.ts';

export type { BinaryOp, UnaryOp } from '../dsl/types.ts';

export { STEP_SLOTS, STEP_WORDS, type StepSlot } from '../dsl/types.ts';

export type Expr =
  /** Element `index` (linear, in elements) of kernel.bufs[buf]; a gather adds at.expr (an integer value) * at.stride. */
  | {
      readonly k: 'load';
      readonly buf: number;
      readonly index: Int;
      readonly dtype: DType;
      readonly at?: { readonly expr: Expr; readonly stride: number };
    }
  | { readonly k: 'lit'; readonly v: number; readonly dtype: DType }
  | { readonly k: 'un'; readonly op: UnaryOp; readonly a: Expr; readonly dtype: DType }
  | { readonly k: 'bin'; readonly op: BinaryOp; readonly a: Expr; readonly b: Expr; readonly dtype: DType }
  | { readonly k: 'select'; readonly c: Expr; readonly a: Expr; readonly b: Expr; readonly dtype: DType }
  /** To f16 values are clamped; with `overflow` what is too large becomes infinite, so that it is seen. */
  | { readonly k: 'cast'; readonly a: Expr; readonly dtype: DType; readonly overflow?: boolean }
  /** Bounds decide: all conditions hold ? then : else. The branch not taken is not evaluated (its addresses may be invalid). */
  | {
      readonly k: 'if';
      readonly conds: readonly Cond[];
      readonly then: Expr;
      readonly else: Expr;
      readonly dtype: DType;
    }
  /** A loop index as a value (iota), i32. */
  | { readonly k: 'index'; readonly i: Int; readonly dtype: DType }
  | { readonly k: 'step'; readonly slot: StepSlot; readonly dtype: DType }
  /** Uniform in [0,1) with 24 bits: threefry2x32(key = (seedLo ^ op, seedHi ^ step), counter = (index, microstep | tile << 16))[0] >> 8 * 2^-24. f32. */
  | { readonly k: 'random'; readonly op: number; readonly index: Int; readonly dtype: DType }
  /** The anchor's own result (in epilogues): f32 (i32 for argmax). */
  | { readonly k: 'acc'; readonly dtype: DType };

export const lit = (v: number, dtype: DType = 'f32'): Expr => ({ k: 'lit', v, dtype });

/** all(conds) ? then : otherwise, with the conditions that the ranges decide removed. */
export function when(conds: readonly Cond[], then: Expr, otherwise: Expr): Expr {
  const open: Cond[] = [];
  for (const c of conds) {
    const d = decide(c);
    if (d === false) return otherwise;
    if (d === null) open.push(c);
  }
  if (open.length === 0) return then;
  // Nested conditions with one alternative are one condition.
  if (then.k === 'if' && otherwise.k === 'lit' && then.else.k === 'lit' && Object.is(then.else.v, otherwise.v)) {
    const id = (c: Cond): string => `${c.lo}:${intKey(c.e)}:${c.hi}`;
    const known = new Set(open.map(id));
    return { ...then, conds: [...open, ...then.conds.filter((c) => !known.has(id(c)))] };
  }
  return { k: 'if', conds: open, then, else: otherwise, dtype: then.dtype };
}

export function children(e: Expr): Expr[] {
  switch (e.k) {
    case 'un':
    case 'cast':
      return [e.a];
    case 'bin':
      return [e.a, e.b];
    case 'select':
      return [e.c, e.a, e.b];
    case 'if':
      return [e.then, e.else];
    case 'load':
      return e.at ? [e.at.expr] : [];
    default:
      return [];
  }
}

export function walk(e: Expr, visit: (e: Expr) => void): void {
  visit(e);
  for (const c of children(e)) walk(c, visit);
}

/** Rewrites bottom-up; `f` may return its argument. */
export function rewrite(e: Expr, f: (e: Expr) => Expr): Expr {
  switch (e.k) {
    case 'un':
    case 'cast':
      return f({ ...e, a: rewrite(e.a, f) });
    case 'bin':
      return f({ ...e, a: rewrite(e.a, f), b: rewrite(e.b, f) });
    case 'select':
      return f({ ...e, c: rewrite(e.c, f), a: rewrite(e.a, f), b: rewrite(e.b, f) });
    case 'if':
      return f({ ...e, then: rewrite(e.then, f), else: rewrite(e.else, f) });
    case 'load':
      return f(e.at ? { ...e, at: { ...e.at, expr: rewrite(e.at.expr, f) } } : e);
    default:
      return f(e);
  }
}

/** Substitutes loop variables in every index and condition. */
export function substitute(e: Expr, env: (name: string, size: number) => Int | undefined): Expr {
  switch (e.k) {
    case 'load':
      return {
        ...e,
        index: substInt(e.index, env),
        ...(e.at ? { at: { ...e.at, expr: substitute(e.at.expr, env) } } : {}),
      };
    case 'index':
      return { ...e, i: substInt(e.i, env) };
    case 'random':
      return { ...e, index: substInt(e.index, env) };
    case 'un':
    case 'cast':
      return { ...e, a: substitute(e.a, env) };
    case 'bin':
      return { ...e, a: substitute(e.a, env), b: substitute(e.b, env) };
    case 'select':
      return { ...e, c: substitute(e.c, env), a: substitute(e.a, env), b: substitute(e.b, env) };
    case 'if':
      return when(
        e.conds.map((c) => ({ ...c, e: substInt(c.e, env) })),
        substitute(e.then, env),
        substitute(e.else, env),
      );
    default:
      return e;
  }
}

export function exprKey(e: Expr): string {
  switch (e.k) {
    case 'load':
      return `b${e.buf}[${intKey(e.index)}${e.at ? `+${exprKey(e.at.expr)}*${e.at.stride}` : ''}]`;
    case 'lit':
      return `${e.v}${e.dtype}`;
    case 'un':
      return `${e.op}(${exprKey(e.a)})`;
    case 'bin':
      return `${e.op}(${exprKey(e.a)},${exprKey(e.b)})`;
    case 'select':
      return `sel(${exprKey(e.c)},${exprKey(e.a)},${exprKey(e.b)})`;
    case 'cast':
      return `${e.dtype}${e.overflow ? '!' : ''}(${exprKey(e.a)})`;
    case 'if':
      return `if(${e.conds.map((c) => `${c.lo}<=${intKey(c.e)}<${c.hi}`).join('&')},${exprKey(e.then)},${exprKey(e.else)})`;
    case 'index':
      return `i(${intKey(e.i)})`;
    case 'step':
      return `step.${e.slot}`;
    case 'random':
      return `rand${e.op}(${intKey(e.index)})`;
    case 'acc':
      return 'acc';
  }
}

export const zero = (dtype: DType): Expr => lit(0, dtype);
export const zeroIndex: Int = int(0);
