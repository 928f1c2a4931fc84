// Scores and labels of cases, from two tables.
import { CliError } from './errors.ts';
import { badTable, type CaseInfo, infoOf, readTable, some } from './eval-cases.ts';

export interface ScoredCase extends CaseInfo {
  readonly name: string;
  /** Per class. */
  readonly scores: readonly number[];
  /** Per class: 1, 0, or NaN where it is not known. */
  readonly truth: readonly number[];
}

export interface ScoredSet {
  readonly classes: readonly string[];
  readonly cases: readonly ScoredCase[];
  /** Cases of the table of labels that have no scores. */
  readonly withoutScores: readonly string[];
}

/**
 * Scores and labels joined by case. Labels: a column `label` with the name of the class, or a column per class with 1, 0 or nothing
 * where it is not known.
 * @throws CliError `cases-table`, `missing-truth`; DataError `csv`, `file-missing`
 */
export async function scoredSet(
  pred: string,
  truth: string,
  table: ReadonlyMap<string, CaseInfo> | null,
): Promise<ScoredSet> {
  const scores = await readTable(pred, ['case']);
  const classes = scores.columns.filter((c) => c !== 'case' && c !== 'patient');
  if (classes.length === 0) throw badTable(pred, 'no column beside case', 'a column of scores per class');
  const labels = await readTable(truth, ['case']);
  const single = labels.columns.includes('label');
  const lacking = single ? [] : classes.filter((c) => !labels.columns.includes(c));
  if (lacking.length > 0)
    throw badTable(
      truth,
      `columns ${labels.columns.join(', ')}`,
      `a column label, or one each for ${lacking.join(', ')}`,
    );
  const known = new Map<string, readonly number[]>();
  for (const { line, values } of labels.rows) {
    if (known.has(values.case!)) throw badTable(truth, `case ${values.case} twice, in line ${line}`, 'every case once');
    known.set(values.case!, single ? oneHot(values.label!, line) : classes.map((c) => binary(values[c]!, c, line)));
  }
  function oneHot(label: string, line: number): number[] {
    // Of a case without scores the class may be one that was not scored.
    if (label === '') throw badTable(truth, `no label in line ${line}`, `one of ${classes.join(', ')}`);
    return classes.includes(label) ? classes.map((c) => (c === label ? 1 : 0)) : [];
  }
  function binary(value: string, c: string, line: number): number {
    if (value.trim() === '') return Number.NaN;
    const v = Number(value);
    if (v !== 0 && v !== 1)
      throw badTable(truth, `${value} for ${c} in line ${line}`, '1, 0, or nothing where unknown');
    return v;
  }
  const names = new Set<string>();
  const cases = scores.rows.map(({ line, values }): ScoredCase => {
    const name = values.case!;
    if (names.has(name)) throw badTable(pred, `case ${name} twice, in line ${line}`, 'every case once');
    names.add(name);
    const of = known.get(name);
    if (!of)
      throw new CliError('missing-truth', `case ${name} has scores and no label`, {
        found: `line ${line} of ${pred}`,
        expected: `a row for it in ${truth}`,
        hint: 'Add the label, or take the case out of the scores.',
      });
    if (of.length === 0) throw badTable(truth, `another label for case ${name}`, `one of ${classes.join(', ')}`);
    const row = classes.map((c) => (values[c]!.trim() === '' ? Number.NaN : Number(values[c])));
    const wrong = row.findIndex(Number.isNaN);
    if (wrong >= 0)
      throw badTable(
        pred,
        `'${values[classes[wrong]!]}' for ${classes[wrong]} in line ${line}`,
        'a number for every class',
      );
    return { name, ...infoOf(name, table), scores: row, truth: of };
  });
  if (cases.length === 0) throw badTable(pred, 'no row', 'a row per case');
  return { classes, cases, withoutScores: [...known.keys()].filter((n) => !names.has(n)) };
}

/** @throws CliError `cases-table`, `validation-leak` */
export function checkValidation(test: ScoredSet, validation: ScoredSet, path: string): void {
  if (validation.classes.join() !== test.classes.join())
    throw badTable(
      path,
      `classes ${validation.classes.join(', ')}`,
      `those of the test set: ${test.classes.join(', ')}`,
    );
  const patients = new Set(test.cases.map((c) => c.patient));
  const both = [...new Set(validation.cases.map((c) => c.patient).filter((p) => patients.has(p)))];
  if (both.length > 0)
    throw new CliError('validation-leak', 'patients are in the validation set and in the test set', {
      found: some(both),
      expected: 'other patients: a threshold that was chosen on the test set tells nothing',
      hint: 'Split by patient.',
    });
}

/** Scores and truth of one class, unknown truth left out. */
export function columnOf(
  cases: readonly ScoredCase[],
  c: number,
  rows: ArrayLike<number> = cases.map((_, i) => i),
): [scores: number[], positive: number[]] {
  const scores: number[] = [];
  const positive: number[] = [];
  for (let i = 0; i < rows.length; i++) {
    const { truth, scores: s } = cases[rows[i]!]!;
    if (Number.isNaN(truth[c]!)) continue;
    scores.push(s[c]!);
    positive.push(truth[c]!);
  }
  return [scores, positive];
}
