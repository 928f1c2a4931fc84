// Patch merging: each 2×2×2 block of tokens becomes one of twice the width.
import { concat, layerNorm, linear, scope, type Tensor } from '../../dsl/index.ts';
import type { Merging } from './settings.ts';

/**
 * Offsets d h w of the neighbours, in the order in which they are concatenated. Names and shapes of the weights are the same
 * for all three, so a wrong choice gives silently wrong results. `legacy` reads 010 and 001 twice and 110 and 011 never: it is
 * MONAI's published code from 0.9 to 1.4 (as "merging"), and the weights of that time depend on it.
 */
const NEIGHBOURS: Readonly<Record<Merging, readonly string[]>> = {
  legacy: ['000', '100', '010', '001', '101', '010', '001', '111'],
  mergingv2: ['000', '001', '010', '011', '100', '101', '110', '111'],
  merging: ['000', '100', '010', '001', '110', '101', '011', '111'],
};

/** x [b d h w c] -> [b d/2 h/2 w/2 2c], even sizes; parameters `norm`, `reduction`. */
export function patchMerging(x: Tensor, merging: Merging): Tensor {
  return scope('downsample', () => {
    const width = x.size('c');
    let blocks = x;
    for (const a of ['d', 'h', 'w']) blocks = blocks.split(a, { [a]: -1, [`p${a}`]: 2 });
    const at = (offset: string): Tensor => {
      let v = blocks;
      ['pd', 'ph', 'pw'].forEach((a, i) => {
        v = v.slice(a, Number(offset[i]), 1).squeeze(a);
      });
      return v;
    };
    // in row-major order the eight neighbours are a view; otherwise they are picked one by one
    const neighbours =
      merging === 'mergingv2'
        ? blocks.permute('b d h w pd ph pw c').merge('pd ph pw c', 'c')
        : concat(NEIGHBOURS[merging].map(at), 'c');
    const normal = scope('norm', () => layerNorm(neighbours, 'c'));
    return scope('reduction', () => linear(normal, 2 * width, { bias: false }));
  });
}
