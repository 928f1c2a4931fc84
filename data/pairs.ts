// Pairs of a CT and its report on disk (Node only): a CSV, a JSONL, or a folder. What cannot be used is left out by name and
// reason; nothing is left out silently.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { readCsv } from './csv.ts';
import { DataError } from './errors.ts';
import { readBytes } from './files.ts';
import { fieldsOf, type PairColumns, type PairField, reportOf } from './pair-fields.ts';
import { folderRows } from './pair-folder.ts';

export interface Pair {
  /** Unique in the list. */
  readonly name: string;
  /** The name where the list has no patients: then each pair is a patient of its own. */
  readonly patient: string;
  readonly study?: string;
  /** Pairs of one group stay together in a split. */
  readonly group?: string;
  readonly site?: string;
  /** Path of the volume, or of the folder of its series. Undefined only where volumes are optional. */
  readonly image?: string;
  /** Path of the label map. */
  readonly label?: string;
  readonly text: string;
  /** Every other column that is no empty cell. */
  readonly columns: Readonly<Record<string, string>>;
  /** `line 7`, or the file in a folder. */
  readonly where: string;
}

export type SkipReason =
  | 'no-volume'
  | 'volume-missing'
  | 'no-report'
  | 'report-missing'
  | 'report-empty'
  | 'report-too-long'
  | 'repeated';

export interface SkippedPair {
  readonly name: string;
  readonly where: string;
  readonly reason: SkipReason;
  /** In words. */
  readonly detail: string;
}

export interface Pairs {
  readonly pairs: readonly Pair[];
  readonly skipped: readonly SkippedPair[];
  /** How many were left out for each reason. */
  readonly counts: Readonly<Partial<Record<SkipReason, number>>>;
  /** Whether the list says whose each pair is. */
  readonly patients: boolean;
  /** Worth knowing: missing label maps, encodings, what the list does not tell. Patients are not named. */
  readonly notes: readonly string[];
  readonly source: 'csv' | 'jsonl' | 'folder';
}

export interface PairOptions {
  /** `optional`: pairs without a volume stay. Default `required`. */
  readonly volumes?: 'required' | 'optional';
  /** Longer reports are left out: several reports in one file, or something else. Default 50,000 characters. */
  readonly maxCharacters?: number;
  /** Columns whose names are none of the known ones. */
  readonly columns?: PairColumns;
  /** Where relative paths begin. Default: the list's folder. */
  readonly root?: string;
}

/** A row of a list before its files are looked at. */
export interface PairRow {
  readonly fields: Readonly<Partial<Record<PairField, string>>>;
  readonly columns: Readonly<Record<string, string>>;
  readonly where: string;
  /** `report` is a path whatever it looks like (JSONL, folders); in a CSV it is one where it ends in .txt. */
  readonly reportIsPath: boolean;
}

const LONGEST = 50_000;
/** Files looked at side by side. */
const AT_ONCE = 32;

/**
 * The pairs of FILE.csv, of FILE.jsonl (a pair a line: image, label, report (a path) or text, patient, study, group, site), or of a
 * folder: its pairs.jsonl or pairs.csv, images/ + reports/ (+ labels/), or NAME.nii.gz + NAME.txt side by side.
 *
 * @throws `pairs-missing`, `pairs-json`, `csv`, `pairs-columns`, `pairs-empty` where nothing is left
 */
export async function readPairs(path: string, options: PairOptions = {}): Promise<Pairs> {
  const found = await listPairs(path, options);
  if (found.pairs.length > 0) return found;
  const first = found.skipped[0];
  throw new DataError('pairs-empty', 'No pair of this list can be used.', {
    found: first
      ? `${found.skipped.length} left out (${showCounts(found.counts)}), the first at ${first.where}: ${first.detail}`
      : `no pair in ${path}`,
    expected: 'volumes and reports that are there',
    fix: 'check the paths in the list; relative ones begin at its folder',
  });
}

