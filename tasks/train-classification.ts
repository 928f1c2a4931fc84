// Training an entry on whole studies and their findings. What step s sees depends on (seed, s, place in the batch) alone.
import { applyAugmentation, drawAugmentation } from '../data/augment.ts';
import { AUGMENT, auroc, meanOf, stream, voxelCount } from '../data/index.ts';
import { augmentationOf } from '../data/lateral-words.ts';
import { changeIntensity } from '../data/study-tiles.ts';
import { type Inputs, type Session, T3dcError, type TrainOptions, type TrainStep } from '../runtime/index.ts';
import { classifyStudies } from './classify.ts';
import { pause } from './pause.ts';
import { type StudyContract, studyContract } from './study-contract.ts';
import { type ReadingOptions, StudyCache, type StudySource, tilesOf } from './study-input.ts';
import { caseOf } from './train-segmentation.ts';

export interface LabelledStudy extends StudySource {
  /** Per finding: 1, 0, or NaN where it is not known. */
  readonly target: readonly number[];
}

export interface TrainClassificationOptions extends Pick<TrainOptions, 'lr' | 'schedule' | 'signal'> {
  /** Optimiser step at which the run ends, counted from the session's first. */
  readonly steps: number;
  readonly seed?: number;
  /** Batches per optimiser step. Default 1. */
  readonly accumulation?: number;
  /** Names of the findings: where one names a side, nothing is mirrored. */
  readonly findings: readonly string[];
  /** Default true. */
  readonly augment?: boolean;
  /** Prepared studies kept in memory. Default 2 GiB. */
  readonly cacheBytes?: number;
  readonly onNote?: (note: string) => void;
}

const CACHE = 2 * 2 ** 30;
/** Intensities are multiplied by 1 ± GAIN and moved by ± SHIFT, as in pre-training. */
const GAIN = 0.1;
const SHIFT = 0.05;
/** Streams of one seed that must not meet. */
const TILES = 0x0202;
const INTENSITY = 0x0203;

/**
 * Trains `entry` (tiles [b k 1 d h w] and target [b f] -> loss) from the session's step up to `steps`.
 * @throws T3dcError `bad-option`, `bad-artifact`, `no-entry`, `not-trainable`, `non-finite-loss`, `aborted`; DataError of a study that
 *   cannot be read, the study named
 */
export async function* trainClassification(
  session: Session,
  entry: string,
  studies: readonly LabelledStudy[],
  options: TrainClassificationOptions,
): AsyncGenerator<TrainStep, void, void> {
  const contract = studyContract(session.manifest, entry);
  const count = targetsOf(session, entry);
  if (studies.length === 0)
    throw new T3dcError('bad-option', 'there is nothing to train on', {
      found: 'no studies',
      expected: 'at least one',
    });
  const wrong = studies.find((s) => s.target.length !== count);
  if (wrong)
    throw new T3dcError('bad-option', `${wrong.name} has other findings than the entry ${entry}`, {
      found: `${wrong.target.length}`,
      expected: `${count}`,
    });
  const left = options.steps - session.step;
  if (left <= 0) return;
  const { lr, schedule, signal, accumulation = 1, seed = 0 } = options;
  const batches = studyTrainingBatches(session.step, contract, studies, { ...options, accumulation, seed });
  yield* session.train(entry, batches, { steps: left, lr, schedule, signal, accumulation, seed });
}

/** Findings of the entry's targets. */
function targetsOf(session: Session, entry: string): number {
  const target = session.trainable(entry).inputs.find((p) => p.name === 'target');
  if (target?.shape.length === 2) return target.shape[1]!;
  throw new T3dcError('bad-artifact', `the entry ${entry} does not train on findings`, {
    found: session
      .entry(entry)
      .inputs.map((p) => `${p.name}[${p.axes.join(' ')}]`)
      .join(', '),
    expected: 'inputs tiles [b k c d h w] and target [b f]',
    hint: 'Name the entry classify of a T3D.',
  });
}

