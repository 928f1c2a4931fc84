// The plain float64 meaning of a kernel: what both targets are tested against.
//
// Contract: bufs[i] stands for kernel.bufs[i] with one number per element (integers and bools by value, f32 unrounded).
// Outputs are written in place. `step` is the step block (u32 words; f32 by their bits). Nothing here is fast.
import { roundToHalf } from '../dsl/types.ts';
import { type Expr, STEP_SLOTS, STEP_WORDS } from './expr.ts';
import type { Int } from './int.ts';
import {
  type Affine,
  type AttentionGradKernel,
  type AttentionKernel,
  axisVar,
  type ContractKernel,
  type Kernel,
  type LoopVar,
  type MapKernel,
  type Operand,
  type ReduceKernel,
} from './ir.ts';

export function evaluate(kernel: Kernel, bufs: Float64Array[], step: Uint32Array = new Uint32Array(STEP_WORDS)): void {
  const ctx = contextOf(bufs, step);
  switch (kernel.kind) {
    case 'map':
      evaluateMap(kernel, ctx);
      break;
    case 'reduce':
      evaluateReduce(kernel, ctx);
      break;
    case 'contract':
      evaluateContract(kernel, ctx);
      break;
    case 'attention':
      evaluateAttention(kernel, ctx);
      break;
    case 'attentionGrad':
      evaluateAttentionGrad(kernel, ctx);
      break;
  }
}

export interface Context {
  /** Written by `evaluate`; read alone by evaluate-at.ts, which may give anything that has elements. */
  readonly bufs: Float64Array[];
  readonly step: Uint32Array;
  readonly floats: Float32Array;
}
export const contextOf = (bufs: Float64Array[], step: Uint32Array): Context => ({
  bufs,
  step,
  floats: new Float32Array(step.buffer, step.byteOffset, step.length),
});
/** Values of the loop variables, and of the anchor's result under `ACC`. */
export type Env = Map<string, number>;
export const ACC = '@acc';

const floorMod = (a: number, c: number): number => a - c * Math.floor(a / c);

function evalInt(e: Int, env: Env): number {
  switch (e.k) {
    case 'const':
      return e.v;
    case 'var': {
      const v = env.get(e.name);
      if (v === undefined) throw new Error(`evaluate: the loop variable ${e.name} is not bound here`);
      return v;
    }
    case 'add':
      return evalInt(e.a, env) + evalInt(e.b, env);
    case 'mul':
      return evalInt(e.a, env) * e.c;
    case 'div':
      return Math.floor(evalInt(e.a, env) / e.c);
    case 'mod':
      return floorMod(evalInt(e.a, env), e.c);
  }
}

export function evalExpr(e: Expr, env: Env, ctx: Context): number {
  const sub = (x: Expr): number => evalExpr(x, env, ctx);
  switch (e.k) {
    case 'load': {
      const i = evalInt(e.index, env) + (e.at ? sub(e.at.expr) * e.at.stride : 0);
      const buf = ctx.bufs[e.buf]!;
      if (!(i >= 0 && i < buf.length)) {
        throw new Error(`evaluate: load ${i} outside buffer ${e.buf} of ${buf.length} elements`);
      }
      return buf[i]!;
    }
    case 'lit':
      return e.v;
    case 'un':
      return unary(e.op, sub(e.a), e.dtype);
    case 'bin':
      return binary(e.op, sub(e.a), sub(e.b), e.dtype);
    case 'select':
      return sub(e.c) !== 0 ? sub(e.a) : sub(e.b);
    case 'cast': {
      const v = sub(e.a);
      if (e.dtype === 'bool') return v !== 0 ? 1 : 0;
      if (e.dtype === 'f16') return roundToHalf(v, e.overflow);
      if (e.dtype === 'i32') return e.a.dtype === 'f32' ? clampTrunc(v, -(2 ** 31), 2 ** 31 - 1) : v | 0;
      if (e.dtype === 'u32') return e.a.dtype === 'f32' ? clampTrunc(v, 0, 2 ** 32 - 1) : v >>> 0;
      return v;
    }
    case 'if': {
      for (const c of e.conds) {
        const v = evalInt(c.e, env);
        if (v < c.lo || v >= c.hi) return sub(e.else);
      }
      return sub(e.then);
    }
    case 'index':
      return evalInt(e.i, env);
    case 'step': {
      const slot = STEP_SLOTS[e.slot];
      return e.dtype === 'f32' ? ctx.floats[slot]! : ctx.step[slot]!;
    }
    case 'random': {
      const s = ctx.step;
      const k0 = s[STEP_SLOTS.seedLo]! ^ e.op;
      const k1 = s[STEP_SLOTS.seedHi]! ^ s[STEP_SLOTS.step]!;
      return (
        (threefry2x32(k0, k1, evalInt(e.index, env), s[STEP_SLOTS.microstep]! | (s[STEP_SLOTS.tile]! << 16))[0] >>> 8) *
        2 ** -24
      );
    }
    case 'acc':
      return env.get(ACC)!;
  }
}

