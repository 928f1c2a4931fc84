// Studies and reports embedded and scored as pre-training scores them. What it normalises over its batch is here a mean and variance
// per channel, measured once over a set of studies and reports and kept with it, so that a score is that of one pair alone.
import { DataError, stream } from '../data/index.ts';
import { type ReportOptions, type ReportRow, reportRow, tokeniseReport } from '../data/report-tokens.ts';
import type { TextTokenizer } from '../data/tokens.ts';
import { type Manifest, type Session, T3dcError } from '../runtime/index.ts';
import type { TextContract } from './pretrain-contract.ts';
import { studyContract } from './study-contract.ts';
import { type ReadingOptions, type SkippedStudy, type StudySource, studyBatches } from './study-input.ts';

/** The entries that make it up. */
export const RETRIEVAL = ['embedStudy', 'embedReport', 'contrastMoments', 'scorePairs'] as const;

/** What is kept of one report. */
export interface ReportEmbedding {
  /** [s c], what each sentence asks of a study; null where the method pools. */
  readonly query: Float32Array | null;
  /** [s c] */
  readonly sentence: Float32Array;
  /** [s], 1 where there is a sentence. */
  readonly valid: Float32Array;
}

/** Mean and variance per channel. */
export interface Moments {
  readonly mean: Float32Array;
  readonly variance: Float32Array;
}

/** Of what the sentences found in the studies (or of pooled studies), and of the sentences. */
export interface ContrastMoments {
  readonly study: Moments;
  readonly text: Moments;
}

/** A report as the model reads it. */
export interface ReadReport {
  readonly row: ReportRow;
  /** Equal for reports that say the same sentences. */
  readonly key: string;
  /** Sentences that the row had no room for. */
  readonly left: number;
}

/** Reports longer than a row are read in part: the same part every time. */
const SENTENCES = 0x0204;

export class Retrieval {
  readonly #session: Session;
  readonly text: TextContract;
  /** Axes of a kept study, the batch left out: [n c], or [c] where the method pools. */
  readonly studyShape: readonly number[];
  /** [s c] */
  readonly sentenceShape: readonly [number, number];
  /** Whether each sentence asks for itself. */
  readonly bySentences: boolean;
  readonly #batch: number;

  /** @throws T3dcError `no-entry`, `bad-artifact` */
  constructor(session: Session) {
    this.#session = session;
    const { entries } = session.manifest;
    const lacking = RETRIEVAL.filter((name) => !(name in entries));
    if (lacking.length > 0)
      throw new T3dcError('no-entry', 'the artifact cannot compare studies with reports', {
        found: Object.keys(entries).join(', '),
        expected: RETRIEVAL.join(', '),
        hint: `Build the model with these entries: --entries ${RETRIEVAL.join(',')}.`,
      });
    const port = (name: string) => entries.scorePairs!.inputs.find((p) => p.name === name);
    const [study, sentence] = [port('study')!, port('sentence')!];
    this.text = textContract(session.manifest);
    this.#batch = study.shape[0]!;
    this.studyShape = study.shape.slice(1);
    this.sentenceShape = sentence.shape.slice(1) as [number, number];
    this.bySentences = port('query') !== undefined;
  }

