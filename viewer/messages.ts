// What a page and its worker say to each other. Plain data: everything here goes through postMessage.
import type { DeviceInfo, OpenOptions, Progress } from '../runtime/index.ts';
import type { ManifestSummary } from './session.ts';

/** Options of `open` that travel. */
export type SentOptions = Pick<OpenOptions, 'threads' | 'seed' | 'cache' | 'integrity'> & {
  readonly device: 'auto' | 'webgpu' | 'wasm';
};

export type Method =
  | 'open'
  | 'entry'
  | 'segment'
  | 'initialise'
  | 'loadWeights'
  | 'weights'
  | 'saveCheckpoint'
  | 'loadCheckpoint'
  | 'grads'
  | 'profile'
  | 'validate'
  | 'train'
  | 'trainTask'
  | 'next'
  | 'return'
  | 'close';

/** From the page. */
export type ToWorker =
  /** Large arrays come before the call that has them, in pieces, so that no copy holds a frame. */
  | {
      readonly type: 'piece';
      readonly id: number;
      readonly offset: number;
      readonly of: number;
      readonly bytes: Uint8Array;
    }
  /** What was sent of an array so far is not wanted any more. */
  | { readonly type: 'drop'; readonly id: number }
  | {
      readonly type: 'call';
      readonly call: number;
      readonly session: number;
      readonly method: Method;
      readonly args: readonly unknown[];
      /** Callbacks that the page has given. */
      readonly listens: readonly CallbackName[];
    }
  | { readonly type: 'abort'; readonly call: number }
  /** The answer to a pull. */
  | { readonly type: 'pulled'; readonly pull: number; readonly value?: unknown; readonly error?: SentError };

/** From the worker. */
export type FromWorker =
  | { readonly type: 'result'; readonly call: number; readonly value: unknown; readonly state: SessionState | null }
  | { readonly type: 'error'; readonly call: number; readonly error: SentError }
  | { readonly type: 'progress'; readonly session: number; readonly progress: Progress }
  | { readonly type: 'notice'; readonly session: number; readonly message: string }
  /** A callback of a call's options. */
  | { readonly type: 'event'; readonly call: number; readonly name: CallbackName; readonly args: readonly unknown[] }
  /** The worker wants the next batch of a training, or the case of this number. */
  | { readonly type: 'pull'; readonly call: number; readonly pull: number; readonly item: number };

/** Callbacks that options may hold; called on the page for what happens in the worker. */
export const CALLBACKS = ['onProgress', 'onProbabilities', 'onNote'] as const;
export type CallbackName = (typeof CALLBACKS)[number];

export interface SessionState {
  readonly step: number;
  readonly allocatedBytes: number;
  readonly device: DeviceInfo;
}

export interface Opened {
  readonly manifest: ManifestSummary;
}

/** An array that went ahead in pieces. */
export interface Pieces {
  readonly pieces: number;
  /** Name of its constructor. */
  readonly array: string;
}

export interface SentError {
  readonly kind: 'T3dcError' | 'DataError' | 'Error';
  readonly message: string;
  readonly code?: string;
  readonly found?: unknown;
  readonly expected?: unknown;
  readonly hint?: string;
}