/** Truncates towards zero and saturates; NaN is 0 (WebAssembly's trunc_sat). */
const clampTrunc = (v: number, lo: number, hi: number): number =>
  Number.isNaN(v) ? 0 : Math.min(hi, Math.max(lo, Math.trunc(v)));

const wrap = (v: number, dtype: string): number => (dtype === 'i32' ? v | 0 : dtype === 'u32' ? v >>> 0 : v);

function unary(op: string, a: number, dtype: string): number {
  switch (op) {
    case 'neg':
      return wrap(-a, dtype);
    case 'abs':
      return Math.abs(a);
    case 'exp':
      return Math.exp(a);
    case 'log':
      return Math.log(a);
    case 'sqrt':
      return Math.sqrt(a);
    case 'rsqrt':
      return 1 / Math.sqrt(a);
    case 'tanh':
      return Math.tanh(a);
    case 'erf':
      return erf(a);
    case 'floor':
      return Math.floor(a);
    case 'not':
      return a === 0 ? 1 : 0;
    case 'isfinite':
      return Number.isFinite(a) ? 1 : 0;
  }
  throw new Error(`evaluate: no unary ${op}`);
}

function binary(op: string, a: number, b: number, dtype: string): number {
  const integer = dtype === 'i32' || dtype === 'u32';
  switch (op) {
    case 'add':
      return wrap(a + b, dtype);
    case 'sub':
      return wrap(a - b, dtype);
    case 'mul':
      return integer ? wrap(Math.imul(a, b), dtype) : a * b;
    case 'div':
      return integer ? Math.trunc(a / b) : a / b;
    case 'mod': // truncated, like % in C, WGSL and AssemblyScript
      return a % b;
    case 'max':
      return Math.max(a, b);
    case 'min':
      return Math.min(a, b);
    case 'pow':
      return a ** b;
    case 'lt':
      return a < b ? 1 : 0;
    case 'le':
      return a <= b ? 1 : 0;
    case 'eq':
      return a === b ? 1 : 0;
    case 'ne':
      return a !== b ? 1 : 0;
    case 'gt':
      return a > b ? 1 : 0;
    case 'ge':
      return a >= b ? 1 : 0;
    case 'and':
      return wrap(a & b, dtype);
    case 'or':
      return wrap(a | b, dtype);
  }
  throw new Error(`evaluate: no binary ${op}`);
}

/** erf to double precision: the series below 2.5, the continued fraction of erfc above. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let total = x;
    for (let n = 1; n < 100; n++) {
      term *= (-x * x) / n;
      total += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * total;
  }
  let f = 0;
  for (let n = 60; n >= 1; n--) f = n / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
}

/** Threefry-2x32, 20 rounds (Salmon et al. 2011). */
export function threefry2x32(k0: number, k1: number, c0: number, c1: number): [number, number] {
  const rotations = [13, 15, 26, 6, 17, 29, 16, 24];
  const ks = [k0 | 0, k1 | 0, 0x1bd11bda ^ k0 ^ k1];
  let x0 = (c0 + ks[0]!) | 0;
  let x1 = (c1 + ks[1]!) | 0;
  for (let r = 0; r < 20; r++) {
    const s = rotations[r % 8]!;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << s) | (x1 >>> (32 - s))) ^ x0;
    if (r % 4 === 3) {
      const i = (r + 1) / 4;
      x0 = (x0 + ks[i % 3]!) | 0;
      x1 = (x1 + ks[(i + 1) % 3]! + i) | 0;
    }
  }
  return [x0 >>> 0, x1 >>> 0];
}

