// Reports on disk (Node only): a list of pairs, a folder of texts, or one text.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DataError } from './errors.ts';
import { readBytes } from './files.ts';

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
 * The reports of FILE.jsonl (a pair a line: `report` is a path beside it, or `text` the report itself; `patient` or `name` names it), of
 * a folder (its pairs.jsonl, or every .txt below it and its folder `reports`), or of one .txt file. Those that are missing or empty are
 * skipped and told.
 *
 * @throws `reports-missing`, `reports-json`, `reports-empty`
 */
export async function readReports(path: string): Promise<Reports> {
  const from = resolve(path);
  const info = await stat(from).catch(() => null);
  if (!info)
    throw new DataError('reports-missing', 'There are no such reports.', {
      found: from,
      expected: 'a folder with pairs.jsonl or .txt files, a .jsonl file, or a .txt file',
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
  if (entries.includes('pairs.jsonl')) return ofFile(join(dir, 'pairs.jsonl'));
  if (entries.includes('reports') && !entries.some((e) => e.endsWith('.txt'))) return ofFolder(join(dir, 'reports'));
  const texts = entries.filter((e) => e.endsWith('.txt'));
  return (await Promise.all(texts.map((e) => ofFile(join(dir, e))))).flat();
}

async function ofFile(file: string): Promise<Found[]> {
  const text = new TextDecoder().decode(await readBytes(file));
  if (!file.endsWith('.jsonl')) return [{ name: basename(file).replace(/\.[^.]*$/, ''), text }];
  const lines = text.split('\n').map((l) => l.trim());
  return Promise.all(lines.flatMap((line, n) => (line === '' ? [] : [ofPair(line, n + 1, file)])));
}

async function ofPair(line: string, number: number, file: string): Promise<Found> {
  const bad = (found: string): never => {
    throw new DataError('reports-json', 'A line of the list of pairs cannot be read.', {
      found: `line ${number} of ${file}: ${found}`,
      expected: '{"patient": NAME, "report": PATH} or {"patient": NAME, "text": TEXT}',
      fix: 'mend the line',
    });
  };
  let pair: unknown;
  try {
    pair = JSON.parse(line);
  } catch (e) {
    bad((e as Error).message);
  }
  if (pair === null || typeof pair !== 'object') return bad(line.slice(0, 60));
  const { patient, name, report, text } = pair as Record<string, unknown>;
  const called = String(patient ?? name ?? number);
  if (typeof text === 'string') return { name: called, text };
  if (typeof report !== 'string') return { name: called, reason: 'no report' };
  const path = join(dirname(file), report);
  const bytes = await readBytes(path).catch(() => null);
  return bytes
    ? { name: called, text: new TextDecoder().decode(bytes) }
    : { name: called, reason: `no file ${report}` };
}
