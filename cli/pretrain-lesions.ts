// Lesions of the pairs of a pre-training: which labels they are, and how often those of a batch lay inside the tiles that it showed.
import { dirname, extname } from 'node:path';
import { datasetClasses } from '../data/dataset.ts';
import { type LesionCount, type LesionStore, lesionsShown } from '../tasks/lesion-store.ts';
import type { BatchItem } from '../tasks/pretrain-batches.ts';
import type { PretrainContract } from '../tasks/pretrain-contract.ts';
import { UsageError } from './errors.ts';
import type { MetricRecord } from './run-folder.ts';
import type { ReportTable } from './run-report.ts';
import type { Scalars } from './tensorboard.ts';

/** Names of classes that are lesions where nothing else is said. */
const LESION = /lesion|tumou?r|cancer|metasta|carcinoma|nodule|cyst|abscess|läsion|karzinom/i;

/**
 * Ids of lesions in the label maps of a list of pairs: those asked for, by number or by their name in the dataset.json beside the list;
 * else those whose name there says so; none for `none`.
 * @throws UsageError `bad-value`
 */
export async function lesionIds(list: string, asked: string | null): Promise<number[]> {
  if (asked?.trim() === 'none') return [];
  const names = (await datasetClasses(extname(list) === '' ? list : dirname(list))) ?? [];
  if (asked === null) return names.flatMap((name, id) => (id > 0 && LESION.test(name) ? [id] : []));
  return asked.split(',').map((part) => {
    const name = part.trim();
    const id = /^\d+$/.test(name) ? Number(name) : names.indexOf(name);
    if (id > 0) return id;
    throw new UsageError('bad-value', '--lesions names no class of the label maps', {
      found: `'${name}'`,
      expected:
        names.length > 1
          ? `some of ${names.slice(1).join(', ')}, or ids from 1`
          : 'ids from 1: no dataset.json names them',
    });
  });
}

/** Counts of batches, held until the step that they were for. */
export class LesionLog {
  readonly #store: LesionStore;
  readonly #contract: PretrainContract;
  readonly #counts = new Map<number, LesionCount | null>();

  constructor(store: LesionStore, contract: PretrainContract) {
    this.#store = store;
    this.#contract = contract;
  }

  readonly onBatch = async (n: number, items: readonly BatchItem[]): Promise<void> => {
    this.#counts.set(n, await lesionsShown(this.#store, this.#contract, items));
  };

  /** What a step logs of its batches, and at the end of an epoch the share of its lesions: `records` are those of the steps before. */
  ofStep(step: number, accumulate: number, perEpoch: number, records: readonly MetricRecord[]): Scalars {
    let [inside, all, known] = [0, 0, false];
    for (let n = (step - 1) * accumulate; n < step * accumulate; n++) {
      const count = this.#counts.get(n);
      this.#counts.delete(n);
      if (!count) continue;
      known = true;
      inside += count.inside;
      all += count.all;
    }
    if (!known) return {};
    const own = { [INSIDE]: inside, [ALL]: all };
    const epochs = (s: number): number => Math.floor((s * accumulate) / perEpoch);
    if (epochs(step) === epochs(step - 1)) return own;
    const last = records.findLast((r) => EPOCH in r.values)?.step ?? 0;
    const sum = (tag: string, here: number): number =>
      records.reduce((total, r) => (r.step > last ? total + (r.values[tag] ?? 0) : total), here);
    const total = sum(ALL, all);
    return total > 0 ? { ...own, [EPOCH]: sum(INSIDE, inside) / total } : own;
  }
}

const INSIDE = 'train/lesions/inside';
const ALL = 'train/lesions/all';
export const EPOCH = 'epoch/lesions_inside';

export function lesionTable(records: readonly MetricRecord[]): ReportTable[] {
  const sum = (tag: string): number => records.reduce((total, r) => total + (r.values[tag] ?? 0), 0);
  const all = sum(ALL);
  if (all === 0) return [];
  const epochs = records.filter((r) => EPOCH in r.values);
  const share = (part: number): string => `${(100 * part).toFixed(1)} %`;
  return [
    {
      title: 'Were lesions shown?',
      text: 'Lesions of the label maps of which at least half lay inside the tiles that a batch showed of their study.',
      head: ['when', 'lesions', 'inside'],
      rows: [
        ['in all', String(all), share(sum(INSIDE) / all)],
        ...epochs.slice(-5).map((r) => [`epoch that ended at step ${r.step}`, '', share(r.values[EPOCH]!)]),
      ],
      numbers: [1, 2],
    },
  ];
}
