// The experiment's studies: the phantom `part`, as the encoder takes it, and its reports as tokens.
import {
  applyWindow,
  PART_SIZE,
  PART_STATIONS,
  PART_TILE,
  PART_WINDOW,
  type PartStatement,
  type PartTruth,
  partLabels,
  phantomPart,
} from '../../data/index.ts';
import { TextTokenizer } from '../../data/tokens.ts';
import { tokenizerJson, trainWordPiece } from '../../data/wordpiece.ts';
import type { Declaration } from './declaration.ts';

export interface Study extends Row {
  /** 0..1, [d h w]; its stations are its tiles. */
  readonly volume: Float32Array;
  readonly lesions: Uint8Array;
  /** [station kind]: 1 where a lesion of that kind is. */
  readonly kinds: Uint8Array;
  readonly truth: PartTruth;
  /** Of each sentence: what it states. */
  readonly statements: readonly PartStatement[];
}

export const STATIONS = PART_STATIONS;
export const TILE = PART_TILE;
export const TILE_VOXELS = PART_TILE ** 3;

export interface Studies {
  readonly train: readonly Study[];
  readonly judged: readonly Study[];
  readonly vocabulary: number;
  readonly tokenizer: TextTokenizer;
}

/** A report's tokens. */
export interface Row {
  readonly ids: Int32Array;
  readonly mask: Int32Array;
  /** 0: in no sentence, else its number from 1. */
  readonly sentence: Int32Array;
}

/** Training studies first, then those of development, then those of the test. */
export function studiesOf(d: Declaration): Studies {
  const { train, development, test } = d.studies;
  const from = d.judged === 'test' ? train + development : train;
  const count = d.judged === 'test' ? test : development;
  const made = (first: number, n: number) =>
    Array.from({ length: n }, (_, i) => phantomPart({ seed: d.phantom, index: first + i }));
  const [learned, judged] = [made(0, train), made(from, count)];
  const pieces = trainWordPiece(
    learned.map((s) => s.report.text),
    d.vocabulary,
  );
  const tokenizer = new TextTokenizer(tokenizerJson(pieces));
  const finish = (s: ReturnType<typeof phantomPart>): Study => {
    if (s.image.dims.join() !== PART_SIZE.join()) throw new Error(`a study of ${s.image.dims.join(' × ')} voxels`);
    // The findings alone: an impression says the same again.
    const { sentences, statements } = s.report;
    return {
      volume: applyWindow(s.image.data, PART_WINDOW),
      lesions: s.label.data,
      kinds: partLabels(s.truth),
      truth: s.truth,
      statements,
      ...rowOf(sentences, tokenizer, d),
    };
  };
  return { train: learned.map(finish), judged: judged.map(finish), vocabulary: pieces.length, tokenizer };
}

/** One row: every sentence's tokens, between the special tokens of the first and the last. */
export function rowOf(sentences: readonly string[], tokenizer: TextTokenizer, d: Declaration): Row {
  const ids = new Int32Array(d.textTokens).fill(tokenizer.padId);
  const mask = new Int32Array(d.textTokens);
  const sentence = new Int32Array(d.textTokens);
  if (sentences.length > d.sentences) throw new Error(`${sentences.length} sentences, more than ${d.sentences}`);
  let at = 0;
  sentences.forEach((text, n) => {
    const all = tokenizer.encode(text);
    // [CLS] stays with the first sentence, [SEP] ends each.
    const own = n === 0 ? all : all.slice(1);
    if (at + own.length > ids.length) throw new Error(`a report of more than ${ids.length} tokens`);
    ids.set(own, at);
    mask.fill(1, at, at + own.length);
    sentence.fill(n + 1, at + (n === 0 ? 1 : 0), at + own.length - 1);
    at += own.length;
  });
  return { ids, mask, sentence };
}
