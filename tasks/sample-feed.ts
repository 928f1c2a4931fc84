// Samples in the order in which a training takes them, made here or ahead on other threads, and how long the device waited for them.
import type { TrainStep } from '../runtime/index.ts';

export interface SampleFeed<T> {
  next(): Promise<{ readonly item: number; readonly sample: T }>;
  /** What was waited for samples so far. */
  readonly waitMs: number;
  close(): Promise<void>;
}

/** From sample `first` on, `count` of them. Sample n is the same whoever makes it. */
export type OpenFeed<T> = (first: number, count: number) => SampleFeed<T>;

export interface FedStep extends TrainStep {
  /** Part of `ms` in which the device waited for data. */
  readonly waitMs: number;
}

/** Samples made when they are asked for: all of that time is waited. */
export function inlineFeed<T>(
  first: number,
  itemOf: (n: number) => number,
  make: (n: number) => Promise<T>,
): SampleFeed<T> {
  let n = first;
  let waitMs = 0;
  return {
    async next() {
      const from = performance.now();
      const sample = await make(n);
      waitMs += performance.now() - from;
      return { item: itemOf(n++), sample };
    },
    get waitMs() {
      return waitMs;
    },
    close: async () => {},
  };
}

/** Steps that are fed by `feed`, which is closed when they end, however they end. */
export async function* fed(
  feed: SampleFeed<unknown>,
  steps: AsyncIterable<TrainStep>,
  from: number,
): AsyncGenerator<FedStep, void, void> {
  let [step, waited] = [from, 0];
  try {
    for await (const done of steps) {
      const waitMs = (feed.waitMs - waited) / Math.max(1, done.step - step);
      [step, waited] = [done.step, feed.waitMs];
      yield { ...done, waitMs };
    }
  } finally {
    await feed.close();
  }
}
