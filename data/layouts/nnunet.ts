// nnU-Net v2 raw: dataset.json with channel_names, imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz, imagesTs; splits_final.json, where
// it was copied beside dataset.json, gives the fold in which a case is validated on.

import { join } from 'node:path';
import { classesOf, datasetJson, dropAll, noCt } from './dataset-json.ts';
import type { DroppedStudy, Layout, Study } from './layout.ts';
import { badLayout, entriesOf, jsonIn, stem, volumesIn } from './walk.ts';

export const nnunet: Layout = {
  name: 'nnunet',
  async detect(dir) {
    const json = await datasetJson(dir);
    const files = (await volumesIn(join(dir, 'imagesTr'))).filter((f) => /_0000\.nii/.test(f));
    if (!json || files.length === 0 || Array.isArray(json.training)) return null;
    return [
      `${files.length} files NAME_0000 in imagesTr`,
      json.channel_names ? 'channel_names in dataset.json' : 'dataset.json',
    ];
  },
  async list(dir) {
    const json = await datasetJson(dir);
    if (!json) throw badLayout(`${dir} without dataset.json`, 'dataset.json of nnU-Net');
    const folds = await foldsOf(dir);
    const dropped: DroppedStudy[] = [];
    const labels = new Map((await volumesIn(join(dir, 'labelsTr'))).map((f) => [stem(f), join(dir, 'labelsTr', f)]));
    const of = async (folder: string, split: Study['split']): Promise<Study[]> => {
      const files = await volumesIn(join(dir, folder));
      return files
        .filter((f) => stem(f).endsWith('_0000'))
        .flatMap((file): Study[] => {
          const name = stem(file).slice(0, -5);
          const image = join(dir, folder, file);
          const more = files.filter((f) => f !== file && stem(f).slice(0, -5) === name && /_\d{4}$/.test(stem(f)));
          if (more.length > 0) {
            dropped.push({
              name,
              where: image,
              code: 'layout-modality',
              reason: `several channels (${more.join(', ')})`,
            });
            return [];
          }
          const label = split === 'train' ? labels.get(name) : undefined;
          const fold = folds?.get(name);
          return [
            {
              name,
              patient: name,
              study: name,
              image,
              ...(label && { label }),
              split,
              ...(fold !== undefined && { fold }),
            },
          ];
        });
    };
    const studies = [...(await of('imagesTr', 'train')), ...(await of('imagesTs', 'test'))];
    const classes = classesOf(json, dir);
    const other = noCt(json);
    if (other)
      return { studies: [], dropped: [...dropped, ...dropAll(studies, 'layout-modality', other)], classes, notes: [] };
    const notes = folds ? [`folds of splits_final.json: ${new Set(folds.values()).size}`] : [];
    return { studies, dropped, classes, notes };
  },
};

async function foldsOf(dir: string): Promise<Map<string, number> | null> {
  if (!(await entriesOf(dir)).files.includes('splits_final.json')) return null;
  const json = await jsonIn(dir, 'splits_final.json');
  const folds = json as readonly { readonly val?: readonly string[] }[];
  if (!Array.isArray(json) || !folds.every((f) => Array.isArray(f?.val)))
    throw badLayout(`splits_final.json of ${dir}`, '[{"train": [names], "val": [names]}, …]');
  return new Map(folds.flatMap((f, n) => f.val!.map((name) => [name, n] as const)));
}
