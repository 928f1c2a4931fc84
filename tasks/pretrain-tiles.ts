// What one study gives to a batch: its tiles as the method takes them, changed under the training contract, and those to restore.

import { applyAugmentation, drawAugmentation } from '../data/augment.ts';
import { type CorruptOptions, corruptTile } from '../data/corrupt.ts';
import { type Applied, AUGMENT, type AugmentOptions, type Dims, type RandomStream, voxelCount } from '../data/index.ts';
import {
  changeIntensity,
  downsampledTile,
  nativeCrop,
  studyTiles,
  tileOrigins,
  turnedAxially,
} from '../data/study-tiles.ts';
import type { PretrainContract } from './pretrain-contract.ts';
import type { PreparedStudy } from './study-input.ts';

export interface TileOptions {
  /** Mirrors, turns and intensities. Two views of a crop are always changed: that they are is the task. */
  readonly augment: boolean;
  /** Intensities are multiplied by 1 ± gain and moved by ± shift, drawn for every tile. */
  readonly gain: number;
  readonly shift: number;
  readonly corrupt: CorruptOptions;
}

export interface RestoredTile {
  readonly clean: Float32Array;
  /** Where the network says what is corrupted: what is to be put there, everywhere. */
  readonly corrupt: Float32Array;
  /** Null where the network says it. */
  readonly mask: Int32Array | null;
  readonly place: RestoredPlace;
}

export interface RestoredPlace {
  /** Place among the tiles that are encoded; -1: it is none of them. */
  readonly tile: number;
  /** Its first voxel; null where it is no place of the study. */
  readonly origin: Dims | null;
}

export interface CutTiles {
  /** To encode, [d h w] each. */
  readonly tiles: readonly Float32Array[];
  /** Quarter turns of each, where the method asks for them. */
  readonly rotation: readonly number[];
  readonly restored: readonly RestoredTile[];
  /** First voxels of the tiles, as far as they are places of the study. */
  readonly origins: readonly Dims[];
  /** Tiles that would cover the study. */
  readonly allTiles: number;
}

/** Probability with which either view of a crop is turned or mirrored, an axis by itself. */
const VIEWS: Partial<AugmentOptions> = { flip: 0.5, rot90: 0.5 };
const NONE: Applied = { flips: [false, false, false], shift: 0, sidesSwapped: false };

/** What may be done to a whole study whose report `allows` so much (null: no report is read). */
export function studyAugmentation(
  { takes }: PretrainContract,
  allows: Pick<AugmentOptions, 'lateral' | 'directional'> | null,
  augment: boolean,
): AugmentOptions {
  const free = { ...AUGMENT, shiftChance: 0, ...(allows ?? { lateral: 'free' as const, directional: false }) };
  return augment && takes !== 'views' ? free : { ...free, flip: 0, rot90: 0 };
}

/** @param applied what was drawn for the whole study */
export async function cutStudy(
  study: PreparedStudy,
  contract: PretrainContract,
  applied: Applied,
  options: TileOptions,
  random: RandomStream,
): Promise<CutTiles> {
  const cutter = new Cutter(study, contract, applied, options, random);
  const base = await cutter.base();
  const views = contract.takes === 'views' ? cutter.views(base.tiles[0]!) : null;
  return {
    tiles: contract.tiles === 0 ? [] : (views?.tiles ?? base.tiles),
    rotation: views?.rotation ?? [],
    restored: await cutter.restored(base),
    origins: base.origins,
    allTiles: base.allTiles,
  };
}

/** Another view of the whole study: its tiles alone. */
export async function otherView(
  study: PreparedStudy,
  contract: PretrainContract,
  applied: Applied,
  options: TileOptions,
  random: RandomStream,
): Promise<readonly Float32Array[]> {
  return (await new Cutter(study, contract, applied, options, random).base()).tiles;
}

class Cutter {
  readonly #study: PreparedStudy;
  readonly #contract: PretrainContract;
  readonly #applied: Applied;
  readonly #options: TileOptions;
  readonly #random: RandomStream;

  constructor(
    study: PreparedStudy,
    contract: PretrainContract,
    applied: Applied,
    options: TileOptions,
    random: RandomStream,
  ) {
    this.#study = study;
    this.#contract = contract;
    this.#applied = applied;
    this.#options = options;
    this.#random = random;
  }

