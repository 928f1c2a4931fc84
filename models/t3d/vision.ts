// The vision tower: SwinUNETR, exact to MONAI in names, shapes and results.
import { scope, type Tensor } from '../../dsl/index.ts';
import type { Settings } from './settings.ts';
import { swinTransformer } from './swin-transformer.ts';
import { basicBlock, upBlock } from './unetr-blocks.ts';

/** volume [b c d h w] -> the layout that the model works in, [b d h w c]. */
export const channelsLast = (volume: Tensor): Tensor => volume.permute('b d h w c');

/** volume [b d h w c] -> h0 … h4 of the encoder; h3 [b d/16 h/16 w/16 8f] and h4 [b d/32 h/32 w/32 16f] feed the pretext tasks. */
export const encode = (volume: Tensor, s: Settings, training: boolean): Tensor[] =>
  swinTransformer(volume, s, training);

/** volume [b d h w c] and the encoder's maps -> features [b d h w f]. */
export function decode(volume: Tensor, h: readonly Tensor[], s: Settings): Tensor {
  const [h0, h1, h2, h3, h4] = h as readonly [Tensor, Tensor, Tensor, Tensor, Tensor];
  const f = s.featureSize;
  const basic = (name: string, x: Tensor, width: number): Tensor =>
    scope(name, () => basicBlock(x, width, s.leakySlope));
  const up = (name: string, x: Tensor, skip: Tensor, width: number): Tensor =>
    scope(name, () => upBlock(x, skip, width, s.leakySlope));
  const skip0 = basic('encoder1', volume, f);
  const skip1 = basic('encoder2', h0, f);
  const skip2 = basic('encoder3', h1, 2 * f);
  const skip3 = basic('encoder4', h2, 4 * f);
  let x = basic('encoder10', h4, 16 * f);
  x = up('decoder5', x, h3, 8 * f);
  x = up('decoder4', x, skip3, 4 * f);
  x = up('decoder3', x, skip2, 2 * f);
  x = up('decoder2', x, skip1, f);
  return up('decoder1', x, skip0, f);
}
