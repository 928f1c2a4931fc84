// `t3dc eval retrieve`: a matrix of similarities, judged in both directions.
import { join } from 'node:path';
import { csvLine, readCsv } from '../data/csv.ts';
import {
  bootstrapByPatient,
  type Interval,
  quantile,
  type RetrievalScore,
  rankScores,
  retrieval,
} from '../data/index.ts';
import { readBytes, writeFileAtomic } from '../data/node.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { badTable, infoOf, readCases, readTable, some } from './eval-cases.ts';
import { chart, evalPage, figure, textInterval, withInterval } from './eval-page.ts';
import { table, xml } from './page.ts';
import { columns } from './units.ts';

export interface RetrieveValues {
  readonly scores: string;
  readonly out: string;
  readonly groups?: string;
  readonly cases?: string;
  readonly resamples: number;
  readonly seed: number;
}

interface Matrix {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly similarity: readonly Float64Array[];
}

interface Direction {
  /** In the files. */
  readonly key: string;
  readonly name: string;
  readonly score: RetrievalScore;
  /** Whose queries they are: those are drawn together. */
  readonly patients: number;
  readonly recall: readonly Interval[];
  readonly medianRank: Interval;
}

const KS = [1, 5, 10];

export async function evalRetrieve(values: RetrieveValues, { out }: Context): Promise<void> {
  const matrix = await readMatrix(values.scores);
  const groups = values.groups === undefined ? null : await readGroups(values.groups, matrix);
  const groupsOf = (names: readonly string[]) => names.map((n) => groups?.get(n) ?? n);
  const table = values.cases === undefined ? null : await readCases(values.cases);
  const patientsOf = (names: readonly string[]) => names.map((n) => infoOf(n, table).patient);
  const found = retrieval(matrix.similarity, {
    rowGroups: groupsOf(matrix.rows),
    columnGroups: groupsOf(matrix.columns),
    ks: KS,
  });
  if (found.rows.queries === 0)
    throw new CliError('no-pairs', 'no row has a column that is right for it', {
      found: `rows ${some(matrix.rows, 3)}; columns ${some(matrix.columns, 3)}`,
      expected: 'equal names, or equal groups by --groups',
      hint: 'Name rows and columns by their case.',
    });
  const directions = [
    direction('rowsToColumns', 'rows → columns', found.rows, patientsOf(matrix.rows), values),
    direction('columnsToRows', 'columns → rows', found.columns, patientsOf(matrix.columns), values),
  ];
  const unlisted = table ? [...new Set([...matrix.rows, ...matrix.columns])].filter((n) => !table.has(n)) : [];
  const warnings = [
    ...directions.flatMap(({ name, score }) =>
      score.withoutAnswer > 0
        ? [`${name}: ${score.withoutAnswer} queries have no right candidate and are left out`]
        : [],
    ),
    ...(unlisted.length > 0 ? [`not in ${values.cases}, and patients of their own: ${some(unlisted)}`] : []),
  ];
  for (const w of warnings) out.note(w);
  const json = {
    task: 'retrieve',
    rows: matrix.rows.length,
    columns: matrix.columns.length,
    groups: groups ? new Set(groups.values()).size : null,
    directions: Object.fromEntries(
      directions.map((d) => [
        d.key,
        {
          queries: d.score.queries,
          patients: d.patients,
          withoutAnswer: d.score.withoutAnswer,
          candidates: d.score.candidates,
          ...Object.fromEntries(KS.map((k, i) => [`R@${k}`, d.recall[i]])),
          chance: d.score.chance,
          medianRank: d.medianRank,
        },
      ]),
    ),
  };
  const ranks = directions.flatMap(({ key, score }, i) =>
    (i === 0 ? matrix.rows : matrix.columns).map((query, q) =>
      csvLine([key, query, Number.isNaN(score.ranks[q]!) ? '' : score.ranks[q]!]),
    ),
  );
  const write = (name: string, content: string) => writeFileAtomic(join(values.out, name), content);
  await write('metrics.json', `${JSON.stringify(json, null, 1)}\n`);
  await write('per-case.csv', `${['direction,query,rank', ...ranks].join('\n')}\n`);
  await write('report.html', retrievePage(matrix, directions, groups !== null, warnings));
  const cells = (d: Direction) => [...d.recall.map((r) => textInterval(r)), textInterval(d.medianRank, 1)];
  out.lines(
    columns(
      [['', ...KS.map((k) => `R@${k}`), 'median rank'], ...directions.map((d) => [d.name, ...cells(d)])],
      '.rrrr',
    ),
  );
  out.line(`${join(values.out, 'report.html')}, metrics.json, per-case.csv written`);
  out.json({ out: values.out, ...json });
}