  /** The study tile by tile, downsampled, or one crop: the crop that views are made of as it is, the others changed. */
  async base(): Promise<{ tiles: Float32Array[]; origins: readonly Dims[]; allTiles: number }> {
    const { size, takes, tiles: k } = this.#contract;
    if (takes === 'whole') {
      const voxels = voxelCount(size);
      const { tiles, origins, all } = await studyTiles(this.#study, size, k, this.#random.fork(2));
      const each = Array.from({ length: k }, (_, n) => tiles.subarray(n * voxels, (n + 1) * voxels));
      // Those that only fill up stay empty.
      const changed = each.map((tile, n) => (n < origins.length ? this.#changed(tile, n) : tile));
      return { tiles: changed, origins, allTiles: all };
    }
    if (takes === 'small') {
      const tile = this.#changed(await downsampledTile(this.#study, size), 0);
      return { tiles: [tile], origins: [], allTiles: 1 };
    }
    const { tile, origin } = await nativeCrop(this.#study, size, this.#random.fork(2));
    return {
      tiles: [takes === 'views' ? tile : this.#changed(tile, 0)],
      origins: [origin],
      allTiles: tileOrigins(this.#study.dims, size).length,
    };
  }

  /** Views of a crop, each mirrored and turned (or, where that is asked, turned by a number of quarters) and with cut-outs of its own. */
  views(crop: Float32Array): { tiles: Float32Array[]; rotation: number[] } {
    const { tiles: count, size, rotation: asked } = this.#contract;
    const { spacing } = this.#study;
    // Two mirrors are a turn, and how a view was turned is what is asked.
    const may: AugmentOptions = {
      ...AUGMENT,
      lateral: 'free',
      shiftChance: 0,
      ...(asked ? { flip: 0, rot90: 0 } : VIEWS),
    };
    const rotation: number[] = [];
    const tiles = Array.from({ length: count }, (_, v) => {
      const random = this.#random.fork(v, 4);
      const own = drawAugmentation({ dims: size, spacing }, may, { seed: random.u32(), epoch: 0, index: v });
      let view = this.#changed(crop, v, own, true);
      if (asked) {
        rotation.push(random.int(4));
        view = turnedAxially(view, size, rotation[v]!);
      }
      return corruptTile(view, size, random, this.#options.corrupt).corrupt;
    });
    return { tiles, rotation };
  }

  /** Of the tiles that are encoded, those with something in them; of a crop's study, the crop and then others. */
  async restored({
    tiles,
    origins,
  }: {
    tiles: readonly Float32Array[];
    origins: readonly Dims[];
  }): Promise<RestoredTile[]> {
    const { restored: count, size, attended } = this.#contract;
    const order = this.#shuffled(tiles);
    const out: RestoredTile[] = [];
    for (let r = 0; r < count; r++) {
      const { clean, origin } = await this.#toRestore(order, r);
      const tile = tiles.indexOf(clean);
      const place = { tile, origin: origin ?? (tile < 0 ? null : (origins[tile] ?? null)) };
      const random = this.#random.fork(r, 5);
      const corrupted = attended
        ? { corrupt: Float32Array.from(clean, () => random.uniform()), mask: null }
        : corruptTile(clean, size, random, this.#options.corrupt);
      out.push({ clean, place, ...corrupted });
    }
    return out;
  }

  #shuffled(tiles: readonly Float32Array[]): Float32Array[] {
    const random = this.#random.fork(6);
    const filled = tiles.filter((t) => t.some((v) => v > 0));
    const order = filled.length > 0 ? filled : [...tiles];
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.int(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }

  /** `origin`: of those that are not among the tiles. */
  async #toRestore(order: readonly Float32Array[], r: number): Promise<{ clean: Float32Array; origin?: Dims }> {
    const { takes, size } = this.#contract;
    if (takes === 'whole' || takes === 'small') return { clean: order[r % order.length]! };
    if (r > 0) {
      const { tile, origin } = await nativeCrop(this.#study, size, this.#random.fork(r, 7));
      return { clean: this.#changed(tile, RESTORED + r), origin };
    }
    return { clean: takes === 'views' ? this.#changed(order[0]!, RESTORED, NONE) : order[0]! };
  }

  /** As the whole study was mirrored and turned; intensities by the tile's number `n`. */
  #changed(tile: Float32Array, n: number, applied = this.#applied, always = false): Float32Array {
    const sample = { image: tile, dims: this.#contract.size, spacing: this.#study.spacing };
    const { image } = applyAugmentation(sample, applied, { lateral: 'free' });
    const { augment, gain, shift } = this.#options;
    if (augment || always) changeIntensity(image, gain, shift, this.#random.fork(n, 3));
    return image;
  }
}

/** Numbers of tiles that are no place of a batch's tiles begin here. */
const RESTORED = 0x10000;
