// Settings of pre-training: the two text-informed tasks, the baselines of the same recipe, and every constant of theirs.
import { ModelError } from '../../dsl/index.ts';

/**
 * What is learned. `t3d`: every sentence of a report finds its place in the whole study. The others are what it is compared with:
 * `fullclip` pools the whole study and its report; `clip` the same of a study that was downsampled, `clipcrop` of one native tile;
 * `contrast` brings two views of a tile together, without text; `swinssl` adds rotation to that (MONAI's recipe); `restore`
 * restores alone. `t3d-shuffled` is `t3d` on reports that were permuted over patients: the control that isolates text. It is a
 * matter of the data, and so is `clip`, whose one tile is the downsampled study.
 */
export type Method = 't3d' | 't3d-shuffled' | 'fullclip' | 'clip' | 'clipcrop' | 'contrast' | 'swinssl' | 'restore';

/** How each method compares. */
export const CONTRAST: Readonly<Record<Method, 'sentences' | 'pooled' | 'views' | 'none'>> = {
  t3d: 'sentences',
  't3d-shuffled': 'sentences',
  fullclip: 'pooled',
  clip: 'pooled',
  clipcrop: 'pooled',
  contrast: 'views',
  swinssl: 'views',
  restore: 'none',
};

export interface PretrainSettings {
  readonly method: Method;
  /** Tiles of a study, k. For `contrast` and `swinssl`: 2, the views; for `clip` and `clipcrop`: 1. */
  readonly tiles: number;
  /** Tiles that the encoder takes at a time: of a batch's tiles, a divisor. Memory is theirs. */
  readonly tileBatch: number;
  /** Sentences of a report. */
  readonly sentences: number;
  /** Tiles of a study that are restored, r. */
  readonly restored: number;
  /** Restored tiles that the network takes at a time. */
  readonly restoreBatch: number;
  /** Regular expressions of the parameters that pre-training leaves as they are. */
  readonly freeze: readonly string[];

  // ── loss
  readonly lambdaTcl: number;
  /** Weight, beside the whole report's cross-entropies, of each sentence's own: it must find its study. */
  readonly lambdaSentence: number;
  /** 0: no restoration, and no such inputs. */
  readonly lambdaTir: number;
  /** κ: every sentence must find its place. */
  readonly kappa: number;
  /** Keys know which tile of the study they are of (a learned vector a tile), so that a sentence can look where its
   *  organ is. Values do not: what is compared holds neither text nor place. Needs tiles in the same order in every study. */
  readonly placeKeys: boolean;
  /** What sentences ask is normalised over those of the batch. What all of them share says nothing of where to look, and much of the
   *  mean of a sentence's tokens is that. */
  readonly normalizeQueries: boolean;
  /** Over what an answer is normalised: the whole batch, or the studies that the same sentence asks, so that what is left is how they
   *  differ there. */
  readonly normalize: 'batch' | 'studies';
  /** τ at the start; learnable, 1/τ at most 100. */
  readonly temperature: number;
  /** Reports whose features agree more than this (cosine, centred over the batch) are no candidates; 1: all are. */
  readonly agreement: number;
  /** λ_s: weight of targets by the reports' similarity, at softTemperature. */
  readonly softTargets: number;
  readonly softTemperature: number;
  /** λ_rot: weight of the rotation task (`swinssl`). */
  readonly lambdaRotation: number;
  /** λ_v, option `view`: two augmented encodings of a study find each other, asked with its own report; 0: one is made. */
  readonly lambdaView: number;
  /** False reports of each study that its row holds as hard negatives: 0, 1 or 2. */
  readonly counterfactuals: number;

  // ── restoration
  /** The text-informed gate; off, the network is MONAI's. */
  readonly restoreText: boolean;
  /** Probability that a report is a null token. */
  readonly textDropout: number;
  /** Weight of voxels that were not corrupted. */
  readonly rest: number;
  /** Weight of the deepest map's agreement with that of the clean tile. */
  readonly feature: number;
  readonly restoreHeads: number;
  /** What is corrupted: `random`, as the batch has it; or `attended`, where a sentence of a finding looks most. */
  readonly mask: 'random' | 'attended';
  /** Of `attended`: the share of a tile's tokens. */
  readonly attended: number;
}

export const PRETRAIN_DEFAULTS: PretrainSettings = {
  method: 't3d',
  tiles: 4,
  tileBatch: 1,
  sentences: 16,
  restored: 1,
  restoreBatch: 1,
  freeze: [],
  lambdaTcl: 1,
  lambdaSentence: 0,
  lambdaTir: 1,
  kappa: 3,
  placeKeys: false,
  normalizeQueries: false,
  normalize: 'batch',
  temperature: 0.1,
  agreement: 0.95,
  softTargets: 0,
  softTemperature: 0.1,
  lambdaRotation: 1,
  lambdaView: 0,
  counterfactuals: 0,
  restoreText: true,
  textDropout: 0.3,
  rest: 0.1,
  feature: 0.5,
  restoreHeads: 8,
  mask: 'random',
  attended: 0.3,
};

