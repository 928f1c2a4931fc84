// Settings of the vision tower and of its segmentation task. Architecture fields carry MONAI's names in camel case.
import type { Preprocess } from '../../data/prepare.ts';
import { ModelError } from '../../dsl/index.ts';
import { PRETRAIN_DEFAULTS, type PretrainSettings } from './pretrain-settings.ts';
import { TEXT_DEFAULTS, type TextSettings } from './text-settings.ts';

/** The order in which patch merging concatenates the eight neighbours; see patch-merging.ts. */
export type Merging = 'legacy' | 'mergingv2' | 'merging';

export interface Settings {
  /** The vision tower: MONAI's SwinUNETR, or a residual U-Net of these widths (preset `pico`). */
  readonly backbone: 'swinunetr' | 'unet';
  readonly channels: readonly number[];

  // ── architecture (MONAI's SwinUNETR)
  readonly inChannels: number;
  readonly outChannels: number;
  /** Findings that a study is classified by. */
  readonly findings: number;
  /** Their names in order; empty where they have none. */
  readonly findingNames: readonly string[];
  /** Width after the patch embedding; a multiple of 12. */
  readonly featureSize: number;
  /** Voxels a side of a patch. The decoder doubles five times, so 2. */
  readonly patchSize: number;
  /** Blocks of each of the four stages; every second one is shifted. */
  readonly depths: readonly number[];
  readonly numHeads: readonly number[];
  /** Tokens a side of an attention window. */
  readonly windowSize: number;
  readonly mlpRatio: number;
  readonly qkvBias: boolean;
  readonly merging: Merging;
  /** SwinUNETR-V2: a residual convolution block before each stage. */
  readonly useV2: boolean;
  /** Negative slope of the decoder's LeakyReLU. */
  readonly leakySlope: number;
  /** Dropout after the patch embedding, the projections and in the MLPs (training only). */
  readonly dropRate: number;
  /** Dropout of attention weights: only 0, see `check`. */
  readonly attnDropRate: number;
  /** Stochastic depth of the last block; earlier blocks less, linearly from 0 (training only). */
  readonly dropPathRate: number;

  /** The text tower. `t3dc build --text FOLDER` takes it from a Hugging Face folder's config.json. */
  readonly text: TextSettings;
  /** Layers of the text tower that are trained: all (-1), or those from this number on; the lower ones are then computed once a report. */
  readonly textTrain: number;
  /** What a token of a report sees in pre-training: the whole report, or its own sentence (with positions from its beginning), so
   *  that a sentence's features tell of nothing else. */
  readonly textScope: 'report' | 'sentence';

  /** Pre-training on pairs of study and report. */
  readonly pretrain: PretrainSettings;

  // ── shapes
  /** Voxels of a patch of the volume, d h w; multiples of 32. */
  readonly size: readonly [number, number, number];
  readonly batch: number;
  /** Tokens of a sequence, padding included. */
  readonly textTokens: number;

  // ── training
  readonly lr: number;
  readonly weightDecay: number;
  readonly schedule: 'constant' | 'warmupCosine' | 'warmupLinear' | 'polynomial';
  /** Optimiser steps. */
  readonly warmup: number;
  /** Optimiser steps at which the schedule ends. */
  readonly steps: number;
  /** Global gradient norm to clip to; 0 does not clip. */
  readonly clip: number;
  /** Decay of a moving average of the weights that is kept beside them, such as 0.999; 0 keeps none. */
  readonly ema: number;
  /** Skip, and count, steps whose gradients are not all finite. */
  readonly guard: boolean;
  /** Fine-tuning (`segment`, `classify`): each layer of the encoder learns at this part of the rate of the one above it; see
   *  fine-tuning.ts. 1: all learn alike. */
  readonly layerDecay: number;
  /** Fine-tuning: regular expressions on parameters that stay as they are, such as `^swinViT\\.`. */
  readonly freeze: readonly string[];
  /** Dice over the whole batch instead of per sample. */
  readonly diceBatch: boolean;
  readonly diceBackground: boolean;
  readonly lambdaDice: number;
  readonly lambdaCE: number;
  /** Weight of each class in the cross-entropy, so that small organs count; empty: all 1. */
  readonly weightCE: readonly number[];

