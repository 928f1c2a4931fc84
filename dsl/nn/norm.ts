// Normalisation over axes. The variance sees the mean as constant: exact, since the derivative of the sum of squared
// deviations with respect to the mean is zero, and it saves a reduction in the backward pass.
import { param, region } from '../scope.ts';
import type { Tensor } from '../tensor.ts';

/** (x - mean) / sqrt(variance + eps) over `axes`, biased variance. */
export function normalize(x: Tensor, axes: string, eps: number): Tensor {
  const mean = x.mean(axes);
  const centred = x.sub(mean.detach());
  const variance = centred.mul(centred).mean(axes);
  return x.sub(mean).mul(variance.add(eps).rsqrt());
}

/** torch.nn.LayerNorm over one axis; `affine` adds parameters `weight` and `bias`. */
export function layerNorm(x: Tensor, axis: string, o: { eps?: number; affine?: boolean } = {}): Tensor {
  return region('layerNorm', () => {
    const y = normalize(x, axis, o.eps ?? 1e-5);
    if (o.affine === false) return y;
    const n = { [axis]: x.size(axis) };
    return y
      .mul(param('weight', n, { init: { kind: 'constant', value: 1 } }))
      .add(param('bias', n, { init: { kind: 'constant', value: 0 } }));
  });
}

/** torch.nn.InstanceNorm3d without running statistics: x [b d h w c], per sample and channel over the volume. */
export function instanceNorm(x: Tensor, o: { eps?: number; affine?: boolean } = {}): Tensor {
  return region('instanceNorm', () => {
    const y = normalize(x, 'd h w', o.eps ?? 1e-5);
    if (!o.affine) return y;
    const n = { c: x.size('c') };
    return y
      .mul(param('weight', n, { init: { kind: 'constant', value: 1 } }))
      .add(param('bias', n, { init: { kind: 'constant', value: 0 } }));
  });
}
