// Option `mask: attended`: of a tile that is restored, those places are corrupted at which a sentence of its report looks most.
//
// It is done within the graph, not before the batch is made: the weights are those of the step itself, the image's tokens are there
// already for the contrast, and what a batch holds still follows from (seed, epoch, index) alone, so that batches can be made ahead and
// a run that was stopped goes on exactly.
import { iota, ModelError, region, scope, type Tensor } from '../../dsl/index.ts';
import { attentionScores } from './contrast.ts';
import type { PretrainSettings } from './pretrain-settings.ts';

/**
 * V [b k n c], the tokens of each study's tiles; E [b s c']; tile [b r], which of them is restored; sentence [b r], which of its report
 * asks (both from 0) -> [b r n], 1 at the share `attended` of the tile's tokens that have the largest attention; the first where some
 * are equal. Softmax keeps the order, so that scores are compared. Nothing of it is differentiated.
 */
export function attendedTokens(
  V: Tensor,
  E: Tensor,
  tile: Tensor,
  sentence: Tensor,
  p: PretrainSettings,
  valid?: Tensor,
): Tensor {
  return region('attended', () => {
    const [k, n, s] = [V.size('k'), V.size('n'), E.size('s')];
    const scores = scope('contrast', () =>
      attentionScores(V.detach().merge('k n', 'n'), E.detach(), p, valid),
    ).detach();
    const one = (place: Tensor, axis: string, size: number): Tensor =>
      place.expand(axis, size).eq(iota(axis, size)).cast('f32'); // [b r axis]
    const asked = one(sentence, 's', s); // [b r s]
    const shown = one(tile, 'k', k); // [b r k]
    const ofSentence = scores
      .expand('r', tile.size('r'), 's')
      .mul(asked) // [b r s (k n)]
      .sum('s')
      .split('n', { k, n });
    const weights = ofSentence.mul(shown).sum('k'); // [b r n]
    const other = weights.rename({ n: 'm' }).expand('n', n, 'm'); // [b r n m]
    const own = weights.expand('m', n); // [b r n m]
    const earlier = iota('m', n).expand('n', n, 'm').lt(iota('n', n).expand('m', n)); // [n m]
    const before = other.gt(own).or(other.eq(own).and(earlier)).cast('f32').sum('m'); // [b r n]
    return before.lt(attendedCount(n, p)).cast('f32').detach();
  });
}

/** Tokens of a tile of n that are corrupted: at least one, and not all. */
export const attendedCount = (n: number, p: PretrainSettings): number =>
  Math.max(1, Math.min(n - 1, Math.round(p.attended * n)));

/** Tokens [b n] of a tile as voxels [b d h w]: each covers a cell, the last of an axis cut where the tile ends. */
export function voxelsOf(tokens: Tensor, size: readonly [number, number, number]): Tensor {
  const { cell, grid } = tokenGrid(size, tokens.size('n'));
  let x = tokens.split('n', { d: grid[0], h: grid[1], w: grid[2] });
  (['d', 'h', 'w'] as const).forEach((axis, i) => {
    const next = (['h', 'w', undefined] as const)[i];
    x = x.expand('x', cell, next).merge(`${axis} x`, axis).slice(axis, 0, size[i]!);
  });
  return x;
}

/** The grid of n tokens over a tile that was halved some times, rounded up. */
export function tokenGrid(
  size: readonly [number, number, number],
  n: number,
): { cell: number; grid: [number, number, number] } {
  for (let cell = 1; cell <= 2 * Math.max(...size); cell *= 2) {
    const grid = size.map((v) => Math.ceil(v / cell)) as [number, number, number];
    if (grid[0] * grid[1] * grid[2] === n) return { cell, grid };
  }
  throw new ModelError(
    'model-pretrain',
    `pretrain: ${n} tokens are no halving of a tile of ${size.join(' × ')}\n  fix: use mask 'random'`,
  );
}
