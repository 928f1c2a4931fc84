// The vocabulary shared by the language, the compiler and the kernels.

/** Element types. `bool` is stored as u32 0/1; `f16` is a storage type (two to a word). */
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
export const byteLength = (t: TensorType): number => (t.dtype === 'f16' ? 2 : 4) * numel(t);

/** `f32[b=1 d=64 h=64 w=64 c=24]`, the form used by the printer and by errors. */
export function show(t: TensorType): string {
  return `${t.dtype}[${t.axes.map((a) => `${a.name}=${a.size}`).join(' ')}]`;
}
