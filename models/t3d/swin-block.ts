// A Swin Transformer block: attention inside windows, then an MLP, each on a normalised copy and added back.
import {
  attention,
  dropout,
  gelu,
  layerNorm,
  linear,
  param,
  relativePositionBias,
  scope,
  stochasticDepth,
  type Tensor,
  type WindowGrid,
  windowGrid,
  windowPartition,
  windowRegions,
  windowReverse,
  windowTokens,
} from '../../dsl/index.ts';

export interface BlockOptions {
  readonly heads: number;
  /** Tokens a side of a full window; smaller grids clip it. */
  readonly window: number;
  /** Tokens by which windows are shifted, 0 or half the window. */
  readonly shift: number;
  readonly mlpRatio: number;
  readonly qkvBias: boolean;
  /** Dropout rate and stochastic depth rate; 0 outside of training. */
  readonly drop: number;
  readonly dropPath: number;
}

/** x [b d h w c] -> the same. Parameters `norm1`, `attn`, `norm2`, `mlp` in the current scope. */
export function swinBlock(x: Tensor, o: BlockOptions): Tensor {
  const dims = ['d', 'h', 'w'].map((a) => x.size(a)) as [number, number, number];
  const grid = windowGrid(dims, o.window, o.shift);
  const attended = windowAttention(
    scope('norm1', () => layerNorm(x, 'c')),
    grid,
    o,
  );
  const y = x.add(stochasticDepth(attended, o.dropPath));
  const expanded = mlp(
    scope('norm2', () => layerNorm(y, 'c')),
    o,
  );
  return y.add(stochasticDepth(expanded, o.dropPath));
}

/**
 * x [b d h w c] -> the same. The volume is padded with zeros at its far ends: padding tokens are not masked, their keys and
 * values are the bias of `qkv`, and other tokens attend to them, as in MONAI. Their own results are dropped before `proj`.
 */
function windowAttention(x: Tensor, grid: WindowGrid, o: BlockOptions): Tensor {
  return scope('attn', () => {
    const width = x.size('c');
    const n = windowTokens(grid);
    const rows = (2 * o.window - 1) ** 3;
    const table = param(
      'relative_position_bias_table',
      { r: rows, h: o.heads },
      { init: { kind: 'truncatedNormal', std: 0.02, low: -2, high: 2 } },
    );
    const tokens = windowPartition(x, grid);
    const qkv = scope('qkv', () => linear(tokens, 3 * width, { bias: o.qkvBias })).split('c', {
      three: 3,
      h: o.heads,
      e: width / o.heads,
    });
    const part = (i: number): Tensor => qkv.slice('three', i, 1).squeeze('three');
    const [q, k, v] = [part(0), part(1).rename({ n: 'm' }), part(2).rename({ n: 'm' })];
    const shifted = grid.shift.some((s) => s > 0);
    const regions = shifted ? windowRegions(grid, x.size('b')) : null;
    const out = attention(q, k, v, {
      bias: relativePositionBias(table, o.window, n),
      ...(regions ? { groups: { q: regions, k: regions.rename({ n: 'm' }) } } : {}),
    });
    const back = windowReverse(out.merge('h e', 'c'), grid);
    return dropout(
      scope('proj', () => linear(back, width)),
      o.drop,
    );
  });
}

function mlp(x: Tensor, o: BlockOptions): Tensor {
  return scope('mlp', () => {
    const width = x.size('c');
    const hidden = scope('linear1', () => linear(x, Math.trunc(width * o.mlpRatio)));
    const active = dropout(gelu(hidden), o.drop);
    return dropout(
      scope('linear2', () => linear(active, width)),
      o.drop,
    );
  });
}
