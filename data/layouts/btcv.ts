// BTCV (Synapse, Beyond the Cranial Vault, abdomen): RawData/Training/img/imgNNNN.nii.gz and label/labelNNNN.nii.gz, Testing/img; also
// without the outer folders.

import { join } from 'node:path';
import type { Layout, Study } from './layout.ts';
import { badLayout, entriesOf, volumesIn } from './walk.ts';

const CLASSES = [
  'background',
  'spleen',
  'right kidney',
  'left kidney',
  'gallbladder',
  'esophagus',
  'liver',
  'stomach',
  'aorta',
  'inferior vena cava',
  'portal and splenic veins',
  'pancreas',
  'right adrenal gland',
  'left adrenal gland',
];
const IMAGE = /^img(\d{4})\.nii(\.gz)?$/;

export const btcv: Layout = {
  name: 'btcv',
  async detect(dir) {
    const training = await trainingOf(dir);
    if (!training) return null;
    const files = (await volumesIn(join(training, 'img'))).filter((f) => IMAGE.test(f));
    return [`${files.length} files imgNNNN in ${join(training, 'img')}`];
  },
  async list(dir) {
    const training = await trainingOf(dir);
    if (!training) throw badLayout(dir, 'img/imgNNNN.nii.gz, in RawData/Training or at the top');
    const labels = new Set(await volumesIn(join(training, 'label')));
    const of = async (folder: string, split: Study['split']): Promise<Study[]> =>
      (await volumesIn(join(folder, 'img'))).flatMap((file): Study[] => {
        const number = IMAGE.exec(file)?.[1];
        if (!number) return [];
        const name = `img${number}`;
        const map = file.replace(/^img/, 'label');
        const label = labels.has(map) && split === 'train' ? { label: join(folder, 'label', map) } : {};
        return [{ name, patient: name, study: name, image: join(folder, 'img', file), ...label, split }];
      });
    const testing = join(training, '..', 'Testing');
    return {
      studies: [...(await of(training, 'train')), ...(await of(testing, 'test'))],
      dropped: [],
      classes: CLASSES,
      notes: [],
    };
  },
};

async function trainingOf(dir: string): Promise<string | null> {
  for (const inner of ['', 'Training', 'RawData/Training', 'Abdomen/RawData/Training']) {
    const folder = join(dir, inner);
    const { folders } = await entriesOf(folder);
    if (!folders.includes('img')) continue;
    if ((await volumesIn(join(folder, 'img'))).some((f) => IMAGE.test(f))) return folder;
  }
  return null;
}
