// Reports on disk (Node only): a list of pairs, a folder of texts, or one text.
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { DataError } from './errors.ts';
import { readBytes } from './files.ts';
import { listPairs } from './pairs.ts';

export interface Report {
  readonly name: string;
  readonly text: string;
}

export interface Reports {
  readonly reports: readonly Report[];
  /** What was left out, and why. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
}

/**
 * The reports of FILE.csv or FILE.jsonl (as `readPairs` reads them, their volumes aside), of a folder (its pairs.jsonl or pairs.csv, or
 * every .txt below it and its folder `reports`), or of one .txt file. Those that are missing, empty or overlong are skipped and told.
 *
 * @throws `reports-missing`, `reports-empty`, and all of `readPairs` but `pairs-empty`
 */
export async function readReports(path: string): Promise<Reports> {
  const from = resolve(path);
  const info = await stat(from).catch(() => null);
  if (!info)
    throw new DataError('reports-missing', 'There are no such reports.', {
      found: from,
      expected: 'a folder with pairs.jsonl, pairs.csv or .txt files, a .jsonl, .csv or .txt file',
      fix: 'check the path, or make a synthetic set with t3dc data phantom',
    });
  const found = info.isDirectory() ? await ofFolder(from) : await ofFile(from);
  const reports = found.filter((r): r is Report => 'text' in r && r.text.trim() !== '');
  const skipped = found.flatMap((r) => {
    if ('reason' in r) return [r];
    return r.text.trim() === '' ? [{ name: r.name, reason: 'empty' }] : [];
  });
  if (reports.length === 0)
    throw new DataError('reports-empty', 'None of the reports can be read.', {
      found:
        skipped.length > 0 ? `${skipped.length} left out, the first ${skipped[0]!.name}: ${skipped[0]!.reason}` : from,
      expected: 'reports with text',
      fix: 'check the paths in the list of pairs',
    });
  return { reports, skipped };
}

type Found = Report | { readonly name: string; readonly reason: string };

async function ofFolder(dir: string): Promise<Found[]> {
  const entries = (await readdir(dir)).sort();
  for (const list of ['pairs.jsonl', 'pairs.csv']) if (entries.includes(list)) return ofFile(join(dir, list));
  if (entries.includes('reports') && !entries.some((e) => e.endsWith('.txt'))) return ofFolder(join(dir, 'reports'));
  const texts = entries.filter((e) => e.endsWith('.txt'));
  return (await Promise.all(texts.map((e) => ofFile(join(dir, e))))).flat();
}

async function ofFile(file: string): Promise<Found[]> {
  if (/\.(jsonl|csv|tsv)$/i.test(file)) {
    const { pairs, skipped } = await listPairs(file, { volumes: 'optional' });
    return [
      ...pairs.map(({ name, text }) => ({ name, text })),
      ...skipped.map(({ name, detail }) => ({ name, reason: detail })),
    ];
  }
  const text = new TextDecoder().decode(await readBytes(file));
  return [{ name: basename(file).replace(/\.[^.]*$/, ''), text }];
}
