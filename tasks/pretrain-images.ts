// The part of a pre-training batch that comes from the volumes: which studies it holds, cut into tiles. It knows no text beyond what a
// report allows as augmentation, so that it can be made on other threads. What a batch holds depends on (seed, epoch, index) alone.
import { drawAugmentation } from '../data/augment.ts';
import type { CorruptOptions } from '../data/corrupt.ts';
import { epochOrder } from '../data/epoch-order.ts';
import { type AugmentOptions, type Dims, type RandomStream, stream, voxelCount } from '../data/index.ts';
import { T3dcError } from '../runtime/errors.ts';
import { measuredContract, type PretrainContract } from './pretrain-contract.ts';
import { type CutTiles, cutStudy, otherView, type RestoredPlace, studyAugmentation } from './pretrain-tiles.ts';
import type { PreparedStudy } from './study-input.ts';

export interface BatchKey {
  readonly seed: number;
  readonly epoch: number;
  /** Of the batch within its epoch. */
  readonly index: number;
}

export interface ImageOptions {
  /** Default true. */
  readonly augment?: boolean;
  /** Default `cutout`. */
  readonly corrupt?: CorruptOptions;
  /** Intensities are multiplied by 1 ± gain and moved by ± shift, drawn for every tile. Defaults 0.1 and 0.05. */
  readonly gain?: number;
  readonly shift?: number;
}

/** The study of one place of a batch. */
export interface ImageItem {
  /** Place of the study among the set's pairs. */
  readonly pair: number;
  readonly dims: Dims;
  readonly spacing: readonly [number, number, number];
  /** First voxels of its tiles, as far as they are places of the study. */
  readonly origins: readonly Dims[];
  /** Tiles that would cover the study. */
  readonly allTiles: number;
  /** Of the tiles that are restored. */
  readonly restored: readonly RestoredPlace[];
  /** It was mirrored such that left is right: words must be, too. */
  readonly sidesSwapped: boolean;
}

/** A plain object: it may come from another thread. */
export interface BatchImages {
  readonly inputs: Readonly<Record<string, Float32Array | Int32Array>>;
  readonly items: readonly ImageItem[];
}

/** What a report's words allow; null where none is read. */
export type Allows = Pick<AugmentOptions, 'lateral' | 'directional'> | null;

/** Studies by number: those of a PretrainSet. */
export interface StudyList {
  readonly pairs: { readonly length: number };
  /** Not found unreadable so far. */
  readonly readable: number;
  /** Null where it cannot be read. */
  study(n: number): Promise<PreparedStudy | null>;
}

/** Streams of one seed that must not meet. */
const ITEM = 0x0101;
/** Epochs of `drawAugmentation`, which has no stream of its own. */
const AUGMENTATION = 0x10000;
/** The same of other views. */
const OTHER_VIEW = 0x20000000;
/** An epoch that no training reaches. */
const FIXED = 0x7fff0000;

/** What is drawn for one place of a batch, by its images and by its text (`fork(1)`). */
export const itemStream = ({ seed, epoch, index }: BatchKey, slot: number): RandomStream =>
  stream(seed, ITEM, epoch, index, slot);

/** The n-th batch of the set in its own order. */
export const fixedKey = (seed: number, n: number): BatchKey => ({ seed, epoch: FIXED, index: n });

export class PretrainImages {
  readonly #set: StudyList;
  readonly #contract: PretrainContract;
  readonly #options: ImageOptions;
  readonly #allows: (pair: number) => Allows;
  readonly #orders = new Map<string, Uint32Array>();

  /** @param allows by the study's place: of the report that goes with it @throws T3dcError `bad-option` */
  constructor(
    set: StudyList,
    contract: PretrainContract,
    allows: (pair: number) => Allows,
    { augment, corrupt, gain, shift }: ImageOptions = {},
  ) {
    this.#set = set;
    this.#contract = contract;
    this.#options = { augment, corrupt, gain, shift };
    this.#allows = allows;
    checkEnough(set.pairs.length, contract.batch);
    if (contract.attended && corrupt?.fill === 'mean')
      throw new T3dcError('bad-option', "mask 'attended' fills with noise", {
        found: 'the mean of what is left',
        expected: 'noise: what is left is not known before the network has looked',
        hint: 'Leave out --fill.',
      });
  }

