// dataset.json, as the Medical Segmentation Decathlon, AMOS and nnU-Net write it: names of labels, modality, lists of pairs.

import { join, resolve } from 'node:path';
import type { DroppedStudy, Study } from './layout.ts';
import { badLayout, entriesOf, jsonIn, stem } from './walk.ts';

export interface DatasetJson {
  readonly modality?: Readonly<Record<string, string>>;
  readonly channel_names?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string | number | readonly number[]>>;
  readonly training?: readonly (string | { readonly image: string; readonly label?: string })[];
  readonly validation?: readonly (string | { readonly image: string; readonly label?: string })[];
  readonly test?: readonly (string | { readonly image: string })[];
  readonly file_ending?: string;
  readonly name?: string;
}

export async function datasetJson(dir: string): Promise<DatasetJson | null> {
  if (!(await entriesOf(dir)).files.includes('dataset.json')) return null;
  const json = await jsonIn(dir, 'dataset.json');
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw badLayout(join(dir, 'dataset.json'), 'an object');
  return json as DatasetJson;
}

/** Why the images are no single CT; null where they are. */
export function noCt({ modality, channel_names }: DatasetJson): string | null {
  const channels = Object.values(modality ?? channel_names ?? {});
  if (channels.length > 1) return `${channels.length} channels (${channels.join(', ')})`;
  if (channels.length === 1 && !/ct/i.test(channels[0]!)) return `modality ${channels[0]}`;
  return null;
}

/** {"0": "background"} or {"background": 0}. Regions of nnU-Net (lists of ids) have no one id: they are refused. */
export function classesOf({ labels }: DatasetJson, dir: string): string[] | undefined {
  if (!labels) return undefined;
  const names: string[] = [];
  for (const [key, value] of Object.entries(labels)) {
    const [id, name] = typeof value === 'string' ? [Number(key), value] : [value as number, key];
    if (!Number.isInteger(id) || id < 0)
      throw badLayout(`label ${JSON.stringify(key)}: ${JSON.stringify(value)} in ${dir}`, 'a whole id a class');
    names[id] = name;
  }
  return Array.from(names, (name, id) => name ?? `label ${id}`);
}

/** The pairs of a list. A listed file that is not there is dropped by name. */
export async function listedStudies(
  dir: string,
  list: DatasetJson['training'],
  split: Study['split'],
  dropped: DroppedStudy[],
): Promise<Study[]> {
  const there = new Map<string, Set<string>>();
  const exists = async (path: string): Promise<boolean> => {
    const folder = resolve(path, '..');
    if (!there.has(folder)) there.set(folder, new Set((await entriesOf(folder)).files.map((f) => join(folder, f))));
    return there.get(folder)!.has(path);
  };
  const studies: Study[] = [];
  for (const [n, item] of (list ?? []).entries()) {
    const { image, label } = typeof item === 'string' ? { image: item, label: undefined } : item;
    if (typeof image !== 'string')
      throw badLayout(`item ${n} of ${dir}/dataset.json`, '{"image": path, "label": path}');
    const name = stem(image).replace(/_0000$/, '');
    const paths = { image: resolve(dir, image), ...(label !== undefined && { label: resolve(dir, label) }) };
    const lost = [];
    for (const path of Object.values(paths)) if (!(await exists(path))) lost.push(path);
    if (lost.length > 0)
      dropped.push({
        name,
        where: image,
        code: 'file-missing',
        reason: `dataset.json names ${lost.join(', ')}, which is not there`,
      });
    else studies.push({ name, patient: name, study: name, ...paths, ...(split && { split }) });
  }
  return studies;
}

export const dropAll = (studies: readonly Study[], code: string, reason: string): DroppedStudy[] =>
  studies.map(({ name, image }) => ({ name, where: image, code, reason }));
