// `--labels`: which ids of a label map become which class, for maps that were numbered for another task.
import { remapLabels, type Volume } from '../data/index.ts';
import type { SegmentationContract } from '../tasks/index.ts';
import { UsageError } from './errors.ts';

/** Ids of the label maps -> classes of the artifact; ids that are not in it are background. */
export type LabelIds = ReadonlyMap<number, number>;

const bad = (found: string, expected: string, hint?: string) =>
  new UsageError('bad-value', '--labels cannot be read', { found, expected, hint });

/**
 * `name=id[+id…],…`. Where the artifact names its classes the names are looked up; where it does not, the first is class 1.
 * @throws UsageError `bad-value`
 */
export function labelIds(text: string, { classes, classNames }: SegmentationContract): LabelIds {
  const named = classNames.some((n, c) => c > 0 && n !== `class ${c}`);
  const map = new Map<number, number>();
  text.split(',').forEach((part, i) => {
    const [, name, ids] = /^\s*([^=]+?)\s*=\s*(\d+(?:\s*\+\s*\d+)*)\s*$/.exec(part) ?? [];
    if (name === undefined || ids === undefined) throw bad(`'${part}'`, 'name=id or name=id+id, separated by commas');
    const label = named ? classNames.indexOf(name) : i + 1;
    if (named && label < 1) throw bad(`'${name}'`, `a class of the artifact: ${classNames.slice(1).join(', ')}`);
    if (label >= classes)
      throw bad(
        `${i + 1} classes`,
        `at most ${classes - 1} beside the background`,
        `Build the model for them, such as t3dc build … --set outChannels=${text.split(',').length + 1}.`,
      );
    for (const id of ids.split('+').map(Number)) {
      if (map.has(id)) throw bad(`id ${id} twice`, 'every id in one class');
      map.set(id, label);
    }
  });
  return map;
}

/** The label map with its ids as classes. */
export const withClasses = (labels: Volume, ids: LabelIds | null): Volume =>
  ids === null ? labels : { ...labels, data: remapLabels(labels.data, ids) };
