// What a file of weights has of a model, counted and told alike by every command that takes one.
import { matchWeights } from '../runtime/checkpoint.ts';
import { type Manifest, readSafetensors, type WeightReport } from '../runtime/index.ts';

export interface WeightCounts {
  /** Parameters that the file has, of how many. */
  readonly loaded: number;
  readonly parameters: number;
  /** How many of them by the names of another project. */
  readonly dialects: Readonly<Record<string, number>>;
  /** Parameters that it lacks, and those that it has in another shape. */
  readonly missing: number;
  readonly otherShape: number;
  /** Tensors of the file that nothing takes: unknown ones, and those that are known not to be of this artifact (buffers, heads). */
  readonly unknown: number;
  readonly leftOut: number;
}

export const weightCounts = (report: WeightReport, manifest: Manifest): WeightCounts => ({
  loaded: report.matched.length,
  parameters: manifest.parameters.length,
  dialects: Object.fromEntries(report.dialects.map((d) => [d.name, d.tensors])),
  missing: report.missing.length,
  otherShape: report.shapeMismatch.length,
  unknown: report.unexpected.length,
  leftOut: report.ignored.length,
});

/** Lines on what matched, and on what did not with the first names of each kind. */
export function showWeights(path: string, report: WeightReport, manifest: Manifest, done = 'loaded'): string[] {
  const { matched, missing, shapeMismatch, unexpected, ignored, dialects } = report;
  const some = (what: string, names: readonly string[]): string[] =>
    names.length === 0
      ? []
      : [`  ${names.length} ${what}: ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`];
  return [
    `${path}: ${matched.length} of ${manifest.parameters.length} tensors ${done}`,
    ...dialects.map((d) => `  ${d.tensors} by the names of ${d.name}`),
    ...some('not in it', missing),
    ...some(
      'of another shape',
      shapeMismatch.map((m) => `${m.name} [${m.found.join(', ')}] for [${m.expected.join(', ')}]`),
    ),
    ...some('that no parameter takes', unexpected),
    ...some('left out, which this artifact does not use', ignored),
  ];
}

/** Of a checkpoint of training its weights alone count: its optimiser's state is no weight. */
export function checkpointNames(
  manifest: Manifest,
  file: Uint8Array,
): { readonly rename?: (name: string) => string | null } {
  if (readSafetensors(file).metadata.format !== 't3dc-checkpoint-1') return {};
  const names = new Set(manifest.parameters.map((p) => p.name));
  return { rename: (name) => (names.has(name) ? name : null) };
}

/** What an artifact would take of a file, without opening it. @throws T3dcError `bad-checkpoint`, `weights-mismatch` where it is nothing */
export const wouldTake = (manifest: Manifest, file: Uint8Array): WeightReport =>
  matchWeights(readSafetensors(file), manifest.parameters, {
    strict: false,
    dialects: manifest.model.dialects,
    ...checkpointNames(manifest, file),
  }).report;
