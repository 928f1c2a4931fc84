// What fine-tuning asks of the update: rates that fall layer by layer towards the input, and parameters that stay as they are.
import { adamW, type EntrySpec, ema, type Optimizer, type ParameterGroup } from '../../dsl/index.ts';
import type { Settings } from './settings.ts';

/** The optimiser of every entry that trains. */
export function optimizer(s: Settings): Optimizer {
  const plain = adamW({ lr: s.lr, weightDecay: s.weightDecay });
  return s.ema > 0 ? ema(plain, s.ema) : plain;
}

/**
 * Rates by layer (Clark et al., ELECTRA, 2020; BEiT): a layer of the encoder learns at `layerDecay` of the rate of the one above it,
 * the last of them at `layerDecay` of the decoder's or the head's. SwinUNETR's layers are its patch embedding and its stages, the
 * U-Net's its levels. Factors of 1 make no group, so that the defaults leave the artifact as it is.
 */
export function fineTuning(s: Settings, entry: 'segment' | 'classify'): Pick<EntrySpec, 'groups'> {
  const layers = s.layerDecay < 1 ? layersOf(s, entry) : [];
  const groups: ParameterGroup[] = [
    ...layers.map((match, i) => ({ match, lr: s.layerDecay ** (layers.length - i) })),
    ...s.freeze.map((match) => ({ match, lr: 0 })),
  ];
  return groups.length > 0 ? { groups } : {};
}

/** Parameters that pre-training leaves as they are: a text tower that was trained before, say (`^text\\.`). */
export const frozenGroups = (s: Settings): Pick<EntrySpec, 'groups'> =>
  s.pretrain.freeze.length > 0 ? { groups: s.pretrain.freeze.map((match) => ({ match, lr: 0 })) } : {};

/** From the input up, as far as the entry reads them: a study's tokens are SwinUNETR's map at 1/16, below its last stage. */
function layersOf(s: Settings, entry: 'segment' | 'classify'): string[] {
  if (s.backbone === 'unet') return s.channels.map((_, i) => `^encoder\\.${i}\\.`);
  const stages = entry === 'classify' ? 3 : 4;
  // `c`: the residual block that SwinUNETR-V2 has before a stage
  return ['^swinViT\\.patch_embed\\.', ...Array.from({ length: stages }, (_, i) => `^swinViT\\.layers${i + 1}c?\\.`)];
}
