// Folders of image and label pairs (Node only).

import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { DataError } from './errors.ts';
import { readBytes } from './files.ts';

export interface Case {
  readonly name: string;
  /** Path of the image. */
  readonly image: string;
  /** Path of the label map; undefined for an image without one. */
  readonly label?: string;
}

export interface Dataset {
  readonly dir: string;
  readonly name: string;
  /** Sorted by name. */
  readonly cases: readonly Case[];
  /** Label names by id, where dataset.json gives them. */
  readonly classes?: readonly string[];
  /** How the pairs were found. */
  readonly layout: 'dataset.json' | 'imagesTr/labelsTr' | 'images/labels' | 'names';
}

export interface DatasetOptions {
  /** Refuse images without labels. Default false. */
  readonly labelled?: boolean;
}

/**
 * The cases of a folder, by the first of: the `training` list of dataset.json (Medical Segmentation Decathlon, and what
 * `writePhantomSet` makes); imagesTr + labelsTr (also nnU-Net's, whose images end in _0000); images + labels; files side by
 * side, NAME.nii.gz with NAME_label, _seg or _mask.
 *
 * @throws `dataset-missing`, `dataset-json`, `dataset-empty`, `dataset-unpaired`, `dataset-channels`
 */
export async function datasetFrom(dir: string, options: DatasetOptions = {}): Promise<Dataset> {
  const root = resolve(dir);
  const entries = await list(root);
  if (!entries) {
    throw new DataError('dataset-missing', 'There is no such folder.', {
      found: root,
      expected: 'a folder with volumes',
      fix: 'check the path, or make a synthetic set with writePhantomSet',
    });
  }
  const json = entries.includes('dataset.json') ? await readJson(join(root, 'dataset.json')) : undefined;
  const { layout, cases } = await findCases(root, entries, json);
  if (cases.length === 0) {
    throw new DataError('dataset-empty', 'The folder holds no volumes.', {
      found: `${root} with ${entries.slice(0, 8).join(', ') || 'nothing'}${entries.length > 8 ? ', …' : ''}`,
      expected:
        'dataset.json with a training list, imagesTr + labelsTr, images + labels, or NAME.nii.gz + NAME_label.nii.gz',
      fix: 'arrange the files in one of these ways',
    });
  }
  const bare = cases.filter((c) => !c.label);
  if (options.labelled && bare.length > 0) {
    throw new DataError('dataset-unpaired', 'Some images have no label map.', {
      found: `${bare.length} of ${cases.length} (${bare
        .slice(0, 5)
        .map((c) => c.name)
        .join(', ')})`,
      expected: 'a label map of the same name for every image',
      fix: 'add the label maps or take these images out',
    });
  }
  return {
    dir: root,
    name: typeof json?.name === 'string' ? json.name : basename(root),
    cases: cases.sort((a, b) => (a.name < b.name ? -1 : 1)),
    classes: json ? classesOf(json.labels) : undefined,
    layout,
  };
}

/** Label names by id that DIR/dataset.json gives; undefined without one. @throws `dataset-json` */
export async function datasetClasses(dir: string): Promise<readonly string[] | undefined> {
  const entries = await list(resolve(dir));
  return entries?.includes('dataset.json') ? classesOf((await readJson(join(dir, 'dataset.json'))).labels) : undefined;
}

/** Cases split by position after a sort by name: every `every`-th, from the last, is for validation. */
export function splitCases(cases: readonly Case[], every: number): { train: Case[]; validation: Case[] } {
  const held = (n: number) => every > 0 && (n + 1) % every === 0;
  return { train: cases.filter((_, n) => !held(n)), validation: cases.filter((_, n) => held(n)) };
}

interface DatasetJson {
  name?: unknown;
  labels?: unknown;
  training?: unknown;
}

const VOLUME = /\.nii(\.gz)?$/;
const stem = (file: string): string => basename(file).replace(VOLUME, '');