  /** Those that can be read, in their order. @throws T3dcError `aborted`; without `onSkip` what keeps a study from being read */
  async embedStudies<S extends StudySource>(
    sources: readonly S[],
    options: ReadingOptions = {},
  ): Promise<{ source: S; study: Float32Array }[]> {
    const contract = studyContract(this.#session.manifest, 'embedStudy', true);
    const all: { source: S; study: Float32Array }[] = [];
    for await (const { tiles, studies } of studyBatches(sources, contract, options)) {
      const { study } = await this.#call('embedStudy', { tiles });
      const each = study!.length / contract.batch;
      studies.forEach((source, b) => {
        all.push({ source, study: study!.slice(b * each, (b + 1) * each) });
      });
    }
    return all;
  }

  /** Null where its sections say nothing. @throws DataError `text-too-long` */
  read(report: string, tokenizer: TextTokenizer, options: Omit<ReportOptions, 'length'> = {}): ReadReport | null {
    const { length, sentences } = this.text;
    const said = tokeniseReport(report, tokenizer, { ...options, length });
    if (said.texts.length === 0) return null;
    const row = reportRow(said, tokenizer, { length, most: sentences }, stream(0, SENTENCES));
    return { row, key: said.key, left: said.texts.length - row.used.length };
  }

  async embedReports(rows: readonly ReportRow[], signal?: AbortSignal): Promise<ReportEmbedding[]> {
    const { length } = this.text;
    const [s, c] = this.sentenceShape;
    const all: ReportEmbedding[] = [];
    for (let from = 0; from < rows.length; from += this.#batch) {
      signal?.throwIfAborted();
      const some = rows.slice(from, from + this.#batch);
      const fill = (of: (row: ReportRow) => Int32Array, rest = 0): Int32Array => {
        const out = new Int32Array(this.#batch * length).fill(rest);
        some.forEach((row, b) => {
          out.set(of(row), b * length);
        });
        return out;
      };
      const { query, sentence, valid } = await this.#call('embedReport', {
        input_ids: fill((r) => r.ids, this.text.padId),
        attention_mask: fill((r) => r.mask),
        sentence_ids: fill((r) => r.sentence),
      });
      some.forEach((_, b) => {
        all.push({
          query: query?.slice(b * s * c, (b + 1) * s * c) ?? null,
          sentence: sentence!.slice(b * s * c, (b + 1) * s * c),
          valid: valid!.slice(b * s, (b + 1) * s),
        });
      });
    }
    return all;
  }

  /**
   * `pairs`: study and report n belong together, and are taken a batch of both at a time, as training takes them; with an index of one
   * batch they are that batch's own. `all`: every study with every report, for a few prompts. @throws T3dcError `too-few-studies`
   */
  async moments(
    studies: readonly Float32Array[],
    reports: readonly ReportEmbedding[],
    take: 'pairs' | 'all',
    signal?: AbortSignal,
  ): Promise<ContrastMoments> {
    if (studies.length < 2)
      throw new T3dcError('bad-option', 'the scores of one study cannot be normalised', {
        found: `${studies.length} studies`,
        expected: 'at least 2, a batch of training or more for figures that last',
        hint: 'Give more studies, or the moments of an index.',
      });
    const study = new Pooled(this.sentenceShape[1]);
    const text = new Pooled(this.sentenceShape[1]);
    for (let j = 0; j < studies.length; j += this.#batch)
      for (let i = take === 'all' ? 0 : j; i < (take === 'all' ? reports.length : j + 1); i += this.#batch) {
        signal?.throwIfAborted();
        const [some, others] = [studies.slice(j, j + this.#batch), reports.slice(i, i + this.#batch)];
        const present = new Float32Array(this.#batch).fill(1, 0, some.length);
        const m = await this.#call('contrastMoments', { ...this.#sides(some, others), present });
        study.add(m.study_count![0]!, m.study_mean!, m.study_spread!);
        text.add(m.text_count![0]!, m.text_mean!, m.text_spread!);
      }
    return { study: study.moments, text: text.moments };
  }

  /** [study][report], pre-training's logits. */
  async scores(
    studies: readonly Float32Array[],
    reports: readonly ReportEmbedding[],
    moments: ContrastMoments,
    { onProgress, signal }: Pick<ReadingOptions, 'onProgress' | 'signal'> = {},
  ): Promise<Float32Array[]> {
    const b = this.#batch;
    const all = studies.map(() => new Float32Array(reports.length));
    const fixed = {
      study_mean: moments.study.mean,
      study_variance: moments.study.variance,
      text_mean: moments.text.mean,
      text_variance: moments.text.variance,
    };
    for (let j = 0; j < studies.length; j += b) {
      const some = studies.slice(j, j + b);
      for (let i = 0; i < reports.length; i += b) {
        signal?.throwIfAborted();
        const others = reports.slice(i, i + b);
        const { scores } = await this.#call('scorePairs', { ...this.#sides(some, others), ...fixed });
        some.forEach((_, n) => {
          all[j + n]!.set(scores!.subarray(n * b, n * b + others.length), i);
        });
      }
      onProgress?.(Math.min(j + b, studies.length), studies.length);
    }
    return all;
  }

  /** A batch of both; what fills it up is empty. */
  #sides(studies: readonly Float32Array[], reports: readonly ReportEmbedding[]): Record<string, Float32Array> {
    const b = this.#batch;
    const [s, c] = this.sentenceShape;
    const join = (each: number, list: readonly (Float32Array | null)[]): Float32Array => {
      const out = new Float32Array(b * each);
      list.forEach((x, n) => {
        out.set(x!, n * each);
      });
      return out;
    };
    return {
      study: join(
        this.studyShape.reduce((x, y) => x * y, 1),
        studies,
      ),
      ...(this.bySentences
        ? {
            query: join(
              s * c,
              reports.map((r) => r.query),
            ),
          }
        : {}),
      sentence: join(
        s * c,
        reports.map((r) => r.sentence),
      ),
      valid: join(
        s,
        reports.map((r) => r.valid),
      ),
    };
  }

  /** With those of the inputs that the entry takes. */
  async #call(
    name: (typeof RETRIEVAL)[number],
    inputs: Readonly<Record<string, Float32Array | Int32Array>>,
  ): Promise<Partial<Record<string, Float32Array>>> {
    const taken = this.#session.entry(name).inputs.map((p) => [p.name, inputs[p.name]!] as const);
    return (await this.#session.entries[name]!(Object.fromEntries(taken))) as Record<string, Float32Array>;
  }
}

/** How the entry `embedReport` takes reports. @throws T3dcError `no-entry` */
export function textContract(manifest: Manifest): TextContract {
  const mask = manifest.entries.embedReport?.inputs.find((p) => p.name === 'attention_mask');
  if (!mask)
    throw new T3dcError('no-entry', 'the artifact embeds no reports', {
      found: Object.keys(manifest.entries).join(', '),
      expected: 'the entry embedReport',
      hint: `Build the model with it: --entries ${RETRIEVAL.join(',')}.`,
    });
  const { pretrain, text } = manifest.model.settings as {
    readonly pretrain?: { readonly sentences?: number };
    readonly text?: { readonly vocabSize?: number; readonly padTokenId?: number };
  };
  return {
    length: mask.shape[1]!,
    sentences: pretrain?.sentences ?? 1,
    vocabulary: text?.vocabSize ?? 0,
    padId: text?.padTokenId ?? 0,
    hidden: null,
    restores: false,
  };
}

/** A report without a sentence, as one left out. */
export const saysNothing = (name: string): SkippedStudy => ({
  name,
  reason: 'report-no-sentence',
  detail: 'the sections that are read say nothing',
});

/** Probability that each study is what the positive prompts say and not what the negative ones do: the softmax over the mean score of
 *  either side. `scores`: [study][prompt]. @throws DataError `prompts-empty` */
export function zeroShot(
  scores: readonly Float32Array[],
  positive: readonly number[],
  negative: readonly number[],
): Float64Array {
  if (positive.length === 0 || negative.length === 0)
    throw new DataError('prompts-empty', 'A finding lacks prompts of one side.', {
      found: `${positive.length} positive and ${negative.length} negative`,
      expected: 'one of each at least',
      fix: 'add a prompt',
    });
  const mean = (row: Float32Array, of: readonly number[]): number =>
    of.reduce((sum, n) => sum + row[n]!, 0) / of.length;
  return Float64Array.from(scores, (row) => 1 / (1 + Math.exp(mean(row, negative) - mean(row, positive))));
}

/** Counts, means and spreads of parts, as those of the whole (Chan, Golub and LeVeque, 1979). */
class Pooled {
  #count = 0;
  readonly #mean: Float64Array;
  readonly #spread: Float64Array;

  constructor(channels: number) {
    this.#mean = new Float64Array(channels);
    this.#spread = new Float64Array(channels);
  }

  add(count: number, mean: Float32Array, spread: Float32Array): void {
    if (count === 0) return;
    const all = this.#count + count;
    for (let c = 0; c < this.#mean.length; c++) {
      const off = mean[c]! - this.#mean[c]!;
      this.#mean[c]! += (off * count) / all;
      this.#spread[c]! += spread[c]! + (off * off * this.#count * count) / all;
    }
    this.#count = all;
  }

  get moments(): Moments {
    return {
      mean: Float32Array.from(this.#mean),
      variance: Float32Array.from(this.#spread, (v) => v / Math.max(1, this.#count)),
    };
  }
}
