// TotalSegmentator's data set: sNNNN/ct.nii.gz with sNNNN/segmentations/CLASS.nii.gz, a mask a class, and meta.csv with the split.

import { join } from 'node:path';
import type { DroppedStudy, Layout, Study } from './layout.ts';
import { totalClasses } from './total-segmentator-classes.ts';
import { badLayout, entriesOf, stem, tableBy, volumesIn } from './walk.ts';

export const totalSegmentator: Layout = {
  name: 'totalsegmentator',
  async detect(dir) {
    const subjects = await subjectsOf(dir);
    for (const s of subjects.slice(0, 20)) {
      const { files, folders } = await entriesOf(join(dir, s));
      if (files.includes('ct.nii.gz') && folders.includes('segmentations'))
        return [`${subjects.length} folders sNNNN`, `${s}/ct.nii.gz with segmentations`];
    }
    return null;
  },
  async list(dir) {
    const subjects = await subjectsOf(dir);
    if (subjects.length === 0) throw badLayout(dir, 'folders sNNNN with ct.nii.gz and segmentations');
    const meta = (await entriesOf(dir)).files.includes('meta.csv')
      ? await tableBy(join(dir, 'meta.csv'), 'image_id')
      : null;
    const found = await Promise.all(
      subjects.map(async (s) => [s, await volumesIn(join(dir, s, 'segmentations'))] as const),
    );
    const classes = totalClasses(new Set(found.flatMap(([, masks]) => masks.map(stem))));
    const ids = new Map(classes.map((name, id) => [name, id]));
    const studies: Study[] = [];
    const dropped: DroppedStudy[] = [];
    for (const [name, files] of found) {
      const image = join(dir, name, 'ct.nii.gz');
      if (!(await entriesOf(join(dir, name))).files.includes('ct.nii.gz')) {
        dropped.push({ name, where: join(dir, name), code: 'file-missing', reason: 'no ct.nii.gz' });
        continue;
      }
      const masks = files.map((f) => ({ id: ids.get(stem(f))!, path: join(dir, name, 'segmentations', f) }));
      const split = SPLITS[meta?.get(name)?.split ?? ''];
      const label = masks.length > 0 ? { label: { masks: masks.sort((a, b) => a.id - b.id) } } : {};
      studies.push({ name, patient: name, study: name, image, ...label, ...(split && { split }) });
    }
    return { studies, dropped, classes, notes: [] };
  },
};

const SPLITS: Readonly<Record<string, Study['split']>> = { train: 'train', val: 'validation', test: 'test' };

const subjectsOf = async (dir: string): Promise<string[]> =>
  (await entriesOf(dir)).folders.filter((f) => /^s\d{4}$/.test(f));
