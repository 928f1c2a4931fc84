// Which column of a list of pairs is what: names as data sets write them, whatever their case and punctuation.
import { DataError } from './errors.ts';

/** Parts of a pair that a list may give. */
export const PAIR_FIELDS = {
  name: ['name', 'id', 'case'],
  image: ['image', 'volume', 'path', 'volumename', 'imagepath', 'volumepath', 'ct'],
  label: ['mask', 'segmentation', 'labelpath', 'label'],
  report: ['report', 'reportpath'],
  text: ['text', 'reporttext'],
  findings: ['findings', 'findingsen', 'befund'],
  impression: ['impression', 'impressions', 'impressionsen', 'conclusion', 'beurteilung'],
  history: ['history', 'clinicalhistory', 'clinicalinformation', 'clinicalinformationen', 'indication'],
  technique: ['technique', 'techniqueen', 'technik'],
  comparison: ['comparison', 'vergleich'],
  patient: ['patient', 'patientid', 'subject', 'subjectid'],
  study: ['study', 'studyid', 'studyuid', 'studyinstanceuid'],
  group: ['group', 'groupid'],
  site: ['site', 'hospital', 'institution', 'center', 'centre'],
} as const;

export type PairField = keyof typeof PAIR_FIELDS;
/** The list's own column of a field, where its name is none of the known ones. */
export type PairColumns = Readonly<Partial<Record<PairField, string>>>;

export interface PairFields {
  readonly fields: Readonly<Partial<Record<PairField, string>>>;
  /** Every other column, by its name. */
  readonly others: readonly string[];
}

/** The column of each field. @throws `pairs-columns` where two columns would be one field, or a named column is not there */
export function fieldsOf(columns: readonly string[], named: PairColumns = {}, list = 'the list'): PairFields {
  const fields: Partial<Record<PairField, string>> = {};
  for (const [field, column] of Object.entries(named) as [PairField, string][]) {
    if (!columns.includes(column))
      throw badColumns(`no column ${JSON.stringify(column)} for ${field} in ${list}`, columns);
    fields[field] = column;
  }
  const taken = new Set(Object.values(fields));
  for (const [field, known] of Object.entries(PAIR_FIELDS) as [PairField, readonly string[]][]) {
    if (fields[field] !== undefined) continue;
    const found = columns.filter((c) => !taken.has(c) && known.includes(plain(c)));
    // `label` beside `mask` is a class, not a second map.
    const clear = field === 'label' && found.length > 1 ? found.filter((c) => plain(c) !== 'label') : found;
    if (clear.length > 1)
      throw badColumns(
        `${clear.map((c) => JSON.stringify(c)).join(' and ')} of ${list} could both be ${field}`,
        columns,
      );
    if (clear.length === 0) continue;
    fields[field] = clear[0]!;
    taken.add(clear[0]!);
  }
  return { fields, others: columns.filter((c) => !taken.has(c)) };
}

/** One text of what stands in columns of its own, under the headings that `sectionsOf` knows. */
export function reportOf(parts: Readonly<Partial<Record<PairField, string>>>): string {
  const order = ['history', 'technique', 'comparison', 'findings', 'impression'] as const;
  return order
    .flatMap((part) => {
      const text = parts[part]?.trim();
      return text ? [`${part.toUpperCase()}:\n${text}\n`] : [];
    })
    .join('\n');
}

const plain = (column: string): string => column.toLowerCase().replace(/[^\p{L}\d]/gu, '');

function badColumns(found: string, columns: readonly string[]): DataError {
  return new DataError('pairs-columns', 'The columns of the list of pairs cannot be told apart.', {
    found: `${found} (columns ${columns.join(', ')})`,
    expected: 'one column for each of image, report or findings and impression, patient, study, group, site',
    fix: 'rename a column, or say which is meant (t3dc --columns image=COLUMN; `columns` in code)',
  });
}
