// Prints a scalar expression (kernels/expr.ts) as WGSL, one value or four at a time.
import type { DType } from '../../dsl/types.ts';
import { type BinaryOp, children, type Expr, exprKey, STEP_SLOTS, type UnaryOp } from '../expr.ts';
import type { Cond, Int } from '../int.ts';
import { WgslError } from './errors.ts';
import { f32Literal, helperName, i32Literal } from './helpers.ts';
import { lanes, uniformCond } from './lanes.ts';
import { usesLane, type Value, valueType, type Writer } from './writer.ts';

/** Whether `e`, over LANE, can be computed four at a time: regular addresses, conditions alike for all lanes. */
export function canWiden(e: Expr): boolean {
  switch (e.k) {
    case 'load':
      if (e.at && (usesLaneExpr(e.at.expr) || (usesLane(e.index) && lanes(e.index)?.coef !== 1))) return false;
      return lanes(e.index) !== null;
    case 'index':
      return lanes(e.i) !== null;
    case 'if':
      return e.conds.every((c) => uniformCond(c) !== null) && canWiden(e.then) && canWiden(e.else);
    case 'random':
      return lanes(e.index) !== null;
    default:
      return children(e).every(canWiden);
  }
}

function usesLaneExpr(e: Expr): boolean {
  switch (e.k) {
    case 'load':
      return usesLane(e.index) || (e.at !== undefined && usesLaneExpr(e.at.expr));
    case 'index':
      return usesLane(e.i);
    case 'random':
      return usesLane(e.index);
    case 'if':
      return e.conds.some((c) => usesLane(c.e)) || usesLaneExpr(e.then) || usesLaneExpr(e.else);
    default:
      return children(e).some(usesLaneExpr);
  }
}

/** The buffers of a kernel that must stay scalar because of `e` are marked as the expression is printed (Writer.load). */
export class ExpressionPrinter {
  private readonly w: Writer;
  /** What `acc` stands for. */
  acc: Value | null = null;
  private uses = new Map<Expr, number>();
  private counted = new Set<Expr>();

  constructor(w: Writer) {
    this.w = w;
  }

  /** The value's code: a name, a literal or a short expression. */
  print(e: Expr): Value {
    this.count(e);
    return this.emit(e);
  }

  /** The value as vec4. */
  printWide(e: Expr): Value {
    return this.widen(this.print(e));
  }

  /** The value under a name, so that it may be used many times. */
  printNamed(e: Expr, wide = false): Value {
    const v = wide ? this.printWide(e) : this.print(e);
    if (/^[a-z_]\w*$/i.test(v.code)) return v;
    return { ...v, code: this.w.let('v', v.code) };
  }

  widen(v: Value): Value {
    return v.wide ? v : { ...v, code: `${valueType(v.dtype, true)}(${v.code})`, wide: true };
  }

  private count(e: Expr): void {
    this.uses.set(e, (this.uses.get(e) ?? 0) + 1);
    if (this.counted.has(e)) return;
    this.counted.add(e);
    for (const c of children(e)) this.count(c);
  }

  /** The outermost block where all that e reads is known. */
  private depthOf(e: Expr): number {
    const w = this.w;
    const int = (i: Int): number => {
      const l = usesLane(i) ? lanes(i) : null;
      return w.depthOf(l ? l.base : i);
    };
    const conds = (list: readonly Cond[]): number => Math.max(0, ...list.map((c) => int(c.e)));
    switch (e.k) {
      case 'load':
        return Math.max(int(e.index), w.guardDepth, e.at ? this.depthOf(e.at.expr) : 0);
      case 'index':
        return int(e.i);
      case 'random':
        return int(e.index);
      case 'acc':
        return w.depth;
      case 'if':
        return Math.max(conds(e.conds), this.depthOf(e.then), this.depthOf(e.else));
      default:
        return Math.max(0, ...children(e).map((c) => this.depthOf(c)));
    }
  }

