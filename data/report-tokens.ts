// A report as the row of tokens that pre-training takes: its sentences one after another, each with its number, so that every sentence
// can find its own place. And which studies and reports of a batch may be told apart.
import { DataError } from './errors.ts';
import { type RandomStream, stream } from './random.ts';
import { cleanReport, type Drop } from './report-cleaning.ts';
import { type SectionKind, sectionsOf, sentencesOf, splitLong } from './report-text.ts';
import type { TextTokenizer } from './tokens.ts';
import { wordsOf } from './wordpiece.ts';

/** `findings`: the findings alone, and the whole of a report without headings. */
export const SECTIONS = ['findings', 'findings+impression', 'all'] as const;
export type Sections = (typeof SECTIONS)[number];

export interface ReportOptions {
  /** Tokens of a row. */
  readonly length: number;
  /** Default `findings+impression`. */
  readonly sections?: Sections;
  /** Removed first (`cleanReport`). Default nothing. */
  readonly drop?: readonly Drop[];
}

export interface TokenisedReport {
  /** Sentences, those that a row would not hold in several. */
  readonly texts: readonly string[];
  /** Ids of each, without the model's special tokens. */
  readonly ids: readonly Int32Array[];
  /** Two reports with the same sentences in any order, spelt alike, have the same key. */
  readonly key: string;
  /** Sentences that were split. */
  readonly split: number;
}

export interface ReportRow {
  /** [t] */
  readonly ids: Int32Array;
  /** [t], 1 for tokens, 0 for padding. */
  readonly mask: Int32Array;
  /** [t], 0 for special tokens and padding, else the number of the sentence in this row, from 1. */
  readonly sentence: Int32Array;
  /** Of each sentence of the row, its place in the report. */
  readonly used: readonly number[];
}

/** Sentences of a report and their tokens; none where its sections say nothing. @throws `text-too-long` where a word does not fit a row */
export function tokeniseReport(report: string, tokenizer: TextTokenizer, options: ReportOptions): TokenisedReport {
  const { before, after } = specialsOf(tokenizer);
  const room = options.length - before.length - after.length;
  const idsOf = (text: string): readonly number[] => idsWithin(text, tokenizer, { before, after });
  const sentences = sentencesIn(report, options);
  let split = 0;
  const texts = sentences.flatMap((sentence) => {
    const pieces = splitLong(sentence, (t) => idsOf(t).length <= room);
    if (!pieces)
      throw new DataError('text-too-long', 'A word has more tokens than a row.', {
        found: `a sentence of ${sentence.length} characters at ${options.length} tokens a row`,
        expected: 'words that fit',
        fix: 'use more tokens a row (textTokens)',
      });
    if (pieces.length > 1) split++;
    return pieces;
  });
  const key = sentences
    .map((s) => wordsOf(s).join(' '))
    .sort()
    .join('\n');
  return { texts, ids: texts.map((t) => Int32Array.from(idsOf(t))), key, split };
}

/**
 * One row: the special tokens, and the sentences between them, each closed as a text of its own is. All sentences where they are at most
 * `most` and fit; else those that do, in an order drawn from `random`, and never a part of one.
 */
export function reportRow(
  report: TokenisedReport,
  tokenizer: TextTokenizer,
  { length, most }: { readonly length: number; readonly most: number },
  random: RandomStream,
): ReportRow {
  const { before, after } = specialsOf(tokenizer);
  const sizes = report.ids.map((ids) => ids.length + after.length);
  const whole = sizes.reduce((a, b) => a + b, before.length);
  const fits = report.ids.length <= most && whole <= length;
  const used = fits ? report.ids.map((_, n) => n) : sample(sizes, most, length - before.length, random);
  const ids = new Int32Array(length).fill(tokenizer.padId);
  const mask = new Int32Array(length);
  const sentence = new Int32Array(length);
  let at = 0;
  const put = (tokens: ArrayLike<number>, number: number): void => {
    ids.set(tokens, at);
    mask.fill(1, at, at + tokens.length);
    sentence.fill(number, at, at + tokens.length);
    at += tokens.length;
  };
  put(before, 0);
  used.forEach((place, n) => {
    put(report.ids[place]!, n + 1);
    put(after, 0);
  });
  if (used.length === 0) put(after, 0);
  return { ids, mask, sentence, used };
}

