// What the tasks ask of a vision tower: an encoder's maps, which of them is tokens, which is deepest, and a decoder.
import { layerNorm, type Tensor } from '../../dsl/index.ts';
import type { Settings } from './settings.ts';
import { unetDecoder, unetEncoder } from './unet.ts';
import { decode, encode } from './vision.ts';

export type Maps = readonly Tensor[];

export interface Backbone {
  /** volume [b d h w c] -> the encoder's maps. */
  encode(volume: Tensor): Maps;
  /** The map whose voxels are the study's tokens, normalised: [b d h w c]. */
  tokens(maps: Maps): Tensor;
  /** [b d h w c] */
  deepest(maps: Maps): Tensor;
  withDeepest(maps: Maps, f: (deepest: Tensor) => Tensor): Maps;
  /** Features of every voxel, [b d h w c]. */
  decode(volume: Tensor, maps: Maps): Tensor;
}

const withLast = (maps: Maps, f: (x: Tensor) => Tensor): Maps => [...maps.slice(0, -1), f(maps.at(-1)!)];

/** `training` turns dropout and stochastic depth on. */
export function backbone(s: Settings, training: boolean): Backbone {
  if (s.backbone === 'unet')
    return {
      encode: (volume) => unetEncoder(volume, s.channels),
      tokens: (maps) => layerNorm(maps.at(-1)!, 'c', { affine: false }),
      deepest: (maps) => maps.at(-1)!,
      withDeepest: withLast,
      decode: (volume, maps) => unetDecoder(maps, s.channels, volume),
    };
  return {
    encode: (volume) => encode(volume, s, training),
    // the fourth of the normalised maps, at 1/16
    tokens: (maps) => maps[3]!,
    deepest: (maps) => maps[4]!,
    withDeepest: withLast,
    decode: (volume, maps) => decode(volume, maps, s),
  };
}

/** Channels of the tokens and of the deepest map. */
export const widths = (s: Settings): { tokens: number; deepest: number } =>
  s.backbone === 'unet'
    ? { tokens: s.channels.at(-1)!, deepest: s.channels.at(-1)! }
    : { tokens: 8 * s.featureSize, deepest: 16 * s.featureSize };
