// Studies as commands take them: one scan, a folder of scans, a DICOM study, or a list.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { readCsv } from '../data/csv.ts';
import { readBytes, readVolume } from '../data/files.ts';
import type { ChunkCache } from '../data/ome-zarr.ts';
import { fieldsOf, type PairColumns } from '../data/pair-fields.ts';
import { isOmeZarr } from '../data/zarr-files.ts';
import type { StudySource } from '../tasks/study-input.ts';
import { CliError } from './errors.ts';
import { scanAt } from './scans.ts';

/** A plain object: it may go to other threads. */
export interface ScanFile {
  readonly name: string;
  /** Path of the scan, or of the folder of its series. */
  readonly image: string;
}

/** @param chunks a study that lies in chunks is read from these */
export const sourceOf = ({ name, image }: ScanFile, chunks: ChunkCache): StudySource => ({
  name,
  load: () => readVolume(image),
  open: (contract) => scanAt(image, null, contract, chunks),
});

export interface StudyFile extends StudySource {
  readonly patient: string;
  readonly study?: string;
  /** Path of the scan, or of the folder of its series. */
  readonly image: string;
}

const SCAN = /\.nii(\.gz)?$/i;
const LIST = /\.(csv|tsv|jsonl)$/i;

/**
 * PATH is a list (a .csv or .jsonl with a column image, and perhaps name, patient and study), a folder with pairs.jsonl or pairs.csv, a
 * folder of .nii or .nii.gz (or one with images/ or imagesTr/ of them), one such file, an OME-Zarr folder, or a DICOM study.
 *
 * @throws CliError `no-studies`; DataError `csv`, `pairs-columns`, `file-missing`
 */
export async function studiesIn(path: string, columns: PairColumns = {}): Promise<StudyFile[]> {
  const info = await stat(path).catch(() => null);
  if (!info) throw noStudies(`nothing at ${path}`, 'Check the path.');
  if (!info.isDirectory()) return LIST.test(path) ? listed(path, columns) : [single(path)];
  const entries = (await readdir(path)).filter((f) => !f.startsWith('.')).sort();
  for (const list of ['pairs.jsonl', 'pairs.csv']) if (entries.includes(list)) return listed(join(path, list), columns);
  if (await isOmeZarr(path)) return [single(path)];
  const images = ['images', 'imagesTr'].find((f) => entries.includes(f));
  if (images !== undefined) return studiesIn(join(path, images));
  const scans: string[] = [];
  for (const f of entries) if (SCAN.test(f) || (await isOmeZarr(join(path, f)))) scans.push(f);
  if (scans.length > 0) return scans.map((f) => single(join(path, f)));
  if (entries.length === 0) throw noStudies(`an empty folder, ${path}`, 'Check the path.');
  return [single(path)];
}

const single = (path: string): StudyFile => {
  const name = nameOf(path);
  return { name, patient: name, image: resolve(path), load: () => readVolume(path) };
};

async function listed(path: string, columns: PairColumns): Promise<StudyFile[]> {
  const text = new TextDecoder().decode(await readBytes(path));
  const rows = path.toLowerCase().endsWith('.jsonl')
    ? jsonLines(text, path)
    : readCsv(text, path).rows.map(({ line, values }) => ({ where: `line ${line}`, values }));
  const names = [...new Set(rows.flatMap((r) => Object.keys(r.values)))];
  const { fields } = fieldsOf(names, columns, path);
  if (fields.image === undefined)
    throw noStudies(
      `${path} with columns ${names.join(', ') || 'none'}`,
      'Give the list a column image, or say which it is: --columns image=COLUMN.',
    );
  const root = dirname(path);
  const seen = new Map<string, string>();
  return rows.flatMap(({ where, values }): StudyFile[] => {
    const of = (field: keyof typeof fields): string | undefined => {
      const column = fields[field];
      return (column === undefined ? '' : (values[column] ?? '')).trim() || undefined;
    };
    const image = of('image');
    if (image === undefined) return [];
    const file = resolve(root, image);
    const name = of('name') ?? nameOf(file);
    const before = seen.get(name);
    if (before !== undefined)
      throw new CliError('cases-table', `${path} has two studies of one name`, {
        found: `${name} in ${before} and in ${where}`,
        expected: 'a name for each',
        hint: 'Give the list a column name.',
      });
    seen.set(name, where);
    return [{ name, patient: of('patient') ?? name, study: of('study'), image: file, load: () => readVolume(file) }];
  });
}

function jsonLines(text: string, path: string): { where: string; values: Record<string, string> }[] {
  return text.split(/\r?\n/).flatMap((line, n) => {
    if (line.trim() === '') return [];
    const where = `line ${n + 1}`;
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      json = null;
    }
    // The line may hold a report: it is not shown.
    if (json === null || typeof json !== 'object' || Array.isArray(json))
      throw noStudies(`${where} of ${path}, which is no JSON object`, 'Mend the line: {"image": PATH, "patient": …}.');
    const values = Object.entries(json).flatMap(([k, v]) =>
      ['string', 'number', 'boolean'].includes(typeof v) ? [[k, String(v)] as const] : [],
    );
    return [{ where, values: Object.fromEntries(values) }];
  });
}

/** Without folder and ending. */
export const nameOf = (path: string): string =>
  basename(path.replace(/[/\\]+$/, '')).replace(/\.(nii(\.gz)?|ome\.zarr|zarr)$/i, '');

const noStudies = (found: string, hint: string): CliError =>
  new CliError('no-studies', 'there are no studies here', {
    found,
    expected: 'a scan (.nii, .nii.gz, a folder of DICOM files), a folder of scans, or a list (.csv, .jsonl) of them',
    hint,
  });
