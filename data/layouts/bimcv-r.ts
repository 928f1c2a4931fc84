// BIMCV-R: CT volumes sub-SNNN_ses-ENNN_…_ct.nii.gz in folders of any depth, and a table with `path` and the report, translated
// (Report_en) or not (Report). Volumes of one session are one group.

import { join } from 'node:path';
import type { DroppedStudy, Layout, Study } from './layout.ts';
import { badLayout, entriesOf, NIFTI, tableBy } from './walk.ts';

const VOLUME = /^(sub-S\d+)_(ses-E\d+)_.*\.nii(\.gz)?$/;
const DEPTH = 5;

export const bimcvR: Layout = {
  name: 'bimcv-r',
  async detect(dir) {
    const found = await volumesBelow(dir, 1);
    return found.length > 0 ? [`volumes such as ${found[0]!.file}`] : null;
  },
  async list(dir) {
    const files = await volumesBelow(dir);
    if (files.length === 0) throw badLayout(dir, 'files sub-SNNN_ses-ENNN_….nii.gz');
    const notes: string[] = [];
    const reports = await reportsBelow(dir);
    if (!reports) notes.push('no table with path and Report_en or Report: the studies have no reports');
    const studies: Study[] = [];
    const dropped: DroppedStudy[] = [];
    const seen = new Map<string, string>();
    for (const { file, path } of files) {
      const [, patient, session] = VOLUME.exec(file)! as unknown as [string, string, string];
      const name = file.replace(NIFTI, '');
      const before = seen.get(name);
      if (before !== undefined) {
        dropped.push({ name, where: path, code: 'layout-repeated', reason: `the same name as ${before}` });
        continue;
      }
      seen.set(name, path);
      const study = `${patient}_${session}`;
      const text = reports?.get(file);
      studies.push({ name, patient, study, group: study, image: path, ...(text?.trim() && { report: { text } }) });
    }
    return { studies, dropped, notes };
  },
};

async function volumesBelow(
  dir: string,
  most = Number.POSITIVE_INFINITY,
  depth = DEPTH,
): Promise<{ file: string; path: string }[]> {
  const { files, folders } = await entriesOf(dir);
  const found = files.filter((f) => VOLUME.test(f)).map((file) => ({ file, path: join(dir, file) }));
  for (const folder of depth > 0 ? folders : []) {
    if (found.length >= most) break;
    found.push(...(await volumesBelow(join(dir, folder), most - found.length, depth - 1)));
  }
  return found;
}

/** Reports by the file's name, from the first table that has them. */
async function reportsBelow(dir: string, depth = 2): Promise<Map<string, string> | null> {
  const { files, folders } = await entriesOf(dir);
  for (const f of files.filter((n) => /\.csv$/i.test(n))) {
    const rows = await tableBy(join(dir, f), 'path').catch((err) => {
      if (err.code === 'layout') return null; // a table of something else
      throw err;
    });
    const first = rows?.values().next().value;
    const column = ['Report_en', 'report_en', 'Report', 'report'].find((c) => first && c in first);
    if (rows && column) return new Map([...rows].map(([path, row]) => [path.replace(/^.*[/\\]/, ''), row[column]!]));
  }
  for (const folder of depth > 0 ? folders : []) {
    const found = await reportsBelow(join(dir, folder), depth - 1);
    if (found) return found;
  }
  return null;
}
