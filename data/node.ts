// The part of the data room that needs a file system (Node). Everything else in this room also runs in a browser.

import { join } from 'node:path';
import { writeFileAtomic, writeVolume } from './files.ts';
import { type PhantomOptions, phantom, phantomClasses } from './phantom.ts';

export { type Case, type Dataset, type DatasetOptions, datasetFrom, splitCases } from './dataset.ts';
export { readBytes, readJson, readVolume, writeFileAtomic, writeVolume } from './files.ts';
export type { PairColumns, PairField } from './pair-fields.ts';
export { type Pair, type PairOptions, type Pairs, readPairs, type SkippedPair, type SkipReason } from './pairs.ts';
export { ProbabilityFiles, type ProbabilityType } from './probability-files.ts';
export { type Report, type Reports, readReports } from './reports.ts';

export interface PhantomSetOptions extends Omit<PhantomOptions, 'index'> {
  readonly count: number;
  /** Number of the first patient, so that a second set of the same seed is of other patients. Default 0. */
  readonly first?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes DIR/images/NAME.nii.gz, DIR/labels/NAME.nii.gz and DIR/reports/NAME.txt; pairs.jsonl (image, label and report of each
 * patient) and lesions.csv (a lesion a row); and, last of all, dataset.json, which lists the pairs, the label names and the truth
 * of every patient: lesions, voxels, and what each sentence of the report states. Returns the names.
 */
export async function writePhantomSet(dir: string, options: PhantomSetOptions): Promise<string[]> {
  const { count, first = 0, onProgress, signal, ...rest } = options;
  const names: string[] = [];
  const training = [];
  const pairs: string[] = [];
  const lesions = ['name,lesion,kind,organ,side,d,h,w,diameter_mm,voxels'];
  for (let n = 0; n < count; n++) {
    signal?.throwIfAborted();
    const made = phantom({ ...rest, index: first + n });
    const name = `phantom_${String(first + n).padStart(4, '0')}`;
    const image = `images/${name}.nii.gz`;
    const label = `labels/${name}.nii.gz`;
    await writeVolume(join(dir, image), made.image);
    await writeVolume(join(dir, label), made.label);
    const report = `reports/${name}.txt`;
    await writeFileAtomic(join(dir, report), made.truth.report.text);
    pairs.push(JSON.stringify({ patient: name, image, label, report }));
    made.truth.lesions.forEach((l, i) => {
      lesions.push([name, i, l.kind, l.organ, l.side ?? '', ...l.centre, l.diameterMm, l.voxels].join(','));
    });
    training.push({ name, image, label, report, truth: made.truth });
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
  await writeFileAtomic(join(dir, 'pairs.jsonl'), `${pairs.join('\n')}\n`);
  await writeFileAtomic(join(dir, 'lesions.csv'), `${lesions.join('\n')}\n`);
  await writeFileAtomic(join(dir, 'dataset.json'), `${JSON.stringify(json, null, 1)}\n`);
  return names;
}
