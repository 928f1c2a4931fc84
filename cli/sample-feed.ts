// Samples of a training made in worker threads by a module of this folder, ahead of the device and in order.
import { Loader } from '../data/loader.ts';
import type { SampleFeed } from '../tasks/sample-feed.ts';

export interface FeedOptions {
  /** Name of the module beside this one, without its ending; its `open(options)` gives the source. */
  readonly module: string;
  readonly options: unknown;
  /** Items of an epoch. */
  readonly items: number;
  readonly seed: number;
  /** An order of its own for each epoch. */
  readonly shuffle: boolean;
  readonly first: number;
  readonly count: number;
  readonly workers: number;
  /** Samples that may be ready or in the making. */
  readonly prefetch: number;
  readonly signal: AbortSignal;
}

/** Starts reading at once. @throws when asked for a sample: `loader-thread`, the sample's own error, the signal's reason */
export function sampleFeed<T>(o: FeedOptions): SampleFeed<T> {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const source = { module: new URL(`./${o.module}.${ending}`, import.meta.url), options: o.options };
  const loader = new Loader<T>(source, {
    items: o.items,
    seed: o.seed,
    shuffle: o.shuffle,
    workers: o.workers,
    prefetch: o.prefetch,
    affinity: o.shuffle ? 'item' : 'any',
    start: { epoch: Math.floor(o.first / o.items), index: o.first % o.items },
    samples: o.count,
    signal: o.signal,
  });
  loader.start();
  return {
    async next() {
      const { value } = await loader.next();
      if (!value) throw new Error(`there are no more than ${o.count} samples`);
      return { item: value.item, sample: value.sample };
    },
    get waitMs() {
      return loader.stats.waitMs;
    },
    close: () => loader.close(),
  };
}

/** Bytes that each thread may keep of what `--cache` allows. */
export const cacheOf = (bytes: number, workers: number): number => Math.floor(bytes / Math.max(1, workers));
