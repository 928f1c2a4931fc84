// The data room: from files of CT to the model's input and back. Pure TypeScript for Node and browsers; what needs a file
// system is in data/node.ts. Imports nothing of the other rooms.

export { type Affine, diagonalAffine, spacingOf, type Vec3 } from './affine.ts';
export { type Applied, AUGMENT, type AugmentOptions, augment, type Sample } from './augment.ts';
export { blendWindows, segmentWindows } from './blend.ts';
export { type ComponentOptions, connectedComponents, keepLargest } from './components.ts';
export { type Corrupted, type CorruptionKind, type CorruptOptions, corruptTile } from './corrupt.ts';
export { type CropChoice, chooseCrop, cropPair, LabelIndex } from './crops.ts';
export { type DicomSegOptions, type DicomSeries, writeDicomSeg } from './dicom-seg.ts';
export { DataError, isDataError } from './errors.ts';
export { foregroundBox } from './foreground.ts';
export { applyWindow, type HuWindow, WINDOWS } from './intensity.ts';
export {
  auroc,
  averagePrecision,
  macroAuroc,
  macroAveragePrecision,
  oneVsRest,
  type PerClass,
} from './metrics/auroc.ts';
export {
  type BootstrapOptions,
  bootstrapByPatient,
  type Interval,
  type NestedBootstrapOptions,
  nestedBootstrap,
  quantile,
} from './metrics/bootstrap.ts';
export { brier, type Calibration, type CalibrationBin, calibration } from './metrics/calibration.ts';
export { type DiceResult, dice, dicePerClass, meanOf, showDice } from './metrics/dice.ts';
export { FROC_RATES, type Froc, type FrocScan, froc, frocScan } from './metrics/froc.ts';
export {
  type LesionComponent,
  type LesionMatches,
  type LesionOptions,
  type LesionScore,
  lesionScores,
  matchLesions,
} from './metrics/lesions.ts';
export { fitLogistic, type LogisticModel, type LogisticOptions, predictLogistic } from './metrics/logistic.ts';
export {
  chooseThreshold,
  type OperatingPoint,
  type OperatingRule,
  operatingPoint,
} from './metrics/operating-point.ts';
export { holm, type SignFlipResult, signFlipTest } from './metrics/paired.ts';
export { type RetrievalOptions, type RetrievalScore, rankScores, retrieval } from './metrics/retrieval.ts';
export { type SurfaceOptions, type SurfaceResult, surfaceDistances } from './metrics/surface.ts';
export { type Mirrors, withMirrors } from './mirrors.ts';
export { type ReadOptions, readNifti } from './nifti.ts';
export { type WriteOptions, writeNifti } from './nifti-write.ts';
export {
  axisCodes,
  type Orientation,
  orientationOf,
  reorient,
  restoreOrientation,
  toCanonical,
} from './orientation.ts';
export { type Box, cut, cutArray, padTo } from './pad.ts';
export {
  type Lesion,
  ORGAN_LABELS,
  PHANTOM_LABELS,
  type Phantom,
  type PhantomOptions,
  type PhantomReport,
  type PhantomTruth,
  phantom,
  phantomClasses,
  type Statement,
} from './phantom.ts';
export {
  PART_KINDS,
  PART_LABELS,
  PART_ORGANS,
  PART_SIZE,
  PART_SPACING,
  PART_STATIONS,
  PART_TILE,
  PART_WINDOW,
  type PartKind,
  type PartLesion,
  type PartOptions,
  type PartOrgan,
  type PartOrganName,
  type PartReport,
  type PartStatement,
  type PartStudy,
  type PartTruth,
  partLabels,
  partOrganLabels,
  phantomPart,
} from './phantom-part.ts';
export { drawPicture, type PictureOptions, type PictureRow, pictureOf } from './picture.ts';
export {
  ABDOMEN,
  type Placement,
  type Prepared,
  type Preprocess,
  prepare,
  preprocessFrom,
  remapLabels,
} from './prepare.ts';
export { normalOf, RandomStream, stream, threefry, uniformOf } from './random.ts';
export { gridAtSpacing, resampleImage, resampleLabels, resampleLinear, resampleNearest } from './resample.ts';
export { type ProbabilitySlab, type ScanOptions, segmentScan } from './segment-scan.ts';
export {
  checkVolume,
  type Dims,
  type Volume,
  type VolumeHeader,
  type VoxelArray,
  volumeSpacing,
  voxelCount,
} from './volume.ts';
export { importanceMap, type Predict, type WindowOptions, windowStarts } from './windows.ts';
