// Pairs of a folder without a list (Node only): by the names of their files.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PairRow } from './pairs.ts';

const VOLUME = /\.(nii(\.gz)?|nrrd|nhdr|mha|mhd|dcm)$/i;
const MAP = /_(label|labels|seg|mask)$/;

/** A row for each volume and each report: images/ + reports/ (+ labels/), else NAME.nii.gz + NAME.txt (+ NAME_seg.nii.gz). In
 *  images/, a folder is a series. Paths are relative to `dir`. */
export async function folderRows(dir: string): Promise<PairRow[]> {
  const entries = await list(dir);
  const images = ['images', 'imagesTr'].find((f) => entries.includes(f));
  if (images && entries.includes('reports')) {
    const labels = ['labels', 'labelsTr'].find((f) => entries.includes(f));
    const maps = labels ? (await list(join(dir, labels))).filter((f) => VOLUME.test(f)) : [];
    const volumes: [string, string][] = [];
    for (const f of await list(join(dir, images)))
      if (VOLUME.test(f) || (await isFolder(join(dir, images, f)))) volumes.push([stem(f), `${images}/${f}`]);
    const texts = (await list(join(dir, 'reports'))).filter((f) => f.endsWith('.txt'));
    return join3(
      volumes,
      texts.map((f) => [stem(f), `reports/${f}`]),
      maps.map((f) => [stem(f), `${labels}/${f}`]),
    );
  }
  const texts = entries.filter((f) => f.endsWith('.txt'));
  const named = new Set(texts.map(stem));
  const volumes: string[] = [];
  for (const f of entries) if (VOLUME.test(f) || (named.has(f) && (await isFolder(join(dir, f))))) volumes.push(f);
  return join3(
    volumes.filter((f) => !MAP.test(stem(f))).map((f) => [stem(f), f]),
    texts.map((f) => [stem(f), f]),
    volumes.filter((f) => MAP.test(stem(f))).map((f) => [stem(f).replace(MAP, ''), f]),
  );
}

type Files = readonly (readonly [name: string, path: string])[];

/** Rows by name; nnU-Net's NAME_0000 is NAME where a report is called so. */
function join3(images: Files, reports: Files, labels: Files): PairRow[] {
  const [texts, maps] = [new Map(reports), new Map(labels)];
  const byName = new Map(images.map(([n, f]) => [texts.has(n) || !/_0000$/.test(n) ? n : n.slice(0, -5), f]));
  const names = [...new Set([...byName.keys(), ...texts.keys()])].sort();
  return names.map((name) => {
    const [image, report, label] = [byName.get(name), texts.get(name), maps.get(name)];
    const fields = { name, ...(image && { image }), ...(report && { report }), ...(label && { label }) };
    return { fields, columns: {}, where: image ?? report!, reportIsPath: true };
  });
}

const stem = (file: string): string => file.replace(VOLUME, '').replace(/\.txt$/, '');
const list = async (dir: string): Promise<string[]> => (await readdir(dir)).filter((f) => !f.startsWith('.')).sort();
const isFolder = async (path: string): Promise<boolean> => (await stat(path)).isDirectory();
