// The encoder `swinViT`: a patch embedding and four stages of Swin blocks, each halving the map.
import { conv3d, dropout, layerNorm, scope, type Tensor } from '../../dsl/index.ts';
import { patchMerging } from './patch-merging.ts';
import type { Settings } from './settings.ts';
import { swinBlock } from './swin-block.ts';
import { basicBlock } from './unetr-blocks.ts';

/**
 * volume [b d h w c] -> h0 … h4: the patch embedding and the four stages, with widths f·2^i and sizes halved i + 1 times.
 * Each is normalised over its channels without parameters; the stages themselves work on the maps before that.
 */
export function swinTransformer(volume: Tensor, s: Settings, training: boolean): Tensor[] {
  return scope('swinViT', () => {
    const drop = training ? s.dropRate : 0;
    const embedded = scope('patch_embed', () =>
      scope('proj', () => conv3d(volume, s.featureSize, { kernel: s.patchSize, stride: s.patchSize })),
    );
    let x = dropout(embedded, drop);
    const maps = [x];
    s.depths.forEach((depth, i) => {
      const name = `layers${i + 1}`;
      const input = s.useV2 ? scope(`${name}c.0`, () => basicBlock(x, x.size('c'), s.leakySlope)) : x;
      x = scope(`${name}.0`, () => stage(input, s, i, depth, training));
      maps.push(x);
    });
    return maps.map((m) => layerNorm(m, 'c', { affine: false }));
  });
}

/** x [b d h w c] -> [b d/2 h/2 w/2 2c] */
function stage(x: Tensor, s: Settings, index: number, depth: number, training: boolean): Tensor {
  let y = x;
  for (let i = 0; i < depth; i++) {
    y = scope(`blocks.${i}`, () =>
      swinBlock(y, {
        heads: s.numHeads[index]!,
        window: s.windowSize,
        shift: i % 2 === 0 ? 0 : Math.floor(s.windowSize / 2),
        mlpRatio: s.mlpRatio,
        qkvBias: s.qkvBias,
        drop: training ? s.dropRate : 0,
        dropPath: training ? dropPathRate(s, index, i) : 0,
      }),
    );
  }
  return patchMerging(y, s.merging);
}

/** Stochastic depth grows linearly over all blocks, from 0 at the first to the setting at the last. */
function dropPathRate(s: Settings, stageIndex: number, block: number): number {
  const total = s.depths.reduce((a, b) => a + b, 0);
  const before = s.depths.slice(0, stageIndex).reduce((a, b) => a + b, 0);
  return total > 1 ? (s.dropPathRate * (before + block)) / (total - 1) : 0;
}
