// Where the samples of `t3dc train` are made, on a thread of its own or not: data/loader.ts opens it.
import type { SampleKey, SampleSource } from '../data/loader-threads.ts';
import {
  type SegmentationSample,
  SegmentationSampler,
  type SegmentationSampling,
} from '../tasks/segmentation-samples.ts';
import { type CaseFile, caseOf } from './cases.ts';
import type { LabelIds } from './label-ids.ts';
import { threadCache } from './scans.ts';

export interface SegmentationSource {
  readonly cases: readonly CaseFile[];
  readonly ids: LabelIds | null;
  readonly sampling: SegmentationSampling & { readonly cacheBytes: number };
}

export async function open({ cases, ids, sampling }: SegmentationSource): Promise<SampleSource<SegmentationSample>> {
  const { chunks, volumeBytes } = await threadCache(sampling.cacheBytes, cases[0]!.image);
  const sampler = new SegmentationSampler(
    cases.map((file) => caseOf(file, ids, chunks)),
    { ...sampling, cacheBytes: volumeBytes },
  );
  return { sample: ({ epoch, index, item }: SampleKey) => sampler.sample(epoch * cases.length + index, item) };
}
