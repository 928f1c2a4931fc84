// Texts as a text tower takes them: rows of token ids and a mask, by a model's own tokenizer.json.
import { Tokenizer } from '@huggingface/tokenizers';
import { DataError } from './errors.ts';
import { splitLong } from './report-text.ts';

export interface TokenRows {
  /** [n t] */
  readonly input_ids: Int32Array;
  /** [n t], 1 for tokens, 0 for padding. */
  readonly attention_mask: Int32Array;
  /** Text of each row. */
  readonly texts: readonly string[];
  /** Of each row, the place of the text that it is or is a piece of. */
  readonly source: readonly number[];
}

const PADDING = ['[PAD]', '<pad>'];

export class TextTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly padId: number;
  /** Ids are below this: the rows that an embedding of these tokens needs. */
  readonly size: number;

  /** From the contents of tokenizer.json and, where there is one, tokenizer_config.json. @throws `tokenizer-json` */
  constructor(json: unknown, config: unknown = {}) {
    try {
      this.#tokenizer = new Tokenizer(json as object, config as object);
    } catch (e) {
      throw new DataError('tokenizer-json', 'This tokenizer cannot be used.', {
        found: (e as Error).message,
        expected: "tokenizer.json as Hugging Face's tokenizers write it",
        fix: 'take the file from the folder of the model, or make one with t3dc data vocabulary',
      });
    }
    const vocabulary = this.#tokenizer.get_vocab(true);
    const pad = PADDING.find((p) => vocabulary.has(p));
    if (pad === undefined)
      throw new DataError('tokenizer-json', 'This tokenizer has no padding token.', {
        found: `${vocabulary.size} tokens`,
        expected: `one of ${PADDING.join(', ')}`,
        fix: 'use the tokenizer of a BERT or RoBERTa',
      });
    this.padId = vocabulary.get(pad)!;
    let size = 0;
    for (const id of vocabulary.values()) size = Math.max(size, id + 1);
    this.size = size;
  }

  /** Ids with the model's special tokens. */
  encode(text: string): number[] {
    return this.#tokenizer.encode(text).ids;
  }

  /** One row of `length` tokens for each text; longer ones are split into several rows, never cut. @throws `text-too-long` where a
   *  single word does not fit */
  rows(texts: readonly string[], length: number): TokenRows {
    const pieces: string[] = [];
    const source: number[] = [];
    texts.forEach((text, n) => {
      const split = splitLong(text, (t) => this.encode(t).length <= length);
      if (!split)
        throw new DataError('text-too-long', 'A word has more tokens than a row.', {
          found: `${JSON.stringify(text.slice(0, 60))} at ${length} tokens a row`,
          expected: 'words that fit',
          fix: 'use more tokens a row',
        });
      pieces.push(...split);
      source.push(...split.map(() => n));
    });
    const input_ids = new Int32Array(pieces.length * length).fill(this.padId);
    const attention_mask = new Int32Array(pieces.length * length);
    pieces.forEach((text, n) => {
      const ids = this.encode(text);
      input_ids.set(ids, n * length);
      attention_mask.fill(1, n * length, n * length + ids.length);
    });
    return { input_ids, attention_mask, texts: pieces, source };
  }
}