  private emit(e: Expr): Value {
    if (e.k === 'lit') return this.literal(e.v, e.dtype);
    if (e.k === 'acc') {
      if (!this.acc) throw new WgslError('wgsl-internal', 'acc outside an epilogue');
      return this.acc;
    }
    // Loads are alike by text; other nodes by identity.
    const id = e.k === 'load' || e.k === 'random' ? `e:${exprKey(e)}` : e;
    const known = this.w.cached(id);
    if (known) return known as Value;
    return this.w.at(Math.min(this.depthOf(e), this.w.depth), () => {
      const again = this.w.cached(id);
      if (again) return again as Value;
      const v = this.node(e);
      const inline = e.k !== 'load' && e.k !== 'random' && (this.uses.get(e) ?? 1) === 1 && v.code.length < 60;
      const named = /^\w+$/.test(v.code) || inline ? v : { ...v, code: this.w.let('v', v.code) };
      this.w.remember(id, inline && !/^\w+$/.test(v.code) ? { ...named, code: `(${named.code})` } : named);
      return this.w.cached(id) as Value;
    });
  }

  private literal(v: number, dtype: DType): Value {
    const code =
      dtype === 'bool'
        ? v
          ? 'true'
          : 'false'
        : dtype === 'i32'
          ? i32Literal(v)
          : dtype === 'u32'
            ? `${v}u`
            : this.f32(v);
    return { code, wide: false, dtype };
  }

  private f32(v: number): string {
    if (Number.isNaN(v)) this.w.helpers.add('nan_f32');
    else if (!Number.isFinite(v)) this.w.helpers.add('inf_f32');
    return f32Literal(v);
  }

  private call(op: string, wide: boolean, ...args: string[]): string {
    const name = helperName(op, wide);
    this.w.helpers.add(name);
    return `${name}(${args.join(', ')})`;
  }

  private node(e: Expr): Value {
    switch (e.k) {
      case 'load': {
        if (!e.at) return this.w.load(e.buf, e.index);
        return this.w.load(e.buf, e.index, { code: this.cast(this.emit(e.at.expr), 'i32').code, stride: e.at.stride });
      }
      case 'un':
        return this.unary(e.op, this.emit(e.a), e.dtype);
      case 'bin':
        return this.binary(e.op, this.emit(e.a), this.emit(e.b), e.dtype);
      case 'select': {
        const [c, a, b] = [this.emit(e.c), this.emit(e.a), this.emit(e.b)];
        const wide = c.wide || a.wide || b.wide;
        const x = wide ? this.widen(a).code : a.code;
        const y = wide ? this.widen(b).code : b.code;
        return { code: `select(${y}, ${x}, ${c.wide || !wide ? c.code : this.widen(c).code})`, wide, dtype: e.dtype };
      }
      case 'cast':
        return this.cast(this.emit(e.a), e.dtype, e.overflow);
      case 'if':
        return this.conditional(e);
      case 'index': {
        const v = usesLane(e.i) ? this.w.laneValues(e.i) : { code: this.w.named(e.i), wide: false };
        return this.cast({ ...v, dtype: 'i32' }, e.dtype);
      }
      case 'step': {
        this.w.usesStep = true;
        const word = `step[${STEP_SLOTS[e.slot]}]`;
        const code = e.dtype === 'f32' ? `bitcast<f32>(${word})` : e.dtype === 'u32' ? word : `i32(${word})`;
        return { code, wide: false, dtype: e.dtype };
      }
      case 'random':
        return this.random(e.op, e.index);
      default:
        throw new WgslError('wgsl-internal', `expression ${e.k}`);
    }
  }

  private random(op: number, index: Int): Value {
    const w = this.w;
    w.usesStep = true;
    w.helpers.add('uniform_f32');
    const key = `step[0] ^ ${op >>> 0}u, step[1] ^ step[2]`;
    const l = lanes(index)!;
    const call = (i: string): string => `uniform_f32(${key}, u32(${i}), step[3] | (step[7] << 16u))`;
    if (l.coef === 0) return { code: call(w.named(l.base)), wide: false, dtype: 'f32' };
    const base = w.named(l.base);
    const args = [0, 1, 2, 3].map((lane) => call(lane ? `${base} + ${lane * l.coef}` : base));
    return { code: `vec4<f32>(${args.join(', ')})`, wide: true, dtype: 'f32' };
  }

