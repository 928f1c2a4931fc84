// A list of pairs of one's own (pairs.jsonl, pairs.csv, images + reports), as `readPairs` reads it.

import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { datasetClasses } from '../dataset.ts';
import { listPairs } from '../pairs.ts';
import type { Layout, Study } from './layout.ts';
import { entriesOf } from './walk.ts';

export const pairs: Layout = {
  name: 'pairs',
  async detect(dir) {
    const { files, folders } = await entriesOf(dir);
    const list = files.find((f) => f === 'pairs.jsonl' || f === 'pairs.csv');
    if (list) return [list];
    if (folders.includes('images') && folders.includes('reports')) return ['images and reports'];
    const single = /\.(csv|tsv|jsonl)$/i.test(dir) && (await stat(dir).catch(() => null))?.isFile();
    return single ? ['a list of pairs'] : null;
  },
  async list(dir) {
    const found = await listPairs(resolve(dir));
    const studies = found.pairs.map(
      (p): Study => ({
        name: p.name,
        patient: p.patient,
        study: p.study ?? p.name,
        image: p.image!,
        ...(p.group !== undefined && { group: p.group }),
        ...(p.label !== undefined && { label: p.label }),
        report: { text: p.text },
      }),
    );
    const dropped = found.skipped.map((s) => ({ name: s.name, where: s.where, code: s.reason, reason: s.detail }));
    // The phantom writes both: its list of pairs does not name the labels.
    const classes = await datasetClasses(dir);
    return { studies, dropped, ...(classes && { classes }), notes: [...found.notes] };
  },
};