/** As it is measured: the two tasks without their options, on what the batch corrupts, so that figures of all runs compare. */
export const measured = (p: PretrainSettings): PretrainSettings => ({
  ...p,
  lambdaView: 0,
  counterfactuals: 0,
  mask: 'random',
});

const refuse = (problem: string, fix: string): never => {
  throw new ModelError('model-pretrain', `pretrain: ${problem}\n  fix: ${fix}`);
};

/** Of entries that compare studies with reports. */
export const refuseMethod = (method: Method): never =>
  refuse(
    `method ${method} compares no text with studies`,
    'retrieval and zero-shot need t3d, t3d-shuffled, fullclip, clip or clipcrop',
  );

/** Of the same. */
export const refuseQueries = (): never =>
  refuse(
    'queries are normalised over a batch, so that a report asks nothing without all the others',
    'retrieval and zero-shot need normalizeQueries false',
  );

/** Of the same. */
export const refuseNormalize = (normalize: string): never =>
  refuse(
    `answers are normalised over ${normalize}, so that a study has no score without all the others`,
    "retrieval and zero-shot need normalize 'batch'",
  );

export const usesText = (p: PretrainSettings): boolean =>
  CONTRAST[p.method] === 'sentences' || CONTRAST[p.method] === 'pooled' || (p.lambdaTir > 0 && p.restoreText);

/** @param deepest channels of the deepest map */
export function checkPretrain(p: PretrainSettings, batch: number, deepest: number): void {
  const kind = CONTRAST[p.method];
  if (kind === undefined) refuse(`method is '${p.method}'`, `use one of: ${Object.keys(CONTRAST).join(', ')}`);
  if (kind !== 'none' && batch < 2)
    refuse(
      `a batch of ${batch} has nothing to tell apart`,
      'use a batch of at least 2 (more is better; memory is one tile’s)',
    );
  const whole = (name: 'tiles' | 'tileBatch' | 'sentences' | 'restored' | 'restoreBatch'): void => {
    if (!Number.isInteger(p[name]) || p[name] < 1) refuse(`${name} is ${p[name]}`, 'use a whole number, at least 1');
  };
  for (const n of ['tiles', 'tileBatch', 'sentences', 'restored', 'restoreBatch'] as const) whole(n);
  if (kind === 'views' && p.tiles !== 2) refuse(`${p.method} has ${p.tiles} tiles`, 'use 2: the two views of a tile');
  if ((p.method === 'clip' || p.method === 'clipcrop') && p.tiles !== 1)
    refuse(`${p.method} has ${p.tiles} tiles`, 'use 1: the downsampled study, or one crop of it');
  if (kind !== 'none' && (batch * p.tiles) % p.tileBatch !== 0)
    refuse(
      `tileBatch ${p.tileBatch} does not divide ${batch} × ${p.tiles} tiles`,
      'use a divisor; 1 needs the least memory',
    );
  if (p.lambdaTir > 0 && (batch * p.restored) % p.restoreBatch !== 0)
    refuse(`restoreBatch ${p.restoreBatch} does not divide ${batch} × ${p.restored} tiles`, 'use a divisor');
  if (p.lambdaTir > 0 && p.restoreText && deepest % p.restoreHeads !== 0)
    refuse(`${p.restoreHeads} heads do not divide the ${deepest} channels of the deepest map`, 'change restoreHeads');
  if (kind === 'none' && !(p.lambdaTir > 0)) refuse('restore with lambdaTir 0 learns nothing', 'give it a weight');
  for (const n of ['textDropout', 'softTargets'] as const)
    if (!(p[n] >= 0 && p[n] <= 1)) refuse(`${n} is ${p[n]}`, 'use a number from 0 to 1');
  if (!(p.lambdaView >= 0)) refuse(`lambdaView is ${p.lambdaView}`, 'use 0 or more');
  if (![0, 1, 2].includes(p.counterfactuals)) refuse(`counterfactuals is ${p.counterfactuals}`, 'use 0, 1 or 2');
  if (p.mask !== 'random' && p.mask !== 'attended') refuse(`mask is '${p.mask}'`, 'use one of: random, attended');
  if (!(p.attended > 0 && p.attended < 1)) refuse(`attended is ${p.attended}`, 'use a share between 0 and 1');
  const options = [
    ...(p.lambdaView > 0 ? ['lambdaView'] : []),
    ...(p.counterfactuals > 0 ? ['counterfactuals'] : []),
    ...(p.mask === 'attended' ? ["mask 'attended'"] : []),
  ];
  if (kind !== 'sentences' && options.length > 0)
    refuse(
      `${options[0]} needs sentences that look at a study, and ${p.method} has none`,
      'use method t3d, or leave it out',
    );
  if (p.mask === 'attended' && !(p.lambdaTir > 0))
    refuse("mask 'attended' restores nothing", 'give lambdaTir a weight');
  if (!(p.temperature >= 0.01)) refuse(`temperature is ${p.temperature}`, 'use 0.01 or more: 1/τ is at most 100');
}
