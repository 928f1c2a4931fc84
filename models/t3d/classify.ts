// Classification of whole studies at native resolution: the encoder's tokens, tile by tile, pooled by their mean and their largest
// value, and one linear layer.
import { concat, f32, type InputSpec, linear, region, scope, type Tensor } from '../../dsl/index.ts';
import { tokensOf } from './pretrain.ts';
import type { Settings } from './settings.ts';

type Inputs = Readonly<Record<string, InputSpec>>;

export function studyInput(s: Settings): Inputs {
  const [d, h, w] = s.size;
  return { tiles: f32({ b: s.batch, k: s.pretrain.tiles, c: s.inChannels, d, h, w }) };
}

/** tiles [b k c d h w] -> pooled [b c], c twice the tokens' width: their mean, and their largest values. */
export function studyFeatures(tiles: Tensor, s: Settings, training: boolean): Tensor {
  const v = tokensOf(tiles, s, training);
  return concat([v.mean('k n'), v.amax('k n')], 'c');
}

/** logits [b f], a finding each. The encoder's parameters keep their names, so that pre-trained ones load; the head is `classify`. */
export function findings(tiles: Tensor, s: Settings, training: boolean): Tensor {
  const features = studyFeatures(tiles, s, training);
  return scope('classify', () => linear(features, s.findings, { axis: 'c' })).rename({ c: 'f' });
}

/** torch.nn.BCEWithLogitsLoss over the targets [b f] that are known (0 or 1; below 0: unknown), findings weighted alike. */
export function findingsLoss(logits: Tensor, target: Tensor): Tensor {
  return region('bceWithLogits', () => {
    const known = target.ge(0).cast('f32');
    // log(1 + e^-|x|) + max(x, 0) - x·y
    const softplus = logits.abs().neg().exp().add(1).log();
    const each = softplus.add(logits.max(0)).sub(logits.mul(target));
    return each.mul(known).sum('b f').div(known.sum('b f').max(1));
  });
}
