// Tables of comma-separated values (RFC 4180): quoted fields may hold commas, quotes and line ends. Parsed by csv-parse.
import { CsvError, parse } from 'csv-parse/sync';
import { DataError } from './errors.ts';

export interface CsvRow {
  /** Of the file, from 1, where the row begins. */
  readonly line: number;
  readonly values: Readonly<Record<string, string>>;
}

export interface CsvTable {
  readonly columns: readonly string[];
  readonly rows: readonly CsvRow[];
  /** As the first line tells. */
  readonly delimiter: ',' | ';' | '\t';
}

/**
 * The rows of a table whose first line names the columns. The delimiter is the one of comma, semicolon and tab that the first line has
 * most of. Empty lines are passed over; a row with more or fewer fields than columns is an error, never padded.
 *
 * @throws `csv`
 */
export function readCsv(text: string, name = 'the table'): CsvTable {
  const delimiter = delimiterOf(text);
  const bad = (found: string): DataError =>
    new DataError('csv', 'This table cannot be read.', {
      found: `${name}: ${found}`,
      expected:
        'a first line that names the columns, and rows of as many fields (RFC 4180: a field with a comma, a quote or a line end stands in quotes, a quote in it is doubled)',
      fix: 'write the table anew with a CSV writer',
    });
  let records: string[][];
  const lines: number[] = [];
  try {
    records = parse(text, {
      bom: true,
      delimiter,
      record_delimiter: ['\r\n', '\n', '\r'],
      skip_empty_lines: true,
      on_record: (record: string[], info) => {
        // `lines` is where the record ends.
        lines.push(info.lines - lineEnds(record.join('')));
        return record;
      },
    });
  } catch (err) {
    if (err instanceof CsvError) throw bad(err.message);
    throw err;
  }
  const [head, ...rows] = records;
  if (!head) throw bad('nothing');
  const columns = head.map((c) => c.trim());
  const twice = columns.find((c, n) => columns.indexOf(c) !== n);
  if (twice !== undefined) throw bad(`two columns named ${JSON.stringify(twice)}`);
  return {
    columns,
    rows: rows.map((row, i) => ({
      line: lines[i + 1]!,
      values: Object.fromEntries(columns.map((c, n) => [c, row[n]!])),
    })),
    delimiter,
  };
}

/** One line of a table: fields are quoted where they must be. */
export const csvLine = (fields: readonly (string | number)[]): string =>
  fields.map((f) => (/[",\r\n]/.test(String(f)) ? `"${String(f).replaceAll('"', '""')}"` : String(f))).join(',');

const lineEnds = (text: string): number => text.match(/\r\n|\n|\r/g)?.length ?? 0;

function delimiterOf(text: string): CsvTable['delimiter'] {
  const head = /^[^\r\n]*/.exec(text)![0].replace(/"[^"]*"/g, '');
  const count = (d: string): number => head.split(d).length;
  return ([',', ';', '\t'] as const).reduce((best, d) => (count(d) > count(best) ? d : best));
}
