// Folders without a name of their own: imagesTr + labelsTr, images + labels, NAME.nii.gz beside NAME_label.nii.gz, as `datasetFrom`
// reads them.

import { datasetFrom } from '../dataset.ts';
import type { Layout } from './layout.ts';

export const plain: Layout = {
  name: 'plain',
  async detect(dir) {
    try {
      const { layout, cases } = await datasetFrom(dir);
      return [`${cases.length} volumes as ${layout}`];
    } catch {
      return null; // told by the layout that is asked for by name
    }
  },
  async list(dir) {
    const { cases, classes } = await datasetFrom(dir);
    const studies = cases.map((c) => ({ ...c, patient: c.name, study: c.name }));
    return { studies, dropped: [], ...(classes && { classes }), notes: [] };
  },
};