/** Patients are drawn with all their queries; the candidates stay as they are. */
function direction(
  key: string,
  name: string,
  score: RetrievalScore,
  patients: readonly string[],
  options: { resamples: number; seed: number },
): Direction {
  const answered = patients.flatMap((patient, i) => {
    const rank = score.ranks[i]!;
    return Number.isNaN(rank) ? [] : [{ patient, rank }];
  });
  const owners = answered.map((q) => q.patient);
  const of = (statistic: (ranks: number[]) => number): Interval =>
    bootstrapByPatient(owners, (rows) => statistic(Array.from(rows, (r) => answered[r]!.rank)), options);
  return {
    key,
    name,
    score,
    patients: new Set(owners).size,
    recall: KS.map((k) => of((r) => rankScores(r, [k]).recall[0]!)),
    medianRank: of((r) => quantile(r, 0.5)),
  };
}

async function readMatrix(path: string): Promise<Matrix> {
  const { columns: head, rows } = readCsv(new TextDecoder().decode(await readBytes(path)), path);
  const [first, ...names] = head;
  if (names.length === 0 || rows.length === 0)
    throw badTable(path, `${rows.length} rows, columns ${head.join(', ')}`, 'a column of names and one per candidate');
  const seen = new Set<string>();
  const similarity = rows.map(({ line, values }) => {
    const query = values[first!]!;
    if (seen.has(query)) throw badTable(path, `row ${query} twice, in line ${line}`, 'every row once');
    seen.add(query);
    return Float64Array.from(names, (c) => {
      const v = values[c]!.trim() === '' ? Number.NaN : Number(values[c]);
      if (Number.isNaN(v)) throw badTable(path, `'${values[c]}' for ${c} in line ${line}`, 'a number');
      return v;
    });
  });
  return { rows: [...seen], columns: names, similarity };
}

async function readGroups(path: string, matrix: Matrix): Promise<Map<string, string>> {
  const { rows } = await readTable(path, ['name', 'group']);
  const groups = new Map<string, string>();
  for (const { line, values } of rows) {
    if (groups.has(values.name!)) throw badTable(path, `${values.name} twice, in line ${line}`, 'every name once');
    groups.set(values.name!, values.group!);
  }
  const lacking = [...new Set([...matrix.rows, ...matrix.columns])].filter((n) => !groups.has(n));
  if (lacking.length > 0) throw badTable(path, `no group for ${some(lacking)}`, 'a group for every row and column');
  return groups;
}

function retrievePage(
  matrix: Matrix,
  directions: readonly Direction[],
  grouped: boolean,
  warnings: readonly string[],
): string {
  const lead =
    `${matrix.rows.length} rows against ${matrix.columns.length} columns, ` +
    `${grouped ? 'members of a group being equally right' : 'a row and a column of one name belonging together'}. ` +
    'In small print: 95 % percentile bootstrap intervals over patients.';
  const rows = directions.map((d) => [
    `<b>${xml(d.name)}</b>`,
    `${d.score.queries} of ${d.patients}`,
    ...d.recall.map((r) => withInterval(r)),
    withInterval(d.medianRank, 1),
    d.score.chance.map((c) => figure(c)).join(' · '),
  ]);
  const head = [
    'direction',
    'queries of patients',
    ...KS.map((k) => `R@${k}`),
    'median rank',
    'R@1 · R@5 · R@10 by chance',
  ];
  const curves = directions.map((d) => {
    const most = Math.max(16, 2 ** Math.ceil(Math.log2(d.score.candidates)));
    const ks = Array.from({ length: Math.log2(most) + 1 }, (_, i) => 2 ** i);
    const every = [...new Set([...ks, ...Array.from({ length: 60 }, (_, i) => i + 1)])].filter((k) => k <= most);
    every.sort((a, b) => a - b);
    const { recall } = rankScores(d.score.ranks, every);
    return chart([{ kind: 'steps', points: every.map((k, i) => [k, recall[i]!] as const) }], {
      caption: `${d.name}: recall among the first k`,
      x: 'k',
      y: 'recall',
      xTicks: ks,
      yTicks: [0, 0.2, 0.4, 0.6, 0.8, 1],
      logX: true,
    });
  });
  return evalPage('Retrieval', lead, warnings, [
    { title: 'Both directions', body: table(head, rows, [1, 2, 3, 4, 5, 6]) },
    { title: 'Curves', body: `<div class="charts">${curves.join('\n')}</div>` },
    {
      title: 'How to read this',
      body: `<ul>
<li>R@k: share of queries with a right candidate among the k most similar. Median rank: of the best right candidate, 1 being the first.</li>
<li>Ranks count wrong candidates alone; a wrong candidate of equal similarity stands before the right one.</li>
<li>Intervals draw patients with replacement, all queries of a patient together (--cases says whose each is; without it every query is a patient's own); the candidates stay as they are.</li>
</ul>`,
    },
  ]);
}
