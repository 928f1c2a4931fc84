// `t3dc retrieve`: studies for a text, reports for a study, or, without a query, how well an index finds its own pairs.
import { csvLine } from '../data/csv.ts';
import { retrieval as judge, type RetrievalScore } from '../data/index.ts';
import { writeFileAtomic } from '../data/node.ts';
import type { Sections } from '../data/report-tokens.ts';
import type { Session } from '../runtime/index.ts';
import { RETRIEVAL, Retrieval } from '../tasks/retrieval.ts';
import type { Context } from './command.ts';
import { CliError, UsageError } from './errors.ts';
import { loadNeeded } from './initial-weights.ts';
import { reportTokenizer } from './report-tokenizer.ts';
import { checkMadeWith, hashOf, pathOf, type RetrievalIndex, readIndex } from './retrieval-index.ts';
import { type OpenRequest, withSession } from './session.ts';
import { studiesIn } from './studies.ts';
import { columns, showTime } from './units.ts';

export interface RetrieveIndexValues extends OpenRequest {
  readonly text?: string;
  readonly volume?: string;
  readonly top: number;
  readonly artifact?: string;
  readonly weights?: string;
  readonly tokenizer?: string;
  readonly out?: string;
}

const KS = [1, 5, 10] as const;

export async function retrieveRun(path: string, values: RetrieveIndexValues, context: Context): Promise<void> {
  const { text, volume } = values;
  if (text !== undefined && volume !== undefined)
    throw new UsageError('bad-value', '--text and --volume exclude each other', { hint: 'Ask twice.' });
  if (values.out !== undefined && (text !== undefined || volume !== undefined))
    throw new UsageError('bad-value', '--out is the matrix of an index with itself, without --text or --volume');
  const index = await readIndex(path);
  const files = {
    artifact: values.artifact ?? pathOf(path, index.artifact),
    weights: values.weights ?? pathOf(path, index.weights),
    tokenizer: values.tokenizer ?? pathOf(path, index.tokenizer),
  };
  await withSession(files.artifact, values, context.out, async (session) => {
    const retrieval = await openedWith(session, index, files, context.out);
    if (text !== undefined) await studiesFor(text, retrieval, index, files, values.top, context);
    else if (volume !== undefined) await reportsFor(volume, retrieval, index, values.top, context);
    else await itself(retrieval, index, values.out, context);
  });
}

/** The session with the weights of an index, both checked. @throws CliError `index-artifact`, `index-weights` */
export async function openedWith(
  session: Session,
  index: RetrievalIndex,
  files: { readonly artifact: string; readonly weights: string },
  out: Context['out'],
): Promise<Retrieval> {
  checkMadeWith('artifact', index.artifact, { path: files.artifact, hash: session.manifest.graphHash });
  const retrieval = new Retrieval(session);
  const weights = await loadNeeded(session, files.weights, RETRIEVAL, out);
  checkMadeWith('weights', index.weights, { path: files.weights, hash: hashOf(weights) });
  return retrieval;
}

async function studiesFor(
  text: string,
  retrieval: Retrieval,
  index: RetrievalIndex,
  files: { readonly weights: string; readonly tokenizer: string },
  top: number,
  { out, signal }: Context,
): Promise<void> {
  const { tokenizer, path, hash } = await reportTokenizer(files.tokenizer, files.weights, retrieval.text);
  checkMadeWith('tokenizer', index.tokenizer, { path, hash });
  const read = retrieval.read(text, tokenizer, { sections: index.sections as Sections });
  if (!read)
    throw new CliError('empty-text', '--text says nothing', {
      found: JSON.stringify(text),
      expected: 'a sentence, as a report would say it',
    });
  if (read.left > 0)
    out.note(`${read.left} sentences of the text were left out: a row holds ${retrieval.text.sentences}`);
  const started = performance.now();
  const [query] = await retrieval.embedReports([read.row], signal);
  const scores = await retrieval.scores(index.embeddings.studies, [query!], index.moments, { signal });
  const ranked = rank(
    index.studies,
    scores.map((row) => row[0]!),
    top,
  );
  tell('studies', ranked, started, out);
}

async function reportsFor(
  volume: string,
  retrieval: Retrieval,
  index: RetrievalIndex,
  top: number,
  { out, signal }: Context,
): Promise<void> {
  const sources = await studiesIn(volume);
  if (sources.length !== 1)
    throw new UsageError('bad-value', '--volume is one study', { found: `${sources.length} in ${volume}` });
  const started = performance.now();
  const [found] = await retrieval.embedStudies(sources, { onNote: (note) => out.note(note), signal });
  const [scores] = await retrieval.scores([found!.study], index.embeddings.reports, index.moments, { signal });
  tell('reports', rank(index.reports, Array.from(scores!), top), started, out);
}

