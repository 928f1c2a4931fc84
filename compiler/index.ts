// The compiler's front door.
export { type BuildOptions, type Built, build } from './build.ts';
export { loadModel } from './models.ts';
export { readTables, shippedTables, type TunedKernel, TuningError, type TuningTable } from './tuning.ts';
export { writeArtifact, zipArtifact } from './write.ts';