/** Calls f for every point of vars in row-major order, with the point's linear index. */
export function eachPoint(vars: readonly LoopVar[], env: Env, f: (linear: number) => void): void {
  const visit = (depth: number, linear: number): void => {
    if (depth === vars.length) {
      f(linear);
      return;
    }
    const v = vars[depth]!;
    for (let i = 0; i < v.size; i++) {
      env.set(v.name, i);
      visit(depth + 1, linear * v.size + i);
    }
  };
  visit(0, 0);
}

function evaluateMap(kernel: MapKernel, ctx: Context): void {
  const env: Env = new Map();
  eachPoint(kernel.vars, env, (i) => {
    // All values before any store: a store may overwrite what another one reads (in-place updates).
    const values = kernel.stores.map((s) => evalExpr(s.value, env, ctx));
    kernel.stores.forEach((s, n) => {
      ctx.bufs[s.buf]![i] = values[n]!;
    });
  });
}

/** The reduction at the kept variables' values. */
export function reduced(kernel: ReduceKernel, env: Env, ctx: Context): number {
  let acc = kernel.op === 'sum' ? 0 : kernel.op === 'min' ? Infinity : -Infinity;
  let arg = 0;
  eachPoint(kernel.red, env, (r) => {
    const v = evalExpr(kernel.value, env, ctx);
    if (kernel.op === 'sum') acc += v;
    else if (kernel.op === 'max') acc = Math.max(acc, v);
    else if (kernel.op === 'min') acc = Math.min(acc, v);
    else if (v > acc) {
      acc = v;
      arg = r;
    }
  });
  return kernel.op === 'argmax' ? arg : acc;
}

function evaluateReduce(kernel: ReduceKernel, ctx: Context): void {
  const env: Env = new Map();
  eachPoint(kernel.keep, env, (i) => {
    env.set(ACC, reduced(kernel, env, ctx));
    const values = kernel.stores.map((s) => evalExpr(s.value, env, ctx));
    kernel.stores.forEach((s, n) => {
      ctx.bufs[s.buf]![i] = values[n]!;
    });
  });
}

/** The operand's values over its logical axes, and the linear index there (or -1 outside) as a function of the loop variables. */
function operand(o: Operand, ctx: Context): { values: Float64Array; at: (env: Env) => number } {
  const axes = o.axes.map((a, i): LoopVar => ({ name: axisVar(i), size: a.size }));
  const values = new Float64Array(axes.reduce((n, a) => n * a.size, 1));
  const env: Env = new Map();
  eachPoint(axes, env, (i) => {
    values[i] = evalExpr(o.value, env, ctx);
  });
  const coordinate = (a: Affine, vars: Env): number =>
    a.terms.reduce((s, t) => s + t.coef * (vars.get(t.var) ?? 0), a.offset);
  return {
    values,
    at: (vars) => {
      let linear = 0;
      for (const a of o.axes) {
        const x = coordinate(a, vars);
        if (x < 0 || x >= a.size) return -1;
        linear = linear * a.size + x;
      }
      return linear;
    },
  };
}

function evaluateContract(kernel: ContractKernel, ctx: Context): void {
  const loops = (names: readonly string[]): LoopVar[] => names.map((name) => ({ name, size: kernel.vars.get(name)! }));
  const a = operand(kernel.a, ctx);
  const b = operand(kernel.b, ctx);
  const env: Env = new Map();
  eachPoint(loops(kernel.out), env, (i) => {
    let acc = 0;
    eachPoint(loops(kernel.k), env, () => {
      const ia = a.at(env);
      if (ia < 0) return;
      const ib = b.at(env);
      if (ib >= 0) acc += a.values[ia]! * b.values[ib]!;
    });
    env.set(ACC, acc);
    const values = kernel.stores.map((s) => evalExpr(s.value, env, ctx));
    kernel.stores.forEach((s, n) => {
      ctx.bufs[s.buf]![i] = values[n]!;
    });
  });
}