  /** Whole batches of an epoch; what is left over is dropped. */
  get perEpoch(): number {
    return Math.floor(this.#set.pairs.length / this.#contract.batch);
  }

  /** @throws T3dcError `bad-option` where too few studies can be read; what is no fault of the data */
  batch(key: BatchKey): Promise<BatchImages> {
    const { batch } = this.#contract;
    return this.#made(this.#contract, this.#order(key), key.index * batch, key, this.#options.augment ?? true);
  }

  /** The n-th batch of the set in its own order, not augmented and without options: for measuring. */
  fixed(n: number, seed: number): Promise<BatchImages> {
    const order = Uint32Array.from({ length: this.#set.pairs.length }, (_, i) => i);
    return this.#made(measuredContract(this.#contract), order, n * this.#contract.batch, fixedKey(seed, n), false);
  }

  #order({ seed, epoch }: BatchKey): Uint32Array {
    const name = `${seed}:${epoch}`;
    let order = this.#orders.get(name);
    if (!order) {
      order = epochOrder(this.#set.pairs.length, seed, epoch);
      this.#orders.clear();
      this.#orders.set(name, order);
    }
    return order;
  }

  /** Places from `start` on, each that cannot be read replaced by the next in the order that can. */
  async #made(
    contract: PretrainContract,
    order: Uint32Array,
    start: number,
    key: BatchKey,
    augment: boolean,
  ): Promise<BatchImages> {
    const { batch } = contract;
    const inputs = emptyInputs(contract);
    const items: ImageItem[] = [];
    const taken = new Set<number>();
    const { gain = 0.1, shift = 0.05, corrupt = { kind: 'cutout' } } = this.#options;
    for (let slot = 0; slot < batch; slot++) {
      let study: PreparedStudy | null = null;
      let pair = -1;
      for (let t = 0; t < order.length && !study; t++) {
        pair = order[(start + slot + t) % order.length]!;
        if (!taken.has(pair)) study = await this.#set.study(pair);
      }
      checkEnough(this.#set.readable, batch);
      taken.add(pair);
      const { dims, spacing } = study!;
      const may = studyAugmentation(contract, this.#allows(pair), augment);
      const place = { seed: key.seed, epoch: AUGMENTATION + key.epoch, index: key.index * batch + slot };
      const applied = drawAugmentation({ dims: contract.size, spacing }, may, place);
      const random = itemStream(key, slot);
      const cut = await cutStudy(study!, contract, applied, { gain, shift, corrupt, augment }, random);
      put(inputs, slot, cut);
      if (contract.view) {
        // Always changed, as are views of a crop; where words name a side, both views are mirrored or neither is.
        const free = studyAugmentation(contract, this.#allows(pair), true);
        const drawn = drawAugmentation({ dims: contract.size, spacing }, free, {
          ...place,
          epoch: OTHER_VIEW + key.epoch,
        });
        const [first, ...others] = drawn.flips;
        const flips = [free.lateral === 'free' ? first : applied.flips[0], ...others] as typeof drawn.flips;
        const options = { gain, shift, corrupt, augment: true };
        const tiles = await otherView(study!, contract, { ...drawn, flips }, options, random.fork(10));
        tiles.forEach((tile, k) => {
          inputs.tiles_b!.set(tile, (slot * tiles.length + k) * tile.length);
        });
      }
      const { origins, allTiles } = cut;
      const restored = cut.restored.map((r) => r.place);
      items.push({ pair, dims, spacing, origins, allTiles, restored, sidesSwapped: applied.sidesSwapped });
    }
    return { inputs, items };
  }
}

function emptyInputs(c: PretrainContract): Record<string, Float32Array | Int32Array> {
  const voxels = voxelCount(c.size);
  return {
    ...(c.tiles > 0 ? { tiles: new Float32Array(c.batch * c.tiles * voxels) } : {}),
    ...(c.view ? { tiles_b: new Float32Array(c.batch * c.tiles * voxels) } : {}),
    ...(c.rotation ? { rotation: new Int32Array(c.batch * c.tiles) } : {}),
    ...(c.restored > 0
      ? {
          tiles_corrupt: new Float32Array(c.batch * c.restored * voxels),
          tiles_clean: new Float32Array(c.batch * c.restored * voxels),
          ...(c.attended
            ? { restored_tile: new Int32Array(c.batch * c.restored) }
            : { corrupt_mask: new Int32Array(c.batch * c.restored * voxels) }),
        }
      : {}),
  };
}

function put(into: Readonly<Record<string, Float32Array | Int32Array>>, slot: number, cut: CutTiles): void {
  cut.tiles.forEach((tile, k) => {
    into.tiles!.set(tile, (slot * cut.tiles.length + k) * tile.length);
  });
  if (into.rotation) into.rotation.set(cut.rotation, slot * cut.rotation.length);
  cut.restored.forEach(({ clean, corrupt, mask, place }, r) => {
    const at = (slot * cut.restored.length + r) * clean.length;
    into.tiles_clean!.set(clean, at);
    into.tiles_corrupt!.set(corrupt, at);
    if (mask) into.corrupt_mask!.set(mask, at);
    else into.restored_tile![slot * cut.restored.length + r] = place.tile;
  });
}

function checkEnough(pairs: number, batch: number): void {
  if (pairs >= batch) return;
  throw new T3dcError('bad-option', 'there are too few pairs for a batch', {
    found: `${pairs} pairs that can be used`,
    expected: `at least ${batch}`,
    hint: 'Add pairs, or build the artifact for a smaller batch.',
  });
}
