// CT-RATE: dataset/train/train_1/train_1_a/train_1_a_1.nii.gz (patient, scan, reconstruction), reports in radiology_text_reports, and
// metadata with slope and intercept. Voxels of the first release are stored values; those of train_fixed and valid_fixed are HU.

import { join } from 'node:path';
import { reportOf } from '../pair-fields.ts';
import type { DroppedStudy, Layout, Study } from './layout.ts';
import { badLayout, entriesOf, NIFTI, tableBy, volumesIn } from './walk.ts';

const FOLDER = /^(train|valid)(_fixed)?$/;
const PATIENT = /^(train|valid)_\d+$/;

export const ctRate: Layout = {
  name: 'ct-rate',
  async detect(dir) {
    const root = await rootOf(dir);
    if (!root) return null;
    const { folders } = await entriesOf(root);
    return [
      `${folders.filter((f) => FOLDER.test(f)).join(', ')} with folders of patients`,
      ...folders.filter((f) => ['radiology_text_reports', 'metadata'].includes(f)),
    ];
  },
  async list(dir) {
    const root = await rootOf(dir);
    if (!root) throw badLayout(dir, 'train/train_1/train_1_a/train_1_a_1.nii.gz, there or in dataset');
    const reports = await tables(root, 'radiology_text_reports');
    const metadata = await tables(root, 'metadata');
    const studies: Study[] = [];
    const dropped: DroppedStudy[] = [];
    const notes: string[] = [];
    if (reports.size === 0) notes.push('no radiology_text_reports: the studies have no reports');
    const folders = (await entriesOf(root)).folders.filter((f) => FOLDER.test(f));
    for (const folder of folders) {
      const fixed = folder.endsWith('_fixed');
      // Where both releases are there, the corrected one is taken.
      if (!fixed && folders.includes(`${folder}_fixed`)) {
        notes.push(`${folder} left out: ${folder}_fixed is there`);
        continue;
      }
      for await (const { patient, scan, file, path } of volumesOf(join(root, folder))) {
        const name = file.replace(NIFTI, '');
        const row = reports.get(file);
        const meta = metadata.get(file);
        const [slope, intercept] = [
          Number(meta?.RescaleSlope ?? Number.NaN),
          Number(meta?.RescaleIntercept ?? Number.NaN),
        ];
        if (!fixed && !(Number.isFinite(slope) && slope !== 0 && Number.isFinite(intercept))) {
          dropped.push({
            name,
            where: path,
            code: 'layout-rescale',
            reason: `its voxels are stored values, and metadata has no RescaleSlope and RescaleIntercept for ${file}`,
          });
          continue;
        }
        const text =
          row &&
          reportOf({
            history: row.ClinicalInformation_EN,
            technique: row.Technique_EN,
            findings: row.Findings_EN,
            impression: row.Impressions_EN,
          });
        studies.push({
          ...{ name, patient, study: scan, group: scan, image: path },
          ...(text?.trim() && { report: { text } }),
          ...(!fixed && { rescale: { slope, intercept } }),
          split: folder.startsWith('train') ? 'train' : 'validation',
        });
      }
    }
    return { studies, dropped, notes };
  },
};

async function* volumesOf(dir: string): AsyncGenerator<{ patient: string; scan: string; file: string; path: string }> {
  for (const patient of (await entriesOf(dir)).folders.filter((f) => PATIENT.test(f)))
    for (const scan of (await entriesOf(join(dir, patient))).folders)
      for (const file of await volumesIn(join(dir, patient, scan)))
        yield { patient, scan, file, path: join(dir, patient, scan, file) };
}

/** Every row of a folder's tables by its VolumeName. */
async function tables(root: string, folder: string): Promise<Map<string, Readonly<Record<string, string>>>> {
  const { files } = await entriesOf(join(root, folder));
  const all = new Map<string, Readonly<Record<string, string>>>();
  for (const f of files.filter((n) => n.endsWith('.csv')))
    for (const [key, row] of await tableBy(join(root, folder, f), 'VolumeName')) all.set(key, row);
  return all;
}

async function rootOf(dir: string): Promise<string | null> {
  for (const inner of ['', 'dataset']) {
    const root = join(dir, inner);
    for (const folder of (await entriesOf(root)).folders.filter((f) => FOLDER.test(f)))
      if ((await entriesOf(join(root, folder))).folders.some((f) => PATIENT.test(f))) return root;
  }
  return null;
}
