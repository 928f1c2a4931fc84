// Training an entry on labelled scans. What step s sees depends on (seed, s, place in the batch) alone: a run that was stopped
// goes on exactly as it would have.
import {
  AUGMENT,
  type AugmentOptions,
  augment,
  type CropChoice,
  chooseCrop,
  cropPair,
  dice,
  dicePerClass,
  meanOf,
  stream,
} from '../data/index.ts';
import { type Inputs, type Session, T3dcError, type TrainOptions, type TrainStep } from '../runtime/index.ts';
import { CaseCache, type PreparedCase, type SegmentationCase } from './cases.ts';
import { lossEntry, type SegmentationContract, segmentationContract } from './contract.ts';
import { lateralityOf } from './laterality.ts';
import { pause } from './pause.ts';
import { segmentPrepared } from './segment.ts';

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
}

const CACHE = 2 * 2 ** 30;

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
): AsyncGenerator<TrainStep, void, void> {
  const contract = segmentationContract(session.manifest);
  lossEntry(session, contract, entry);
  if (cases.length === 0)
    throw new T3dcError('bad-option', 'there is nothing to train on', { found: 'no cases', expected: 'at least one' });
  const left = options.steps - session.step;
  if (left <= 0) return;
  const { lr, schedule, signal, readEvery, accumulation = 1, seed = 0 } = options;
  const batches = segmentationBatches(session, entry, cases, { ...options, accumulation, seed });
  yield* session.train(entry, batches, { steps: left, lr, schedule, signal, readEvery, accumulation, seed });
}

/** The batches from the session's step on, without end. */
async function* segmentationBatches(
  session: Session,
  entry: string,
  cases: readonly SegmentationCase[],
  options: TrainSegmentationOptions & { readonly accumulation: number; readonly seed: number },
): AsyncGenerator<Inputs, void, void> {
  const contract = segmentationContract(session.manifest);
  const ports = lossEntry(session, contract, entry);
  const cache = new CaseCache(contract, options.cacheBytes ?? CACHE);
  const voxels = contract.patch.reduce((a, b) => a * b, 1);
  const told = new Set<string>();
  for (let step = session.step; ; step++) {
    await pause();
    for (let micro = 0; micro < options.accumulation; micro++) {
      const volume = new Float32Array(ports.batch * voxels);
      const label = new Int32Array(ports.batch * voxels);
      for (let b = 0; b < ports.batch; b++) {
        const place = micro * ports.batch + b;
        const number = step * options.accumulation * ports.batch + place;
        const from = cases[caseOf(number, cases.length, options.seed)]!;
        const sample = await drawSample(cache, from, contract, options, step, place, (note) => {
          if (!told.has(note)) options.onNote?.(note);
          told.add(note);
        });
        volume.set(sample.image, b * voxels);
        label.set(sample.label, b * voxels);
      }
      yield { [ports.volume]: volume, [ports.label]: label };
    }
  }
}

/** Every case once an epoch, in an order of the epoch's own. */
export function caseOf(number: number, cases: number, seed: number): number {
  const random = stream(seed, ORDER, Math.floor(number / cases));
  const order = Array.from({ length: cases }, (_, c) => c);
  // Fisher and Yates
  for (let i = cases - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order[number % cases]!;
}

/** Streams of one seed that must not meet: each begins with a number of its own. */
const ORDER = 0x0001;
const CROP = 0x0002;

async function drawSample(
  cache: CaseCache,
  from: SegmentationCase,
  contract: SegmentationContract,
  options: TrainSegmentationOptions & { readonly seed: number },
  step: number,
  place: number,
  tell: (note: string) => void,
): Promise<{ image: Float32Array; label: Uint8Array }> {
  const c = await cache.get(from);
  for (const note of c.notes) tell(`${c.name}: ${note}`);
  const crops = options.crops ?? { kind: 'foreground', positive: 0.5 };
  const box = chooseCrop(c.dims, contract.patch, crops, stream(options.seed, CROP, step, place), c.index);
  const crop = cropPair(c.image, c.label, c.dims, box);
  const changes = { ...AUGMENT, lateral: lateralityOf(contract.classNames), ...options.augment };
  const { sample } = augment(
    { image: crop.image, label: crop.label!, dims: contract.patch, spacing: c.spacing },
    changes,
    {
      seed: options.seed,
      epoch: step,
      index: place,
    },
  );
  return { image: sample.image, label: sample.label! };
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