  // ── data contract (preprocess.json)
  /** mm along R, A, S. */
  readonly spacing: readonly [number, number, number];
  /** HU that become 0 and 1. */
  readonly window: readonly [number, number];
  /** Part of a sliding window shared with its neighbour. */
  readonly overlap: number;
  /** Names of the classes in label order, background first; empty where they have none. */
  readonly classNames: readonly string[];
}

/** `nano`: 4.1 million parameters, for tests and small machines. */
export const DEFAULTS: Settings = {
  backbone: 'swinunetr',
  channels: [16, 32, 64],
  inChannels: 1,
  outChannels: 14,
  findings: 1,
  findingNames: [],
  featureSize: 12,
  patchSize: 2,
  depths: [2, 2, 2, 2],
  numHeads: [3, 6, 12, 24],
  windowSize: 7,
  mlpRatio: 4,
  qkvBias: true,
  merging: 'merging',
  useV2: false,
  leakySlope: 0.01,
  dropRate: 0,
  attnDropRate: 0,
  dropPathRate: 0,
  text: TEXT_DEFAULTS,
  textTrain: -1,
  textScope: 'report',
  pretrain: PRETRAIN_DEFAULTS,
  size: [64, 64, 64],
  batch: 1,
  textTokens: 128,
  lr: 1e-4,
  weightDecay: 1e-5,
  schedule: 'warmupCosine',
  warmup: 50,
  steps: 1000,
  clip: 0,
  ema: 0,
  guard: false,
  layerDecay: 1,
  freeze: [],
  diceBatch: false,
  diceBackground: true,
  lambdaDice: 1,
  lambdaCE: 1,
  weightCE: [],
  spacing: [1.5, 1.5, 2],
  window: [-175, 250],
  overlap: 0.5,
  classNames: [],
};

export const PRESETS: Readonly<Record<string, Partial<Settings>>> = {
  nano: { featureSize: 12, size: [64, 64, 64] },
  small: { featureSize: 24, size: [64, 64, 64] },
  base: { featureSize: 48, size: [96, 96, 96] },
  /** The experiment's: a U-Net on tiles of 28³, a text tower of one layer. */
  pico: {
    backbone: 'unet',
    outChannels: 2,
    size: [28, 28, 28],
    batch: 16,
    textTokens: 192,
    textScope: 'sentence',
    text: { ...TEXT_DEFAULTS, vocabSize: 1024, hiddenSize: 64, intermediateSize: 256, layers: 1, maxPositions: 256 },
    pretrain: { ...PRETRAIN_DEFAULTS, tileBatch: 16, restoreBatch: 16 },
    spacing: [6, 6, 6],
    lr: 1e-3,
    clip: 1,
    steps: 350,
    warmup: 20,
  },
};

/** Patch embedding and four mergings halve each side five times. */
export const REDUCTION = 32;

const refuse = (problem: string, fix: string): never => {
  throw new ModelError('model-settings', `t3d: ${problem}\n  fix: ${fix}`);
};

/** Refuses, with code `model-settings`, what the architecture cannot be. */
export function check(s: Settings): void {
  if (!['swinunetr', 'unet'].includes(s.backbone)) refuse(`backbone is '${s.backbone}'`, "use 'swinunetr' or 'unet'");
  checkCommon(s);
  if (s.backbone === 'unet') {
    if (s.channels.length < 2 || !s.channels.every((c) => Number.isInteger(c) && c > 0))
      refuse(`channels are [${s.channels}]`, 'give the width of each level, at least two');
    return;
  }
  if (s.featureSize < 12 || s.featureSize % 12 !== 0)
    refuse(
      `featureSize is ${s.featureSize}, which 12 does not divide (3 heads of even width at the first stage)`,
      'use 12, 24, 36, 48, 96, …',
    );
  if (s.patchSize !== 2)
    refuse(`patchSize is ${s.patchSize}; the decoder doubles its map once per stage and once for the patch`, 'use 2');
  s.size.forEach((n, i) => {
    if (!Number.isInteger(n) || n < REDUCTION || n % REDUCTION !== 0) {
      const down = Math.floor(n / REDUCTION) * REDUCTION;
      const near = down >= REDUCTION ? `${down} or ${down + REDUCTION}` : `${REDUCTION}`;
      refuse(
        `size ${s.size.join(' × ')}: axis ${'dhw'[i]} is ${n}, which ${REDUCTION} does not divide`,
        `make it ${near} (sliding windows and padding take volumes of any size)`,
      );
    }
  });
  if (s.depths.length !== 4 || s.numHeads.length !== 4)
    refuse(`depths [${s.depths}] and numHeads [${s.numHeads}] are not four numbers each`, 'give one number per stage');
  s.numHeads.forEach((heads, i) => {
    const width = s.featureSize * 2 ** i;
    if (width % heads !== 0)
      refuse(
        `stage ${i + 1} has ${width} channels, which its ${heads} heads do not divide`,
        'change numHeads or featureSize',
      );
  });
  if (!['legacy', 'mergingv2', 'merging'].includes(s.merging))
    refuse(`merging is '${s.merging}'`, "use 'legacy' (MONAI 0.9–1.4), 'mergingv2' or 'merging' (MONAI 1.5 and later)");
  if (s.attnDropRate !== 0)
    refuse(
      `attnDropRate is ${s.attnDropRate}; attention never stores its weights, so it cannot drop some`,
      'use 0, and dropRate or dropPathRate to regularise',
    );
  for (const k of ['dropRate', 'dropPathRate'] as const)
    if (!(s[k] >= 0 && s[k] < 1)) refuse(`${k} is ${s[k]}`, 'use a rate from 0 to below 1');
}

