// Tasks: the runtime composed with the data room. Browser-safe; the command line tool and an artifact's `tasks` are made of them.
export { type SegmentationTasks, segmentationTasks } from './attach.ts';
export type { SegmentationCase } from './cases.ts';
export { type SegmentationContract, segmentationContract } from './contract.ts';
export { lateralityOf } from './laterality.ts';
export { type Segmentation, type SegmentOptions, segment } from './segment.ts';
export {
  type TrainSegmentationOptions,
  trainSegmentation,
  type ValidateOptions,
  type Validation,
  validateSegmentation,
} from './train-segmentation.ts';
