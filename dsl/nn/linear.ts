// linear: y[…, out] = x[…, in] · Wᵀ + b, as torch.nn.Linear.
import { type Init, param, region } from '../scope.ts';
import { einsum, type Tensor } from '../tensor.ts';

export interface LinearOptions {
  readonly bias?: boolean;
  /** Default: torch's kaiming_uniform(a = √5), U(±1/√in). */
  readonly init?: Init;
  readonly biasInit?: Init;
  /** Axis that is contracted. Default: the last. */
  readonly axis?: string;
}

/** x [… c] -> [… c=out]; parameters `weight` [out, in], `bias` [out] in the current scope. */
export function linear(x: Tensor, out: number, o: LinearOptions = {}): Tensor {
  return region('linear', () => {
    const axis = o.axis ?? x.names[x.names.length - 1]!;
    const fanIn = x.size(axis);
    const bound = 1 / Math.sqrt(fanIn);
    const init: Init = o.init ?? { kind: 'uniform', low: -bound, high: bound };
    const w = param('weight', { out, [axis]: fanIn }, { init, stored: `${axis} out` });
    const y = einsum(x, w, [...x.names.filter((n) => n !== axis), 'out'].join(' ')).rename({ out: axis });
    if (o.bias === false) return y;
    return y.add(
      param('bias', { [axis]: out }, { init: o.biasInit ?? o.init ?? { kind: 'uniform', low: -bound, high: bound } }),
    );
  });
}
