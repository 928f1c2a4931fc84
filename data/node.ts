// The part of the data room that needs a file system (Node). Everything else in this room also runs in a browser.

import { join } from 'node:path';
import { writeFileAtomic, writeVolume } from './files.ts';
import { type PhantomOptions, phantom, phantomClasses } from './phantom.ts';

export { type Case, type Dataset, type DatasetOptions, datasetFrom, splitCases } from './dataset.ts';
export { readBytes, readVolume, writeFileAtomic, writeVolume } from './files.ts';

export interface PhantomSetOptions extends Omit<PhantomOptions, 'index'> {
  readonly count: number;
  /** Number of the first patient, so that a second set of the same seed is of other patients. Default 0. */
  readonly first?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes DIR/images/NAME.nii.gz, DIR/labels/NAME.nii.gz and, last of all, DIR/dataset.json, which lists the pairs, the label
 * names and the truth of every patient (lesions, voxels, place for a report). Returns the names.
 */
export async function writePhantomSet(dir: string, options: PhantomSetOptions): Promise<string[]> {
  const { count, first = 0, onProgress, signal, ...rest } = options;
  const names: string[] = [];
  const training = [];
  for (let n = 0; n < count; n++) {
    signal?.throwIfAborted();
    const made = phantom({ ...rest, index: first + n });
    const name = `phantom_${String(first + n).padStart(4, '0')}`;
    const image = `images/${name}.nii.gz`;
    const label = `labels/${name}.nii.gz`;
    await writeVolume(join(dir, image), made.image);
    await writeVolume(join(dir, label), made.label);
    training.push({ name, image, label, truth: made.truth });
    names.push(name);
    onProgress?.(n + 1, count);
  }
  const labels = Object.fromEntries(phantomClasses(rest).map((name, id) => [String(id), name]));
  const json = {
    name: 'phantom',
    description: 'Synthetic body CT, t3dc',
    phantom: rest,
    first,
    labels,
    numTraining: count,
    training,
  };
  await writeFileAtomic(join(dir, 'dataset.json'), `${JSON.stringify(json, null, 1)}\n`);
  return names;
}
