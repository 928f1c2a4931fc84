import { SECTIONS } from '../../data/report-tokens.ts';
import { command, DEVICE } from '../command.ts';
import { WORKERS } from '../workers.ts';

export const pretrain = command({
  name: 'pretrain',
  summary: 'pre-train on pairs of CT and report',
  description: [
    'The artifact says how: t3dc build t3d --entries pretrain,diagnose,ground,restore --set pretrain={"method":"t3d"} (docs/pretraining.md ' +
      'lists the methods). FILE is a CSV or JSONL of pairs, DIR a folder of them, as t3dc data split reads them. What cannot be used is ' +
      'left out by name and reason, and counted.',
    'RUN receives weights.safetensors, checkpoint.safetensors (--resume goes on exactly), metrics.jsonl, TensorBoard events, config.json, ' +
      'report.html with example slices, and the tokenizer. Every epoch it is measured whether text and images are both used. The report ' +
      'and the examples show sentences of the reports and slices of the scans: keep them where those may lie.',
  ],
  positionals: [{ name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote, with the entry pretrain' }],
  options: {
    pairs: { kind: 'text', value: 'FILE|DIR', help: 'pairs of CT and report (needed unless --resume)' },
    tokenizer: {
      kind: 'text',
      value: 'FILE|FOLDER',
      help: 'tokenizer.json of the text tower, or its folder (needed where the method reads reports)',
    },
    out: { kind: 'text', short: 'o', value: 'RUN', required: true, help: 'folder of the run' },
    val: { kind: 'text', value: 'FILE|DIR', help: 'pairs of other patients to validate on' },
    splits: { kind: 'text', value: 'FILE', help: 'train and val of --pairs, as t3dc data split writes them' },
    fold: { kind: 'integer', min: 0, value: 'N', help: 'which of several splits (default 0, the first)' },
    columns: { kind: 'pairs', value: 'FIELD=COLUMN', help: 'columns of other names, as in image=scan patient=who' },
    sections: {
      kind: 'choice',
      choices: SECTIONS,
      help: 'which sections of a report are read (default findings+impression; reports without headings are read whole)',
    },
    drop: {
      kind: 'text',
      value: 'LIST',
      help: 'leave out of reports: history, technique, comparison (default none)',
    },
    weights: { kind: 'text', value: 'FILE', help: 'start from these; what they lack is drawn from the seed' },
    'text-weights': {
      kind: 'text',
      value: 'FILE',
      help: 'model.safetensors of the text tower, as on Hugging Face',
    },
    steps: { kind: 'integer', min: 1, value: 'N', help: "optimiser steps in all (default: the artifact's schedule)" },
    lr: { kind: 'number', min: 0, value: 'X', help: "learning rate (default: the artifact's)" },
    warmup: {
      kind: 'integer',
      min: 0,
      value: 'N',
      help: "warm-up steps (default: the artifact's, at most a tenth of the steps)",
    },
    accumulate: {
      kind: 'integer',
      min: 1,
      value: 'N',
      help: 'batches per optimiser step (default 1); each batch is contrasted by itself',
    },
    seed: { kind: 'integer', min: 0, value: 'S', help: 'of weights, batches, augmentation and corruption (default 0)' },
    resume: { kind: 'flag', help: 'go on with RUN from its checkpoint, with its options where none are given' },
    overwrite: { kind: 'flag', help: 'start again in a RUN that is there' },
    augment: {
      kind: 'choice',
      choices: ['on', 'off'],
      help: 'mirrors and turns as far as the report allows, intensity (default on)',
    },
    corrupt: {
      kind: 'choice',
      choices: ['cutout', 'blocks'],
      help: 'what is to be restored: cut-outs of up to 30 %, or half of the blocks (default cutout)',
    },
    fill: { kind: 'choice', choices: ['noise', 'mean'], help: 'what is put in their place (default noise)' },
    lesions: {
      kind: 'text',
      value: 'NAMES',
      help: "classes (names or ids) of the pairs' label maps that are lesions, to record how often they are shown and what text is worth to their restoration; none (default: by name, where dataset.json has names)",
    },
    'diagnose-every': {
      kind: 'integer',
      min: 0,
      value: 'N',
      help: 'steps between diagnostics and examples (default: once an epoch; 0: never)',
    },
    'diagnose-batches': { kind: 'integer', min: 1, value: 'N', help: 'batches of each (default 4)' },
    best: {
      kind: 'choice',
      choices: ['loss', 'tcl', 'tir', 'accuracy'],
      help: 'what best.safetensors is chosen by on the validation pairs (default loss)',
    },
    patience: {
      kind: 'integer',
      min: 1,
      value: 'N',
      help: 'end after N validations without a better one (default: never)',
    },
    'save-every': { kind: 'integer', min: 1, default: 100, value: 'N', help: 'steps between checkpoints' },
    cache: {
      kind: 'text',
      default: '2GiB',
      value: 'BYTES',
      help: 'chunks and prepared volumes kept in memory, over all workers',
    },
    workers: WORKERS,
    ...DEVICE,
  },
  examples: [
    [
      't3dc pretrain dist/t3d --pairs data/phantom --tokenizer models/small -o runs/t3d --steps 200',
      'from weights drawn from seed 0',
    ],
    ['t3dc pretrain dist/t3d -o runs/t3d --resume', 'go on after Ctrl-C'],
    [
      't3dc pretrain dist/t3d --pairs p.csv --splits s.json --tokenizer BERT --text-weights BERT/model.safetensors -o runs/a',
      'with a trained text tower, validated on other patients',
    ],
  ],
  async run({ ARTIFACT }, values, context) {
    const { pretrainRun } = await import('../pretrain-run.ts');
    await pretrainRun(ARTIFACT, values, context);
  },
});
