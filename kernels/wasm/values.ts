// Expressions in AssemblyScript: one element at a time, or four consecutive elements of a row in a v128.
//
// Contract: f32, i32 and u32 values are lanes of that type; a bool is a `bool` in scalar code, a lane mask in vectors and
// 0 or 1 in memory. Statements are written to `fn` where the printer stands; a value is the name of a local.
import type { DType } from '../../dsl/types.ts';
import { children, type Expr, exprKey, STEP_SLOTS } from '../expr.ts';
import { coefficient, key as intKey, usesVar } from '../int.ts';
import { EmitError, type Fn } from './emitter.ts';
import { atZero, printCond, printInt, printIntVector, type Scope } from './ints.ts';

/** Where the anchor's result is found: a scalar local, or memory at pointer + 4 * (row variable). */
export type Acc =
  | { readonly kind: 'scalar'; readonly name: string }
  | { readonly kind: 'row'; readonly pointer: string };

/** In locals an f16 is an f32. */
export const laneType = (d: DType): 'f32' | 'i32' | 'u32' | 'bool' => (d === 'f16' ? 'f32' : d);

/** Bytes of an element, as the shift that multiplies by them. */
export const shiftOf = (d: DType): number => (d === 'f16' ? 1 : 2);

/** Does the value change along the row variable v? */
export function varies(e: Expr, v: string, acc: Acc | null): boolean {
  if (e.k === 'load' && usesVar(e.index, v)) return true;
  if (e.k === 'index' && usesVar(e.i, v)) return true;
  if (e.k === 'random' && usesVar(e.index, v)) return true;
  if (e.k === 'if' && e.conds.some((c) => usesVar(c.e, v))) return true;
  if (e.k === 'acc') return acc?.kind === 'row';
  return children(e).some((c) => varies(c, v, acc));
}

const integer = (d: DType): boolean => d === 'i32' || d === 'u32';

/** Can four elements be computed at once? (Whole-number division cannot; a remaining `if` needs a branch.) */
export function vectorizable(e: Expr, v: string, acc: Acc | null): boolean {
  if (!varies(e, v, acc)) return true;
  if (e.k === 'if') return false;
  if (e.k === 'bin' && integer(e.dtype) && (e.op === 'div' || e.op === 'mod' || e.op === 'pow')) return false;
  return children(e).every((c) => vectorizable(c, v, acc));
}

const addressKey = (e: Expr & { k: 'load' }): string =>
  `${e.buf}:${intKey(e.index)}${e.at ? `:${exprKey(e.at.expr)}*${e.at.stride}` : ''}`;

export class Values {
  private memo = new Map<string, string>();
  private readonly pointers = new Map<string, string>();
  private readonly splats = new Map<string, string>();
  private readonly invariants = new Map<string, string>();
  /** `row` is the row variable, whose local is scope.get(row) inside loops. */
  constructor(
    private readonly fn: Fn,
    private readonly scope: Scope,
    private readonly row: string | null,
    private readonly acc: Acc | null,
  ) {}

  /** Statements before the row's loop: base pointers and everything that the row variable does not change. */
  prepare(e: Expr, vector: boolean): void {
    const row = this.row!;
    if (!varies(e, row, this.acc)) {
      const k = exprKey(e);
      if (!this.invariants.has(k)) this.invariants.set(k, this.scalar(e));
      if (vector && !this.splats.has(k)) this.splats.set(k, this.splat(e, this.invariants.get(k)!));
      return;
    }
    // A branch's addresses may be invalid where it is not taken: nothing of it is computed ahead.
    if (e.k === 'if') return;
    for (const c of children(e)) this.prepare(c, vector);
    if (e.k === 'load' && coefficient(e.index, row) !== null && !(e.at && varies(e.at.expr, row, this.acc))) {
      this.pointer(e);
    }
  }

  /** Forgets the values of the previous element; keeps what prepare computed. */
  restart(): void {
    this.memo = new Map(this.invariants);
  }

