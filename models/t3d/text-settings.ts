// Settings of the text tower, and how a Hugging Face folder's config.json gives them.
import { ModelError } from '../../dsl/index.ts';

export interface TextSettings {
  /** BERT counts positions from 0; RoBERTa counts the tokens that are no padding, from padTokenId + 1. */
  readonly positions: 'bert' | 'roberta';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly maxPositions: number;
  readonly typeVocabSize: number;
  readonly layerNormEps: number;
  readonly padTokenId: number;
  /** What `pooled` is: the mean over tokens that are no padding, the first token, or BERT's pooler (tanh of a layer on the first). */
  readonly pooling: 'mean' | 'cls' | 'pooler';
}

/** A small BERT for training from nothing. */
export const TEXT_DEFAULTS: TextSettings = {
  positions: 'bert',
  vocabSize: 2048,
  hiddenSize: 128,
  layers: 2,
  heads: 4,
  intermediateSize: 512,
  maxPositions: 512,
  typeVocabSize: 2,
  layerNormEps: 1e-12,
  padTokenId: 0,
  pooling: 'mean',
};

/** Model types whose parameters are BERT's by name and place. */
const TYPES: Readonly<Record<string, TextSettings['positions']>> = {
  bert: 'bert',
  'cxr-bert': 'bert',
  roberta: 'roberta',
  'xlm-roberta': 'roberta',
  camembert: 'roberta',
};

const refuse = (problem: string, fix: string): never => {
  throw new ModelError('model-text', `text tower: ${problem}\n  fix: ${fix}`);
};

/** Settings from the contents of a config.json. Fields that it lacks take Hugging Face's own defaults of BertConfig.
 *  @throws ModelError model-text for what this tower is not */
export function textSettings(config: unknown): TextSettings {
  if (config === null || typeof config !== 'object' || Array.isArray(config))
    refuse('config.json holds no object', 'give the folder of a BERT or RoBERTa as Hugging Face stores it');
  const c = config as Record<string, unknown>;
  const type = c.model_type ?? 'bert';
  const positions = TYPES[String(type)];
  if (positions === undefined)
    return refuse(
      `model_type is '${type}', whose layers are not BERT's`,
      `give a folder of one of: ${Object.keys(TYPES).join(', ')}`,
    );
  if ((c.hidden_act ?? 'gelu') !== 'gelu')
    refuse(`hidden_act is '${c.hidden_act}'`, "use a model with hidden_act 'gelu' (the exact one)");
  if ((c.position_embedding_type ?? 'absolute') !== 'absolute')
    refuse(`position_embedding_type is '${c.position_embedding_type}'`, 'use a model with absolute positions');
  if (c.is_decoder === true) refuse('is_decoder is true', 'use an encoder: each token attends to all others');
  const number = (key: string, otherwise: number): number => {
    const v = c[key] ?? otherwise;
    return typeof v === 'number' && v >= 0 ? v : refuse(`${key} is ${JSON.stringify(v)}`, 'give a number');
  };
  const roberta = positions === 'roberta';
  return {
    positions,
    vocabSize: number('vocab_size', roberta ? 50265 : 30522),
    hiddenSize: number('hidden_size', 768),
    layers: number('num_hidden_layers', 12),
    heads: number('num_attention_heads', 12),
    intermediateSize: number('intermediate_size', 3072),
    maxPositions: number('max_position_embeddings', 512),
    typeVocabSize: number('type_vocab_size', 2),
    layerNormEps: number('layer_norm_eps', 1e-12),
    padTokenId: number('pad_token_id', roberta ? 1 : 0),
    pooling: 'mean',
  };
}

/** Tokens that a sequence may have. */
export const longest = (s: TextSettings): number =>
  s.positions === 'roberta' ? s.maxPositions - s.padTokenId - 1 : s.maxPositions;

/** How many layers are frozen, the embeddings with them, so that they are computed once a report; null: all are trained. */
export function frozenLayers(s: { readonly text: TextSettings; readonly textTrain: number }): number | null {
  const { textTrain: from, text } = s;
  if (from === -1) return null;
  if (!Number.isInteger(from) || from < 0 || from > text.layers)
    refuse(
      `textTrain is ${from}`,
      `use -1 to train all, or the number of layers that stay as they are: 0 (embeddings alone) to ${text.layers} (the whole tower)`,
    );
  return from;
}

export function checkText(s: TextSettings, tokens: number): void {
  if (s.hiddenSize % s.heads !== 0)
    refuse(`hiddenSize ${s.hiddenSize} is not divided by its ${s.heads} heads`, 'change heads or hiddenSize');
  if (!Number.isInteger(tokens) || tokens < 1 || tokens > longest(s))
    refuse(`textTokens is ${tokens}`, `use 1 to ${longest(s)}: the positions that this tower knows`);
  if (!['mean', 'cls', 'pooler'].includes(s.pooling))
    refuse(`pooling is '${s.pooling}'`, "use 'mean', 'cls' or 'pooler'");
  if (!['bert', 'roberta'].includes(s.positions)) refuse(`positions is '${s.positions}'`, "use 'bert' or 'roberta'");
}
