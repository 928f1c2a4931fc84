import { command, DEVICE } from '../command.ts';
import { WORKERS } from '../workers.ts';
import { COLUMNS } from './classify.ts';
import { train } from './train.ts';

const START = {
  weights: {
    kind: 'text',
    value: 'FILE',
    help: 'start from these (of t3dc pretrain, or published); what they lack is drawn from the seed, and told',
  },
  'from-scratch': { kind: 'flag', help: 'start from weights drawn from the seed, on purpose' },
} as const;

const GROUPS =
  "Rates that fall layer by layer towards the input, and frozen parameters, are the artifact's: t3dc build t3d --set layerDecay=0.75 " +
  "'freeze=^swinViT\\.patch_embed\\.'. What its groups are is told, and so is that it has none.";

export const finetuneSegment = command({
  name: 'finetune segment',
  summary: 'fine-tune pre-trained weights to segment',
  description: [
    `t3dc train ARTIFACT segment from weights that must be named. ${GROUPS}`,
    ...(train.description ?? []).slice(1),
  ],
  positionals: [{ name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote, with the entry segment' }],
  options: { ...train.options, ...START },
  examples: [
    [
      't3dc finetune segment dist/t3d --weights runs/t3d/weights.safetensors --data btcv -o runs/btcv --val-every 500',
      'encoder and decoder from pre-training, the head drawn',
    ],
  ],
  async run({ ARTIFACT }, values, context) {
    const { finetuneSegment: run } = await import('../finetune-segment.ts');
    await run(ARTIFACT, values as never, context);
  },
});

export const finetuneClassify = command({
  name: 'finetune classify',
  summary: 'fine-tune pre-trained weights to find findings in whole studies',
  description: [
    'A study is seen tile by tile at its working spacing: as many tiles as the artifact takes, drawn anew each step by what is in them ' +
      'where it has more. CSV has a column image, study, case or patient, and a column per finding with 1, 0, or nothing where it is not ' +
      'known. Patients that are held out are those whose studies are scored at validations.',
    GROUPS,
    'RUN is as that of t3dc train: weights, best.safetensors by validation AUROC, checkpoint, metrics, report, model card.',
  ],
  positionals: [
    { name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote, with the entries classify and scores' },
  ],
  options: {
    studies: {
      kind: 'text',
      value: 'PATH',
      help: 'list (.csv, .jsonl) or folder of studies (needed unless --resume)',
    },
    labels: { kind: 'text', value: 'CSV', help: 'what is known of them (needed unless --resume)' },
    findings: {
      kind: 'text',
      value: 'a,b',
      help: "columns that are findings, in order (default: the artifact's findingNames, else all)",
    },
    columns: COLUMNS,
    out: { kind: 'text', short: 'o', value: 'RUN', required: true, help: 'folder of the run' },
    ...START,
    splits: { kind: 'text', value: 'FILE', help: 'train and val of the studies, as t3dc data split writes them' },
    fold: { kind: 'integer', min: 0, value: 'N', help: 'which of several splits (default 0, the first)' },
    'hold-out': {
      kind: 'integer',
      min: 0,
      value: 'N',
      help: 'hold out every N-th patient (default 5 with --val-every, else 0)',
    },
    steps: { kind: 'integer', min: 1, value: 'N', help: "optimiser steps in all (default: the artifact's schedule)" },
    lr: { kind: 'number', min: 0, value: 'X', help: "learning rate (default: the artifact's)" },
    warmup: {
      kind: 'integer',
      min: 0,
      value: 'N',
      help: "warm-up steps (default: the artifact's, at most a tenth of the steps)",
    },
    accumulate: { kind: 'integer', min: 1, value: 'N', help: 'batches per optimiser step (default 1)' },
    seed: { kind: 'integer', min: 0, value: 'S', help: 'of weights, tiles and augmentation (default 0)' },
    augment: {
      kind: 'choice',
      choices: ['on', 'off'],
      help: 'mirrors and turns as far as the names of the findings allow, intensity (default on)',
    },
    'val-every': {
      kind: 'integer',
      min: 0,
      value: 'N',
      help: 'score the studies that are held out every N steps (default 0: never)',
    },
    best: {
      kind: 'text',
      value: 'METRIC',
      help: 'validation metric that chooses best.safetensors: auroc (default), auroc/FINDING or loss',
    },
    patience: {
      kind: 'integer',
      min: 1,
      value: 'N',
      help: 'stop after N validations in a row without a better --best (default: never)',
    },
    resume: { kind: 'flag', help: 'go on with RUN from its checkpoint, with its options where none are given' },
    overwrite: { kind: 'flag', help: 'start again in a RUN that is there' },
    'save-every': { kind: 'integer', min: 1, default: 100, value: 'N', help: 'steps between checkpoints' },
    cache: {
      kind: 'text',
      default: '2GiB',
      value: 'BYTES',
      help: 'chunks and prepared studies kept in memory, over all workers',
    },
    workers: WORKERS,
    ...DEVICE,
  },
  examples: [
    [
      't3dc finetune classify dist/f --weights w.safetensors --studies pairs.csv --labels findings.csv -o runs/f --val-every 100',
      'with validation on every fifth patient',
    ],
    ['t3dc finetune classify dist/findings -o runs/f --resume', 'go on after Ctrl-C'],
  ],
  async run({ ARTIFACT }, values, context) {
    const { finetuneClassify: run } = await import('../finetune-classify.ts');
    await run(ARTIFACT, values, context);
  },
});
