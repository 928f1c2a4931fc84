// A dataset on disk as the cases of a training.
import { datasetFrom, splitCases } from '../data/dataset.ts';
import { readVolume } from '../data/files.ts';
import type { ChunkCache } from '../data/ome-zarr.ts';
import type { SegmentationCase } from '../tasks/index.ts';
import { CliError } from './errors.ts';
import { type LabelIds, withClasses } from './label-ids.ts';
import { scanAt } from './scans.ts';

export interface TrainingSet {
  readonly train: readonly SegmentationCase[];
  /** The same, for other threads. */
  readonly trainFiles: readonly CaseFile[];
  readonly validation: readonly SegmentationCase[];
}

/**
 * Cases of DIR, every `holdOut`-th of them (0: none), or all of `valData`, for validation.
 * @throws DataError of `datasetFrom`; CliError `too-many-classes`, `too-few-cases`
 */
export async function trainingSet(
  dir: string,
  classes: number,
  options: { readonly holdOut: number; readonly valData: string | null; readonly labels: LabelIds | null },
): Promise<TrainingSet> {
  const limit = options.labels ? Number.POSITIVE_INFINITY : classes;
  const all = await labelled(dir, limit);
  const other = options.valData === null ? null : await labelled(options.valData, limit);
  const { train, validation } = splitCases(all, options.holdOut);
  if (train.length === 0)
    throw new CliError('too-few-cases', 'nothing is left to train on', {
      found: `${all.length} cases in ${dir}, every ${options.holdOut}. held out`,
      expected: 'at least one case to train on',
      hint: 'Add cases, raise --hold-out, or validate on another folder with --val-data.',
    });
  const asCase = (c: CaseFile): SegmentationCase => caseOf(c, options.labels);
  const trainFiles = train.map(fileOf);
  return {
    train: trainFiles.map(asCase),
    trainFiles,
    validation: [...validation, ...(other ?? [])].map(fileOf).map(asCase),
  };
}

/** A plain object: it may go to other threads. */
export interface CaseFile {
  readonly name: string;
  readonly image: string;
  readonly label: string;
}

/** @param chunks where given, cases that lie in chunks are read from these */
export const caseOf = (
  { name, image, label }: CaseFile,
  ids: LabelIds | null,
  chunks?: ChunkCache,
): SegmentationCase => ({
  name,
  load: async () => ({ image: await readVolume(image), label: withClasses(await readVolume(label), ids) }),
  open: async ({ preprocess, classes }) => {
    const scan = chunks ? await scanAt(image, label, preprocess, chunks) : null;
    return scan && { scan, to: { classes, ids } };
  },
});

type DiskCase = Awaited<ReturnType<typeof datasetFrom>>['cases'][number];

const fileOf = ({ name, image, label }: DiskCase): CaseFile => ({ name, image, label: label! });

async function labelled(dir: string, classes: number): Promise<readonly DiskCase[]> {
  const set = await datasetFrom(dir, { labelled: true });
  if (set.classes && set.classes.length > classes)
    throw new CliError('too-many-classes', `${dir} has more classes than the artifact`, {
      found: `${set.classes.length}: ${set.classes.join(', ')}`,
      expected: `at most ${classes}`,
      hint: `Build the model for them, such as t3dc build … --set outChannels=${set.classes.length}, or choose some by --labels.`,
    });
  return set.cases;
}
