// A whole study as its tiles, augmented: what sample n of a training on findings is, wherever it is made. It follows from (seed, n)
// alone.
import { AUGMENT, applyAugmentation, drawAugmentation } from '../data/augment.ts';
import { augmentationOf } from '../data/lateral-words.ts';
import { stream } from '../data/random.ts';
import { changeIntensity } from '../data/study-tiles.ts';
import { voxelCount } from '../data/volume.ts';
import type { StudyContract } from './study-contract.ts';
import { StudyCache, type StudySource, tilesOf } from './study-input.ts';

/** A plain object: it may go to other threads. */
export interface ClassificationSampling {
  readonly contract: StudyContract;
  readonly seed: number;
  /** Samples of an optimiser step. */
  readonly perStep: number;
  /** Names of the findings: where one names a side, nothing is mirrored. */
  readonly findings: readonly string[];
  /** Default true. */
  readonly augment?: boolean;
  /** Prepared studies kept in memory. Default 2 GiB. */
  readonly cacheBytes?: number;
}

export interface ClassificationSample {
  /** [k d h w], 0..1 */
  readonly tiles: Float32Array;
  /** Things worth knowing, perhaps not for the first time. */
  readonly notes: readonly string[];
}

const CACHE = 2 * 2 ** 30;
/** Intensities are multiplied by 1 ± GAIN and moved by ± SHIFT, as in pre-training. */
const GAIN = 0.1;
const SHIFT = 0.05;
/** Streams of one seed that must not meet. */
const TILES = 0x0202;
const INTENSITY = 0x0203;

export class ClassificationSampler {
  readonly #studies: readonly StudySource[];
  readonly #sampling: ClassificationSampling;
  readonly #cache: StudyCache;
  readonly #said: ReturnType<typeof augmentationOf>;
  #notes: string[] = [];

  constructor(studies: readonly StudySource[], sampling: ClassificationSampling) {
    this.#studies = studies;
    this.#sampling = sampling;
    this.#cache = new StudyCache(sampling.contract, sampling.cacheBytes ?? CACHE, (note) => this.#notes.push(note));
    this.#said = augmentationOf(sampling.findings.map((name) => name.replace(/[_-]+/g, ' ')));
  }

  /** @throws DataError of a study that cannot be read, the study named */
  async sample(number: number, item: number): Promise<ClassificationSample> {
    const { contract, seed, perStep } = this.#sampling;
    const [step, place] = [Math.floor(number / perStep), number % perStep];
    const voxels = voxelCount(contract.size);
    const study = await this.#cache.get(this.#studies[item]!);
    const { tiles, all } = await tilesOf(study, contract, stream(seed, TILES, step, place));
    // A study is turned as a whole; what is pooled does not know where a tile lay.
    const { spacing } = study;
    const may = { ...AUGMENT, shiftChance: 0, ...this.#said };
    const applied = drawAugmentation({ dims: contract.size, spacing }, may, { seed, epoch: step, index: place });
    // Those that only fill up stay empty.
    const filled = this.#sampling.augment === false ? 0 : Math.min(contract.tiles, all);
    for (let k = 0; k < filled; k++) {
      const at = tiles.subarray(k * voxels, (k + 1) * voxels);
      const { image } = applyAugmentation({ image: at, dims: contract.size, spacing }, applied, { lateral: 'free' });
      changeIntensity(image, GAIN, SHIFT, stream(seed, INTENSITY, step, place, k));
      at.set(image);
    }
    const notes = this.#notes;
    this.#notes = [];
    return { tiles, notes };
  }
}