  private splat(e: Expr, name: string): string {
    const value =
      laneType(e.dtype) === 'f32'
        ? `f32x4.splat(${name})`
        : e.dtype === 'bool'
          ? `i32x4.splat(-<i32>${name})`
          : `i32x4.splat(${name})`;
    if (e.k === 'lit') return this.fn.hoist(this.fn.name('key'), 'v128', () => value, 'w');
    return this.fn.let('v128', value, 'w');
  }

  /** Byte address of the load's element at row variable 0. */
  private pointer(e: Expr & { k: 'load' }): void {
    const id = addressKey(e);
    if (this.pointers.has(id)) return;
    let base = printInt(this.fn, atZero(e.index, this.row!), this.scope);
    if (e.at) base = `(${base} + <i32>${this.scalar(e.at.expr)} * ${this.fn.int(e.at.stride)})`;
    const address = `${this.fn.buffer(e.buf)} + (<usize>${base} << ${shiftOf(e.dtype)})`;
    this.pointers.set(id, this.fn.let('usize', address, 'q'));
  }

  private remember(k: string, type: string, text: string): string {
    const n = this.fn.let(type, text);
    this.memo.set(k, n);
    return n;
  }

  // One element ----------------------------------------------------------------------------------------------------------

  scalar(e: Expr): string {
    const k = exprKey(e);
    const old = this.memo.get(k);
    if (old) return old;
    const fn = this.fn;
    const t = laneType(e.dtype);
    switch (e.k) {
      case 'lit':
        if (t === 'f32') return fn.f32(e.v);
        return t === 'bool' ? (e.v ? 'true' : 'false') : `<${t}>${fn.int(e.v | 0)}`;
      case 'load': {
        const word = t === 'bool' ? 'u32' : t;
        const address = this.address(e);
        if (e.dtype === 'f16') return this.remember(k, t, `loadHalf(${address})`);
        return this.remember(k, t, t === 'bool' ? `load<${word}>(${address}) != 0` : `load<${word}>(${address})`);
      }
      case 'index':
        return this.remember(k, t, `<${t}>${printInt(fn, e.i, this.scope)}`);
      case 'step':
        return t === 'f32' ? fn.step(STEP_SLOTS[e.slot], 'f32') : fn.step(STEP_SLOTS[e.slot], 'u32');
      case 'random': {
        const [k0, k1, c1] = this.randomKey(e.op);
        return this.remember(k, 'f32', `uniform(${k0}, ${k1}, ${printInt(fn, e.index, this.scope)}, ${c1})`);
      }
      case 'acc':
        if (this.acc?.kind === 'scalar') return this.acc.name;
        return this.remember(k, t, `load<${t}>(${this.acc!.pointer} + (<usize>${this.scope.get(this.row!)} << 2))`);
      case 'cast':
        if (e.dtype === 'f16')
          return this.remember(k, t, `${e.overflow ? 'roundHalf' : 'clampHalf'}(${this.scalar(e.a)})`);
        return this.remember(k, t, scalarCast(this.scalar(e.a), e.a.dtype, t));
      case 'select':
        return this.remember(k, t, `select<${t}>(${this.scalar(e.a)}, ${this.scalar(e.b)}, ${this.scalar(e.c)})`);
      case 'un':
        return this.remember(k, t, scalarUnary(e.op, this.scalar(e.a), e.a.dtype));
      case 'bin':
        return this.remember(k, t, scalarBinary(e.op, this.scalar(e.a), this.scalar(e.b), e.a.dtype));
      case 'if': {
        const n = fn.let(t, t === 'bool' ? 'false' : '0');
        const outside = this.memo;
        fn.open(`if (${e.conds.map((c) => printCond(fn, c, this.scope)).join(' && ')})`);
        this.memo = new Map(outside);
        fn.line(`${n} = ${this.scalar(e.then)};`);
        fn.close(' else {');
        this.memo = new Map(outside);
        fn.line(`${n} = ${this.scalar(e.else)};`);
        fn.close();
        this.memo = outside;
        this.memo.set(k, n);
        return n;
      }
    }
  }

