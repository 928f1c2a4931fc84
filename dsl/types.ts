// The vocabulary shared by the language, the compiler and the kernels.

/** Element types. `bool` is stored as u32 0/1. `f16` stores, two to a word: views, concat and gather pass it on, and all
 *  arithmetic is f32 (cast); what does not fit is clamped to ±65504. */
export type DType = 'f32' | 'f16' | 'i32' | 'u32' | 'bool';

export interface Axis {
  readonly name: string;
  readonly size: number;
}

export interface TensorType {
  readonly dtype: DType;
  /** Row-major: the last axis is contiguous. */
  readonly axes: readonly Axis[];
}

export const sizes = (t: TensorType): number[] => t.axes.map((a) => a.size);
export const numel = (t: TensorType): number => t.axes.reduce((n, a) => n * a.size, 1);
export const elementBytes = (d: DType): number => (d === 'f16' ? 2 : 4);
export const byteLength = (t: TensorType): number => elementBytes(t.dtype) * numel(t);

/** `f32[b=1 d=64 h=64 w=64 c=24]`, the form used by the printer and by errors. */
export function show(t: TensorType): string {
  return `${t.dtype}[${t.axes.map((a) => `${a.name}=${a.size}`).join(' ')}]`;
}

export type UnaryOp =
  | 'neg'
  | 'abs'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'tanh'
  | 'erf'
  | 'floor'
  | 'not'
  /** 1 where the value is neither infinite nor NaN (tested on exponent bits), else 0. bool. */
  | 'isfinite';
export type BinaryOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'max'
  | 'min'
  | 'pow'
  | 'mod'
  | 'lt'
  | 'le'
  | 'eq'
  | 'ne'
  | 'gt'
  | 'ge'
  | 'and'
  | 'or';

/** Scalars that change from step to step, read from the step block (u32 words; f32 by bits). */
export const STEP_SLOTS = {
  seedLo: 0, // u32
  seedHi: 1, // u32
  step: 2, // u32, optimiser steps done before this one
  microstep: 3, // u32, 0 … accumulation-1
  lr: 4, // f32, this step's learning rate
  accumulation: 5, // f32, number of microsteps
  t: 6, // f32, step + 1 (Adam's t)
  tile: 7, // u32, index of the tile inside overTiles
} as const;
export type StepSlot = keyof typeof STEP_SLOTS;
export const STEP_WORDS = 16;

/** The largest f16. */
export const HALF_MAX = 65504;

/** x as f16 keeps it: to nearest, ties to even; NaN stays. Beyond ±HALF_MAX it is clamped, or (`overflow`) becomes infinite,
 *  from halfway to where the next number would be. */
export function roundToHalf(x: number, overflow = false): number {
  const a = Math.abs(x);
  if (!(a < HALF_MAX)) {
    if (Number.isNaN(x)) return x;
    return Math.sign(x) * (overflow && a >= HALF_MAX + 16 ? Number.POSITIVE_INFINITY : HALF_MAX);
  }
  let exponent = Math.max(-14, Math.floor(Math.log2(a || 1)));
  if (2 ** (exponent + 1) <= a) exponent++;
  // Below 2^-14 the steps stay 2^-24.
  const step = 2 ** (exponent - 10);
  const n = Math.floor(a / step);
  const rest = a / step - n;
  return Math.sign(x) * (n + (rest > 0.5 || (rest === 0.5 && n % 2 === 1) ? 1 : 0)) * step;
}
