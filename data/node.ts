// The part of the data room that needs a file system (Node). Everything else in this room also runs in a browser.

export { type Case, type Dataset, type DatasetOptions, datasetClasses, datasetFrom, splitCases } from './dataset.ts';
export { type DicomListing, listDicom, type ReadDicomOptions, readDicom } from './dicom/folder.ts';
export { seriesUnder } from './dicom-source.ts';
export { type ReadVolumeOptions, readBytes, readJson, readVolume, writeFileAtomic, writeVolume } from './files.ts';
export type { PairColumns, PairField } from './pair-fields.ts';
export { type Pair, type PairOptions, type Pairs, readPairs, type SkippedPair, type SkipReason } from './pairs.ts';
export { type PartSetOptions, type PhantomSetOptions, writePartSet, writePhantomSet } from './phantom-set.ts';
export { type PreparedSet, type PreparedStudy, type PrepareSetOptions, prepareSet } from './prepare-set.ts';
export { ProbabilityFiles, type ProbabilityType } from './probability-files.ts';
export { type ReportSet, type ReportSetOptions, refuseInPlace, writeReports } from './report-set.ts';
export { type Report, type Reports, readReports } from './reports.ts';
export { readSplits } from './splits-file.ts';
export { fileStore, writeOmeZarr } from './zarr-files.ts';
