// Leaves: where values come from. None has inputs.
import { defineOp, make, type Op, type Value } from '../graph.ts';
import { type Axis, type DType, numel, STEP_SLOTS, type StepSlot, type TensorType } from '../types.ts';

export interface InputAttrs {
  readonly name: string;
  readonly type: TensorType;
}
/** A tensor given at every call of an entry. */
export const input: Op<InputAttrs> = defineOp<InputAttrs>({
  name: 'input',
  infer: (_, a) => [a.type],
  gradient: () => [],
  evaluate: () => {
    throw new Error('leaf');
  },
  print: (a) => a.name,
});

/** A parameter, in stored layout. `key` is its full name. */
export const parameter: Op<InputAttrs> = defineOp<InputAttrs>({
  name: 'parameter',
  infer: (_, a) => [a.type],
  gradient: () => [],
  evaluate: () => {
    throw new Error('leaf');
  },
  print: (a) => a.name,
});

/** A whole arena seen as one flat tensor: what optimisers work on (`parameters`, `gradients`, a state's name). */
export const arena: Op<InputAttrs> = defineOp<InputAttrs>({
  name: 'arena',
  infer: (_, a) => [a.type],
  gradient: () => [],
  evaluate: () => {
    throw new Error('leaf');
  },
  print: (a) => a.name,
});

/** One number, of no axes. */
export const scalar: Op<{ readonly value: number; readonly dtype: DType }> = defineOp<{
  readonly value: number;
  readonly dtype: DType;
}>({
  name: 'scalar',
  infer: (_, a) => [{ dtype: a.dtype, axes: [] }],
  gradient: () => [],
  evaluate: (_, __, a) => [Float64Array.of(a.value)],
  print: (a) => `${a.value} ${a.dtype}`,
});

/** 0, 1, … along one axis, i32. */
export const iota: Op<{ readonly axis: Axis }> = defineOp<{ readonly axis: Axis }>({
  name: 'iota',
  infer: (_, a) => [{ dtype: 'i32', axes: [a.axis] }],
  gradient: () => [],
  evaluate: (_, __, a) => [Float64Array.from({ length: a.axis.size }, (_, i) => i)],
  print: (a) => `${a.axis.name}=${a.axis.size}`,
});

/** A number of the step block: learning rate, Adam's t, … */
export const step: Op<{ readonly slot: StepSlot }> = defineOp<{ readonly slot: StepSlot }>({
  name: 'step',
  infer: (_, a) => [{ dtype: STEP_SLOTS[a.slot] >= 4 && a.slot !== 'tile' ? 'f32' : 'u32', axes: [] }],
  gradient: () => [],
  evaluate: (_, __, a, ___, c) => [Float64Array.of(c.step[a.slot] ?? 0)],
  print: (a) => a.slot,
});

/**
 * Uniform numbers in [0, 1) with 24 bits, from Threefry-2x32 with 20 rounds: key (seedLo ^ id, seedHi ^ step), counter
 * (logical index, microstep and, in a loop over tiles, the tile in its upper half). Two nodes of the same id are the same numbers, so recomputation repeats them.
 */
export const random: Op<{ readonly id: number; readonly axes: readonly Axis[] }> = defineOp<{
  readonly id: number;
  readonly axes: readonly Axis[];
}>({
  name: 'random',
  infer: (_, a) => [{ dtype: 'f32', axes: a.axes }],
  gradient: () => [],
  evaluate: (_, __, a, outs, c) => {
    const s = c.step;
    const n = numel(outs[0]!);
    return [
      Float64Array.from({ length: n }, (_, i) =>
        uniform(
          ((s.seedLo ?? 0) ^ a.id) >>> 0,
          ((s.seedHi ?? 0) ^ (s.step ?? 0)) >>> 0,
          i,
          ((s.microstep ?? 0) | ((s.tile ?? 0) << 16)) >>> 0,
        ),
      ),
    ];
  },
  print: (a) => `${a.id} ${a.axes.map((x) => `${x.name}=${x.size}`).join(' ')}`,
});

export const scalarValue = (value: number, dtype: DType = 'f32'): Value => make(scalar, [], { value, dtype });

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

/** First word of threefry2x32-20 (Salmon et al. 2011) as a uniform in [0, 1). */
export function uniform(k0: number, k1: number, c0: number, c1: number): number {
  const ks = [k0, k1, (0x1bd11bda ^ k0 ^ k1) >>> 0];
  let x0 = (c0 + k0) >>> 0;
  let x1 = (c1 + k1) >>> 0;
  for (let r = 0; r < 20; r++) {
    x0 = (x0 + x1) >>> 0;
    const k = ROTATIONS[r % 8]!;
    x1 = ((x1 << k) | (x1 >>> (32 - k))) >>> 0;
    x1 = (x1 ^ x0) >>> 0;
    if (r % 4 === 3) {
      const i = (r + 1) / 4;
      x0 = (x0 + ks[i % 3]!) >>> 0;
      x1 = (x1 + ks[(i + 1) % 3]! + i) >>> 0;
    }
  }
  return (x0 >>> 8) * 2 ** -24;
}
