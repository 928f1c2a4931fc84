// What a run's config.json says: every constant that decides what it computes, beside the data themselves.
import { FORMAT, type Manifest } from '../runtime/manifest.ts';
import { version } from './version.ts';

type Training = NonNullable<Manifest['entries'][string]['training']>;

export interface RunConfig<P> {
  /** The command that wrote it: `train`, `finetune segment`. */
  readonly command: string;
  readonly entry: string;
  /** The command's own options, resolved. */
  readonly plan: P;
  /** Optimiser, schedule, groups: as the artifact was built. `plan` may say otherwise of the rate and the schedule's length. */
  readonly training: Omit<Training, 'states'> | null;
  readonly data: Readonly<Record<string, unknown>>;
  readonly model: {
    readonly name: string;
    readonly settings: Readonly<Record<string, unknown>>;
    readonly parameters: number;
    readonly precision: 'f32' | 'f16';
  };
  /** The contract with the data: spacing, orientation, window, patch, classes. */
  readonly preprocess: Readonly<Record<string, unknown>> | null;
  readonly versions: {
    readonly t3dc: string;
    /** Format of the artifact, and what built it. */
    readonly artifact: string;
    readonly graphHash: string;
    readonly node: string;
  };
}

export function runConfig<P>(
  command: string,
  entry: string,
  manifest: Manifest,
  plan: P,
  data: Readonly<Record<string, unknown>>,
): RunConfig<P> {
  const { states: _, ...training } = manifest.entries[entry]?.training ?? { states: null };
  return {
    command,
    entry,
    plan,
    training: Object.keys(training).length > 0 ? (training as Omit<Training, 'states'>) : null,
    data,
    model: {
      name: manifest.model.name,
      settings: manifest.model.settings,
      parameters: parameterCount(manifest),
      precision: manifest.precision,
    },
    preprocess: manifest.preprocess,
    versions: {
      t3dc: version(),
      artifact: `format ${FORMAT}, ${manifest.generator}`,
      graphHash: manifest.graphHash,
      node: process.versions.node,
    },
  };
}

export const parameterCount = (m: Manifest): number =>
  m.parameters.reduce((n, p) => n + p.shape.reduce((a, b) => a * b, 1), 0);
