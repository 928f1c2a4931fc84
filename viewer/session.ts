// What a page holds of an opened model, the same whether it runs here or in a worker.

import type { Volume } from '../data/index.ts';
import type {
  DeviceInfo,
  Inputs,
  Manifest,
  OpTime,
  Outputs,
  Rename,
  TrainOptions,
  TrainStep,
  WeightReport,
} from '../runtime/index.ts';
import type {
  Segmentation,
  SegmentationCase,
  SegmentOptions,
  TrainSegmentationOptions,
  ValidateOptions,
  Validation,
} from '../tasks/index.ts';

/** What a manifest says to those who only use the model: its kernels and plans stay with the runtime. */
export type ManifestSummary = Pick<
  Manifest,
  'generator' | 'model' | 'precision' | 'graphHash' | 'requires' | 'memory' | 'preprocess' | 'files'
> & {
  readonly entries: Readonly<Record<string, Pick<Manifest['entries'][string], 'inputs' | 'outputs' | 'loss'>>>;
};

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** `openInWorker`: input arrays are handed over instead of copied, and are empty afterwards. A viewer's own volume must
   *  never be. Default false. */
  readonly transfer?: boolean;
}

/** A file of weights, or where it lies. */
export type WeightSource = Uint8Array | ArrayBuffer | string | URL;

export interface LoadWeightsOptions {
  /** All of the model's parameters and nothing else must be there. Default true. */
  readonly strict?: boolean;
  /** Other names. A function cannot be sent to a worker: there, `bad-option`. */
  readonly rename?: Rename;
  /** SHA-256 of the file, 64 hexadecimal digits: it is verified, and taken from the cache without asking the server. */
  readonly integrity?: string;
  readonly signal?: AbortSignal;
}

export interface ModelTasks {
  /**
   * A scan in HU of any size, spacing and orientation to class ids on its own grid. `onProgress(done, total)` counts windows;
   * the session's own `onProgress` tells them too, with the time that is left. An aborted signal rejects with its reason; the
   * work ends within a window.
   */
  segment(volume: Volume, options?: SegmentOptions & Pick<CallOptions, 'transfer'>): Promise<Segmentation>;
  /** Trains the entry (default `segment`) on labelled scans up to step `steps`; yields after each step. */
  train(
    cases: readonly SegmentationCase[],
    options: TrainSegmentationOptions & { readonly entry?: string },
  ): AsyncGenerator<TrainStep, void, void>;
  /** Dice of whole labelled scans. */
  validate(cases: readonly SegmentationCase[], options?: ValidateOptions): Promise<Validation>;
}

/** An opened model. Calls are served one after the other. Errors are T3dcError and DataError, with a `code`. */
export interface ModelSession {
  /** `open` has more: the whole Manifest. */
  readonly manifest: ManifestSummary;
  /** Forward by entry name: `await session.entries.logits({ volume })`. */
  readonly entries: Readonly<Record<string, (inputs: Inputs, options?: CallOptions) => Promise<Outputs>>>;
  /** On whole scans, where the artifact declares its data; else each rejects with `bad-artifact`. */
  readonly tasks: ModelTasks;
  readonly device: DeviceInfo;
  /** Optimiser steps done. */
  readonly step: number;
  /** Bytes held on the device; in a worker, after the last call. */
  readonly allocatedBytes: number;
  /** Draws all parameters from the seed, clears the optimiser's state and sets the step to 0. */
  initialise(seed?: number | bigint): Promise<void>;
  /** By PyTorch's names: a safetensors file's bytes (copied), path or URL. */
  loadWeights(from: WeightSource, options?: LoadWeightsOptions): Promise<WeightReport>;
  /** A safetensors file of all parameters; `average`: of their moving averages. */
  weights(options?: {
    readonly average?: boolean;
    readonly metadata?: Readonly<Record<string, string>>;
  }): Promise<Uint8Array>;
  /** Weights, optimiser state, step, seed and schedule, to continue from bit for bit. */
  saveCheckpoint(): Promise<Uint8Array>;
  loadCheckpoint(from: WeightSource): Promise<{ readonly step: number }>;
  /** Outputs, and the gradients of the entry's loss by parameter name. */
  grads(
    name: string,
    inputs: Inputs,
    options?: CallOptions,
  ): Promise<{ outputs: Outputs; grads: Record<string, Float32Array> }>;
  /** Trains an entry; yields after each optimiser step. */
  train(
    name: string,
    batches: Iterable<Inputs> | AsyncIterable<Inputs>,
    options?: TrainOptions,
  ): AsyncGenerator<TrainStep, void, void>;
  /** Milliseconds of each op of one run. */
  profile(name: string, options?: { readonly mode?: 'forward' | 'grad' }): Promise<OpTime[]>;
  /** Releases everything. In a worker, what is still running ends at once, and the worker too where no other session is in it. */
  close(): Promise<void>;
}