/** What holds for every backbone. */
function checkCommon(s: Settings): void {
  if (s.size.length !== 3) refuse(`size has ${s.size.length} axes`, 'give three numbers: d, h, w');
  if (!Number.isInteger(s.batch) || s.batch < 1)
    refuse(`batch is ${s.batch}`, 'use a whole number of samples, at least 1');
  if (!(s.overlap >= 0 && s.overlap < 1))
    refuse(`overlap is ${s.overlap}`, 'use a part from 0 to below 1; 0.5 to 0.7 is usual');
  if (s.weightCE.length > 0 && (s.weightCE.length !== s.outChannels || !s.weightCE.every((w) => w >= 0)))
    refuse(
      `weightCE is [${s.weightCE}] for ${s.outChannels} outChannels`,
      'give one weight of 0 or more per class, background first, or none',
    );
  if (s.classNames.length > 0 && s.classNames.length !== s.outChannels)
    refuse(
      `${s.classNames.length} classNames for ${s.outChannels} outChannels`,
      'name every class, background first, or none',
    );
  if (s.findingNames.length > 0 && s.findingNames.length !== s.findings)
    refuse(`${s.findingNames.length} findingNames for ${s.findings} findings`, 'name every finding, or none');
  if (!['report', 'sentence'].includes(s.textScope))
    refuse(`textScope is '${s.textScope}'`, "use 'report' or 'sentence'");
  if (!(s.ema >= 0 && s.ema < 1)) refuse(`ema is ${s.ema}`, 'use a decay from 0 (none) to below 1, such as 0.999');
  if (!(s.layerDecay > 0 && s.layerDecay <= 1))
    refuse(`layerDecay is ${s.layerDecay}`, 'use a factor above 0 and at most 1; 0.65 to 0.9 is usual');
}

/** Training normalises the deepest map over its voxels; over one voxel that is always zero (PyTorch refuses it too). */
export function checkTrainable(s: Settings): void {
  if (s.backbone === 'unet') return;
  const deepest = s.size.map((n) => n / REDUCTION);
  if (deepest.every((n) => n === 1))
    refuse(
      `size ${s.size.join(' × ')}: the deepest map is a single voxel, whose instance norm is zero whatever the image`,
      'train with at least 64 along one axis',
    );
}

/** What a volume must go through before the model sees it, and how its logits become labels again. */
export interface T3DPreprocess extends Preprocess {
  /** Voxels d h w that one call takes. */
  readonly patch: readonly [number, number, number];
  readonly overlap: number;
  readonly blend: 'gaussian';
  readonly classes: number;
  readonly classNames: readonly string[];
}

export function preprocess(s: Settings): T3DPreprocess {
  return {
    orientation: 'RAS',
    spacing: s.spacing,
    window: s.window,
    foreground: { above: -500, margin: 3 },
    // Slices as thick as the working spacing itself are no loss.
    thickSlices: { above: Math.max(5, ...s.spacing), action: 'refuse' },
    patch: s.size,
    overlap: s.overlap,
    blend: 'gaussian',
    classes: s.outChannels,
    classNames: s.classNames,
  };
}
