// The text tower: BERT and RoBERTa with Hugging Face's names, so that their weights load as they are.
import {
  attention,
  einsum,
  f32,
  gather,
  gelu,
  type Init,
  type InputSpec,
  i32,
  iota,
  layerNorm,
  linear,
  param,
  scope,
  type Tensor,
} from '../../dsl/index.ts';
import { CONTRAST } from './pretrain-settings.ts';
import type { Settings } from './settings.ts';
import { frozenLayers, type TextSettings } from './text-settings.ts';

/** BERT's initializer_range. */
const NORMAL: Init = { kind: 'normal', mean: 0, std: 0.02 };
const ZERO: Init = { kind: 'constant', value: 0 };
/** Added to scores of padding: e to its power is 0 in f32, and a row of padding alone stays finite. */
const MASKED = -1e9;

/** ids and mask [b t] (i32; mask 1 for tokens, 0 for padding) -> token features [b t c]. */
export const textTransformer = (ids: Tensor, mask: Tensor, s: TextSettings): Tensor =>
  textLayers(textEmbeddings(ids, s), mask, s, 0, s.layers);

/** `sentence` [b t]: positions count from the beginning of each sentence; absent: of the row. */
export const textEmbeddings = (ids: Tensor, s: TextSettings, sentence?: Tensor): Tensor =>
  scope('embeddings', () => embeddings(ids, s, sentence));

/** Layers `from` up to and without `to`. `groups` [b t]: of tokens that see each other; or, unless `own`, the padding mask. */
export function textLayers(x: Tensor, groups: Tensor, s: TextSettings, from: number, to: number, own = false): Tensor {
  let y = x;
  scope('encoder', () =>
    scope('layer', () => {
      for (let i = from; i < to; i++) y = scope(`${i}`, () => layer(y, groups, s, own));
    }),
  );
  return y;
}

/** What an entry takes of a report: its tokens or, where lower layers are frozen, what these made of them. And the padding mask. */
export function textInputs(s: Settings): Readonly<Record<string, InputSpec>> {
  const tokens = { b: s.batch, t: s.textTokens };
  return {
    ...(frozenLayers(s) === null
      ? { input_ids: i32(tokens) }
      : { text_hidden: f32({ ...tokens, c: s.text.hiddenSize }) }),
    attention_mask: i32(tokens),
  };
}

/** Whether tokens see their own sentence alone: where sentences are compared. The other methods know of no sentences. */
export const seesSentence = (s: Settings): boolean =>
  s.textScope === 'sentence' && CONTRAST[s.pretrain.method] === 'sentences';

/** Token features [b t c] from such inputs; with sentence_ids [b t] where tokens see their own sentence alone. */
export function textTokens(x: Readonly<Record<string, Tensor>>, s: Settings): Tensor {
  const frozen = frozenLayers(s);
  return scope('text', () => upperLayers(frozen === null ? lowerLayers(x, s, 0) : x.text_hidden!, x, s, frozen ?? 0));
}

/** What the embeddings and the first layers make of input_ids. */
export function lowerLayers(x: Readonly<Record<string, Tensor>>, s: Settings, to: number): Tensor {
  const embedded = textEmbeddings(x.input_ids!, s.text, seesSentence(s) ? x.sentence_ids! : undefined);
  return textLayers(embedded, groupsOf(x, s), s.text, 0, to, seesSentence(s));
}

/** What the layers from `from` on make of that. */
export const upperLayers = (hidden: Tensor, x: Readonly<Record<string, Tensor>>, s: Settings, from: number): Tensor =>
  textLayers(hidden, groupsOf(x, s), s.text, from, s.text.layers, seesSentence(s));

/** The padding mask, or the sentences: special tokens are one of their own, and padding is one more. */
function groupsOf(x: Readonly<Record<string, Tensor>>, s: Settings): Tensor {
  const mask = x.attention_mask!;
  return seesSentence(s) ? x.sentence_ids!.mul(mask).add(mask.sub(1)) : mask;
}

