// NIfTI files in and out: a door of its own, since a viewer has its volume already.
export { DataError } from '../data/errors.ts';
export { type ReadOptions, readNifti } from '../data/nifti.ts';
export { type WriteOptions, writeNifti } from '../data/nifti-write.ts';
export type { Volume } from '../data/volume.ts';
