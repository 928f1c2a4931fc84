// What is known of studies: a table of findings, joined to the studies by image, study, name or patient.
import { dirname, resolve } from 'node:path';
import { readCsv } from '../data/csv.ts';
import { readBytes } from '../data/node.ts';
import { CliError } from './errors.ts';
import { badTable, some } from './eval-cases.ts';
import { nameOf, type StudyFile } from './studies.ts';

export interface Findings {
  readonly names: readonly string[];
  /** Per study that the table has, in the studies' order. */
  readonly labelled: readonly { readonly study: StudyFile; readonly target: readonly number[] }[];
  /** Names of studies that the table does not have. */
  readonly unlabelled: readonly string[];
  /** Rows of the table that are of none of the studies. */
  readonly unused: number;
}

/** Columns that say whose a row is, the first of them that is there. */
const KEYS = ['image', 'study', 'case', 'name', 'patient'] as const;
type Key = (typeof KEYS)[number];

/**
 * Columns of findings hold 1, 0, or nothing where it is not known (NaN here). `wanted`: the findings, in this order; null: all columns
 * that are no key.
 *
 * @throws CliError `cases-table`, `no-finding`, `missing-truth`; DataError `csv`, `file-missing`
 */
export async function readFindings(
  path: string,
  studies: readonly StudyFile[],
  wanted: readonly string[] | null,
): Promise<Findings> {
  const { columns, rows } = readCsv(new TextDecoder().decode(await readBytes(path)), path);
  const key = KEYS.find((k) => columns.includes(k));
  if (key === undefined) throw badTable(path, `columns ${columns.join(', ')}`, `a column ${KEYS.join(' or ')}`);
  const present = columns.filter((c) => !(KEYS as readonly string[]).includes(c));
  const names = wanted ?? present;
  const lacking = names.filter((n) => !present.includes(n));
  if (lacking.length > 0)
    throw new CliError('no-finding', `${path} has no such finding`, {
      found: `no column ${some(lacking)}; it has ${some(present, 12)}`,
      expected: `a column for each of ${some(names, 12)}`,
      hint: 'Name the columns as the findings are named (--set findingNames=… at the build, or --findings).',
    });
  if (names.length === 0) throw badTable(path, `columns ${columns.join(', ')}`, 'a column per finding');
  const root = dirname(path);
  const plain = (value: string): string => (key === 'image' ? resolve(root, value) : value);
  const known = new Map<string, number[]>();
  const byName = new Map<string, number[]>();
  for (const { line, values } of rows) {
    const value = values[key]!.trim();
    if (value === '') throw badTable(path, `no ${key} in line ${line}`, 'one in every row');
    if (known.has(plain(value))) throw badTable(path, `${key} ${value} twice, in line ${line}`, 'every one once');
    const target = names.map((n) => binary(values[n]!, n, line));
    known.set(plain(value), target);
    if (key === 'image') byName.set(nameOf(value), target);
  }
  function binary(value: string, name: string, line: number): number {
    if (value.trim() === '') return Number.NaN;
    const v = Number(value);
    if (v === 0 || v === 1) return v;
    throw badTable(path, `'${value}' for ${name} in line ${line}`, '1, 0, or nothing where unknown');
  }
  const used = new Set<number[]>();
  const labelled: { study: StudyFile; target: readonly number[] }[] = [];
  const unlabelled: string[] = [];
  for (const study of studies) {
    const id = idOf(study, key);
    const target =
      (id === undefined ? undefined : known.get(id)) ?? (key === 'image' ? byName.get(study.name) : undefined);
    if (!target) {
      unlabelled.push(study.name);
      continue;
    }
    used.add(target);
    labelled.push({ study, target });
  }
  if (labelled.length === 0)
    throw new CliError('missing-truth', `${path} has a row for none of the studies`, {
      found: `${key} ${some([...known.keys()], 3)}; studies ${some(unlabelled, 3)}`,
      expected: `a row for each study, by its ${key}`,
      hint: 'Check that the table and the studies are of one set, and how the rows are named.',
    });
  return { names, labelled, unlabelled, unused: known.size - used.size };
}

const idOf = (s: StudyFile, key: Key): string | undefined =>
  key === 'image' ? s.image : key === 'study' ? s.study : key === 'patient' ? s.patient : s.name;