interface Ranked {
  readonly name: string;
  readonly patient: string;
  readonly score: number;
  readonly text?: string;
}

/** The highest first; equal scores in the index's order. */
function rank(
  items: readonly { readonly name: string; readonly patient: string; readonly text?: string }[],
  scores: readonly number[],
  top: number,
): Ranked[] {
  const order = items.map((_, n) => n).sort((a, b) => scores[b]! - scores[a]! || a - b);
  return order.slice(0, top).map((n) => {
    const { name, patient, text } = items[n]!;
    return { name, patient, score: scores[n]!, ...(text === undefined ? {} : { text }) };
  });
}

function tell(what: 'studies' | 'reports', ranked: readonly Ranked[], started: number, out: Context['out']): void {
  const ms = performance.now() - started;
  out.lines(
    columns(
      ranked.map(({ name, score, text }, n) => [
        `${n + 1}.`,
        name,
        score.toFixed(3),
        ...(text === undefined ? [] : [text.replace(/\s+/g, ' ').slice(0, 100)]),
      ]),
      'r.r.',
    ),
  );
  out.line(
    `${ranked.length} ${what} in ${showTime(ms)}; a score is pre-training's logit: only its order and differences mean something`,
  );
  out.json({ [what]: ranked, ms });
}

/** Every study against every report. */
async function itself(
  retrieval: Retrieval,
  index: RetrievalIndex,
  file: string | undefined,
  { out, signal }: Context,
): Promise<void> {
  const started = performance.now();
  const { studies, reports } = index;
  const bar = out.progress('scores', studies.length);
  const scores = await retrieval.scores(index.embeddings.studies, index.embeddings.reports, index.moments, {
    onProgress: (done) => bar.update(done),
    signal,
  });
  bar.end();
  const written = file === undefined ? [] : await writeMatrix(file, scores, index);
  // Reports that say the same are equally right.
  const says = new Map(reports.map((r) => [r.name, r.says]));
  const found = judge(scores, {
    rowGroups: studies.map((s) => says.get(s.name) ?? s.name),
    columnGroups: reports.map((r) => r.says),
    ks: KS,
  });
  const distinct = new Set(says.values()).size;
  const row = (name: string, s: RetrievalScore): string[] => [
    name,
    String(s.queries),
    ...s.recall.map((r, k) => `${r.toFixed(3)} (${s.chance[k]!.toFixed(3)})`),
    s.medianRank.toFixed(1),
  ];
  out.lines(
    columns(
      [
        ['', 'queries', ...KS.map((k) => `R@${k} (chance)`), 'MedR'],
        row('study → report', found.rows),
        row('report → study', found.columns),
      ],
      '.rrrrr',
    ),
  );
  if (distinct < reports.length)
    out.line(`${reports.length} reports say ${distinct} different things; those that say the same are equally right`);
  if (written.length > 0) out.line(`${written.join(', ')}  (for t3dc eval retrieve: --scores, --cases, --groups)`);
  const figures = (s: RetrievalScore) => ({
    queries: s.queries,
    ...Object.fromEntries(KS.map((k, i) => [`R@${k}`, s.recall[i]])),
    chance: s.chance,
    medianRank: s.medianRank,
  });
  out.json({
    studyToReport: figures(found.rows),
    reportToStudy: figures(found.columns),
    distinct,
    out: file ?? null,
    files: written,
    ms: performance.now() - started,
  });
}

/** SCORES.csv, and beside it whose each name is (NAME.cases.csv) and what says the same (NAME.groups.csv). */
async function writeMatrix(
  file: string,
  scores: readonly ArrayLike<number>[],
  { studies, reports }: RetrievalIndex,
): Promise<string[]> {
  const base = file.replace(/\.csv$/i, '');
  const patients = new Map([...studies, ...reports].map((s) => [s.name, s.patient]));
  const said = [...new Set(reports.map((r) => r.says))];
  const groupOf = new Map(reports.map((r) => [r.name, `says ${said.indexOf(r.says) + 1}`]));
  const tables: Readonly<Record<string, readonly (readonly (string | number)[])[]>> = {
    [file]: [
      ['study', ...reports.map((r) => r.name)],
      ...scores.map((row, j) => [studies[j]!.name, ...Array.from(row, (v) => Number(v.toPrecision(7)))]),
    ],
    [`${base}.cases.csv`]: [['case', 'patient'], ...patients],
    [`${base}.groups.csv`]: [['name', 'group'], ...[...patients.keys()].map((n) => [n, groupOf.get(n) ?? n])],
  };
  for (const [path, rows] of Object.entries(tables))
    await writeFileAtomic(path, rows.map((row) => `${csvLine(row)}\n`).join(''));
  return Object.keys(tables);
}
