// `t3dc embed`: pairs of study and report into an index.
import { readPairs, readVolume } from '../data/node.ts';
import { type Pair, showCounts } from '../data/pairs.ts';
import type { Sections } from '../data/report-tokens.ts';
import { RETRIEVAL, type ReadReport, Retrieval, saysNothing } from '../tasks/retrieval.ts';
import type { SkippedStudy } from '../tasks/study-input.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { loadNeeded } from './initial-weights.ts';
import { reportTokenizer } from './report-tokenizer.ts';
import { hashOf, madeWith, writeIndex } from './retrieval-index.ts';
import { type OpenRequest, withSession } from './session.ts';
import { showBytes, showTime } from './units.ts';

export interface EmbedValues extends OpenRequest {
  readonly weights: string;
  readonly pairs: string;
  readonly out: string;
  readonly tokenizer?: string;
  readonly sections: Sections;
  readonly 'keep-text': boolean;
  readonly columns: Readonly<Record<string, string>>;
}

export async function embedRun(artifact: string, values: EmbedValues, { out, signal }: Context): Promise<void> {
  const started = performance.now();
  await withSession(artifact, values, out, async (session) => {
    const retrieval = new Retrieval(session);
    const { tokenizer, path, hash } = await reportTokenizer(values.tokenizer, values.weights, retrieval.text);
    const list = await readPairs(values.pairs, { columns: values.columns });
    for (const note of list.notes) out.note(note);
    if (list.skipped.length > 0) out.note(`left out: ${showCounts(list.counts)}`);
    const weights = await loadNeeded(session, values.weights, RETRIEVAL, out);
    const skipped: SkippedStudy[] = [];
    const leave = (left: SkippedStudy): void => {
      skipped.push(left);
      out.note(`left out ${left.name}: ${left.detail}`);
    };
    const read = list.pairs.flatMap((pair): Source[] => {
      const report = retrieval.read(pair.text, tokenizer, { sections: values.sections });
      if (!report) leave(saysNothing(pair.name));
      return report ? [{ name: pair.name, pair, report, load: () => readVolume(pair.image!) }] : [];
    });
    const cut = read.filter((r) => r.report.left > 0).length;
    if (cut > 0)
      out.note(
        `${cut} of the reports have more sentences than a row holds: a part of each is read, the same every time`,
      );
    const bar = out.progress('studies', read.length);
    const found = await retrieval.embedStudies(read, {
      onSkip: leave,
      onNote: (note) => out.note(note),
      onProgress: (done) => bar.update(done),
      signal,
    });
    bar.end();
    if (found.length < 2)
      throw new CliError('too-few-cases', 'there are too few pairs for an index', {
        found: `${found.length} of ${list.pairs.length} that can be used`,
        expected: 'at least 2: scores are normalised over them',
        hint: 'Add pairs, or see why they were left out.',
      });
    const studies = found.map((f) => f.study);
    const reports = await retrieval.embedReports(
      found.map((f) => f.source.report.row),
      signal,
    );
    const moments = await retrieval.moments(studies, reports, 'pairs', signal);
    const { model, graphHash } = session.manifest;
    const { pretrain } = model.settings as { readonly pretrain?: { readonly method?: string } };
    const text = values['keep-text'];
    const bytes = await writeIndex(
      values.out,
      {
        model: model.name,
        method: pretrain?.method ?? '',
        artifact: madeWith(values.out, artifact, graphHash),
        weights: madeWith(values.out, values.weights, hashOf(weights)),
        tokenizer: madeWith(values.out, path, hash),
        sections: values.sections,
        studies: found.map(({ source: { pair } }) => ({ name: pair.name, patient: pair.patient })),
        reports: found.map(({ source: { pair, report } }) => ({
          name: pair.name,
          patient: pair.patient,
          says: hashOf(report.key),
          ...(text ? { text: pair.text } : {}),
        })),
        embeddings: { studies, reports },
        moments,
      },
      { study: retrieval.studyShape, sentence: retrieval.sentenceShape },
    );
    const ms = performance.now() - started;
    const shape = retrieval.studyShape.join(' × ');
    out.line(`${found.length} studies of ${shape} features and their reports, ${text ? 'with' : 'without'} their text`);
    out.line(`${values.out}  (${showBytes(bytes)}, ${showTime(ms)} on ${session.device.description})`);
    out.json({
      out: values.out,
      device: session.device,
      studies: found.length,
      shape: retrieval.studyShape,
      bytes,
      skipped,
      ms,
    });
  });
}

interface Source {
  readonly name: string;
  readonly pair: Pair;
  readonly report: ReadReport;
  load(): ReturnType<typeof readVolume>;
}