/** The row of the same sentences with that of place `used[n]` in other words; null where it does not fit. */
export function rowWith(
  report: TokenisedReport,
  row: ReportRow,
  n: number,
  text: string,
  tokenizer: TextTokenizer,
): ReportRow | null {
  const ids = row.used.map((place, at) =>
    at === n ? Int32Array.from(idsWithin(text, tokenizer, specialsOf(tokenizer))) : report.ids[place]!,
  );
  const { before, after } = specialsOf(tokenizer);
  const { length } = row.ids;
  if (ids.reduce((sum, i) => sum + i.length + after.length, before.length) > length) return null;
  const changed = {
    texts: row.used.map((place, at) => (at === n ? text : report.texts[place]!)),
    ids,
    key: '',
    split: 0,
  };
  // All of them fit, so that nothing is drawn.
  return { ...reportRow(changed, tokenizer, { length, most: ids.length }, stream(0)), used: row.used };
}

/** A row without a sentence, which stands for no report at all. */
export const noRow = (tokenizer: TextTokenizer, length: number): ReportRow => ({
  ids: new Int32Array(length).fill(tokenizer.padId),
  mask: new Int32Array(length),
  sentence: new Int32Array(length),
  used: [],
});

/** A row without any text: special tokens alone, which count as its one sentence. The same for every study, so that it tells nothing. */
export function nullRow(tokenizer: TextTokenizer, length: number): ReportRow {
  const empty = { texts: [], ids: [], key: '', split: 0 };
  const row = reportRow(empty, tokenizer, { length, most: 1 }, stream(0));
  return { ...row, sentence: row.mask.slice() };
}

/** Whose a study or report is. */
export interface Identity {
  readonly patient: string;
  readonly study?: string;
  readonly group?: string;
  /** Of its report. */
  readonly key: string;
}

/** [b b2]: 1 where study b and report b2 may be told apart: other patients, studies and groups, and reports that say another thing. A
 *  study and its own report may. */
export function pairMask(of: readonly Identity[]): Int32Array {
  const n = of.length;
  const mask = new Int32Array(n * n);
  for (let b = 0; b < n; b++)
    for (let b2 = 0; b2 < n; b2++) mask[b * n + b2] = b === b2 || !alike(of[b]!, of[b2]!) ? 1 : 0;
  return mask;
}

const alike = (a: Identity, b: Identity): boolean =>
  a.patient === b.patient ||
  (a.study !== undefined && a.study === b.study) ||
  (a.group !== undefined && a.group === b.group) ||
  a.key === b.key;

/** Sentences in the order of `random`, as many as fit, then in the report's own order. */
function sample(sizes: readonly number[], most: number, room: number, random: RandomStream): number[] {
  const order = sizes.map((_, n) => n);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  let left = room;
  const used: number[] = [];
  for (const n of order) {
    if (used.length === most || sizes[n]! > left) continue;
    left -= sizes[n]!;
    used.push(n);
  }
  return used.sort((a, b) => a - b);
}

function sentencesIn(report: string, { sections = 'findings+impression', drop = [] }: ReportOptions): string[] {
  const kinds: readonly SectionKind[] = sections === 'findings' ? ['findings'] : ['findings', 'impression'];
  return sectionsOf(drop.length > 0 ? cleanReport(report, drop).text : report)
    .filter((s) => sections === 'all' || kinds.includes(s.kind))
    .flatMap((s) => sentencesOf(s.text));
}

/** A text's tokens without those that mark it. */
function idsWithin(
  text: string,
  tokenizer: TextTokenizer,
  { before, after }: ReturnType<typeof specialsOf>,
): readonly number[] {
  const all = tokenizer.encode(text);
  return all.slice(before.length, all.length - after.length);
}

/** What the tokenizer sets before and after a text: [CLS] and [SEP], <s> and </s>. */
function specialsOf(tokenizer: TextTokenizer): { before: readonly number[]; after: readonly number[] } {
  const empty = tokenizer.encode('');
  if (empty.length > 2)
    throw new DataError('tokenizer-json', 'This tokenizer marks a text in a way that is not known here.', {
      found: `${empty.length} tokens of an empty text`,
      expected: 'one before it and one after it, or none',
      fix: 'use the tokenizer of a BERT or RoBERTa',
    });
  return empty.length === 2 ? { before: empty.slice(0, 1), after: empty.slice(1) } : { before: [], after: empty };
}
