// A prepared study as the tiles that pre-training takes: the whole of it tile by tile at its working spacing, or one tile of it.
import { mirror, rotate90 } from './augment.ts';
import { DataError } from './errors.ts';
import { type Box, cutArray } from './pad.ts';
import type { RandomStream } from './random.ts';
import { type Dims, showDims, voxelCount } from './volume.ts';
import { windowStarts } from './windows.ts';

/** A study at its working spacing, in memory. */
export interface Study {
  /** [d h w], 0..1. */
  readonly image: Float32Array;
  readonly dims: Dims;
}

/** A study at its working spacing, wherever its voxels are: read box by box. */
export interface StudyVoxels {
  readonly dims: Dims;
  /** [d h w] of the box, 0..1; 0 outside the study. */
  cut(box: Box): Promise<Float32Array>;
  /** Voxels of the box that are body. */
  foregroundIn(box: Box): number;
}

export interface StudyTiles {
  /** [k d h w]; those from `origins.length` on are empty. */
  readonly tiles: Float32Array;
  /** First voxel of each tile; negative where the study is smaller than a tile and was padded around. */
  readonly origins: readonly Dims[];
  /** Tiles that cover the study. */
  readonly all: number;
}

/** Values above this are body: the lowest twentieth of the window is air. */
export const FOREGROUND = 0.05;
/** Places that are drawn for one crop. */
const CANDIDATES = 8;

/** First voxels of the tiles that cover a study, side by side; the last of an axis is shifted inward, and an axis shorter than a tile
 *  is padded evenly. */
export function tileOrigins(dims: Dims, size: Dims): Dims[] {
  const padded = dims.map((n, axis) => Math.max(n, size[axis]!)) as [number, number, number];
  const before = dims.map((n, axis) => Math.floor((padded[axis]! - n) / 2));
  return windowStarts(padded, size, 0).map((s): Dims => [s[0] - before[0]!, s[1] - before[1]!, s[2] - before[2]!]);
}

/**
 * All tiles of a study where they are at most `k`, else `k` of them drawn with their share of foreground as weight, without
 * repetition, in the grid's order. The rest of the k, where there are fewer, is empty (0).
 */
export async function studyTiles(
  study: Study | StudyVoxels,
  size: Dims,
  k: number,
  random: RandomStream,
): Promise<StudyTiles> {
  const from = voxelsOf(study);
  const all = tileOrigins(from.dims, size);
  const chosen = all.length <= k ? all : drawn(from, all, size, k, random);
  const voxels = voxelCount(size);
  const tiles = new Float32Array(k * voxels);
  for (const [n, start] of chosen.entries()) tiles.set(await from.cut({ start, size }), n * voxels);
  return { tiles, origins: chosen, all: all.length };
}

/** A tile at native resolution, its place drawn with the share of foreground as weight. */
export async function nativeCrop(
  study: Study | StudyVoxels,
  size: Dims,
  random: RandomStream,
): Promise<{ tile: Float32Array; origin: Dims }> {
  const from = voxelsOf(study);
  const place = (axis: number): number => {
    const room = from.dims[axis]! - size[axis]!;
    return room >= 0 ? random.int(room + 1) : Math.ceil(room / 2);
  };
  const places = Array.from({ length: CANDIDATES }, (): Dims => [place(0), place(1), place(2)]);
  const weights = places.map((start) => from.foregroundIn({ start, size }) + 1);
  let left = random.uniform() * weights.reduce((a, b) => a + b);
  const found = weights.findIndex((w) => {
    left -= w;
    return left < 0;
  });
  const origin = places.at(found)!;
  return { tile: await from.cut({ start: origin, size }), origin };
}

/** The whole study as one tile: each axis averaged down to the tile's, by area; an axis that is shorter is padded evenly. A few of the
 *  study's slabs are in memory at a time. */
export async function downsampledTile(study: Study | StudyVoxels, size: Dims): Promise<Float32Array> {
  const from = voxelsOf(study);
  const { dims } = from;
  const small: Dims = [Math.min(dims[0], size[0]), Math.min(dims[1], size[1]), Math.min(dims[2], size[2])];
  const image = new Float32Array(voxelCount(small));
  for (let o = 0; o < small[0]; o++) {
    let slab = await averagedSlab(from, o, small[0]);
    let grid: Dims = [1, dims[1], dims[2]];
    for (const axis of [1, 2]) {
      if (grid[axis]! <= small[axis]!) continue;
      slab = averagedAxis(slab, grid, axis, small[axis]!);
      grid = grid.map((n, a) => (a === axis ? small[a]! : n)) as unknown as Dims;
    }
    image.set(slab, o * small[1] * small[2]);
  }
  const start = small.map((n, axis) => 0 - Math.floor((size[axis]! - n) / 2)) as [number, number, number];
  return cutArray(image, small, { start, size });
}

/** The study itself where it is in memory, else all of it read: for pictures. */
export async function wholeStudy(study: Study | StudyVoxels): Promise<Study> {
  if ('image' in study) return study;
  const { dims } = study;
  return { dims, image: await study.cut({ start: [0, 0, 0], size: dims }) };
}

