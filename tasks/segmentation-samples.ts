// A crop of a labelled scan and its augmentation: what sample n of a training is, wherever it is made. It follows from (seed, n) alone.
import { AUGMENT, type AugmentOptions, augment } from '../data/augment.ts';
import { type CropChoice, chooseCropFrom } from '../data/crops.ts';
import { epochOrder } from '../data/epoch-order.ts';
import { stream } from '../data/random.ts';
import { CaseCache, cutCase, type SegmentationCase } from './cases.ts';
import type { SegmentationContract } from './contract.ts';
import { lateralityOf } from './laterality.ts';

/** A plain object: it may go to other threads. */
export interface SegmentationSampling {
  readonly contract: SegmentationContract;
  readonly seed: number;
  /** Samples of an optimiser step. */
  readonly perStep: number;
  /** Default: half of the crops centred on a labelled voxel. */
  readonly crops?: CropChoice;
  /** Changes to AUGMENT; `lateral` follows from the class names. */
  readonly augment?: Partial<AugmentOptions>;
  /** Prepared volumes kept in memory. Default 2 GiB. */
  readonly cacheBytes?: number;
}

export interface SegmentationSample {
  /** [d h w], 0..1 */
  readonly image: Float32Array;
  readonly label: Uint8Array;
  /** Per class: 1 where the whole case has a voxel of it, wherever the crop lies. */
  readonly present: Uint8Array;
  /** Things worth knowing, perhaps not for the first time. */
  readonly notes: readonly string[];
}

/** Streams of one seed that must not meet: each begins with a number of its own. The order of cases is `epochOrder`'s. */
const CROP = 0x0002;
const CACHE = 2 * 2 ** 30;

export class SegmentationSampler {
  readonly #cases: readonly SegmentationCase[];
  readonly #sampling: SegmentationSampling;
  readonly #cache: CaseCache;
  #notes: string[] = [];

  constructor(cases: readonly SegmentationCase[], sampling: SegmentationSampling) {
    this.#cases = cases;
    this.#sampling = sampling;
    this.#cache = new CaseCache(sampling.contract, sampling.cacheBytes ?? CACHE, (note) => this.#notes.push(note));
  }

  /** @throws DataError of `prepare`, `LabelIndex` and `PreparedScan`, the case named */
  async sample(number: number, item: number): Promise<SegmentationSample> {
    const { contract, seed, perStep, crops = { kind: 'foreground', positive: 0.5 } } = this.#sampling;
    const [step, place] = [Math.floor(number / perStep), number % perStep];
    const c = await this.#cache.open(this.#cases[item]!);
    const box = await chooseCropFrom(c.dims, contract.patch, crops, stream(seed, CROP, step, place), c.places);
    const crop = await cutCase(c, box);
    const changes = { ...AUGMENT, lateral: lateralityOf(contract.classNames), ...this.#sampling.augment };
    const { sample } = augment({ ...crop, dims: contract.patch, spacing: c.spacing }, changes, {
      seed,
      epoch: step,
      index: place,
    });
    const notes = this.#notes;
    this.#notes = [];
    const present = Uint8Array.from(c.places.counts, (n) => (n > 0 ? 1 : 0));
    return { image: sample.image, label: sample.label!, present, notes };
  }
}

/** Every case once an epoch, in an order of the epoch's own. */
export const caseOf = (number: number, cases: number, seed: number): number =>
  epochOrder(cases, seed, Math.floor(number / cases))[number % cases]!;
