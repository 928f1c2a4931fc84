// `t3dc classify`: probabilities of findings for whole studies, as a table; and how well they rank, where the truth is given.

import { csvLine } from '../data/csv.ts';
import { auroc, meanOf } from '../data/index.ts';
import { writeFileAtomic } from '../data/node.ts';
import { classifyStudies, findingsOf, SCORES } from '../tasks/classify.ts';
import type { SkippedStudy } from '../tasks/study-input.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { type Findings, readFindings } from './finding-labels.ts';
import { loadNeeded } from './initial-weights.ts';
import { type OpenRequest, withSession } from './session.ts';
import { type StudyFile, studiesIn } from './studies.ts';
import { columns, parseNames, showTime } from './units.ts';

export interface ClassifyStudiesValues extends OpenRequest {
  readonly weights: string;
  readonly out: string;
  readonly findings?: string;
  readonly labels?: string;
  readonly columns: Readonly<Record<string, string>>;
}

export async function classifyRun(
  artifact: string,
  path: string,
  values: ClassifyStudiesValues,
  { out, signal }: Context,
): Promise<void> {
  const started = performance.now();
  const sources = await studiesIn(path, values.columns);
  await withSession(artifact, values, out, async (session) => {
    const { count, names } = findingsOf(session);
    const findings = namesOf(values.findings, names, count);
    const truth = values.labels === undefined ? null : await readFindings(values.labels, sources, findings);
    await loadNeeded(session, values.weights, [SCORES], out);
    const skipped: SkippedStudy[] = [];
    const bar = out.progress('classify', sources.length);
    const found = await classifyStudies(session, sources, {
      onSkip: (left) => {
        skipped.push(left);
        out.note(`left out ${left.name}: ${left.detail}`);
      },
      onNote: (note) => out.note(note),
      onProgress: (done) => bar.update(done),
      signal,
    });
    bar.end();
    const rows = found.map(({ study, scores }) => ({ study, scores: Array.from(scores) }));
    await writeScores(values.out, findings, rows, skipped);
    const ms = performance.now() - started;
    const figures = truth && aurocs(truth, rows);
    if (figures) tellAurocs(figures, out);
    out.line(`${values.out}  (${found.length} studies, ${showTime(ms)} on ${session.device.description})`);
    out.json({ out: values.out, device: session.device, studies: found.length, findings, skipped, ...figures, ms });
  });
}

/** @throws CliError `no-finding` */
function namesOf(given: string | undefined, own: readonly string[] | null, count: number): readonly string[] {
  const names = given === undefined ? own : parseNames('findings', given);
  if (names && names.length !== count)
    throw new CliError('no-finding', 'the artifact has another number of findings', {
      found: names.join(', '),
      expected: `${count} names${own ? `: ${own.join(', ')}` : ''}`,
      hint: 'Name each of them, in the order of the training.',
    });
  return names ?? Array.from({ length: count }, (_, f) => `finding ${f + 1}`);
}

export interface ScoredStudy {
  readonly study: StudyFile;
  readonly scores: readonly number[];
}

/** A table that `t3dc eval classify` reads. @throws CliError `no-studies` where none could be used */
export async function writeScores(
  path: string,
  findings: readonly string[],
  rows: readonly ScoredStudy[],
  skipped: readonly SkippedStudy[],
): Promise<void> {
  if (rows.length === 0)
    throw new CliError('no-studies', 'none of the studies could be used', {
      found: skipped
        .slice(0, 3)
        .map((s) => `${s.name}: ${s.detail}`)
        .join('; '),
      expected: 'a study that can be read',
    });
  const lines = rows.map(({ study, scores }) => csvLine([study.name, ...scores.map((p) => Number(p.toPrecision(7)))]));
  await writeFileAtomic(path, `${[csvLine(['case', ...findings]), ...lines].join('\n')}\n`);
}

export interface Aurocs {
  /** By finding; null where there is no positive or no negative. */
  readonly auroc: Readonly<Record<string, number | null>>;
  readonly macro: number | null;
  readonly positives: Readonly<Record<string, readonly [positives: number, known: number]>>;
}

/** Of those that have a label. */
export function aurocs({ names, labelled }: Findings, rows: readonly ScoredStudy[]): Aurocs {
  const targets = new Map(labelled.map((l) => [l.study.name, l.target]));
  const each = names.map((name, f) => {
    const known = rows.filter((r) => Number.isFinite(targets.get(r.study.name)?.[f] ?? Number.NaN));
    const truth = known.map((r) => targets.get(r.study.name)![f]!);
    const value = auroc(
      known.map((r) => r.scores[f]!),
      truth,
    );
    return { name, value, counts: [truth.filter((t) => t === 1).length, truth.length] as const };
  });
  const plain = (v: number): number | null => (Number.isNaN(v) ? null : v);
  return {
    auroc: Object.fromEntries(each.map((e) => [e.name, plain(e.value)])),
    macro: plain(meanOf(each.map((e) => e.value)).mean),
    positives: Object.fromEntries(each.map((e) => [e.name, e.counts])),
  };
}

export function tellAurocs({ auroc: each, macro, positives }: Aurocs, out: Context['out']): void {
  const show = (v: number | null): string => (v === null ? '–' : v.toFixed(3));
  out.lines(
    columns(
      [
        ['finding', 'positives', 'AUROC'],
        ...Object.entries(each).map(([name, v]) => [name, positives[name]!.join(' of '), show(v)]),
        ['macro', '', show(macro)],
      ],
      '.rr',
    ),
  );
  out.line('intervals and operating points: t3dc eval classify');
}
