// Parameters between the checkpoint's layout (PyTorch's) and the stored one (packed for the kernels). Values move by bits.
import type { Parameter } from './manifest.ts';

export const elements = (shape: readonly number[]): number => shape.reduce((n, s) => n * s, 1);

/** Copies checkpoint layout to stored layout; both of elements(p.shape). */
export function toStored(p: Parameter, checkpoint: Uint32Array, stored: Uint32Array): void {
  if (isIdentity(p)) stored.set(checkpoint);
  else
    permute(p, (s, c) => {
      stored[s] = checkpoint[c]!;
    });
}

/** Copies stored layout to checkpoint layout. */
export function toCheckpoint(p: Parameter, stored: Uint32Array, checkpoint: Uint32Array): void {
  if (isIdentity(p)) checkpoint.set(stored);
  else
    permute(p, (s, c) => {
      checkpoint[c] = stored[s]!;
    });
}

const isIdentity = (p: Parameter): boolean => p.permutation.every((a, i) => a === i);

/** Visits every element's (stored index, checkpoint index), in stored order. */
function permute(p: Parameter, visit: (stored: number, checkpoint: number) => void): void {
  const rank = p.shape.length;
  const strides = new Array<number>(rank).fill(1);
  for (let i = rank - 2; i >= 0; i--) strides[i] = strides[i + 1]! * p.shape[i + 1]!;
  const sizes = p.permutation.map((a) => p.shape[a]!);
  const steps = p.permutation.map((a) => strides[a]!);
  const index = new Array<number>(rank).fill(0);
  const total = elements(p.shape);
  let c = 0;
  for (let s = 0; s < total; s++) {
    visit(s, c);
    for (let i = rank - 1; i >= 0; i--) {
      c += steps[i]!;
      if (++index[i]! < sizes[i]!) break;
      c -= steps[i]! * sizes[i]!;
      index[i] = 0;
    }
  }
}
