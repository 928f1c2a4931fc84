// Goldens of single operations and blocks (test/golden/ops/, written by test/reference/ops.py): small cases with outputs and
// gradients; inputs come from counters. Optimisers and the schedule have files of their own form (training.py).

import { classes, uniform } from './counters.ts';
import { type FullGolden, loadGolden, type TensorGolden } from './golden.ts';

export type OpInput = { readonly shape: readonly number[]; readonly axes?: string } & (
  | { readonly scale: number; readonly base: number }
  | { readonly classes: number }
);

export interface OpCase {
  readonly options: Readonly<Record<string, unknown>>;
  /** The operation's tensors and parameters, in PyTorch's memory order. */
  readonly inputs: Readonly<Record<string, OpInput>>;
  readonly outputs: { readonly y: FullGolden | TensorGolden };
  /** By every input of floats: the gradient of Σ y·cotangent, or of y itself where y is a scalar (shape []). */
  readonly gradients: Readonly<Record<string, FullGolden | TensorGolden>>;
}

/** All cases of an operation by name: `opCases('conv3d')['conv3d.k3s1']`. */
export function opCases(op: string): Readonly<Record<string, OpCase>> {
  return loadGolden<{ cases: Record<string, OpCase> }>(`ops/${op}`).cases;
}

const seed = 11;
const numel = (shape: readonly number[]): number => shape.reduce((n, s) => n * s, 1);

/** An input's values in PyTorch's memory order. */
export function opInput(caseName: string, name: string, input: OpInput): Float32Array | Int32Array {
  const stream = `${caseName}.${name}`;
  const count = numel(input.shape);
  return 'classes' in input
    ? classes(seed, stream, count, input.classes)
    : uniform(seed, stream, count, input.scale, input.base);
}

/** The output's cotangent; [1] for a scalar. */
export function opCotangent(caseName: string, golden: OpCase): Float32Array {
  const { shape } = golden.outputs.y;
  return shape.length === 0 ? new Float32Array([1]) : uniform(seed, `${caseName}.dy`, numel(shape));
}

/** Starting parameters (`p`) or the gradient of step t (`g0`, `g1`, …) of an optimiser or clipping case. */
export const trainingInput = (caseName: string, name: string): Float32Array => uniform(seed, `${caseName}.${name}`, 16);