/** As `readPairs`, an empty result included. */
export async function listPairs(path: string, options: PairOptions = {}): Promise<Pairs> {
  const { rows, source, root, notes } = await rowsOf(resolve(path), options);
  const skipped: SkippedPair[] = [];
  const pairs: Pair[] = [];
  let maps = 0;
  let latin = 0;
  const names = namesOf(rows, root);
  const seen = new Map<string, string>();
  for (let from = 0; from < rows.length; from += AT_ONCE) {
    const some = rows.slice(from, from + AT_ONCE);
    const looked = await Promise.all(some.map((row, n) => lookAt(row, names[from + n]!, root, options)));
    for (const l of looked) {
      const image = 'reason' in l || options.volumes === 'optional' ? undefined : l.pair.image;
      const before = image === undefined ? undefined : seen.get(image);
      if ('reason' in l) skipped.push(l);
      else if (before !== undefined)
        skipped.push({
          name: l.pair.name,
          where: l.pair.where,
          reason: 'repeated',
          detail: `its volume is at ${before} already`,
        });
      else {
        if (image !== undefined) seen.set(image, l.pair.where);
        if (l.mapMissing) maps++;
        if (l.latin) latin++;
        pairs.push(l.pair);
      }
    }
  }
  const patients = pairs.length > 0 && rows.every((r) => r.fields.patient);
  if (!patients && pairs.length > 0)
    notes.push('the list has no patient for every pair: one without counts as a patient of its own');
  if (maps > 0) notes.push(`${maps} label maps are not there; their pairs stay without`);
  if (latin > 0) notes.push(`${latin} reports are no UTF-8 and were read as Windows-1252`);
  const counts: Partial<Record<SkipReason, number>> = {};
  for (const s of skipped) counts[s.reason] = (counts[s.reason] ?? 0) + 1;
  return { pairs, skipped, counts, patients, notes, source };
}

/** `2 report-missing, 1 no-volume` */
export const showCounts = (counts: Readonly<Record<string, number | undefined>>): string =>
  Object.entries(counts)
    .filter(([, n]) => n)
    .map(([what, n]) => `${n} ${what}`)
    .join(', ');

interface Rows {
  readonly rows: readonly PairRow[];
  readonly source: Pairs['source'];
  readonly root: string;
  readonly notes: string[];
}

async function rowsOf(path: string, options: PairOptions): Promise<Rows> {
  const info = await stat(path).catch(() => null);
  const kind = info?.isDirectory() ? 'folder' : /\.(csv|tsv|jsonl)$/i.exec(path)?.[1]?.toLowerCase();
  if (!info || !kind)
    throw new DataError('pairs-missing', 'There is no such list of pairs.', {
      found: path,
      expected:
        'a .csv, a .jsonl, or a folder with pairs.jsonl, pairs.csv, images + reports, or NAME.nii.gz + NAME.txt',
      fix: 'check the path, or make a synthetic set with t3dc data phantom',
    });
  if (kind === 'folder') {
    const entries = await readdir(path);
    for (const list of ['pairs.jsonl', 'pairs.csv'])
      if (entries.includes(list)) return rowsOf(join(path, list), options);
    return { rows: await folderRows(path), source: 'folder', root: path, notes: [] };
  }
  const { text, latin } = decode(await readBytes(path));
  const notes = latin ? ['the list is no UTF-8 and was read as Windows-1252'] : [];
  const root = options.root === undefined ? dirname(path) : resolve(options.root);
  const rows = kind === 'jsonl' ? jsonRows(text, path, options, notes) : csvRows(text, path, options);
  return { rows, source: kind === 'jsonl' ? 'jsonl' : 'csv', root, notes };
}

function csvRows(text: string, path: string, options: PairOptions): PairRow[] {
  const { columns, rows } = readCsv(text, path);
  const { fields, others } = fieldsOf(columns, options.columns, path);
  return rows.map(({ line, values }) => rowFrom(values, fields, others, `line ${line}`, false));
}

function jsonRows(text: string, path: string, options: PairOptions, notes: string[]): PairRow[] {
  const lines = text
    .split(/\r?\n/)
    .flatMap((line, n) => (line.trim() === '' ? [] : [{ line, where: `line ${n + 1}` }]));
  const unread = new Set<string>();
  const parsed = lines.map(({ line, where }) => {
    const values: Record<string, string> = {};
    for (const [key, value] of Object.entries(parseLine(line, where, path)))
      if (['string', 'number', 'boolean'].includes(typeof value)) values[key] = String(value);
      else if (value !== null) unread.add(key);
    return { values, where };
  });
  if (unread.size > 0) notes.push(`lists and objects in the list were not read: ${[...unread].sort().join(', ')}`);
  const columns = [...new Set(parsed.flatMap((p) => Object.keys(p.values)))];
  const { fields, others } = fieldsOf(columns, options.columns, path);
  return parsed.map(({ values, where }) => rowFrom(values, fields, others, where, true));
}

