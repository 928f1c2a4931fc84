// How samples are built: a kernel's parts in few words, and its inputs.
import type { DType } from '../../dsl/types.ts';
import { type BinaryOp, type Expr, lit, type UnaryOp } from '../expr.ts';
import { type Int, linear, variable } from '../int.ts';
import { type Affine, axisVar, type Buf, type Kernel, type LoopVar } from '../ir.ts';

export interface Sample {
  readonly name: string;
  readonly kernel: Kernel;
  readonly flops: number;
}

/** Inputs drawn from a small generator, outputs NaN: one array per buffer of the kernel. Floats lie in (-1, 1). */
export function fill(kernel: Kernel, seed: number): Float64Array[] {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const next = (): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
  return kernel.bufs.map((b) => {
    const a = new Float64Array(b.size);
    if (b.access === 'write') return a.fill(Number.NaN);
    const draw: Record<DType, () => number> = {
      f32: () => Math.fround(next() * 2 - 1),
      f16: () => Math.round((next() * 2 - 1) * 256) / 256,
      i32: () => Math.floor(next() * 4),
      u32: () => Math.floor(next() * 4),
      bool: () => (next() < 0.5 ? 0 : 1),
    };
    for (let i = 0; i < a.length; i++) a[i] = draw[b.dtype]();
    return a;
  });
}

export const load = (buf: number, index: Int, dtype: DType = 'f32'): Expr => ({ k: 'load', buf, index, dtype });
const compare = new Set(['lt', 'le', 'eq', 'ne', 'gt', 'ge']);
export const bin = (op: BinaryOp, a: Expr, b: Expr): Expr => ({
  k: 'bin',
  op,
  a,
  b,
  dtype: compare.has(op) ? 'bool' : a.dtype,
});
export const un = (op: UnaryOp, a: Expr): Expr => ({
  k: 'un',
  op,
  a,
  dtype: op === 'isfinite' || op === 'not' ? 'bool' : a.dtype,
});
export const select = (c: Expr, a: Expr, b: Expr): Expr => ({ k: 'select', c, a, b, dtype: a.dtype });
export const acc: Expr = { k: 'acc', dtype: 'f32' };
export const leakyRelu = (x: Expr): Expr => select(bin('gt', x, lit(0)), x, bin('mul', x, lit(0.01)));

export const product = (n: readonly number[]): number => n.reduce((a, b) => a * b, 1);

/** A buffer of a kernel; numbered by its place. */
export function buf(label: string, size: number, access: Buf['access'] = 'read', dtype: DType = 'f32'): Buf {
  return { tensor: 0, dtype, size, access, label };
}
export const number = (bufs: Buf[]): Buf[] => bufs.map((b, tensor) => ({ ...b, tensor }));

export const base = (name: string, bufs: Buf[], flops: number) => ({
  name,
  region: name,
  ops: [name],
  lines: ['kernels/samples/index.ts'],
  bufs: number(bufs),
  flops,
});

export function sample(kernel: Kernel): Sample {
  return { name: kernel.name, kernel, flops: kernel.flops };
}

/** The row-major index of axes of these sizes, over the operand's own variables x0 … */
export const axes = (shape: readonly number[]): Int =>
  linear(
    shape.map((s, i) => variable(axisVar(i), s)),
    shape,
  );
export const affine = (size: number, offset: number, ...terms: [string, number][]): Affine => ({
  size,
  offset,
  terms: terms.map(([name, coef]) => ({ var: name, coef })),
});
export const vars = (o: Record<string, number>): LoopVar[] => Object.entries(o).map(([name, size]) => ({ name, size }));
