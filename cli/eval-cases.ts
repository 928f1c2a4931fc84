// What an evaluation compares: two folders of label maps joined by name, classes by label id, and what a table says about the cases.
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { readCsv } from '../data/csv.ts';
import { datasetClasses, datasetFrom, readBytes } from '../data/node.ts';
import { CliError, UsageError } from './errors.ts';

export interface LabelFolder {
  /** Case name -> path of its label map. */
  readonly files: ReadonlyMap<string, string>;
  /** Class names by id, where a dataset.json gives them. */
  readonly classes?: readonly string[];
}

/** Label ids as classes. */
export interface ClassMap {
  /** By class, background first. */
  readonly names: readonly string[];
  /** Id -> class; ids that are not in it are background. */
  readonly ids: ReadonlyMap<number, number>;
}

export interface CaseInfo {
  /** Scans of one patient are drawn together. */
  readonly patient: string;
  /** The other columns of the table. */
  readonly columns: Readonly<Record<string, string>>;
}

export interface Pairs {
  /** By name. */
  readonly both: readonly { readonly name: string; readonly pred: string; readonly truth: string }[];
  readonly withoutPrediction: readonly string[];
  readonly withoutTruth: readonly string[];
}

/**
 * The volumes that lie in DIR (names without .nii.gz, class names from a dataset.json one folder up), or else the label
 * maps of the dataset that DIR is.
 * @throws CliError `no-folder`, DataError of `datasetFrom`
 */
export async function labelFolder(dir: string): Promise<LabelFolder> {
  const flat = await volumesIn(dir);
  if (flat.size > 0) {
    return { files: flat, classes: await datasetClasses(dirname(resolve(dir))) };
  }
  const set = await datasetFrom(dir, { labelled: true });
  return { files: new Map(set.cases.map((c) => [c.name, c.label!])), classes: set.classes };
}

/** Name -> path of the .nii and .nii.gz of a folder, by name. @throws CliError `no-folder` */
export async function volumesIn(dir: string): Promise<Map<string, string>> {
  let entries: string[];
  try {
    entries = await readdir(dir);
  } catch (err) {
    throw new CliError('no-folder', `${dir} cannot be read as a folder`, {
      found: (err as NodeJS.ErrnoException).code,
      expected: 'a folder of .nii or .nii.gz files',
      hint: 'Check the path.',
    });
  }
  const files = entries.filter((f) => /\.nii(\.gz)?$/.test(f) && !f.startsWith('.')).sort();
  return new Map(files.map((f) => [basename(f).replace(/\.nii(\.gz)?$/, ''), join(dir, f)]));
}

/** @throws CliError `no-pairs` */
export function pairUp(pred: LabelFolder, truth: LabelFolder): Pairs {
  const names = [...truth.files.keys()].sort();
  const both = names.flatMap((name) => {
    const found = pred.files.get(name);
    return found === undefined ? [] : [{ name, pred: found, truth: truth.files.get(name)! }];
  });
  if (both.length === 0)
    throw new CliError('no-pairs', 'no prediction has the name of a truth', {
      found: `${some([...pred.files.keys()])}; ${some(names)}`,
      expected: 'files of the same names in both folders',
      hint: 'Rename the predictions as their cases: liver_001.nii.gz for liver_001.nii.gz.',
    });
  return {
    both,
    withoutPrediction: names.filter((n) => !pred.files.has(n)),
    withoutTruth: [...pred.files.keys()].filter((n) => !truth.files.has(n)).sort(),
  };
}

/** `liver=5,kidneys=2+3`: classes 1, 2, … in this order. @throws UsageError `bad-value` */
export function classMap(option: string, text: string): ClassMap {
  const names = ['background'];
  const ids = new Map<number, number>();
  const bad = (found: string, expected: string) =>
    new UsageError('bad-value', `--${option} cannot be read`, { found, expected });
  for (const part of text.split(',')) {
    const [, name, list] = /^\s*([^=]+?)\s*=\s*(\d+(?:\s*\+\s*\d+)*)\s*$/.exec(part) ?? [];
    if (name === undefined || list === undefined) throw bad(`'${part}'`, 'name=id or name=id+id, separated by commas');
    if (names.includes(name)) throw bad(`'${name}' twice`, 'every name once');
    for (const id of list.split('+').map(Number)) {
      if (ids.has(id)) throw bad(`id ${id} twice`, 'every id in one class');
      ids.set(id, names.length);
    }
    names.push(name);
  }
  return { names, ids };
}

/**
 * Rows of a table with a column `case`, and perhaps `patient` (else a case is a patient of its own).
 * @throws CliError `cases-table`, DataError `csv`, `file-missing`
 */
export async function readCases(path: string): Promise<Map<string, CaseInfo>> {
  const { columns, rows } = await readTable(path, ['case']);
  const cases = new Map<string, CaseInfo>();
  for (const { line, values } of rows) {
    const { case: name, patient, ...rest } = values;
    if (cases.has(name!)) throw badTable(path, `case ${name} twice, in line ${line}`, 'every case once');
    if (columns.includes('patient') && !patient)
      throw badTable(path, `no patient in line ${line}`, 'a patient in each');
    cases.set(name!, { patient: patient ?? name!, columns: rest });
  }
  return cases;
}

/** A table that has some columns. @throws CliError `cases-table`, DataError `csv`, `file-missing` */
export async function readTable(path: string, needed: readonly string[]) {
  const table = readCsv(new TextDecoder().decode(await readBytes(path)), path);
  const lacking = needed.filter((c) => !table.columns.includes(c));
  if (lacking.length > 0)
    throw badTable(
      path,
      `columns ${table.columns.join(', ')}`,
      `a column ${lacking.map((c) => `'${c}'`).join(' and ')}`,
    );
  return table;
}

/** What the table says of a case; a case that it lacks is a patient of its own. */
export const infoOf = (name: string, table: ReadonlyMap<string, CaseInfo> | null): CaseInfo =>
  table?.get(name) ?? { patient: name, columns: {} };

/** Columns to split by: `--strata`, else those of `usual` that the table has. */
export function strataOf(
  strata: string | undefined,
  path: string | undefined,
  table: ReadonlyMap<string, CaseInfo> | null,
  usual: readonly string[] = ['site'],
): string[] {
  const known = table ? Object.keys([...table.values()][0]?.columns ?? {}) : [];
  if (strata === undefined) return known.filter((c) => usual.includes(c));
  const wanted = strata.split(',').map((s) => s.trim());
  const lacking = wanted.filter((c) => !known.includes(c));
  if (lacking.length > 0)
    throw badOption(
      'strata',
      lacking.join(', '),
      path ? `columns of ${path}: ${known.join(', ')}` : 'a table by --cases',
    );
  return wanted;
}

export const badOption = (option: string, found: string, expected: string): UsageError =>
  new UsageError('bad-value', `--${option} does not take this value`, { found, expected });

export const badTable = (path: string, found: string, expected: string): CliError =>
  new CliError('cases-table', `${path} cannot be used`, { found, expected, hint: 'See docs/evaluation.md.' });

/** `a, b, c and 4 more` */
export function some(names: readonly string[], most = 5): string {
  if (names.length === 0) return 'none';
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
