// Training an entry on labelled scans. What step s sees depends on (seed, s, place in the batch) alone: a run that was stopped
// goes on exactly as it would have.
import { type AugmentOptions, type CropChoice, dice, dicePerClass, meanOf, voxelCount } from '../data/index.ts';
import { type Inputs, type Session, T3dcError, type TrainOptions } from '../runtime/index.ts';
import { CaseCache, type PreparedCase, type SegmentationCase } from './cases.ts';
import { lossEntry, type SegmentationLossEntry, segmentationContract } from './contract.ts';
import { pause } from './pause.ts';
import { type FedStep, fed, inlineFeed, type OpenFeed, type SampleFeed } from './sample-feed.ts';
import { segmentPrepared } from './segment.ts';
import {
  caseOf,
  type SegmentationSample,
  SegmentationSampler,
  type SegmentationSampling,
} from './segmentation-samples.ts';

export interface TrainSegmentationOptions extends Pick<TrainOptions, 'lr' | 'schedule' | 'signal' | 'readEvery'> {
  /** Optimiser step at which the run ends, counted from the session's first. */
  readonly steps: number;
  /** Of weights that are not there yet, of crops and of augmentation. Default 0. */
  readonly seed?: number;
  /** Batches per optimiser step. Default 1. */
  readonly accumulation?: number;
  /** Default: half of the crops centred on a labelled voxel. */
  readonly crops?: CropChoice;
  /** Changes to AUGMENT; `lateral` follows from the class names. */
  readonly augment?: Partial<AugmentOptions>;
  /** Prepared volumes kept in memory. Default 2 GiB. */
  readonly cacheBytes?: number;
  /** Things worth knowing about a case, once each. */
  readonly onNote?: (note: string) => void;
  /** Told once every case was seen: classes, background aside, that none of them has. They cannot be learned. */
  readonly onAbsent?: (classes: readonly string[]) => void;
  /** Samples of the same cases made elsewhere. Default: made here, when they are asked for. */
  readonly feed?: OpenFeed<SegmentationSample>;
}

/**
 * Trains `entry` (volume f32[b 1 d h w] and label i32[b 1 d h w] → loss) from the session's step up to `steps`; yields after
 * each optimiser step. Continue a checkpoint by loading it into the session first and passing the same options.
 *
 * @throws T3dcError `bad-option`, `bad-artifact`, `no-entry`, `not-trainable`, `non-finite-loss`, `aborted`; DataError of
 *   `prepare` and `LabelIndex`, the case named
 */
export async function* trainSegmentation(
  session: Session,
  entry: string,
  cases: readonly SegmentationCase[],
  options: TrainSegmentationOptions,
): AsyncGenerator<FedStep, void, void> {
  const contract = segmentationContract(session.manifest);
  const ports = lossEntry(session, contract, entry);
  if (cases.length === 0)
    throw new T3dcError('bad-option', 'there is nothing to train on', { found: 'no cases', expected: 'at least one' });
  const left = options.steps - session.step;
  if (left <= 0) return;
  const { lr, schedule, signal, readEvery, accumulation = 1, seed = 0 } = options;
  const perStep = accumulation * ports.batch;
  const [first, count] = [session.step * perStep, left * perStep];
  const feed = options.feed?.(first, count) ?? ownFeed(cases, { ...options, contract, seed, perStep }, first);
  const voxels = voxelCount(contract.patch);
  const presence = new ClassPresence(contract.classNames, cases.length, (names) => options.onAbsent?.(names));
  const batches = segmentationBatches(feed, ports, voxels, presence, (note) => options.onNote?.(note));
  const steps = session.train(entry, batches, { steps: left, lr, schedule, signal, readEvery, accumulation, seed });
  yield* fed(feed, steps, session.step);
}

function ownFeed(
  cases: readonly SegmentationCase[],
  sampling: SegmentationSampling,
  first: number,
): SampleFeed<SegmentationSample> {
  const sampler = new SegmentationSampler(cases, sampling);
  const itemOf = (n: number): number => caseOf(n, cases.length, sampling.seed);
  return inlineFeed(first, itemOf, (n) => sampler.sample(n, itemOf(n)));
}

/** The batches that a feed's samples make, without end. */
async function* segmentationBatches(
  feed: SampleFeed<SegmentationSample>,
  ports: SegmentationLossEntry,
  voxels: number,
  presence: ClassPresence,
  onNote: (note: string) => void,
): AsyncGenerator<Inputs, void, void> {
  const told = new Set<string>();
  for (;;) {
    await pause();
    const volume = new Float32Array(ports.batch * voxels);
    const label = new Int32Array(ports.batch * voxels);
    for (let b = 0; b < ports.batch; b++) {
      const { item, sample } = await feed.next();
      presence.take(item, sample.present);
      volume.set(sample.image, b * voxels);
      label.set(sample.label, b * voxels);
      for (const note of sample.notes) {
        if (!told.has(note)) onNote(note);
        told.add(note);
      }
    }
    yield { [ports.volume]: volume, [ports.label]: label };
  }
}

/** Which classes the cases have, as they are seen one by one. */
class ClassPresence {
  readonly #names: readonly string[];
  readonly #left: Set<number>;
  readonly #absent: Set<number>;
  readonly #onAbsent: (names: readonly string[]) => void;

  constructor(names: readonly string[], cases: number, onAbsent: (names: readonly string[]) => void) {
    this.#names = names;
    this.#left = new Set(Array(cases).keys());
    this.#absent = new Set([...names.keys()].slice(1));
    this.#onAbsent = onAbsent;
  }

  take(item: number, present: Uint8Array): void {
    if (!this.#left.delete(item)) return;
    for (const c of this.#absent) if (present[c]) this.#absent.delete(c);
    if (this.#left.size === 0 && this.#absent.size > 0) this.#onAbsent([...this.#absent].map((c) => this.#names[c]!));
  }
}

export interface Validation {
  /** Mean Dice per class over the cases, NaN where it occurs in none. */
  readonly dice: readonly number[];
  /** Mean over the classes from 1 up that occur. */
  readonly mean: number;
  readonly perClass: ReturnType<typeof dicePerClass>;
  readonly classNames: readonly string[];
}

export interface ValidateOptions {
  readonly overlap?: number;
  readonly onProgress?: (done: number, total: number) => void;
  /** Each case with what was found: labels on its prepared grid, and Dice per class, NaN where it is absent. */
  readonly onCase?: (found: {
    readonly case: PreparedCase;
    readonly labels: Uint8Array | Uint16Array;
    readonly dice: readonly number[];
  }) => void;
  readonly signal?: AbortSignal;
}

/** Segments whole cases in sliding windows and compares on the prepared grid. @throws as `segment` */
export async function validateSegmentation(
  session: Session,
  cases: readonly SegmentationCase[],
  options: ValidateOptions = {},
): Promise<Validation> {
  const contract = segmentationContract(session.manifest);
  const cache = new CaseCache(contract, 0);
  const all: (readonly number[])[] = [];
  for (const [n, from] of cases.entries()) {
    const c = await cache.get(from);
    const labels = await segmentPrepared(session, c, {
      overlap: options.overlap,
      signal: options.signal,
      onProgress: (done, total) => options.onProgress?.(n * total + done, cases.length * total),
    });
    const found = dice(labels, c.label, contract.classes).dice;
    options.onCase?.({ case: c, labels, dice: found });
    all.push(found);
  }
  const perClass = dicePerClass(all);
  const means = perClass.map((c) => c.mean);
  return { dice: means, mean: meanOf(means.slice(1)).mean, perClass, classNames: contract.classNames };
}
