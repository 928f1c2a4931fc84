// Activations.
import { region } from '../scope.ts';
import type { Tensor } from '../tensor.ts';

/** Exact GELU, x Φ(x). */
export const gelu = (x: Tensor): Tensor => region('gelu', () => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1)));
export const relu = (x: Tensor): Tensor => region('relu', () => x.gt(0).where(x, 0));
export const leakyRelu = (x: Tensor, slope = 0.01): Tensor => region('leakyRelu', () => x.gt(0).where(x, x.mul(slope)));
export const sigmoid = (x: Tensor): Tensor => region('sigmoid', () => x.mul(0.5).tanh().mul(0.5).add(0.5));

/** Softmax over one axis; the maximum is subtracted first. */
export const softmax = (x: Tensor, axis: string): Tensor =>
  region('softmax', () => {
    const e = x.sub(x.amax(axis).detach()).exp();
    return e.div(e.sum(axis));
  });

export const logSoftmax = (x: Tensor, axis: string): Tensor =>
  region('logSoftmax', () => {
    const s = x.sub(x.amax(axis).detach());
    return s.sub(s.exp().sum(axis).log());
  });
