// Training an entry on whole studies and their findings. What step s sees depends on (seed, s, place in the batch) alone.
import { auroc, meanOf, voxelCount } from '../data/index.ts';
import { type Inputs, type Session, T3dcError, type TrainOptions } from '../runtime/index.ts';
import {
  type ClassificationSample,
  ClassificationSampler,
  type ClassificationSampling,
} from './classification-samples.ts';
import { classifyStudies } from './classify.ts';
import { pause } from './pause.ts';
import { type FedStep, fed, inlineFeed, type OpenFeed, type SampleFeed } from './sample-feed.ts';
import { caseOf } from './segmentation-samples.ts';
import { type StudyContract, studyContract } from './study-contract.ts';
import type { ReadingOptions, StudySource } from './study-input.ts';

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
  /** Samples of the same studies made elsewhere. Default: made here, when they are asked for. */
  readonly feed?: OpenFeed<ClassificationSample>;
}

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
): AsyncGenerator<FedStep, void, void> {
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
  const perStep = accumulation * contract.batch;
  const [first, total] = [session.step * perStep, left * perStep];
  const feed = options.feed?.(first, total) ?? ownFeed(studies, { ...options, contract, seed, perStep }, first);
  const batches = studyTrainingBatches(feed, contract, studies, (note) => options.onNote?.(note));
  yield* fed(
    feed,
    session.train(entry, batches, { steps: left, lr, schedule, signal, accumulation, seed }),
    session.step,
  );
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

function ownFeed(
  studies: readonly LabelledStudy[],
  sampling: ClassificationSampling,
  first: number,
): SampleFeed<ClassificationSample> {
  const sampler = new ClassificationSampler(studies, sampling);
  const itemOf = (n: number): number => caseOf(n, studies.length, sampling.seed);
  return inlineFeed(first, itemOf, (n) => sampler.sample(n, itemOf(n)));
}

/** The batches that a feed's samples make, without end. */
async function* studyTrainingBatches(
  feed: SampleFeed<ClassificationSample>,
  contract: StudyContract,
  studies: readonly LabelledStudy[],
  onNote: (note: string) => void,
): AsyncGenerator<Inputs, void, void> {
  const each = contract.tiles * voxelCount(contract.size);
  const count = studies[0]!.target.length;
  const told = new Set<string>();
  for (;;) {
    await pause();
    const tiles = new Float32Array(contract.batch * each);
    const target = new Float32Array(contract.batch * count);
    for (let b = 0; b < contract.batch; b++) {
      const { item, sample } = await feed.next();
      for (const note of sample.notes) {
        if (!told.has(note)) onNote(note);
        told.add(note);
      }
      tiles.set(sample.tiles, b * each);
      // Below 0: not known.
      target.set(
        studies[item]!.target.map((t) => (Number.isNaN(t) ? -1 : t)),
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
