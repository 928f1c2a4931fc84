// Medical Segmentation Decathlon: TaskNN_Name/dataset.json with modality and a list of pairs, imagesTr, labelsTr, imagesTs. Also what
// `t3dc data phantom` and others write in this form.

import { classesOf, datasetJson, dropAll, listedStudies, noCt } from './dataset-json.ts';
import type { DroppedStudy, Layout } from './layout.ts';
import { badLayout } from './walk.ts';

export const msd: Layout = {
  name: 'msd',
  async detect(dir) {
    const json = await datasetJson(dir);
    if (!Array.isArray(json?.training) || json.training.length === 0) return null;
    return [`dataset.json lists ${json.training.length} training pairs`];
  },
  async list(dir) {
    const json = await datasetJson(dir);
    if (!Array.isArray(json?.training))
      throw badLayout(`${dir} without a training list`, 'dataset.json of the Decathlon');
    const dropped: DroppedStudy[] = [];
    const studies = [
      ...(await listedStudies(dir, json.training, 'train', dropped)),
      ...(await listedStudies(dir, json.test, 'test', dropped)),
    ];
    const classes = classesOf(json, dir);
    const other = noCt(json);
    if (other)
      return { studies: [], dropped: [...dropped, ...dropAll(studies, 'layout-modality', other)], classes, notes: [] };
    return { studies, dropped, classes, notes: [] };
  },
};
