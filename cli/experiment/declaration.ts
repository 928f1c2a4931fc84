// What the experiment does, every constant of it: ../../docs/results.md declares it, config.json of a run repeats it.

/** Ways to pre-train; `scratch` does not. */
export const ARMS = [
  'scratch',
  'restore',
  'contrast',
  'swinssl',
  'clip',
  'clipcrop',
  'fullclip',
  't3d',
  't3d-shuffled',
] as const;
export type Arm = (typeof ARMS)[number];
/** Those that score a whole study against a report. */
export const RETRIEVES: readonly Arm[] = ['t3d', 't3d-shuffled', 'fullclip', 'clip'];

export interface Declaration {
  /** Of the phantom: its studies are the same for all arms and seeds. */
  readonly phantom: number;
  readonly studies: {
    readonly train: number;
    readonly masks: number;
    readonly development: number;
    readonly test: number;
  };
  /** Studies on which it is judged. */
  readonly judged: 'development' | 'test';
  readonly arms: readonly Arm[];
  readonly seeds: readonly number[];
  /** Arms with fewer seeds: how many, the first ones. */
  readonly fewer: Readonly<Partial<Record<Arm, number>>>;

  // ── pre-training
  readonly steps: number;
  readonly warmup: number;
  readonly batch: number;
  readonly lr: number;
  readonly weightDecay: number;
  readonly vocabulary: number;
  readonly textTokens: number;
  /** Layers of the text tower; 0: a sentence is the mean of its normalised word embeddings. */
  readonly textLayers: number;
  readonly sentences: number;
  /** The text tower before any image: impressions matched to findings. No steps: it starts as it is drawn. */
  readonly text: {
    /** Reports without a study. */
    readonly reports: number;
    readonly steps: number;
    readonly batch: number;
    readonly lr: number;
  };
  /** A sentence's keys know the tile that they are of. */
  readonly placeKeys: boolean;
  /** What sentences ask is normalised over the batch. */
  readonly normalizeQueries: boolean;
  /** Over what the sentences' answers are normalised. */
  readonly normalize: 'batch' | 'studies';
  /** Factor of the sentences' scores. */
  readonly kappa: number;
  /** τ at the start. */
  readonly temperature: number;
  /** Weight of each sentence's own cross-entropy. */
  readonly lambdaSentence: number;
  /** Weight of restoration, by arm; the arms that are not named have none. */
  readonly restoration: Readonly<Partial<Record<Arm, number>>>;
  /** Augmentation of a study: a gain of 1 ± gain, a shift of standard deviation `shift`, noise of a standard deviation up to `noise`,
   *  moved by up to `move` voxels along each axis, and turned over along the axis that no report names. */
  readonly gain: number;
  readonly shift: number;
  readonly noise: number;
  readonly move: number;

  // ── linear probe of kind
  readonly fractions: readonly number[];
  /** Draws of the labelled studies at fractions below 1. */
  readonly draws: number;
  /** Inverse strength of the probe's penalty. */
  readonly c: number;

  /** Where sentences look, and whose report is whose, are measured too. */
  readonly beside: boolean;

  // ── lesions segmented after fine-tuning on masks
  readonly segmentation: {
    readonly arms: readonly Arm[];
    /** Seeds of each fraction of the masks; 0 leaves it out. */
    readonly seeds: readonly number[];
    readonly steps: number;
    readonly crops: number;
    readonly lr: number;
    /** Of a lesion's voxels in the cross-entropy. */
    readonly weight: number;
  };
}

export const FULL: Declaration = {
  phantom: 2028,
  studies: { train: 320, masks: 80, development: 64, test: 128 },
  judged: 'test',
  arms: ARMS,
  seeds: [0, 1, 2, 3, 4, 5],
  fewer: { restore: 2, contrast: 2, swinssl: 2, clip: 3, clipcrop: 3 },
  steps: 350,
  warmup: 20,
  batch: 16,
  lr: 1e-3,
  weightDecay: 1e-5,
  vocabulary: 512,
  textTokens: 160,
  textLayers: 1,
  sentences: 12,
  text: { reports: 2000, steps: 400, batch: 32, lr: 1e-3 },
  placeKeys: true,
  normalizeQueries: true,
  normalize: 'studies',
  kappa: 1,
  temperature: 0.1,
  lambdaSentence: 0,
  restoration: { restore: 1, contrast: 1, swinssl: 1 },
  gain: 0.15,
  shift: 0.05,
  noise: 0.04,
  move: 3,
  fractions: [0.05, 0.2, 1],
  draws: 8,
  c: 0.01,
  beside: true,
  segmentation: {
    arms: ['t3d', 't3d-shuffled', 'scratch'],
    seeds: [3, 0, 3],
    steps: 600,
    crops: 4,
    lr: 1e-3,
    weight: 10,
  },
};

/** Seeds of an arm. */
export const seedsOf = (arm: Arm, d: Declaration): readonly number[] =>
  d.seeds.slice(0, d.fewer[arm] ?? d.seeds.length);

/** Of the phantom on which things are tried: never the one that is judged. */
export const DEVELOPMENT = 7;

/** The small copy that tests run, on development studies: t3d against its control, encoder alone. */
export const SMALL: Declaration = {
  ...FULL,
  phantom: DEVELOPMENT,
  judged: 'development',
  arms: ['t3d', 't3d-shuffled'],
  seeds: [0, 1, 2],
  steps: 240,
  text: { ...FULL.text, reports: 800, steps: 150 },
  fractions: [1],
  draws: 1,
  beside: false,
  segmentation: { ...FULL.segmentation, seeds: [0, 0, 0] },
};
