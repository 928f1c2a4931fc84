// The compiler's front door.
export { build, type BuildOptions, type Built } from './build.ts';
export { loadModel } from './models.ts';
export { writeArtifact, zipArtifact } from './write.ts';