  private unary(op: UnaryOp, a: Value, dtype: DType): Value {
    const wide = a.wide;
    const integer = a.dtype !== 'f32';
    const code = ((): string => {
      switch (op) {
        case 'neg':
          return a.dtype === 'u32' ? `(${valueType('u32', wide)}(0u) - ${a.code})` : `(-${a.code})`;
        case 'abs':
          return `abs(${a.code})`;
        case 'sqrt':
          return `sqrt(${a.code})`;
        case 'rsqrt':
          return `inverseSqrt(${a.code})`;
        case 'floor':
          return integer ? a.code : `floor(${a.code})`;
        case 'not':
          return a.dtype === 'bool' ? `!${a.code}` : `${a.code} == ${valueType(a.dtype, wide)}(0)`;
        case 'isfinite':
          return integer ? `${valueType('bool', wide)}(true)` : this.call('isfinite', wide, a.code);
        default:
          return this.call(op, wide, a.code);
      }
    })();
    return { code, wide, dtype };
  }

  private binary(op: BinaryOp, a0: Value, b0: Value, dtype: DType): Value {
    const wide = a0.wide || b0.wide;
    const infix: Partial<Record<BinaryOp, string>> = {
      add: '+',
      sub: '-',
      mul: '*',
      div: '/',
      mod: '%',
      lt: '<',
      le: '<=',
      eq: '==',
      ne: '!=',
      gt: '>',
      ge: '>=',
    };
    const arithmetic = op === 'add' || op === 'sub' || op === 'mul' || op === 'div' || op === 'mod';
    // Arithmetic takes a vector and a scalar; all else wants equal shapes.
    const a = wide && !arithmetic ? this.widen(a0) : a0;
    const b = wide && !arithmetic ? this.widen(b0) : b0;
    const s = infix[op];
    if (s) return { code: `${a.code} ${s} ${b.code}`, wide, dtype };
    if (op === 'and' || op === 'or') {
      const sign = op === 'and' ? '&' : '|';
      return { code: `${a.code} ${sign} ${b.code}`, wide, dtype };
    }
    if (op === 'pow') return { code: this.call('pow', wide, a.code, b.code), wide, dtype };
    if (a.dtype !== 'f32') return { code: `${op}(${a.code}, ${b.code})`, wide, dtype };
    return { code: this.call(op, wide, a.code, b.code), wide, dtype };
  }

  private cast(a: Value, dtype: DType, overflow = false): Value {
    if (a.dtype === dtype) return a;
    // In registers an f16 is an f32.
    if (a.dtype === 'f16') return { ...a, dtype };
    if (dtype === 'f16')
      return { code: this.call(overflow ? 'round_half' : 'clamp_half', a.wide, a.code), wide: a.wide, dtype };
    const t = valueType(dtype, a.wide);
    const isnan = a.dtype === 'f32' && (dtype === 'i32' || dtype === 'u32');
    if (isnan) {
      // Saturating, NaN to 0, as WebAssembly's trunc_sat: WGSL saturates too but leaves NaN open.
      const name = helperName('isnan', a.wide);
      this.w.helpers.add(name);
      return { code: `select(${t}(${a.code}), ${t}(0), ${name}(${a.code}))`, wide: a.wide, dtype };
    }
    return { code: `${t}(${a.code})`, wide: a.wide, dtype };
  }

  private conditional(e: Extract<Expr, { k: 'if' }>): Value {
    const w = this.w;
    const conds = e.conds.map((c) => uniformCond(c) ?? c);
    const { code } = w.conds(conds);
    if (code === 'true') return this.emit(e.then);
    const wide = widens(e.then) || widens(e.else);
    const name = w.fresh('v');
    const t = valueType(e.dtype, wide);
    const assign = (x: Expr): void => {
      const v = this.emit(x);
      w.line(`${name} = ${wide ? this.widen(v).code : v.code};`);
    };
    const fallback = e.else.k === 'lit' ? this.literal(e.else.v, e.else.dtype) : null;
    // With an initial value even where it is zero: a variable declared in a loop without one kept its value from the
    // iteration before (seen on lavapipe, Mesa 25.0).
    const start = fallback ? (wide ? this.widen(fallback).code : fallback.code) : `${t}()`;
    w.line(`var ${name} = ${start};`);
    w.block(`if (${code})`, () => assign(e.then), true);
    if (!fallback) w.otherwise(() => assign(e.else));
    return { code: name, wide, dtype: e.dtype };
  }
}

/** Whether the printed value of e is a vec4. */
function widens(e: Expr): boolean {
  switch (e.k) {
    case 'load':
      return usesLane(e.index);
    case 'index':
      return usesLane(e.i);
    case 'random':
      return usesLane(e.index);
    case 'if':
      return widens(e.then) || widens(e.else);
    default:
      return children(e).some(widens);
  }
}
