// A list of pairs with cleaned, de-identified reports, written anew (Node only). Nothing of a report is stored or told before that.
import { join, relative, resolve } from 'node:path';
import { csvLine } from './csv.ts';
import { deidentify, IDENTIFIERS, type Identifier } from './deidentify.ts';
import { DataError } from './errors.ts';
import { writeFileAtomic } from './files.ts';
import type { Pair } from './pairs.ts';
import { stream } from './random.ts';
import { cleanReport, type Drop, type Removal } from './report-cleaning.ts';

export interface ReportSetOptions {
  /** Default false: reports, names, patients and columns stay as they are. */
  readonly deidentify?: boolean;
  /** Column that holds the patient's name, so that it is found anywhere in the report. */
  readonly names?: string;
  /** With `deidentify`: columns that stay (`site` too); all others are left out. */
  readonly keep?: readonly string[];
  readonly drop?: readonly Drop[];
  /** Of the numbers that stand for patients. Default 0. */
  readonly seed?: number;
}

export interface ReportSet {
  readonly written: number;
  /** Reports of which nothing was left; they are left out. */
  readonly emptied: number;
  /** What was removed, by `drop`. */
  readonly removed: Readonly<Record<Drop, number>>;
  readonly identifiers: Readonly<Record<Identifier, number>>;
  /** Columns left out. */
  readonly without: readonly string[];
}

/**
 * Writes DIR/reports/NAME.txt, DIR/pairs.jsonl (volumes stay where they are, by relative paths) and, with `drop`, DIR/removed.csv: every
 * section and sentence taken out, to be looked through. With `deidentify`, numbers in a drawn order stand for names, patients, studies and
 * groups; the paths of volumes stay, whatever they tell.
 *
 * @throws `reports-in-place`, `pairs-columns` where a named column is in no pair
 */
export async function writeReports(
  dir: string,
  pairs: readonly Pair[],
  options: ReportSetOptions = {},
): Promise<ReportSet> {
  const { drop = [], keep = [], names } = options;
  const out = resolve(dir);
  const columns = [...new Set(pairs.flatMap((p) => Object.keys(p.columns)))].sort();
  for (const c of [...keep.filter((k) => k !== 'site'), ...(names === undefined ? [] : [names])])
    if (!columns.includes(c))
      throw new DataError('pairs-columns', 'There is no such column.', {
        found: c,
        expected: `one of ${[...columns, 'site'].join(', ')}`,
        fix: 'name a column of the list',
      });
  const hidden = options.deidentify ? pseudonyms(pairs, options.seed ?? 0) : null;
  const removed = { history: 0, technique: 0, comparison: 0 };
  const identifiers = Object.fromEntries(IDENTIFIERS.map((k) => [k, 0])) as Record<Identifier, number>;
  const lines: string[] = [];
  const table = [csvLine(['name', 'drop', 'what', 'section', 'text'])];
  const files = new Set<string>();
  let emptied = 0;
  for (const pair of pairs) {
    const shown = hidden ? hidden(pair) : pair;
    const known = [...(names === undefined ? [] : [pair.columns[names] ?? '']), pair.patient];
    const safe = hidden ? deidentify(pair.text, { names: known }) : { text: pair.text, counts: null };
    for (const kind of IDENTIFIERS) identifiers[kind] += safe.counts?.[kind] ?? 0;
    const clean = cleanReport(safe.text, drop);
    for (const d of drop) removed[d] += clean.counts[d];
    table.push(...clean.removed.map((r: Removal) => csvLine([shown.name, r.drop, r.what, r.section, r.text])));
    if (clean.text.trim() === '') {
      emptied++;
      continue;
    }
    const report = `reports/${fileName(shown.name, files)}.txt`;
    await writeFileAtomic(join(out, report), clean.text);
    const path = (p: string | undefined) => (p === undefined ? undefined : relative(out, p).replaceAll('\\', '/'));
    const kept = Object.entries(pair.columns).filter(([c]) => !hidden || keep.includes(c));
    const { name, patient, study, group } = shown;
    const site = !hidden || keep.includes('site') ? pair.site : undefined;
    const [image, label] = [path(pair.image), path(pair.label)];
    lines.push(
      JSON.stringify({ name, patient, study, group, site, image, label, report, ...Object.fromEntries(kept) }),
    );
  }
  if (drop.length > 0) await writeFileAtomic(join(out, 'removed.csv'), `${table.join('\n')}\n`);
  await writeFileAtomic(join(out, 'pairs.jsonl'), `${lines.join('\n')}\n`);
  const without = hidden
    ? [...columns, ...(pairs.some((p) => p.site) ? ['site'] : [])].filter((c) => !keep.includes(c))
    : [];
  return { written: lines.length, emptied, removed, identifiers, without };
}

/** @throws `reports-in-place` where DIR is the folder of the list: its reports would be overwritten */
export function refuseInPlace(dir: string, list: string): void {
  const [to, from] = [resolve(dir), resolve(list)];
  if (to !== from && join(to, 'pairs.jsonl') !== from) return;
  throw new DataError('reports-in-place', 'The new list would be written over the old one.', {
    found: `${list} and ${dir}`,
    expected: 'another folder',
    fix: 'write to a folder of its own (-o)',
  });
}

type Shown = Pick<Pair, 'name' | 'patient' | 'study' | 'group'>;

/** Numbers for every name, in an order that tells nothing of the list's. */
function pseudonyms(pairs: readonly Pair[], seed: number): (pair: Pair) => Shown {
  const numbered = (kind: string, values: readonly (string | undefined)[], id: number): Map<string, string> => {
    const random = stream(seed, 0x5245, id);
    const all = [...new Set(values.filter((v) => v !== undefined))].sort();
    for (let i = all.length - 1; i > 0; i--) {
      const j = random.int(i + 1);
      [all[i], all[j]] = [all[j]!, all[i]!];
    }
    return new Map(all.map((v, n) => [v, `${kind}_${String(n + 1).padStart(5, '0')}`]));
  };
  const tables = (['name', 'patient', 'study', 'group'] as const).map((key, id) => {
    const kind = key === 'name' ? 'report' : key;
    return [
      key,
      numbered(
        kind,
        pairs.map((p) => p[key]),
        id,
      ),
    ] as const;
  });
  return (pair) =>
    Object.fromEntries(
      tables.map(([key, table]) => [key, pair[key] === undefined ? undefined : table.get(pair[key])]),
    ) as unknown as Shown;
}

/** The name as a file's, unique in the folder. */
function fileName(name: string, files: Set<string>): string {
  const plain = name.replace(/[^\p{L}\d._-]+/gu, '_');
  let free = plain;
  for (let n = 2; files.has(free.toLowerCase()); n++) free = `${plain}_${n}`;
  files.add(free.toLowerCase());
  return free;
}
