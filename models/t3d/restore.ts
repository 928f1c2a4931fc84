// Text-informed image restoration: a corrupted tile is restored, with the report at the deepest map through a gate that is closed
// at the start. Closed, the network is the backbone's own, and that is what is fine-tuned.
import { attention, layerNorm, linear, param, region, scope, type Tensor } from '../../dsl/index.ts';
import type { Backbone, Maps } from './backbone.ts';
import type { PretrainSettings } from './pretrain-settings.ts';
import { outBlock } from './unetr-blocks.ts';

/** Added to scores of padding. */
const MASKED = -1e9;

/** A report's tokens [m t c] and which of them are no padding [m t] (i32). */
export interface ReportTokens {
  readonly features: Tensor;
  readonly mask: Tensor;
}

export interface Restored {
  /** [m c d h w] */
  readonly image: Tensor;
  /** The deepest map after the gate, [m d h w c]. */
  readonly deepest: Tensor;
}

/** corrupt [m c d h w] -> the restored tile; `report` null: without text. */
export function restore(corrupt: Tensor, report: ReportTokens | null, net: Backbone, p: PretrainSettings): Restored {
  const x = corrupt.permute('b d h w c');
  const maps = net.encode(x);
  const informed = report ? scope('restore', () => net.withDeepest(maps, (h) => gate(h, report, p))) : maps;
  const features = net.decode(x, informed);
  const image = scope('restore', () => scope('out', () => outBlock(features, corrupt.size('c'))));
  return { image: image.permute('b c d h w'), deepest: net.deepest(informed) };
}

/** h + tanh(γ)·MHA(LN h, tokens), γ from 0. h [b d h w c]. */
function gate(h: Tensor, report: ReportTokens, p: PretrainSettings): Tensor {
  const wide = h.size('c');
  const e = wide / p.restoreHeads;
  const grid = { d: h.size('d'), h: h.size('h'), w: h.size('w') };
  const seen = scope('attn', () => {
    const normal = layerNorm(h, 'c', { affine: false }).merge('d h w', 'n');
    const heads = (name: string, x: Tensor, token: string): Tensor =>
      scope(name, () => linear(x, wide, { axis: 'c' }))
        .split('c', { heads: p.restoreHeads, e })
        .rename({ b: 'g', heads: 'h', [x.names[1]!]: token });
    const q = heads('q', normal, 'n');
    const keys = report.mask.rename({ b: 'g', t: 'm' });
    // All queries are of the group of tokens; padding is of the other.
    const queries = keys.slice('m', 0, 1).squeeze('m').mul(0).add(1).expand('n', q.size('n'));
    const o = attention(q, heads('k', report.features, 'm'), heads('v', report.features, 'm'), {
      groups: { q: queries, k: keys, maskValue: MASKED },
    });
    return scope('out', () => linear(o.merge('h e', 'c').rename({ g: 'b' }), wide, { axis: 'c' }));
  });
  const gamma = param('gamma', { c: wide }, { init: { kind: 'constant', value: 0 } });
  return h.add(seen.split('n', grid).mul(gamma.tanh()));
}

/** Tokens of a report, or the null token where `drop` [b] (bool) says so. */
export function orNull(report: ReportTokens, drop: Tensor): ReportTokens {
  const empty = scope('restore', () =>
    param('null', { c: report.features.size('c') }, { init: { kind: 'normal', mean: 0, std: 0.02 } }),
  );
  return { features: drop.where(empty, report.features), mask: drop.where(1, report.mask.cast('f32')).cast('i32') };
}

/**
 * L1 over the voxels that were corrupted, `rest` times that over the others, and `feature` times the distance of the deepest maps'
 * directions. image and clean [b c d h w], mask [b d h w] (i32, 1 where corrupted); mean over the tiles.
 */
export function restorationLoss(r: Restored, clean: Tensor, mask: Tensor, target: Tensor, p: PretrainSettings): Tensor {
  return region('restoration', () => {
    const m = mask.cast('f32');
    const error = r.image.sub(clean).abs().mean('c'); // [b d h w]
    const over = (weight: Tensor): Tensor => error.mul(weight).sum('d h w').div(weight.sum('d h w').max(1));
    const voxels = over(m).add(over(m.neg().add(1)).mul(p.rest));
    const y = scope('restore', () =>
      scope('feature', () => linear(r.deepest, target.size('c'), { axis: 'c', bias: false })),
    );
    const goal = target.detach();
    const norm = (x: Tensor): Tensor => x.mul(x).sum('c').add(1e-12).rsqrt();
    const cosine = y.mul(goal).sum('c').mul(norm(y)).mul(norm(goal)).mean('d h w');
    return voxels.add(cosine.neg().add(1).mul(p.feature)).mean('b');
  });
}

/** The clean tile's deepest map, normalised: what the corrupted one's should agree with. */
export const cleanTarget = (clean: Tensor, net: Backbone): Tensor => {
  const maps: Maps = net.encode(clean.permute('b d h w c'));
  return layerNorm(net.deepest(maps), 'c', { affine: false }).detach();
};
