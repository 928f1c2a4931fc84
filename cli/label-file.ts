// `--out` of segment: which file a label map becomes. What is wrong with it is told before the work and not after it.
import type { Volume } from '../data/index.ts';
import type { Segmentation } from '../tasks/index.ts';
import { UsageError } from './errors.ts';
import { version } from './version.ts';

export interface LabelTarget {
  readonly out: string;
  /** The scan as it was given, and the folder of the DICOM series that it comes from. */
  readonly in: string;
  readonly dicom: string | undefined;
  /** Number or UID of the series. */
  readonly series: string | undefined;
  /** The model's name. */
  readonly algorithm: string;
}

/** @throws UsageError `bad-value` for a name of no format */
export function checkOutput(path: string): void {
  if (/\.(nii|nii\.gz|dcm)$/.test(path)) return;
  throw new UsageError('bad-value', '--out does not say which format to write', {
    found: path,
    expected: 'a name ending in .nii, .nii.gz or .dcm (DICOM-SEG)',
  });
}

/**
 * A function that writes the labels of this scan.
 * @throws for .dcm, UsageError `missing-argument`, and DataError of `seriesUnder`
 */
export async function labelWriter(
  scan: Omit<Volume, 'data'>,
  target: LabelTarget,
): Promise<(s: Segmentation) => Promise<void>> {
  const { seriesUnder, writeFileAtomic, writeVolume } = await import('../data/node.ts');
  if (!target.out.endsWith('.dcm')) return ({ labels }) => writeVolume(target.out, labels);
  const { writeDicomSeg } = await import('../data/index.ts');
  const folder = target.dicom ?? ((await isFolder(target.in)) ? target.in : undefined);
  if (folder === undefined) {
    throw new UsageError('missing-argument', 'a DICOM segmentation refers to the DICOM series of the scan', {
      found: `--in ${target.in} without --dicom`,
      expected: '--dicom DIR, the series that the scan was converted from',
      hint: 'Or write NIfTI: --out NAME.nii.gz.',
    });
  }
  // A folder that was read is asked again by the rules of reading, so that the answer is the same series.
  const wishes = target.dicom === undefined || target.series !== undefined ? { series: target.series } : null;
  const series = await seriesUnder(scan, folder, wishes);
  return async ({ labels, classNames }) => {
    const options = { classNames, algorithm: target.algorithm, version: version() };
    await writeFileAtomic(target.out, await writeDicomSeg(labels, series, options));
  };
}

async function isFolder(path: string): Promise<boolean> {
  const { stat } = await import('node:fs/promises');
  return stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  );
}
