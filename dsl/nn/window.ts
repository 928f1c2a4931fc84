// Windows of a volume, as Swin uses them: zero padding at the far ends, a cyclic shift, and a split into blocks. All of it is
// a view: no copy is made.
import { region } from '../scope.ts';
import { iota, type Tensor } from '../tensor.ts';

export interface WindowGrid {
  /** Sizes of the volume's axes d h w. */
  readonly dims: readonly [number, number, number];
  readonly window: readonly [number, number, number];
  readonly shift: readonly [number, number, number];
}

const SPATIAL = ['d', 'h', 'w'] as const;
const padded = (g: WindowGrid, i: number): number => Math.ceil(g.dims[i]! / g.window[i]!) * g.window[i]!;

/** MONAI's rule: where the grid is no larger than the window, the window is the grid and does not shift. */
export function windowGrid(dims: readonly [number, number, number], window: number, shift: number): WindowGrid {
  const clip = (v: number) => dims.map((d) => (d <= window ? -1 : v));
  const w = clip(window).map((v, i) => (v < 0 ? dims[i]! : v)) as [number, number, number];
  const s = clip(shift).map((v) => Math.max(v, 0)) as [number, number, number];
  return { dims, window: w, shift: s };
}

export const windowCount = (g: WindowGrid): number => SPATIAL.reduce((p, _, i) => p * (padded(g, i) / g.window[i]!), 1);
export const windowTokens = (g: WindowGrid): number => g.window.reduce((p, w) => p * w, 1);

/** x [b d h w c] -> [g n c]: g = batch × windows, n = tokens of a window. */
export const windowPartition = (x: Tensor, g: WindowGrid): Tensor =>
  region('windowPartition', () => {
    let v = x;
    SPATIAL.forEach((a, i) => {
      v = v
        .pad(a, 0, padded(g, i) - g.dims[i]!)
        .roll(a, -g.shift[i]!)
        .split(a, { [a]: -1, [`t${a}`]: g.window[i]! });
    });
    return v.permute('b d h w td th tw c').merge('b d h w', 'g').merge('td th tw', 'n');
  });

/** The inverse: [g n c] -> [b d h w c]. */
export const windowReverse = (x: Tensor, g: WindowGrid): Tensor =>
  region('windowReverse', () => {
    const n = SPATIAL.map((_, i) => padded(g, i) / g.window[i]!);
    let v = x
      .split('g', { b: -1, d: n[0]!, h: n[1]!, w: n[2]! })
      .split('n', { td: g.window[0], th: g.window[1], tw: g.window[2] });
    v = v.permute('b d td h th w tw c');
    SPATIAL.forEach((a, i) => {
      v = v.merge(`${a} t${a}`, a).roll(a, g.shift[i]!).slice(a, 0, g.dims[i]!);
    });
    return v;
  });

/** Region ids of every token [g n], i32: tokens that were not neighbours before the shift have different ids. */
export const windowRegions = (g: WindowGrid, batch: number): Tensor =>
  region('windowRegions', () => {
    const ids = SPATIAL.map((a, i) => {
      const at = iota(a, padded(g, i));
      if (g.shift[i] === 0) return at.mul(0);
      const size = padded(g, i);
      return at
        .ge(size - g.window[i]!)
        .cast('i32')
        .add(at.ge(size - g.shift[i]!).cast('i32'));
    });
    let id = ids[0]!.mul(9).expand('h', padded(g, 1)).add(ids[1]!.mul(3)).expand('w', padded(g, 2)).add(ids[2]!);
    SPATIAL.forEach((a, i) => {
      id = id.split(a, { [a]: -1, [`t${a}`]: g.window[i]! });
    });
    return id.expand('b', batch, 'd').permute('b d h w td th tw').merge('b d h w', 'g').merge('td th tw', 'n');
  });

/**
 * Relative position bias: table [(2w-1)^3, h] -> [h n n] with row (Δd+w-1)(2w-1)² + (Δh+w-1)(2w-1) + (Δw+w-1), Δ = query - key.
 * A clipped window of n tokens uses rows and columns 0 … n-1 of the full window's index, as MONAI does.
 */
export const relativePositionBias = (table: Tensor, window: number, n: number): Tensor =>
  region('relativePositionBias', () => {
    const r = 2 * window - 1;
    const heads = table.axes[1]!.name;
    let v = table.split(table.names[0]!, { qd: r, qh: r, qw: r });
    for (const a of SPATIAL) v = v.expand(`k${a}`, window);
    for (const a of SPATIAL) {
      const axis = v.at(`q${a}`);
      v = v.view({ s: 'shear', axis, by: v.at(`k${a}`), coef: -1, offset: window - 1, size: window });
    }
    return v
      .permute(`${heads} qd qh qw kd kh kw`)
      .merge('qd qh qw', 'n')
      .merge('kd kh kw', 'm')
      .slice('n', 0, n)
      .slice('m', 0, n);
  });