  private address(e: Expr & { k: 'load' }): string {
    const fn = this.fn;
    const q = this.pointers.get(addressKey(e));
    if (q) {
      const c = coefficient(e.index, this.row!)!;
      const i = this.scope.get(this.row!)!;
      return `${q} + (<usize>${c === 1 ? i : `(${i} * ${fn.int(c)})`} << ${shiftOf(e.dtype)})`;
    }
    let index = printInt(fn, e.index, this.scope);
    if (e.at) index = `(${index} + <i32>${this.scalar(e.at.expr)} * ${fn.int(e.at.stride)})`;
    return `${fn.buffer(e.buf)} + (<usize>${index} << ${shiftOf(e.dtype)})`;
  }

  private randomKey(op: number): [string, string, string] {
    const fn = this.fn;
    const lo = fn.step(STEP_SLOTS.seedLo, 'u32');
    const hi = fn.step(STEP_SLOTS.seedHi, 'u32');
    const step = fn.step(STEP_SLOTS.step, 'u32');
    const micro = fn.step(STEP_SLOTS.microstep, 'u32');
    const tile = fn.step(STEP_SLOTS.tile, 'u32');
    return [`(${lo} ^ <u32>${fn.int(op | 0)})`, `(${hi} ^ ${step})`, `(${micro} | (${tile} << 16))`];
  }

  // Four elements --------------------------------------------------------------------------------------------------------

  vector(e: Expr): string {
    const k = exprKey(e);
    const splat = this.splats.get(k);
    if (splat) return splat;
    const id = `v:${k}`;
    const old = this.memo.get(id);
    if (old) return old;
    const fn = this.fn;
    const text = this.vectorText(e);
    const n = fn.let('v128', text, 'z');
    this.memo.set(id, n);
    return n;
  }

  private vectorText(e: Expr): string {
    const fn = this.fn;
    const i = this.scope.get(this.row!)!;
    switch (e.k) {
      case 'load': {
        const word = this.vectorLoad(e, i);
        return e.dtype === 'bool' ? `i32x4.ne(${word}, i32x4.splat(0))` : word;
      }
      case 'index':
        return printIntVector(fn, e.i, this.row!, this.scope);
      case 'random': {
        const [k0, k1, c1] = this.randomKey(e.op);
        return `uniform4(${k0}, ${k1}, ${printIntVector(fn, e.index, this.row!, this.scope)}, ${c1})`;
      }
      case 'acc':
        return `v128.load((${(this.acc as { pointer: string }).pointer}) + (<usize>${i} << 2))`;
      case 'cast':
        if (e.dtype === 'f16') return `${e.overflow ? 'roundHalf4' : 'clampHalf4'}(${this.vector(e.a)})`;
        return vectorCast(this.vector(e.a), e.a.dtype, e.dtype);
      case 'select':
        return `v128.bitselect(${this.vector(e.a)}, ${this.vector(e.b)}, ${this.vector(e.c)})`;
      case 'un':
        return vectorUnary(e.op, this.vector(e.a), e.a.dtype);
      case 'bin':
        return vectorBinary(e.op, this.vector(e.a), this.vector(e.b), e.a.dtype);
      default:
        throw new EmitError('WASM_VECTOR', `${fn.emitter.kernel.name}: ${e.k} was not prepared for a vector`);
    }
  }

  private vectorLoad(e: Expr & { k: 'load' }, i: string): string {
    const fn = this.fn;
    const half = e.dtype === 'f16';
    const q = this.pointers.get(addressKey(e));
    if (q) {
      const c = coefficient(e.index, this.row!)!;
      if (c === 1) return `${half ? 'loadHalf4' : 'v128.load'}(${q} + (<usize>${i} << ${shiftOf(e.dtype)}))`;
      return `${half ? 'stridedHalf4' : 'strided4'}(${q}, ${i}, ${fn.int(c)})`;
    }
    let index = printIntVector(fn, e.index, this.row!, this.scope);
    if (e.at) {
      index = `i32x4.add(${index}, i32x4.mul(${this.vector(e.at.expr)}, i32x4.splat(${fn.int(e.at.stride)})))`;
    }
    return `${half ? 'gatherHalf4' : 'gather4'}(${fn.buffer(e.buf)}, ${index})`;
  }
}

// Operators --------------------------------------------------------------------------------------------------------------

