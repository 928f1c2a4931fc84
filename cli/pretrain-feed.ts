// The images of a pre-training's batches, made ahead of the device by threads that find out which studies cannot be read.
import type { BatchImages } from '../tasks/pretrain-images.ts';
import type { SampleFeed } from '../tasks/sample-feed.ts';
import type { MadeImages, PretrainSource } from './pretrain-source.ts';
import type { PretrainingParts } from './pretraining.ts';
import { cacheOf, sampleFeed } from './sample-feed.ts';

export interface PretrainFeed extends SampleFeed<MadeImages> {
  /** The next batch's; studies that were left out for it are left out of the set. */
  readonly images: () => Promise<BatchImages>;
}

/** From the session's step to the last. */
export function pretrainFeed(parts: PretrainingParts): PretrainFeed {
  const { sets, batches, contract, options, session, context, cacheBytes } = parts;
  const { accumulate, workers, seed, steps } = parts.config.plan;
  const { augment, corrupt, gain, shift } = options;
  const source: PretrainSource = {
    pairs: sets.train.pairs.map(({ name, patient, group, image }) => ({ name, patient, group, image: image! })),
    allows: sets.train.pairs.map((_, pair) => batches.train.allows(pair)),
    contract,
    options: { augment, corrupt, gain, shift },
    cacheBytes: cacheOf(cacheBytes, workers),
  };
  const feed = sampleFeed<MadeImages>({
    module: 'pretrain-source',
    options: source,
    items: batches.train.perEpoch,
    seed,
    shuffle: false,
    first: session.step * accumulate,
    count: (steps - session.step) * accumulate,
    workers,
    prefetch: workers + 1,
    signal: context.signal,
  });
  return {
    next: feed.next,
    close: feed.close,
    get waitMs() {
      return feed.waitMs;
    },
    images: async () => {
      const { left, notes, ...images } = (await feed.next()).sample;
      for (const { pair, ...what } of left) sets.train.leaveOut(pair, what);
      for (const note of notes) sets.train.tell(note);
      return images;
    },
  };
}
