// A WordPiece vocabulary from a corpus, as a tokenizer.json that Hugging Face's tokenizers read: for a text tower that is trained from
// nothing, where nothing can be downloaded. Pieces are merged by frequency (as their WordPieceTrainer does); equal counts by
// the pair's spelling, so that the same texts give the same file. And the same from the vocab.txt of older folders.

import { DataError } from './errors.ts';

export const SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const;
const CONTINUED = '##';
/** A pair that is rarer is not worth a piece. */
const LEAST_COUNT = 2;

/** Words as BertNormalizer (lower case, accents kept) and BertPreTokenizer see them. */
export const wordsOf = (text: string): string[] =>
  text.toLowerCase().match(/[\p{P}\p{S}]|[^\s\p{P}\p{S}\p{C}]+/gu) ?? [];

/** Pieces by id: special tokens, letters, then merged pieces, at most `size` in all. */
export function trainWordPiece(texts: Iterable<string>, size: number): string[] {
  const counts = new Map<string, number>();
  for (const t of texts) for (const w of wordsOf(t)) counts.set(w, (counts.get(w) ?? 0) + 1);
  const words = [...counts]
    .sort((a, b) => (a[0] < b[0] ? -1 : 1))
    .map(([w, count]) => ({ count, pieces: Array.from(w, (c, i) => (i === 0 ? c : CONTINUED + c)) }));
  const letters = new Set(words.flatMap((w) => w.pieces));
  const pieces = [...SPECIAL_TOKENS, ...[...letters].sort()];
  const known = new Set(pieces);
  const pairs = new Pairs(words);
  while (pieces.length < size) {
    const best = pairs.commonest();
    if (!best) break;
    const merged = pairs.merge(best);
    if (!known.has(merged)) {
      known.add(merged);
      pieces.push(merged);
    }
  }
  return pieces.slice(0, Math.max(size, SPECIAL_TOKENS.length));
}

interface Word {
  readonly count: number;
  readonly pieces: string[];
}

/** How often each pair of neighbouring pieces occurs, and in which words; kept as pieces are merged. */
class Pairs {
  readonly #of = new Map<string, { count: number; readonly words: Set<Word> }>();

  constructor(words: readonly Word[]) {
    for (const w of words) this.#count(w, 1);
  }

  #count(w: Word, sign: 1 | -1): void {
    for (let i = 0; i + 1 < w.pieces.length; i++) {
      const key = `${w.pieces[i]} ${w.pieces[i + 1]}`;
      const pair = this.#of.get(key) ?? { count: 0, words: new Set<Word>() };
      pair.count += sign * w.count;
      if (sign > 0) pair.words.add(w);
      else pair.words.delete(w);
      if (pair.count > 0) this.#of.set(key, pair);
      else this.#of.delete(key);
    }
  }

  commonest(): string | null {
    let best: string | null = null;
    let most = LEAST_COUNT - 1;
    for (const [key, { count }] of this.#of) {
      if (count > most || (count === most && best !== null && key < best)) {
        best = key;
        most = count;
      }
    }
    return best;
  }

  /** Joins the pair wherever it stands; returns the new piece. */
  merge(key: string): string {
    const [a, b] = key.split(' ') as [string, string];
    const merged = a + b.slice(CONTINUED.length);
    for (const w of [...this.#of.get(key)!.words]) {
      this.#count(w, -1);
      for (let i = 0; i + 1 < w.pieces.length; i++)
        if (w.pieces[i] === a && w.pieces[i + 1] === b) w.pieces.splice(i, 2, merged);
      this.#count(w, 1);
    }
    return merged;
  }
}

/** The pieces of a vocab.txt, a line each, the line's number being the id. @throws `vocabulary-file` */
export function piecesIn(text: string, name: string): string[] {
  const lines = text.replace(/\n$/, '').split('\n');
  const pieces = lines.map((line) => line.replace(/\r$/, ''));
  const lacking = SPECIAL_TOKENS.filter((t) => t !== '[MASK]' && !pieces.includes(t));
  if (lacking.length > 0)
    throw new DataError('vocabulary-file', 'This is no vocabulary of a BERT.', {
      found: `${pieces.length} lines in ${name}, none of them ${lacking.join(' or ')}`,
      expected: 'a WordPiece piece a line, special tokens among them',
      fix: 'take vocab.txt from the folder of a BERT; RoBERTa has vocab.json and merges.txt, and a tokenizer.json',
    });
  return pieces;
}

export interface WordPieceNormalizer {
  /** Default true. */
  readonly lowercase?: boolean;
  /** Default false. */
  readonly stripAccents?: boolean;
}

/** tokenizer.json of a BERT with these pieces. */
export function tokenizerJson(pieces: readonly string[], normalizer: WordPieceNormalizer = {}): object {
  const id = (token: string): number => pieces.indexOf(token);
  const special = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  const named = (token: string) => ({ id: token, ids: [id(token)], tokens: [token] });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.filter((t) => pieces.includes(t)).map((content) => ({
      id: id(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: normalizer.stripAccents ?? false,
      lowercase: normalizer.lowercase ?? true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]')],
      pair: [
        special('[CLS]'),
        { Sequence: { id: 'A', type_id: 0 } },
        special('[SEP]'),
        { Sequence: { id: 'B', type_id: 1 } },
        { SpecialToken: { id: '[SEP]', type_id: 1 } },
      ],
      special_tokens: { '[CLS]': named('[CLS]'), '[SEP]': named('[SEP]') },
    },
    decoder: { type: 'WordPiece', prefix: CONTINUED, cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: CONTINUED,
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(pieces.map((p, n) => [p, n])),
    },
  };
}
