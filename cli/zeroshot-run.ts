// `t3dc zeroshot`: findings of studies from prompts alone: what a report would say if it is there, and if it is not.
import { readJson } from '../data/node.ts';
import { RETRIEVAL, Retrieval, zeroShot } from '../tasks/retrieval.ts';
import type { SkippedStudy } from '../tasks/study-input.ts';
import { aurocs, tellAurocs, writeScores } from './classify-run.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { readFindings } from './finding-labels.ts';
import { loadNeeded } from './initial-weights.ts';
import { reportTokenizer } from './report-tokenizer.ts';
import { checkMadeWith, readIndex } from './retrieval-index.ts';
import { openedWith } from './retrieve-run.ts';
import { type OpenRequest, withSession } from './session.ts';
import { studiesIn } from './studies.ts';
import { showTime } from './units.ts';

export interface ZeroshotValues extends OpenRequest {
  readonly weights: string;
  readonly prompts: string;
  readonly out: string;
  readonly tokenizer?: string;
  readonly index?: string;
  readonly labels?: string;
  readonly columns: Readonly<Record<string, string>>;
}

/** Of one finding. */
export interface Prompts {
  readonly positive: readonly string[];
  readonly negative: readonly string[];
}

export async function zeroshotRun(
  artifact: string,
  path: string,
  values: ZeroshotValues,
  { out, signal }: Context,
): Promise<void> {
  const started = performance.now();
  const prompts = readPrompts(await readJson(values.prompts), values.prompts);
  const findings = [...prompts.keys()];
  const sources = await studiesIn(path, values.columns);
  const truth = values.labels === undefined ? null : await readFindings(values.labels, sources, findings);
  const index = values.index === undefined ? null : await readIndex(values.index);
  await withSession(artifact, values, out, async (session) => {
    const files = { artifact, weights: values.weights };
    const retrieval = index ? await openedWith(session, index, files, out) : new Retrieval(session);
    const tokens = await reportTokenizer(values.tokenizer, values.weights, retrieval.text);
    if (index) checkMadeWith('tokenizer', index.tokenizer, tokens);
    else await loadNeeded(session, values.weights, RETRIEVAL, out);
    const places = new Map<string, number>();
    const rows = [...prompts].flatMap(([finding, { positive, negative }]) =>
      [...positive, ...negative].flatMap((prompt) => {
        if (places.has(prompt)) return [];
        const read = retrieval.read(prompt, tokens.tokenizer, { sections: 'all' });
        if (!read || read.left > 0)
          throw badPrompts(
            values.prompts,
            `'${prompt}' of ${finding}, ${read ? `${read.left} sentences more than a row holds` : 'which says nothing'}`,
            'a sentence or a few, as a report would say it',
          );
        places.set(prompt, places.size);
        return [read.row];
      }),
    );
    const asked = await retrieval.embedReports(rows, signal);
    const skipped: SkippedStudy[] = [];
    const bar = out.progress('studies', sources.length);
    const found = await retrieval.embedStudies(sources, {
      onSkip: (left) => {
        skipped.push(left);
        out.note(`left out ${left.name}: ${left.detail}`);
      },
      onNote: (note) => out.note(note),
      onProgress: (done) => bar.update(done),
      signal,
    });
    bar.end();
    const studies = found.map((f) => f.study);
    if (!index && studies.length < 2)
      throw new CliError('too-few-cases', 'scores are normalised over studies, and there is one', {
        found: `${studies.length} studies that can be used`,
        expected: 'at least 2, or the moments of an index',
        hint: 'Give --index INDEX, which t3dc embed makes of other studies.',
      });
    if (!index)
      out.note(
        `scores are normalised over these ${studies.length} studies and ${rows.length} prompts, and depend on them; --index makes them those of each study alone`,
      );
    const moments = index?.moments ?? (await retrieval.moments(studies, asked, 'all', signal));
    const scores = await retrieval.scores(studies, asked, moments, { signal });
    const at = (list: readonly string[]): number[] => list.map((p) => places.get(p)!);
    const each = [...prompts.values()].map((p) => zeroShot(scores, at(p.positive), at(p.negative)));
    const result = found.map((f, n) => ({ study: f.source, scores: each.map((p) => p[n]!) }));
    await writeScores(values.out, findings, result, skipped);
    const ms = performance.now() - started;
    const figures = truth && aurocs(truth, result);
    if (figures) tellAurocs(figures, out);
    out.line(
      `${values.out}  (${found.length} studies, ${rows.length} prompts, ${showTime(ms)} on ${session.device.description})`,
    );
    out.json({
      out: values.out,
      device: session.device,
      studies: found.length,
      prompts: rows.length,
      findings,
      normalisedBy: index ? 'index' : 'these studies',
      skipped,
      ...figures,
      ms,
    });
  });
}

/** {"finding": {"positive": ["…"], "negative": ["…"]}}; one prompt may stand as it is. @throws CliError `bad-prompts` */
export function readPrompts(json: unknown, path: string): ReadonlyMap<string, Prompts> {
  const isRecord = (v: unknown): v is Record<string, unknown> =>
    v !== null && typeof v === 'object' && !Array.isArray(v);
  const shape = '{"finding": {"positive": ["…"], "negative": ["…"]}}';
  if (!isRecord(json) || Object.keys(json).length === 0)
    throw badPrompts(path, isRecord(json) ? 'no finding' : 'no object', shape);
  const all = new Map<string, Prompts>();
  for (const [finding, sides] of Object.entries(json)) {
    if (!isRecord(sides)) throw badPrompts(path, `${finding} without sides`, shape);
    const other = Object.keys(sides).find((k) => k !== 'positive' && k !== 'negative');
    if (other !== undefined) throw badPrompts(path, `'${other}' in ${finding}`, 'positive and negative alone');
    const side = (name: 'positive' | 'negative'): string[] => {
      const list = typeof sides[name] === 'string' ? [sides[name]] : sides[name];
      if (!Array.isArray(list) || list.length === 0)
        throw badPrompts(path, `no ${name} prompt of ${finding}`, `at least one ${name} prompt`);
      const empty = list.findIndex((p) => typeof p !== 'string' || p.trim() === '');
      if (empty >= 0) throw badPrompts(path, `${name} prompt ${empty + 1} of ${finding} is empty`, 'a sentence');
      return list.map((p) => String(p).trim());
    };
    all.set(finding, { positive: side('positive'), negative: side('negative') });
  }
  return all;
}

const badPrompts = (path: string, found: string, expected: string): CliError =>
  new CliError('bad-prompts', `${path} cannot be used as prompts`, {
    found,
    expected,
    hint: 'See docs/retrieval.md.',
  });
