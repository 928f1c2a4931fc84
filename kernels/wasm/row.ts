// A row: the innermost loop of a kernel, over lo <= i < hi of one variable. Guards that the row variable does not change
// become branches around the loop; those that it does change cut the row into segments; the rest is computed one element
// at a time.
import type { DType } from '../../dsl/types.ts';
import { children, type Expr, rewrite } from '../expr.ts';
import { type Cond, coefficient, key as intKey, range, usesVar } from '../int.ts';
import type { Fn } from './emitter.ts';
import { atZero, printCond, printInt } from './ints.ts';
import { type Acc, shiftOf, Values, vectorizable } from './values.ts';

export interface Sink {
  /** Called inside the loop over vectors with the values of four elements from `i`. */
  vector(values: readonly string[], i: string): void;
  /** Called inside the loop over single elements. */
  scalar(values: readonly string[], i: string): void;
}

export interface Row {
  readonly fn: Fn;
  readonly scope: ReadonlyMap<string, string>;
  readonly v: string;
  readonly lo: string;
  readonly hi: string;
  readonly values: readonly Expr[];
  readonly acc: Acc | null;
  readonly sink: Sink;
}

/** How often a row may be cut before its guards are left to single elements. */
const CUTS = 4;

export function emitRow(row: Row, cuts = 0): void {
  const guard = firstGuard(row.values);
  if (!guard || cuts >= CUTS) {
    emitLoops(row);
    return;
  }
  const fixed = guard.conds.filter((c) => !usesVar(c.e, row.v));
  if (fixed.length > 0) {
    branch(row, fixed, cuts);
    return;
  }
  const c = guard.conds[0]!;
  const slope = coefficient(c.e, row.v);
  if (slope === 1 || slope === -1) cut(row, c, slope, cuts);
  else emitLoops(row);
}

const condKey = (c: Cond): string => `${c.lo}<=${intKey(c.e)}<${c.hi}`;

function firstGuard(values: readonly Expr[]): (Expr & { k: 'if' }) | null {
  for (const e of values) {
    if (e.k === 'if') return e;
    const inside = firstGuard(children(e));
    if (inside) return inside;
  }
  return null;
}

/** The values where all these conditions hold (or not all of them). */
function assume(values: readonly Expr[], conds: readonly Cond[], truth: boolean): Expr[] {
  const keys = new Set(conds.map(condKey));
  return values.map((e) =>
    rewrite(e, (x) => {
      if (x.k !== 'if') return x;
      const open = x.conds.filter((c) => !keys.has(condKey(c)));
      if (truth) return open.length === 0 ? x.then : { ...x, conds: open };
      return x.conds.length - open.length === keys.size ? x.else : x;
    }),
  );
}

function branch(row: Row, conds: readonly Cond[], cuts: number): void {
  const { fn } = row;
  fn.open(`if (${conds.map((c) => printCond(fn, c, row.scope)).join(' && ')})`);
  emitRow({ ...row, values: assume(row.values, conds, true) }, cuts + 1);
  fn.close(' else {');
  emitRow({ ...row, values: assume(row.values, conds, false) }, cuts + 1);
  fn.close();
}

/** Cuts the row where lo <= start ± i < hi begins and ceases to hold. */
function cut(row: Row, c: Cond, slope: 1 | -1, cuts: number): void {
  const { fn, lo, hi } = row;
  const e0 = fn.let('i32', printInt(fn, atZero(c.e, row.v), row.scope), 'e');
  const [from, to] =
    slope === 1
      ? [`${fn.int(c.lo)} - ${e0}`, `${fn.int(c.hi)} - ${e0}`]
      : [`${e0} - ${fn.int(c.hi)} + 1`, `${e0} - ${fn.int(c.lo)} + 1`];
  const [least, most] = range(c.e);
  const lowFails = least < c.lo;
  const highFails = most >= c.hi;
  const before = slope === 1 ? lowFails : highFails;
  const after = slope === 1 ? highFails : lowFails;
  const s0 = before ? fn.let('i32', `min<i32>(max<i32>(${from}, ${lo}), ${hi})`, 'e') : lo;
  const s1 = after ? fn.let('i32', `min<i32>(max<i32>(${to}, ${s0}), ${hi})`, 'e') : hi;
  if (before) emitRow({ ...row, hi: s0, values: assume(row.values, [c], false) }, cuts + 1);
  emitRow({ ...row, lo: s0, hi: s1, values: assume(row.values, [c], true) }, cuts + 1);
  if (after) emitRow({ ...row, lo: s1, values: assume(row.values, [c], false) }, cuts + 1);
}

function emitLoops(row: Row): void {
  const { fn, v, values, acc, sink } = row;
  const vector = values.every((e) => vectorizable(e, v, acc));
  fn.open('');
  const i = fn.let('i32', row.lo, 'i');
  const inside = new Map([...row.scope, [v, i]]);
  const printer = new Values(fn, inside, v, acc);
  for (const e of values) printer.prepare(e, vector);
  if (vector) {
    const end = fn.let('i32', `${row.hi} - 3`, 'e');
    fn.open(`for (; ${i} < ${end}; ${i} += 4)`);
    printer.restart();
    sink.vector(
      values.map((e) => printer.vector(e)),
      i,
    );
    fn.close();
  }
  fn.open(`for (; ${i} < ${row.hi}; ${i}++)`);
  printer.restart();
  sink.scalar(
    values.map((e) => printer.scalar(e)),
    i,
  );
  fn.close();
  fn.close();
}

/** A sink that stores each value as element i from its pointer. */
export function storeSink(fn: Fn, pointers: readonly string[], values: readonly Expr[]): Sink {
  const bool = (n: number): boolean => values[n]!.dtype === 'bool';
  return {
    vector: (names, i) =>
      names.forEach((x, n) => {
        if (values[n]!.dtype === 'f16') {
          fn.line(`storeHalf4(${pointers[n]} + (<usize>${i} << 1), ${x});`);
          return;
        }
        const word = bool(n) ? `v128.and(${x}, i32x4.splat(1))` : x;
        fn.line(`v128.store(${pointers[n]} + (<usize>${i} << 2), ${word});`);
      }),
    scalar: (names, i) =>
      names.forEach((x, n) => {
        fn.line(storeText(values[n]!.dtype, pointers[n]!, i, x));
      }),
  };
}

/** The address of element `i` of a tensor at `base`. */
export const elementAddress = (base: string, i: string, d: DType): string => `${base} + (<usize>${i} << ${shiftOf(d)})`;

/** Stores one element. */
export function storeText(d: DType, base: string, i: string, x: string): string {
  const at = elementAddress(base, i, d);
  if (d === 'f16') return `storeHalf(${at}, ${x});`;
  return d === 'bool' ? `store<u32>(${at}, <u32>${x});` : `store<${d}>(${at}, ${x});`;
}
