// The tasks of an opened artifact that declares a segmentation contract: what `session.tasks` is in its index.js.
import type { Volume } from '../data/index.ts';
import type { Session, TrainStep } from '../runtime/index.ts';
import type { SegmentationCase } from './cases.ts';
import { type Segmentation, type SegmentOptions, segment } from './segment.ts';
import {
  type TrainSegmentationOptions,
  trainSegmentation,
  type ValidateOptions,
  type Validation,
  validateSegmentation,
} from './train-segmentation.ts';

export interface SegmentationTasks {
  /** A scan in HU of any size, spacing and orientation to class ids on its own grid. */
  segment(volume: Volume, options?: SegmentOptions): Promise<Segmentation>;
  /** Trains the entry (default `segment`) on labelled scans; yields after each optimiser step. */
  train(
    cases: readonly SegmentationCase[],
    options: TrainSegmentationOptions & { readonly entry?: string },
  ): AsyncGenerator<TrainStep, void, void>;
  /** Dice of whole labelled scans. */
  validate(cases: readonly SegmentationCase[], options?: ValidateOptions): Promise<Validation>;
}

export const segmentationTasks = (session: Session): SegmentationTasks => ({
  segment: (volume, options) => segment(session, volume, options),
  train: (cases, options) => trainSegmentation(session, options.entry ?? 'segment', cases, options),
  validate: (cases, options) => validateSegmentation(session, cases, options),
});
