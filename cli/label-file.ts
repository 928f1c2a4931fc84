// `--out` of segment: which file a label map becomes.
import type { Segmentation } from '../tasks/index.ts';
import { UsageError } from './errors.ts';

/** Told before the work and not after it. @throws UsageError `bad-value` */
export function checkOutput(path: string): void {
  if (/\.nii(\.gz)?$/.test(path)) return;
  throw new UsageError('bad-value', '--out does not say which format to write', {
    found: path,
    expected: 'a name ending in .nii or .nii.gz',
  });
}

/** Writes the labels, or none of them. */
export async function writeLabels(path: string, { labels }: Segmentation): Promise<void> {
  const { writeVolume } = await import('../data/node.ts');
  await writeVolume(path, labels);
}
