// Corruption of a tile for image restoration: cuboids cut out, or half of its blocks masked. What is corrupted is drawn from the
// stream alone, so that a step sees the same corruption wherever and whenever it runs.
import { DataError } from './errors.ts';
import type { RandomStream } from './random.ts';
import { type Dims, showDims, voxelCount } from './volume.ts';

export type CorruptionKind = 'cutout' | 'blocks';

export interface CorruptOptions {
  /** `cutout`: cuboids at random places, which may overlap. `blocks`: blocks of a grid. */
  readonly kind: CorruptionKind;
  /** Largest part of the tile that cut-outs cover in all. Default 0.3. */
  readonly volume?: number;
  /** A side of a cut-out is below this part of the tile's side. Default 0.25. */
  readonly side?: number;
  /** Part of the blocks that are masked. Default 0.5. */
  readonly ratio?: number;
  /** Voxels a side of a block. Default: an eighth of the tile's side, at least 2. */
  readonly block?: number | Dims;
  /** What corrupted voxels become: uniform noise over 0..1, or the mean of the others. Default `noise`. */
  readonly fill?: 'noise' | 'mean';
}

export interface Corrupted {
  /** As the tile: [c d h w]. */
  readonly corrupt: Float32Array;
  /** [d h w], 1 where corrupted. */
  readonly mask: Int32Array;
}

/**
 * A corrupted copy of a tile [c d h w] of 0..1 (one channel: [d h w]); all channels at the same voxels. `random` is drawn from and
 * goes on.
 * @throws `corrupt-tile`, `corrupt-option`
 */
export function corruptTile(tile: Float32Array, size: Dims, random: RandomStream, options: CorruptOptions): Corrupted {
  const voxels = voxelCount(size);
  if (!(voxels > 0) || tile.length === 0 || tile.length % voxels !== 0)
    throw new DataError('corrupt-tile', 'The tile is not of the size that was given.', {
      found: `${tile.length} voxels for ${showDims(size)}`,
      expected: `${voxels}, or as many for each channel`,
      fix: 'pass the tile as [c d h w] and its d h w',
    });
  const mask = new Int32Array(voxels);
  if (options.kind === 'cutout') maskCuboids(mask, size, random, options);
  else maskBlocks(mask, size, random, options);
  const corrupt = tile.slice();
  for (let from = 0; from < tile.length; from += voxels)
    fillMasked(corrupt.subarray(from, from + voxels), mask, random, options.fill ?? 'noise');
  return { corrupt, mask };
}

/** Cuboids one after another, up to the first that would take more than `volume` of the tile. */
function maskCuboids(mask: Int32Array, size: Dims, random: RandomStream, options: CorruptOptions): void {
  const volume = part('volume', options.volume ?? 0.3);
  const side = part('side', options.side ?? 0.25);
  const most = size.map((n) => Math.ceil(n * side) - 1);
  if (most.some((n) => n < 1))
    throw new DataError('corrupt-option', 'No cut-out is small enough for this tile.', {
      found: `sides below ${side} of ${showDims(size)}`,
      expected: 'at least one voxel along every axis',
      fix: 'use a larger tile or a larger side',
    });
  let left = Math.floor(volume * mask.length);
  for (;;) {
    const extent = most.map((n) => 1 + random.int(n)) as [number, number, number];
    const start = extent.map((n, axis) => random.int(size[axis]! - n + 1)) as [number, number, number];
    let fresh = 0;
    eachRow(size, start, extent, (from, to) => {
      for (let n = from; n < to; n++) fresh += 1 - mask[n]!;
    });
    if (fresh > left) return;
    left -= fresh;
    eachRow(size, start, extent, (from, to) => mask.fill(1, from, to));
    if (left === 0) return;
  }
}

/** Of the blocks of a grid, the last of an axis smaller where it does not divide, a share is masked: exactly, to the nearest block. */
function maskBlocks(mask: Int32Array, size: Dims, random: RandomStream, options: CorruptOptions): void {
  const ratio = part('ratio', options.ratio ?? 0.5);
  const { block } = options;
  const extent = size.map((n, axis) => {
    const own = typeof block === 'number' ? block : (block?.[axis] ?? Math.max(2, Math.round(n / 8)));
    if (!Number.isInteger(own) || own < 1)
      throw new DataError('corrupt-option', 'A block has no such side.', {
        found: String(own),
        expected: 'a whole number of voxels, at least 1',
        fix: 'change `block`',
      });
    return own;
  });
  const grid = size.map((n, axis) => Math.ceil(n / extent[axis]!));
  const order = Uint32Array.from({ length: grid[0]! * grid[1]! * grid[2]! }, (_, n) => n);
  const masked = Math.round(ratio * order.length);
  // The first `masked` of a shuffle (Fisher and Yates).
  for (let n = 0; n < masked; n++) {
    const other = n + random.int(order.length - n);
    [order[n], order[other]] = [order[other]!, order[n]!];
    const at = order[n]!;
    const place = [Math.floor(at / (grid[1]! * grid[2]!)), Math.floor(at / grid[2]!) % grid[1]!, at % grid[2]!];
    const start = place.map((p, axis) => p * extent[axis]!) as [number, number, number];
    const own = start.map((s, axis) => Math.min(extent[axis]!, size[axis]! - s)) as [number, number, number];
    eachRow(size, start, own, (from, to) => mask.fill(1, from, to));
  }
}

function eachRow(size: Dims, start: Dims, extent: Dims, row: (from: number, to: number) => void): void {
  for (let i = start[0]; i < start[0] + extent[0]; i++)
    for (let j = start[1]; j < start[1] + extent[1]; j++) {
      const from = (i * size[1] + j) * size[2] + start[2];
      row(from, from + extent[2]);
    }
}

function fillMasked(channel: Float32Array, mask: Int32Array, random: RandomStream, fill: 'noise' | 'mean'): void {
  if (fill === 'noise') {
    for (let n = 0; n < mask.length; n++) if (mask[n]) channel[n] = random.uniform();
    return;
  }
  // Of the voxels that stay: what is hidden does not shine through its mean.
  let sum = 0;
  let count = 0;
  for (let n = 0; n < mask.length; n++)
    if (!mask[n]) {
      sum += channel[n]!;
      count++;
    }
  const mean = count > 0 ? sum / count : 0;
  for (let n = 0; n < mask.length; n++) if (mask[n]) channel[n] = mean;
}

function part(name: string, value: number): number {
  if (value > 0 && value <= 1) return value;
  throw new DataError('corrupt-option', 'A part of the tile is none.', {
    found: `${name} ${value}`,
    expected: 'above 0 and up to 1',
    fix: `change \`${name}\``,
  });
}
