// The package's front door, for Node and pages: a model on this thread (`open`) or in a worker (`openInWorker`), and what both
// take and give. Adapters for viewers are doors of their own (./niivue, ./cornerstone, ./vtk, ./ohif), as are files (./nifti).
export { DataError } from '../data/errors.ts';
export type { Affine, Dims, Volume, VolumeHeader, VoxelArray } from '../data/index.ts';
export {
  type ArtifactSource,
  type DeviceInfo,
  deviceDescriptor,
  type ErrorCode,
  type Inputs,
  type Manifest,
  type OpenOptions,
  type OpTime,
  type Outputs,
  type Progress,
  type Rename,
  readSafetensors,
  Session,
  T3dcError,
  type TensorData,
  type TensorInput,
  type TrainOptions,
  type TrainStep,
  toFloat32,
  type WeightReport,
  writeSafetensors,
} from '../runtime/index.ts';
export {
  type Segmentation,
  type SegmentationCase,
  type SegmentationContract,
  type SegmentationTasks,
  type SegmentOptions,
  segmentationContract,
  type TrainSegmentationOptions,
  type ValidateOptions,
  type Validation,
} from '../tasks/index.ts';
export { type LocalSession, open } from './open.ts';
export { openInWorker, type WorkerOptions, type WorkerSession } from './open-in-worker.ts';
export type {
  CallOptions,
  LoadWeightsOptions,
  ManifestSummary,
  ModelSession,
  ModelTasks,
  WeightSource,
} from './session.ts';