function parseLine(line: string, where: string, path: string): object {
  let found: string;
  try {
    const json: unknown = JSON.parse(line);
    if (json !== null && typeof json === 'object' && !Array.isArray(json)) return json;
    found = 'no object';
  } catch (err) {
    // The message would quote the line, and with it a report.
    found = (err as Error).message.replace(/,? ?"[\s\S]*/, '');
  }
  throw new DataError('pairs-json', 'A line of the list of pairs cannot be read.', {
    found: `${where} of ${path}: ${found}`,
    expected:
      '{"image": PATH, "report": PATH} or {"image": PATH, "text": TEXT}, with patient, study, group, site as known',
    fix: 'mend the line',
  });
}

function rowFrom(
  values: Readonly<Record<string, string>>,
  fields: Readonly<Partial<Record<PairField, string>>>,
  others: readonly string[],
  where: string,
  reportIsPath: boolean,
): PairRow {
  const filled = (columns: readonly (readonly [string, string])[]) =>
    Object.fromEntries(columns.flatMap(([key, c]) => (values[c]?.trim() ? [[key, values[c]!]] : [])));
  const own: Partial<Record<PairField, string>> = filled(Object.entries(fields));
  const columns: Record<string, string> = filled(others.map((c) => [c, c]));
  // A column `label` that holds no paths holds classes.
  if (own.label !== undefined && !/[/\\]|\.[a-z]{2,5}(\.gz)?$/i.test(own.label.trim())) {
    columns[fields.label!] = own.label;
    delete own.label;
  }
  for (const key of Object.keys(own) as PairField[])
    if (!['text', 'report', 'findings', 'impression'].includes(key)) own[key] = own[key]!.trim();
  return { fields: own, columns, where, reportIsPath };
}

/** By name, else by the volume's file, else by study or patient; file names that are not unique become paths. */
function namesOf(rows: readonly PairRow[], root: string): string[] {
  const stem = (path: string): string => path.replace(/[/\\]+$/, '').replace(/\.(nii\.gz|[a-z\d]{2,5})$/i, '');
  const short = rows.map(
    ({ fields: f, where }) => f.name ?? (f.image && stem(basename(f.image))) ?? f.study ?? f.patient ?? where,
  );
  const uses = new Map<string, number>();
  for (const s of short) uses.set(s, (uses.get(s) ?? 0) + 1);
  const given = new Map<string, number>();
  return rows.map(({ fields: f }, n) => {
    const whole = f.image && f.name === undefined && uses.get(short[n]!)! > 1;
    const name = whole ? stem(relative(root, resolve(root, f.image!))).replaceAll('\\', '/') : short[n]!;
    const before = given.get(name) ?? 0;
    given.set(name, before + 1);
    return before === 0 ? name : `${name} (${before + 1})`;
  });
}

type Looked = { readonly pair: Pair; readonly mapMissing: boolean; readonly latin: boolean } | SkippedPair;

async function lookAt(row: PairRow, name: string, root: string, options: PairOptions): Promise<Looked> {
  const { fields, where, columns } = row;
  const skip = (reason: SkipReason, detail: string): SkippedPair => ({ name, where, reason, detail });
  const needed = options.volumes !== 'optional';
  if (needed && fields.image === undefined) return skip('no-volume', 'no volume');
  const image = fields.image === undefined ? undefined : resolve(root, fields.image);
  if (image !== undefined && needed) {
    const why = await lacks(image);
    if (why) return skip('volume-missing', `${why} ${fields.image}`);
  }
  const report = await textOf(row, root);
  if (report === null) return skip('no-report', 'no report');
  if (report.missing !== undefined) return skip('report-missing', `no file ${report.missing}`);
  if (report.text.trim() === '') return skip('report-empty', 'empty');
  const most = options.maxCharacters ?? LONGEST;
  if (report.text.length > most) return skip('report-too-long', `${report.text.length} characters, more than ${most}`);
  const map = fields.label === undefined ? undefined : resolve(root, fields.label);
  const mapMissing = map !== undefined && (await lacks(map)) !== null;
  const { patient = name, study, group, site } = fields;
  const label = mapMissing ? undefined : map;
  return {
    pair: { name, patient, study, group, site, image, label, text: report.text, columns, where },
    mapMissing,
    latin: report.latin,
  };
}

async function lacks(path: string): Promise<string | null> {
  const info = await stat(path).catch(() => null);
  if (!info) return 'no file';
  if (info.isDirectory()) return (await readdir(path)).length > 0 ? null : 'nothing in the folder';
  return info.size > 0 ? null : 'nothing in the file';
}

interface Text {
  readonly text: string;
  readonly latin: boolean;
  readonly missing?: string;
}

async function textOf({ fields, reportIsPath }: PairRow, root: string): Promise<Text | null> {
  if (fields.text !== undefined) return { text: fields.text, latin: false };
  const { report } = fields;
  if (report === undefined) {
    const text = reportOf(fields);
    return fields.findings === undefined && fields.impression === undefined ? null : { text, latin: false };
  }
  const path = reportIsPath || /^[^\r\n]{1,400}\.txt$/i.test(report.trim()) ? report.trim() : null;
  if (path === null) return { text: report, latin: false };
  try {
    return decode(await readBytes(resolve(root, path)));
  } catch (err) {
    if (err instanceof DataError && err.code === 'file-missing') return { text: '', latin: false, missing: path };
    throw err;
  }
}

/** UTF-8, else Windows-1252, which older German systems write. */
function decode(bytes: Uint8Array): Text {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), latin: false };
  } catch {
    return { text: new TextDecoder('windows-1252').decode(bytes), latin: true };
  }
}
