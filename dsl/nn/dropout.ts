// Dropout and stochastic depth, by counter-based random numbers: the same draws when a step is recomputed or resumed.
import { region } from '../scope.ts';
import { type Tensor, uniform } from '../tensor.ts';

/** torch dropout in training mode; rate 0 is the identity. */
export const dropout = (x: Tensor, rate: number): Tensor =>
  rate <= 0
    ? x
    : region('dropout', () =>
        uniform(x.axes)
          .ge(rate)
          .where(x.mul(1 / (1 - rate)), 0),
      );

/** Drops the whole residual branch of a sample (timm's DropPath): one draw per index of `axis`. */
export const stochasticDepth = (x: Tensor, rate: number, axis = 'b'): Tensor =>
  rate <= 0
    ? x
    : region('stochasticDepth', () =>
        x.mul(
          uniform([x.axes[x.at(axis)]!])
            .ge(rate)
            .cast('f32')
            .mul(1 / (1 - rate)),
        ),
      );
