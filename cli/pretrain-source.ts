// Where the images of `t3dc pretrain`'s batches are made, on a thread of its own or not: data/loader.ts opens it. Reports stay where
// they were read; of each it is known what its words allow.
import type { SampleKey, SampleSource } from '../data/loader-threads.ts';
import type { PretrainContract } from '../tasks/pretrain-contract.ts';
import { type Allows, type BatchImages, type ImageOptions, PretrainImages } from '../tasks/pretrain-images.ts';
import { type LeftOut, PretrainSet } from '../tasks/pretrain-set.ts';
import { threadCache } from './scans.ts';
import { type ScanFile, sourceOf } from './studies.ts';

export interface PretrainSource {
  readonly pairs: readonly (ScanFile & { readonly patient: string; readonly group?: string })[];
  /** By the study's place. */
  readonly allows: readonly Allows[];
  readonly contract: PretrainContract;
  readonly options: ImageOptions;
  readonly cacheBytes: number;
}

export interface MadeImages extends BatchImages {
  /** Studies that could not be read, by their place; each thread finds them for itself. */
  readonly left: readonly (LeftOut & { readonly pair: number })[];
  /** Things worth knowing, perhaps not for the first time. */
  readonly notes: readonly string[];
}

export async function open({
  pairs,
  allows,
  contract,
  options,
  cacheBytes,
}: PretrainSource): Promise<SampleSource<MadeImages>> {
  const { chunks, volumeBytes } = await threadCache(cacheBytes, pairs[0]!.image);
  let left: MadeImages['left'][number][] = [];
  let notes: string[] = [];
  const set = new PretrainSet(
    pairs.map((file) => ({ ...file, text: '', ...sourceOf(file, chunks) })),
    contract,
    null,
    {
      cacheBytes: volumeBytes,
      onSkip: (what, pair) => left.push({ ...what, pair }),
      onNote: (note) => notes.push(note),
    },
  );
  const images = new PretrainImages(set, contract, (pair) => allows[pair]!, options);
  return {
    async sample({ seed, epoch, index }: SampleKey) {
      const made = { ...(await images.batch({ seed, epoch, index })), left, notes };
      [left, notes] = [[], []];
      return made;
    },
  };
}