/** Without end. */
export async function* studyTrainingBatches(
  from: number,
  contract: StudyContract,
  studies: readonly LabelledStudy[],
  options: TrainClassificationOptions & { readonly accumulation: number; readonly seed: number },
): AsyncGenerator<Inputs, void, void> {
  const { seed, accumulation } = options;
  const cache = new StudyCache(contract, options.cacheBytes ?? CACHE);
  const voxels = voxelCount(contract.size);
  const count = studies[0]!.target.length;
  const said = augmentationOf(options.findings.map((name) => name.replace(/[_-]+/g, ' ')));
  const told = new Set<string>();
  for (let step = from; ; step++)
    for (let micro = 0; micro < accumulation; micro++) {
      await pause();
      const tiles = new Float32Array(contract.batch * contract.tiles * voxels);
      const target = new Float32Array(contract.batch * count);
      for (let b = 0; b < contract.batch; b++) {
        const place = micro * contract.batch + b;
        const number = step * accumulation * contract.batch + place;
        const source = studies[caseOf(number, studies.length, seed)]!;
        const study = await cache.get(source);
        for (const note of study.notes) {
          const line = `${source.name}: ${note}`;
          if (!told.has(line)) options.onNote?.(line);
          told.add(line);
        }
        const cut = await tilesOf(study, contract, stream(seed, TILES, step, place));
        const key = { seed, epoch: step, index: place };
        // A study is turned as a whole; what is pooled does not know where a tile lay.
        const applied = drawAugmentation(
          { dims: contract.size, spacing: study.spacing },
          { ...AUGMENT, shiftChance: 0, ...said },
          key,
        );
        for (let k = 0; k < contract.tiles; k++) {
          let tile: Float32Array = cut.tiles.subarray(k * voxels, (k + 1) * voxels);
          // Those that only fill up stay empty.
          if (options.augment !== false && k < cut.all) {
            const sample = { image: tile, dims: contract.size, spacing: study.spacing };
            tile = applyAugmentation(sample, applied, { lateral: 'free' }).image;
            changeIntensity(tile, GAIN, SHIFT, stream(seed, INTENSITY, step, place, k));
          }
          tiles.set(tile, (b * contract.tiles + k) * voxels);
        }
        // Below 0: not known.
        target.set(
          source.target.map((t) => (Number.isNaN(t) ? -1 : t)),
          b * count,
        );
      }
      yield { tiles, target };
    }
}

export interface ClassificationValidation {
  /** Area under the ROC curve of each finding; NaN where there is no positive or no negative. */
  readonly auroc: readonly number[];
  /** Mean over the findings that have one. */
  readonly macro: number;
  /** Mean binary cross-entropy over what is known. */
  readonly loss: number;
  readonly studies: number;
}

/** Scores the studies and compares with what is known of them. @throws as `classifyStudies` */
export async function validateClassification(
  session: Session,
  studies: readonly LabelledStudy[],
  options: ReadingOptions = {},
): Promise<ClassificationValidation> {
  const found = await classifyStudies(session, studies, options);
  const count = studies[0]?.target.length ?? 0;
  const aurocs = Array.from({ length: count }, (_, f) => {
    const known = found.filter((c) => !Number.isNaN(c.study.target[f]!));
    return auroc(
      known.map((c) => c.scores[f]!),
      known.map((c) => c.study.target[f]!),
    );
  });
  let sum = 0;
  let known = 0;
  for (const { study, scores } of found)
    study.target.forEach((t, f) => {
      if (Number.isNaN(t)) return;
      const p = Math.min(1 - LEAST, Math.max(LEAST, scores[f]!));
      sum -= t * Math.log(p) + (1 - t) * Math.log(1 - p);
      known++;
    });
  return { auroc: aurocs, macro: meanOf(aurocs).mean, loss: sum / known, studies: found.length };
}

/** Probabilities of f32 reach 0 and 1. */
const LEAST = 1e-7;
