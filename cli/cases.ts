// A dataset on disk as the cases of a training.
import { datasetFrom, readVolume, splitCases } from '../data/node.ts';
import type { SegmentationCase } from '../tasks/index.ts';
import { CliError } from './errors.ts';
import { type LabelIds, withClasses } from './label-ids.ts';

export interface TrainingSet {
  readonly train: readonly SegmentationCase[];
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
  const asCase = caseOf(options.labels);
  return { train: train.map(asCase), validation: [...validation, ...(other ?? [])].map(asCase) };
}

type DiskCase = Awaited<ReturnType<typeof datasetFrom>>['cases'][number];

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

const caseOf =
  (ids: LabelIds | null) =>
  (c: DiskCase): SegmentationCase => ({
    name: c.name,
    load: async () => ({ image: await readVolume(c.image), label: withClasses(await readVolume(c.label!), ids) }),
  });