/** One expression over named variables as a function of their values. */
export function over(e: Expr | null, names: string[], ctx: Context): (...at: number[]) => number {
  if (!e) return () => 0;
  const env: Env = new Map();
  return (...at) => {
    names.forEach((name, i) => {
      env.set(name, at[i]!);
    });
    return evalExpr(e, env, ctx);
  };
}

/** The operands as functions, and the scores of one row. */
export function attentionOperands(kernel: AttentionKernel | AttentionGradKernel, ctx: Context) {
  const { m, e, scale, maskValue } = kernel.shape;
  const q = over(kernel.q, ['g', 'i', 'h', 'e'], ctx);
  const k = over(kernel.k, ['g', 'j', 'h', 'e'], ctx);
  const v = over(kernel.v, ['g', 'j', 'h', 'e'], ctx);
  const bias = over(kernel.bias, ['h', 'i', 'j'], ctx);
  const gq = over(kernel.gq, ['g', 'i'], ctx);
  const gk = over(kernel.gk, ['g', 'j'], ctx);
  const masked = kernel.gq !== null && kernel.gk !== null;
  const scores = (g: number, h: number, i: number): number[] =>
    Array.from({ length: m }, (_, j) => {
      let s = 0;
      for (let c = 0; c < e; c++) s += q(g, i, h, c) * k(g, j, h, c);
      return s * scale + bias(h, i, j) + (masked && gq(g, i) !== gk(g, j) ? maskValue : 0);
    });
  return { q, k, v, scores };
}

function evaluateAttention(kernel: AttentionKernel, ctx: Context): void {
  const { shape } = kernel;
  const { v, scores } = attentionOperands(kernel, ctx);
  for (let g = 0; g < shape.g; g++) {
    for (let h = 0; h < shape.h; h++) {
      for (let i = 0; i < shape.n; i++) {
        const s = scores(g, h, i);
        const max = Math.max(...s);
        const lse = max + Math.log(s.reduce((t, x) => t + Math.exp(x - max), 0));
        ctx.bufs[kernel.lse]![(g * shape.h + h) * shape.n + i] = lse;
        for (let e = 0; e < shape.e; e++) {
          const o = s.reduce((t, x, j) => t + Math.exp(x - lse) * v(g, j, h, e), 0);
          ctx.bufs[kernel.o]![((g * shape.n + i) * shape.h + h) * shape.e + e] = o;
        }
      }
    }
  }
}

/** dbias: part p sums the groups g with floor(g / ceil(G / parts)) = p, in ascending order. */
function evaluateAttentionGrad(kernel: AttentionGradKernel, ctx: Context): void {
  const { g: G, h: H, n: N, m: M, e: E, scale } = kernel.shape;
  const { q, k, v, scores } = attentionOperands(kernel, ctx);
  const dO = over(kernel.dO, ['g', 'i', 'h', 'e'], ctx);
  const lse = over(kernel.lse, ['g', 'h', 'i'], ctx);
  const delta = over(kernel.delta, ['g', 'h', 'i'], ctx);
  const outs = kernel.outs.map((o) => ctx.bufs[o]!);
  for (const o of outs) o.fill(0);
  const perPart = Math.ceil(G / kernel.parts);
  for (let g = 0; g < G; g++) {
    for (let h = 0; h < H; h++) {
      for (let i = 0; i < N; i++) {
        const s = scores(g, h, i);
        const l = lse(g, h, i);
        const d = delta(g, h, i);
        for (let j = 0; j < M; j++) {
          const p = Math.exp(s[j]! - l);
          let dp = 0;
          for (let e = 0; e < E; e++) dp += dO(g, i, h, e) * v(g, j, h, e);
          const ds = p * (dp - d);
          if (kernel.part === 'dbias') {
            outs[0]![((Math.floor(g / perPart) * H + h) * N + i) * M + j]! += ds;
            continue;
          }
          const qAt = ((g * N + i) * H + h) * E;
          const kAt = ((g * M + j) * H + h) * E;
          for (let e = 0; e < E; e++) {
            if (kernel.part === 'dq') outs[0]![qAt + e]! += scale * ds * k(g, j, h, e);
            else {
              outs[0]![kAt + e]! += scale * ds * q(g, i, h, e);
              outs[1]![kAt + e]! += p * dO(g, i, h, e);
            }
          }
        }
      }
    }
  }
}
