// The source of the loader's tests as TypeScript, and its types.
import type { SampleSource } from '../data/loader.ts';
// @ts-expect-error plain JavaScript
import * as plain from './loader-source.mjs';

export interface TestSource {
  /** Each sample takes so long; uneven: between a half and one and a half of it. */
  readonly ms?: number;
  readonly uneven?: boolean;
  /** Every so many of the epoch's samples take `slowMs`. */
  readonly slowEvery?: number;
  readonly slowMs?: number;
  readonly fails?: readonly number[];
  readonly dies?: number;
  readonly neverOpens?: boolean;
  /** Counts the samples begun. */
  readonly begun?: SharedArrayBuffer;
}

export interface TestSample {
  readonly item: number;
  readonly image: Float32Array;
  readonly part: Uint8Array;
  readonly words: readonly string[];
}

export const open = (options: TestSource): SampleSource<TestSample> => plain.open(options);
