// AMOS22: dataset.json with training and validation lists, imagesTr/imagesVa/imagesTs, files amos_NNNN. Numbers above 500 are MRI.

import { join } from 'node:path';
import { classesOf, datasetJson, listedStudies } from './dataset-json.ts';
import type { DroppedStudy, Layout, Study } from './layout.ts';
import { badLayout, volumesIn } from './walk.ts';

const NAME = /^amos_(\d{4})$/;

export const amos: Layout = {
  name: 'amos',
  async detect(dir) {
    if (!(await datasetJson(dir))) return null;
    const files = (await volumesIn(join(dir, 'imagesTr'))).filter((f) => /^amos_\d{4}\.nii/.test(f));
    return files.length > 0 ? [`${files.length} files amos_NNNN in imagesTr`, 'dataset.json'] : null;
  },
  async list(dir) {
    const json = await datasetJson(dir);
    if (!json) throw badLayout(`${dir} without dataset.json`, 'dataset.json of AMOS22');
    const dropped: DroppedStudy[] = [];
    const all = [
      ...(await listedStudies(dir, json.training, 'train', dropped)),
      ...(await listedStudies(dir, json.validation, 'validation', dropped)),
      ...(await listedStudies(dir, json.test, 'test', dropped)),
    ];
    const isMri = (s: Study): boolean => Number(NAME.exec(s.name)?.[1] ?? 0) > 500;
    for (const s of all.filter(isMri))
      dropped.push({ name: s.name, where: s.image, code: 'layout-modality', reason: 'MRI: AMOS numbers above 500' });
    return { studies: all.filter((s) => !isMri(s)), dropped, classes: classesOf(json, dir), notes: [] };
  },
};
