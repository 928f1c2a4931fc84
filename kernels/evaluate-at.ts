// A few elements of a kernel's output in float64: the meaning of evaluate.ts, for tensors too large to compute whole.
import {
  ACC,
  attentionOperands,
  type Context,
  contextOf,
  type Env,
  eachPoint,
  evalExpr,
  over,
  reduced,
} from './evaluate.ts';
import { STEP_WORDS } from './expr.ts';
import {
  type AttentionGradKernel,
  type AttentionKernel,
  axisVar,
  type ContractKernel,
  type Kernel,
  type LoopVar,
  type Operand,
  type ReduceKernel,
} from './ir.ts';

/**
 * Element `at` (linear) of the kernel's buffer `buf`.
 * @param bufs what the kernel reads, by element; nothing is written
 */
export function evaluateAt(
  kernel: Kernel,
  bufs: readonly ArrayLike<number>[],
  buf: number,
  at: number,
  step: Uint32Array = new Uint32Array(STEP_WORDS),
): number {
  const ctx = contextOf(bufs as Float64Array[], step);
  switch (kernel.kind) {
    case 'map':
      return evalExpr(storeOf(kernel, buf), point(kernel.vars, at), ctx);
    case 'reduce':
      return reduceAt(kernel, ctx, buf, at);
    case 'contract':
      return contractAt(kernel, ctx, buf, at);
    case 'attention':
      return attentionAt(kernel, ctx, buf, at);
    case 'attentionGrad':
      return attentionGradAt(kernel, ctx, buf, at);
  }
}

const storeOf = (k: Extract<Kernel, { stores: unknown }>, buf: number) => k.stores.find((s) => s.buf === buf)!.value;

/** The variables' values at a row-major index. */
function point(vars: readonly LoopVar[], at: number): Env {
  const env: Env = new Map();
  for (const v of [...vars].reverse()) {
    env.set(v.name, at % v.size);
    at = Math.floor(at / v.size);
  }
  return env;
}

function reduceAt(k: ReduceKernel, ctx: Context, buf: number, at: number): number {
  const env = point(k.keep, at);
  env.set(ACC, reduced(k, env, ctx));
  return evalExpr(storeOf(k, buf), env, ctx);
}

function contractAt(k: ContractKernel, ctx: Context, buf: number, at: number): number {
  const loops = (names: readonly string[]): LoopVar[] => names.map((name) => ({ name, size: k.vars.get(name)! }));
  const env = point(loops(k.out), at);
  const inner: Env = new Map();
  /** null outside the operand's bounds. */
  const element = (o: Operand): number | null => {
    for (const [i, a] of o.axes.entries()) {
      const x = a.terms.reduce((s, t) => s + t.coef * (env.get(t.var) ?? 0), a.offset);
      if (x < 0 || x >= a.size) return null;
      inner.set(axisVar(i), x);
    }
    return evalExpr(o.value, inner, ctx);
  };
  let acc = 0;
  eachPoint(loops(k.k), env, () => {
    const a = element(k.a);
    if (a === null) return;
    const b = element(k.b);
    if (b !== null) acc += a * b;
  });
  env.set(ACC, acc);
  return evalExpr(storeOf(k, buf), env, ctx);
}

function attentionAt(k: AttentionKernel, ctx: Context, buf: number, at: number): number {
  const { h: H, n: N, e: E } = k.shape;
  const { v, scores } = attentionOperands(k, ctx);
  const row = (g: number, h: number, i: number): { s: number[]; lse: number } => {
    const s = scores(g, h, i);
    const max = Math.max(...s);
    return { s, lse: max + Math.log(s.reduce((t, x) => t + Math.exp(x - max), 0)) };
  };
  if (buf === k.lse) {
    const i = at % N;
    const h = Math.floor(at / N) % H;
    return row(Math.floor(at / (N * H)), h, i).lse;
  }
  const [g, i, h, e] = [Math.floor(at / (E * H * N)), Math.floor(at / (E * H)) % N, Math.floor(at / E) % H, at % E];
  const { s, lse } = row(g, h, i);
  return s.reduce((t, x, j) => t + Math.exp(x - lse) * v(g, j, h, e), 0);
}

function attentionGradAt(k: AttentionGradKernel, ctx: Context, buf: number, at: number): number {
  const { g: G, h: H, n: N, m: M, e: E, scale } = k.shape;
  const { q, k: key, v, scores } = attentionOperands(k, ctx);
  const dO = over(k.dO, ['g', 'i', 'h', 'e'], ctx);
  const lse = over(k.lse, ['g', 'h', 'i'], ctx);
  const delta = over(k.delta, ['g', 'h', 'i'], ctx);
  const probability = (g: number, h: number, i: number, j: number): number =>
    Math.exp(scores(g, h, i)[j]! - lse(g, h, i));
  const dScore = (g: number, h: number, i: number, j: number, p: number): number => {
    let dp = 0;
    for (let e = 0; e < E; e++) dp += dO(g, i, h, e) * v(g, j, h, e);
    return p * (dp - delta(g, h, i));
  };
  let sum = 0;
  if (k.part === 'dbias') {
    const [part, h, i, j] = [
      Math.floor(at / (M * N * H)),
      Math.floor(at / (M * N)) % H,
      Math.floor(at / M) % N,
      at % M,
    ];
    const each = Math.ceil(G / k.parts);
    for (let g = part * each; g < Math.min(G, (part + 1) * each); g++)
      sum += dScore(g, h, i, j, probability(g, h, i, j));
    return sum;
  }
  const tokens = k.part === 'dq' ? N : M;
  const [g, token, h, e] = [
    Math.floor(at / (E * H * tokens)),
    Math.floor(at / (E * H)) % tokens,
    Math.floor(at / E) % H,
    at % E,
  ];
  if (k.part === 'dq') {
    const s = scores(g, h, token);
    const l = lse(g, h, token);
    for (let j = 0; j < M; j++) sum += scale * dScore(g, h, token, j, Math.exp(s[j]! - l)) * key(g, j, h, e);
    return sum;
  }
  for (let i = 0; i < N; i++) {
    const p = probability(g, h, i, token);
    sum += buf === k.outs[0] ? scale * dScore(g, h, i, token, p) * q(g, i, h, e) : p * dO(g, i, h, e);
  }
  return sum;
}