async function findCases(
  root: string,
  entries: string[],
  json?: DatasetJson,
): Promise<{ layout: Dataset['layout']; cases: Case[] }> {
  if (Array.isArray(json?.training) && json.training.length > 0) {
    return { layout: 'dataset.json', cases: json.training.map((item, n) => listedCase(root, item, n)) };
  }
  for (const [images, labels] of [
    ['imagesTr', 'labelsTr'],
    ['images', 'labels'],
  ] as const) {
    if (!entries.includes(images)) continue;
    const pictures = ((await list(join(root, images))) ?? []).filter((f) => VOLUME.test(f));
    const maps = ((await list(join(root, labels))) ?? []).filter((f) => VOLUME.test(f));
    return {
      layout: `${images}/${labels}` as Dataset['layout'],
      cases: paired(join(root, images), pictures, join(root, labels), maps),
    };
  }
  const files = entries.filter((f) => VOLUME.test(f));
  const suffix = /_(label|labels|seg|mask)$/;
  const pictures = files.filter((f) => !suffix.test(stem(f)));
  const maps = files.filter((f) => suffix.test(stem(f)));
  return { layout: 'names', cases: paired(root, pictures, root, maps, suffix) };
}

function listedCase(root: string, item: unknown, n: number): Case {
  const entry =
    typeof item === 'string' ? { image: item } : (item as { image?: unknown; label?: unknown; name?: unknown });
  if (typeof entry?.image !== 'string' || (entry.label !== undefined && typeof entry.label !== 'string')) {
    throw badJson(`training[${n}] is ${JSON.stringify(item)}`, '{"image": path, "label": path}');
  }
  return {
    name: typeof entry.name === 'string' ? entry.name : stem(entry.image),
    image: resolve(root, entry.image),
    label: entry.label === undefined ? undefined : resolve(root, entry.label as string),
  };
}

function paired(imageDir: string, images: string[], labelDir: string, labels: string[], suffix = /$^/): Case[] {
  const byName = new Map(labels.map((f) => [stem(f).replace(suffix, ''), f]));
  const named = new Set(byName.keys());
  const cases = images.map((file): Case => {
    const channel = /_(\d{4})$/.exec(stem(file));
    if (channel && channel[1] !== '0000' && named.has(stem(file).slice(0, -5))) {
      throw new DataError('dataset-channels', 'These images have several channels.', {
        found: `${file} beside channel _0000`,
        expected: 'one CT volume per case',
        fix: 'keep the CT channel only',
      });
    }
    const name = byName.has(stem(file)) ? stem(file) : stem(file).replace(/_0000$/, '');
    const map = byName.get(name);
    byName.delete(name);
    return { name, image: join(imageDir, file), label: map && join(labelDir, map) };
  });
  if (byName.size > 0 && images.length > 0) {
    throw new DataError('dataset-unpaired', 'Some label maps have no image.', {
      found: [...byName.values()].slice(0, 5).join(', '),
      expected: `an image of the same name in ${imageDir}`,
      fix: 'add the images or take these label maps out',
    });
  }
  return cases;
}

/** MSD writes {"0": "background"}, nnU-Net {"background": 0}, and a plain list is taken as it is. */
function classesOf(labels: unknown): string[] | undefined {
  if (labels === undefined) return undefined;
  if (Array.isArray(labels)) return labels.map(String);
  if (typeof labels !== 'object' || labels === null)
    throw badJson(`labels is ${JSON.stringify(labels)}`, 'an object of ids and names');
  const names: string[] = [];
  for (const [key, value] of Object.entries(labels)) {
    const [id, name] = typeof value === 'number' ? [value, key] : [Number(key), String(value)];
    if (!Number.isInteger(id) || id < 0 || id > 65535)
      throw badJson(`label ${JSON.stringify(key)}: ${JSON.stringify(value)}`, 'whole ids from 0');
    names[id] = name;
  }
  return Array.from(names, (name, id) => name ?? `label ${id}`);
}

async function readJson(path: string): Promise<DatasetJson> {
  const text = new TextDecoder().decode(await readBytes(path));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (err) {
    throw badJson(`${path}: ${(err as Error).message}`, 'valid JSON');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw badJson(path, 'an object');
  return json as DatasetJson;
}

function badJson(found: string, expected: string): DataError {
  return new DataError('dataset-json', 'dataset.json cannot be used.', {
    found,
    expected,
    fix: 'correct dataset.json',
  });
}

async function list(dir: string): Promise<string[] | undefined> {
  try {
    return (await readdir(dir)).filter((f) => !f.startsWith('.')).sort();
  } catch (err) {
    const code = (err as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw err;
  }
}
