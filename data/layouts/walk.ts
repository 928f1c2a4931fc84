// What is in folders (Node only): entries in order, tables by their columns.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readCsv } from '../csv.ts';
import { DataError } from '../errors.ts';
import { readBytes } from '../files.ts';

export const NIFTI = /\.nii(\.gz)?$/;
export const stem = (file: string): string => file.replace(/^.*[/\\]/, '').replace(NIFTI, '');

export interface Entries {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

/** Names in a folder, sorted, hidden ones left out (macOS leaves `._NAME` beside files); nothing where there is no such folder. */
export async function entriesOf(dir: string): Promise<Entries> {
  try {
    const all = (await readdir(dir, { withFileTypes: true })).filter((e) => !e.name.startsWith('.'));
    const names = (of: typeof all) => of.map((e) => e.name).sort();
    const folders = all.filter((e) => e.isDirectory());
    return { files: names(all.filter((e) => !e.isDirectory())), folders: names(folders) };
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw err;
    return { files: [], folders: [] };
  }
}

export const volumesIn = async (dir: string): Promise<string[]> =>
  (await entriesOf(dir)).files.filter((f) => NIFTI.test(f));

/** The rows of a CSV by the values of one column. @throws `csv`, `layout` where a column is missing */
export async function tableBy(
  path: string,
  key: string,
  needed: readonly string[] = [],
): Promise<Map<string, Readonly<Record<string, string>>>> {
  const { columns, rows } = readCsv(new TextDecoder().decode(await readBytes(path)), path);
  for (const column of [key, ...needed])
    if (!columns.includes(column)) throw badLayout(`${path} with columns ${columns.join(', ')}`, `a column ${column}`);
  return new Map(rows.map((r) => [r.values[key]!, r.values]));
}

/** dataset.json and splits_final.json. @throws `layout` */
export async function jsonIn(dir: string, name: string): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(join(dir, name)));
  try {
    return JSON.parse(text);
  } catch (err) {
    throw badLayout(`${join(dir, name)}: ${(err as Error).message}`, 'valid JSON');
  }
}

export function badLayout(found: string, expected: string): DataError {
  return new DataError('layout', 'The folder is not as its layout has it.', {
    found,
    expected,
    fix: 'complete the folder, or choose another --layout',
  });
}
