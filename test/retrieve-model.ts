// A T3D small enough to be run entry by entry, and what retrieval asks of it: a batch of studies as tiles, of reports as tokens.
import t3d, { type Settings } from '../models/t3d/index.ts';
import type { Method } from '../models/t3d/pretrain-settings.ts';
import type { Inputs } from '../runtime/index.ts';
import { classes, uniform } from './counters.ts';

export const B = 4;
export const K = 2;
export const N = 8;
export const T = 12;
/** Sentences of a report. */
export const S = 3;

export const settingsOf = (method: Method): Settings => ({
  ...t3d.settings,
  backbone: 'unet',
  channels: [4, 8],
  size: [N, N, N],
  batch: B,
  textTokens: T,
  textScope: method === 't3d' ? 'sentence' : 'report',
  text: {
    ...t3d.settings.text,
    vocabSize: 40,
    hiddenSize: 8,
    layers: 1,
    heads: 2,
    intermediateSize: 16,
    maxPositions: 16,
  },
  pretrain: {
    ...t3d.settings.pretrain,
    method,
    tiles: method === 'clip' ? 1 : K,
    tileBatch: 1,
    sentences: S,
    lambdaTir: 0,
    placeKeys: true,
    agreement: 1,
  },
});
export const PARTS = ['embedStudy', 'embedReport', 'contrastMoments', 'scorePairs'] as const;
export const METHODS = ['t3d', 'fullclip', 'clip'] as const;

const LENGTHS = [12, 9, 7, 10];
/** A sentence each three tokens; the third report has two, so that one place is empty. */
export function inputsOf(method: Method): Inputs {
  const tiles = method === 'clip' ? 1 : K;
  const mask = Int32Array.from({ length: B * T }, (_, i) => (i % T < LENGTHS[Math.floor(i / T)]! ? 1 : 0));
  return {
    tiles: uniform(9, 'tiles', B * tiles * N ** 3, 0.5, 0.5),
    input_ids: classes(9, 'input_ids', B * T, 38).map((v, i) => (mask[i] ? v + 2 : 0)),
    attention_mask: mask,
    sentence_ids: mask.map((m, i) => (m ? Math.min(S, Math.floor((i % T) / 4) + 1) : 0)),
    pair_mask: new Int32Array(B * B).fill(1),
  };
}