/** Token features [b t c] and mask [b t] -> one vector a sequence, [b c]. */
export function textPool(x: Tensor, mask: Tensor, s: TextSettings): Tensor {
  if (s.pooling === 'mean') {
    const m = mask.cast('f32');
    return x.mul(m).sum('t').div(m.sum('t').max(1));
  }
  const first = x.slice('t', 0, 1).squeeze('t');
  return s.pooling === 'cls' ? first : scope('pooler', () => dense(first, s.hiddenSize).tanh());
}

const dense = (x: Tensor, out: number): Tensor =>
  scope('dense', () => linear(x, out, { axis: 'c', init: NORMAL, biasInit: ZERO }));

const norm = (x: Tensor, s: TextSettings): Tensor =>
  scope('LayerNorm', () => layerNorm(x, 'c', { eps: s.layerNormEps }));

/** Sum of the embeddings of words, positions and the first token type, normalised. */
function embeddings(ids: Tensor, s: TextSettings, sentence?: Tensor): Tensor {
  const table = (name: string, rows: number): Tensor =>
    scope(name, () => param('weight', { r: rows, c: s.hiddenSize }, { init: NORMAL }));
  const real = ids.ne(s.padTokenId);
  /** As PyTorch's Embedding with padding_idx: the row of padding has no gradient. */
  const rowsOf = (of: Tensor, index: Tensor): Tensor => {
    const x = gather(of, index);
    return real.where(x, x.detach());
  };
  const words = rowsOf(table('word_embeddings', s.vocabSize), ids);
  const types = table('token_type_embeddings', s.typeVocabSize).slice('r', 0, 1).squeeze('r');
  const rows = table('position_embeddings', s.maxPositions);
  const places = sentence
    ? gather(rows, withinSentence(sentence, s))
    : s.positions === 'bert'
      ? rows.slice('r', 0, ids.size('t')).rename({ r: 't' })
      : rowsOf(rows, robertaPositions(real.cast('f32'), s));
  return norm(words.add(places).add(types), s);
}

/** The place of each token in its sentence [b t], from the first position. */
function withinSentence(sentence: Tensor, s: TextSettings): Tensor {
  const n = sentence.size('t');
  const before = iota('u', n).expand('t', n).lt(iota('t', n)); // [u t]
  const same = sentence.rename({ t: 'u' }).expand('t', n).eq(sentence); // [b u t]
  const place = same.and(before).cast('f32').sum('u');
  return place.add(s.positions === 'bert' ? 0 : s.padTokenId + 1).cast('i32');
}

/** real [b t], 1 for tokens -> place of each among those that are no padding, from padTokenId + 1; padding has padTokenId itself. */
function robertaPositions(real: Tensor, s: TextSettings): Tensor {
  const n = real.size('t');
  const upTo = iota('u', n).expand('t', n).le(iota('t', n)).cast('f32');
  const place = einsum(real.rename({ t: 'u' }), upTo, 'b t');
  return place.mul(real).add(s.padTokenId).cast('i32');
}

function layer(x: Tensor, groups: Tensor, s: TextSettings, own: boolean): Tensor {
  const attended = scope('attention', () => {
    const heads = scope('self', () => selfAttention(x, groups, s, own));
    return scope('output', () => norm(dense(heads, s.hiddenSize).add(x), s));
  });
  const wide = scope('intermediate', () => gelu(dense(attended, s.intermediateSize)));
  return scope('output', () => norm(dense(wide, s.hiddenSize).add(attended), s));
}

function selfAttention(x: Tensor, groups: Tensor, s: TextSettings, own: boolean): Tensor {
  const e = s.hiddenSize / s.heads;
  const project = (name: string, token: string): Tensor =>
    scope(name, () => linear(x, s.hiddenSize, { axis: 'c', init: NORMAL, biasInit: ZERO }))
      .split('c', { h: s.heads, e })
      .rename({ b: 'g', t: token });
  const keys = groups.rename({ b: 'g', t: 'm' });
  // Every query is of the group of tokens; padding, as a key, is of the other.
  const queries = (own ? groups : groups.mul(0).add(1)).rename({ b: 'g', t: 'n' });
  return attention(project('query', 'n'), project('key', 'm'), project('value', 'm'), {
    groups: { q: queries, k: keys, maskValue: MASKED },
  })
    .merge('h e', 'c')
    .rename({ g: 'b', n: 't' });
}