/** Quarter turns in the axial plane (d h), as numpy's rot90 and MONAI's self-supervised recipe. @throws `rot90-plane` */
export function turnedAxially(tile: Float32Array, size: Dims, turns: number): Float32Array {
  let out = tile;
  for (let t = 0; t < turns; t++) out = rotate90(out, size, [0, 1]);
  return out;
}

/** value·gain + shift, clipped to 0..1, in place; draws two numbers. */
export function changeIntensity(tile: Float32Array, gain: number, shift: number, random: RandomStream): void {
  const by = random.uniform(1 - gain, 1 + gain);
  const plus = random.uniform(-shift, shift);
  for (let n = 0; n < tile.length; n++) tile[n] = Math.min(1, Math.max(0, tile[n]! * by + plus));
}

/** A copy mirrored along the axes that say so. */
export function mirrored(tile: Float32Array, size: Dims, flips: readonly boolean[]): Float32Array {
  const out = tile.slice();
  flips.forEach((flip, axis) => {
    if (flip) mirror(out, size, axis);
  });
  return out;
}

/** Weighted draws without repetition: the k smallest of exponential variates of rate w (Efraimidis and Spirakis, 2006). Tiles of air
 *  come last. */
function drawn(study: StudyVoxels, all: readonly Dims[], size: Dims, k: number, random: RandomStream): Dims[] {
  const keys = all.map((start, n) => {
    const weight = study.foregroundIn({ start, size });
    const variate = -Math.log(1 - random.uniform());
    return { n, air: weight === 0, key: variate / Math.max(1, weight) };
  });
  keys.sort((a, b) => Number(a.air) - Number(b.air) || a.key - b.key || a.n - b.n);
  return keys
    .slice(0, k)
    .sort((a, b) => a.n - b.n)
    .map(({ n }) => all[n]!);
}

function voxelsOf(study: Study | StudyVoxels): StudyVoxels {
  if (!('image' in study)) return study;
  checkStudy(study);
  return {
    dims: study.dims,
    cut: async (box) => cutArray(study.image, study.dims, box),
    foregroundIn: (box) => foregroundIn(study, box),
  };
}

/** Voxels of foreground in a box. */
function foregroundIn({ image, dims }: Study, { start, size }: Box): number {
  const from = start.map((s) => Math.max(0, s));
  const to = start.map((s, axis) => Math.min(dims[axis]!, s + size[axis]!));
  let count = 0;
  for (let i = from[0]!; i < to[0]!; i++)
    for (let j = from[1]!; j < to[1]!; j++) {
      const row = (i * dims[1] + j) * dims[2];
      for (let n = row + from[2]!; n < row + to[2]!; n++) if (image[n]! > FOREGROUND) count++;
    }
  return count;
}

/** Slab o of the m that the study's first axis is averaged to: [h w]. */
async function averagedSlab(study: StudyVoxels, o: number, m: number): Promise<Float32Array> {
  const [n, h, w] = study.dims;
  const low = (o * n) / m;
  const high = ((o + 1) * n) / m;
  const first = Math.floor(low);
  const end = Math.min(n, Math.ceil(high));
  const slabs = await study.cut({ start: [first, 0, 0], size: [end - first, h, w] });
  const sums = new Float64Array(h * w);
  for (let i = first; i < end; i++) {
    const share = Math.min(high, i + 1) - Math.max(low, i);
    const at = (i - first) * h * w;
    for (let b = 0; b < sums.length; b++) sums[b]! += share * slabs[at + b]!;
  }
  return Float32Array.from(sums, (v) => v / (high - low));
}

/** Voxel o of the new axis is the mean over [o·n/m, (o+1)·n/m) of the old. */
function averagedAxis(image: Float32Array, dims: Dims, axis: number, m: number): Float32Array {
  const n = dims[axis]!;
  const inner = axis === 0 ? dims[1] * dims[2] : axis === 1 ? dims[2] : 1;
  const outer = image.length / (n * inner);
  const out = new Float32Array(outer * m * inner);
  const sums = new Float64Array(inner);
  for (let a = 0; a < outer; a++)
    for (let o = 0; o < m; o++) {
      const low = (o * n) / m;
      const high = ((o + 1) * n) / m;
      sums.fill(0);
      for (let i = Math.floor(low); i < Math.min(n, Math.ceil(high)); i++) {
        const share = Math.min(high, i + 1) - Math.max(low, i);
        const row = (a * n + i) * inner;
        for (let b = 0; b < inner; b++) sums[b]! += share * image[row + b]!;
      }
      const to = (a * m + o) * inner;
      for (let b = 0; b < inner; b++) out[to + b] = sums[b]! / (high - low);
    }
  return out;
}

function checkStudy({ image, dims }: Study): void {
  if (image.length === voxelCount(dims) && image.length > 0) return;
  throw new DataError('volume-shape', 'The voxels do not fill the declared grid.', {
    found: `${image.length} voxels for ${showDims(dims)}`,
    expected: `${voxelCount(dims)} voxels`,
    fix: 'pass a prepared study with its own dims',
  });
}
