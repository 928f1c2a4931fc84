// Where the samples of `t3dc finetune classify` are made, on a thread of its own or not: data/loader.ts opens it.
import type { SampleKey, SampleSource } from '../data/loader-threads.ts';
import {
  type ClassificationSample,
  ClassificationSampler,
  type ClassificationSampling,
} from '../tasks/classification-samples.ts';
import { threadCache } from './scans.ts';
import { type ScanFile, sourceOf } from './studies.ts';

export interface ClassificationSource {
  readonly studies: readonly ScanFile[];
  readonly sampling: ClassificationSampling & { readonly cacheBytes: number };
}

export async function open({ studies, sampling }: ClassificationSource): Promise<SampleSource<ClassificationSample>> {
  const { chunks, volumeBytes } = await threadCache(sampling.cacheBytes, studies[0]!.image);
  const sampler = new ClassificationSampler(
    studies.map((file) => sourceOf(file, chunks)),
    { ...sampling, cacheBytes: volumeBytes },
  );
  return { sample: ({ epoch, index, item }: SampleKey) => sampler.sample(epoch * studies.length + index, item) };
}
