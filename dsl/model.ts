// A model: settings, and entries that are functions on tensors. Entries share parameters by name; each compiles to its own
// program in one artifact. An entry with a loss gets a backward pass and an optimiser.
import type { Optimizer } from './optim.ts';
import type { Tensor } from './tensor.ts';
import type { DType } from './types.ts';

export interface InputSpec {
  readonly dtype: DType;
  /** Named sizes in order. */
  readonly axes: Readonly<Record<string, number>>;
}

export const f32 = (axes: Readonly<Record<string, number>>): InputSpec => ({ dtype: 'f32', axes });
export const f16 = (axes: Readonly<Record<string, number>>): InputSpec => ({ dtype: 'f16', axes });
export const i32 = (axes: Readonly<Record<string, number>>): InputSpec => ({ dtype: 'i32', axes });
export const u32 = (axes: Readonly<Record<string, number>>): InputSpec => ({ dtype: 'u32', axes });
export const bool = (axes: Readonly<Record<string, number>>): InputSpec => ({ dtype: 'bool', axes });

export interface ScheduleSpec {
  readonly kind: 'constant' | 'warmupCosine' | 'warmupLinear' | 'polynomial';
  readonly warmup?: number;
  readonly total?: number;
  readonly power?: number;
}

/** Parameters that learn at another rate than the rest, or not at all. */
export interface ParameterGroup {
  /** A regular expression on the checkpoint's names, as in `^swinViT\\.layers1\\.`; it may match any part of a name. */
  readonly match: string;
  /** Factor of the learning rate. 0: the parameters are frozen, left as they are to the bit, and no part of the norm that
   *  `clip` bounds. Default 1. */
  readonly lr?: number;
  /** Factor of the optimiser's weight decay. Default 1. */
  readonly weightDecay?: number;
}

export interface EntrySpec {
  readonly inputs: Readonly<Record<string, InputSpec>>;
  run(inputs: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
  /** Name of the scalar output to minimise. */
  readonly loss?: string;
  readonly optimizer?: Optimizer;
  readonly schedule?: ScheduleSpec;
  /** Global norm to clip gradients to. */
  readonly clip?: number;
  /** Where several match a parameter, their factors are multiplied. */
  readonly groups?: readonly ParameterGroup[];
  /** Skip, and count, a step whose gradients are not all finite. With f16 storage it is always so. Default false. */
  readonly guard?: boolean;
}

/** How another project's parameter names become this model's, so that its checkpoints load. */
export interface Dialect {
  readonly name: string;
  /** Where it comes from. */
  readonly about: string;
  /** Applied in order: a regular expression over the whole name, and its replacement. */
  readonly rewrites: readonly { readonly match: string; readonly replace: string }[];
  /** Groups of names, as regular expressions on what the rewrites left, that a file may hold and an artifact lack as a whole:
   *  heads that are not wanted, or parts of the model that its entries do not use. They are left out, and that is reported. */
  readonly optional?: readonly string[];
}

export interface ModelSpec<S> {
  readonly name: string;
  /** Every setting with its default; `--set key=value` changes one. */
  readonly settings: S;
  readonly presets?: Readonly<Record<string, Partial<S>>>;
  /** Each works on what the one before it left. */
  readonly dialects?: readonly Dialect[];
  /** Entries, and the data contract the artifact carries. */
  build(settings: S): {
    readonly entries: Readonly<Record<string, EntrySpec>>;
    /** What a build compiles that names no entries; default: all. */
    readonly defaultEntries?: readonly string[];
    readonly preprocess?: Readonly<Record<string, unknown>>;
  };
}

/** Declares a model: the default export of a model file. */
export const model = <S extends object>(spec: ModelSpec<S>): ModelSpec<S> => spec;