const ARITHMETIC: Record<string, string> = { add: '+', sub: '-', mul: '*', div: '/', and: '&', or: '|' };
const COMPARE: Record<string, string> = { lt: '<', le: '<=', eq: '==', ne: '!=', gt: '>', ge: '>=' };

function scalarBinary(op: string, a: string, b: string, d: DType): string {
  if (d === 'bool' && (op === 'and' || op === 'or')) return `<bool>(<i32>${a} ${ARITHMETIC[op]} <i32>${b})`;
  if (ARITHMETIC[op]) return `${a} ${ARITHMETIC[op]} ${b}`;
  if (COMPARE[op]) return `${a} ${COMPARE[op]} ${b}`;
  if (op === 'max' || op === 'min') return `${op}<${d}>(${a}, ${b})`;
  if (op === 'mod') return d === 'f32' ? `${a} - trunc<f32>(${a} / ${b}) * ${b}` : `${a} % ${b}`;
  return `pow1(${a}, ${b})`;
}

function scalarUnary(op: string, a: string, d: DType): string {
  switch (op) {
    case 'neg':
      return `-${a}`;
    case 'abs':
    case 'floor':
    case 'sqrt':
      return `${op}<${d}>(${a})`;
    case 'rsqrt':
      return `<f32>1 / sqrt<f32>(${a})`;
    case 'not':
      return d === 'bool' ? `!${a}` : `${a} == 0`;
    case 'isfinite':
      return `(reinterpret<u32>(${a}) & 0x7f800000) != 0x7f800000`;
    default:
      return `${op}1(${a})`;
  }
}

function scalarCast(a: string, from: DType, to: string): string {
  if (laneType(from) === to) return a;
  if (to === 'bool') return `${a} != 0`;
  if (from === 'bool' && to === 'f32') return `<f32><i32>${a}`;
  return `<${to}>${a}`;
}

function vectorBinary(op: string, a: string, b: string, d: DType): string {
  if (op === 'and' || op === 'or') return `v128.${op}(${a}, ${b})`;
  const lanes = d === 'f32' ? 'f32x4' : 'i32x4';
  const signed = d === 'u32' ? '_u' : d === 'i32' ? '_s' : '';
  switch (op) {
    case 'eq':
    case 'ne':
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return `${lanes}.${op}(${a}, ${b})`;
    case 'mod':
      return `f32x4.sub(${a}, f32x4.mul(f32x4.trunc(f32x4.div(${a}, ${b})), ${b}))`;
    case 'pow':
      return `pow4(${a}, ${b})`;
    default:
      return `${lanes}.${op}${signed}(${a}, ${b})`;
  }
}

function vectorUnary(op: string, a: string, d: DType): string {
  const lanes = d === 'f32' ? 'f32x4' : 'i32x4';
  switch (op) {
    case 'neg':
    case 'abs':
    case 'floor':
    case 'sqrt':
      return `${lanes}.${op}(${a})`;
    case 'rsqrt':
      return `f32x4.div(f32x4.splat(1), f32x4.sqrt(${a}))`;
    case 'not':
      return d === 'bool' ? `v128.not(${a})` : `i32x4.eq(${a}, i32x4.splat(0))`;
    case 'isfinite':
      return `i32x4.ne(v128.and(${a}, i32x4.splat(0x7f800000)), i32x4.splat(0x7f800000))`;
    default:
      return `${op}4(${a})`;
  }
}

function vectorCast(a: string, from: DType, to: DType): string {
  if (laneType(from) === to) return a;
  if (to === 'bool') return from === 'f32' ? `f32x4.ne(${a}, f32x4.splat(0))` : `i32x4.ne(${a}, i32x4.splat(0))`;
  if (from === 'bool') return `v128.and(${a}, ${to === 'f32' ? 'f32x4.splat(1)' : 'i32x4.splat(1)'})`;
  if (to === 'f32') return `f32x4.convert_i32x4_${from === 'u32' ? 'u' : 's'}(${a})`;
  if (from === 'f32') return `i32x4.trunc_sat_f32x4_${to === 'u32' ? 'u' : 's'}(${a})`;
  return a;
}
