// The layouts that are known (Node only), and which one a folder has.

import { stat } from 'node:fs/promises';
import { DataError } from '../errors.ts';
import { amos } from './amos.ts';
import { bimcvR } from './bimcv-r.ts';
import { btcv } from './btcv.ts';
import { ctRate } from './ct-rate.ts';
import { dicom } from './dicom-layout.ts';
import type { Layout } from './layout.ts';
import { msd } from './msd.ts';
import { nnunet } from './nnunet.ts';
import { pairs } from './pairs-layout.ts';
import { plain } from './plain.ts';
import { totalSegmentator } from './total-segmentator.ts';

export type { DroppedStudy, Layout, Listing, ListOptions, Study, StudyLabel } from './layout.ts';

/** The first that knows a folder has it: the special before the general. */
export const LAYOUTS: readonly Layout[] = [
  ctRate,
  bimcvR,
  totalSegmentator,
  amos,
  btcv,
  pairs,
  msd,
  nnunet,
  plain,
  dicom,
];

export interface Detected {
  readonly layout: Layout;
  readonly reasons: readonly string[];
}

/** The layout of `dir`, or the one of that name. @throws `layout-unknown`, `file-missing` */
export async function layoutOf(dir: string, name = 'auto'): Promise<Detected> {
  if (!(await stat(dir).catch(() => null))) {
    throw new DataError('file-missing', 'There is no such folder.', {
      found: dir,
      expected: 'a data set',
      fix: 'check the path',
    });
  }
  if (name !== 'auto') {
    const layout = LAYOUTS.find((l) => l.name === name);
    if (layout) return { layout, reasons: (await layout.detect(dir)) ?? ['asked for'] };
  } else
    for (const layout of LAYOUTS) {
      const reasons = await layout.detect(dir);
      if (reasons) return { layout, reasons };
    }
  throw new DataError('layout-unknown', 'The layout of the folder is not known.', {
    found: name === 'auto' ? dir : name,
    expected: `one of ${LAYOUTS.map((l) => l.name).join(', ')}`,
    fix: 'write a list of the studies, pairs.jsonl with {"image": PATH, "label": PATH, "report": PATH, "patient": ID} a line',
  });
}
