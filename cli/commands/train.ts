import { command, DEVICE, LABELS_HELP } from '../command.ts';
import { WORKERS } from '../workers.ts';

export const train = command({
  name: 'train',
  summary: 'train an entry on a folder of labelled scans',
  description: [
    'DIR holds NIfTI images and label maps: dataset.json (Medical Segmentation Decathlon), imagesTr + labelsTr, images + labels, ' +
      "or NAME.nii.gz beside NAME_label.nii.gz. Volumes are prepared by the artifact's contract; crops and augmentation follow " +
      'from the seed and the step alone.',
    'RUN receives weights.safetensors (weights.ema.safetensors and best.safetensors where there are such), checkpoint.safetensors ' +
      '(--resume goes on exactly), metrics.jsonl, event files for TensorBoard, report.html, model-card.md and config.json. Ctrl-C ' +
      'stops after the step and leaves a checkpoint to resume; a loss that is not a number stops the run and keeps the last one.',
  ],
  positionals: [
    { name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote' },
    { name: 'ENTRY', help: 'an entry with a loss, such as segment' },
  ],
  options: {
    data: { kind: 'text', value: 'DIR', help: 'labelled scans (needed unless --resume)' },
    labels: { kind: 'text', value: 'MAP', help: LABELS_HELP },
    out: { kind: 'text', short: 'o', value: 'RUN', required: true, help: 'folder of the run' },
    steps: { kind: 'integer', min: 1, value: 'N', help: "optimiser steps in all (default: the artifact's schedule)" },
    lr: { kind: 'number', min: 0, value: 'X', help: "learning rate (default: the artifact's)" },
    warmup: {
      kind: 'integer',
      min: 0,
      value: 'N',
      help: "warm-up steps (default: the artifact's, at most a tenth of the steps)",
    },
    accumulate: { kind: 'integer', min: 1, value: 'N', help: 'batches per optimiser step (default 1)' },
    seed: { kind: 'integer', min: 0, value: 'S', help: 'of weights, crops and augmentation (default 0)' },
    weights: { kind: 'text', value: 'FILE', help: 'start from these; what they lack is drawn from the seed' },
    resume: { kind: 'flag', help: 'go on with RUN from its checkpoint, with its options where none are given' },
    overwrite: { kind: 'flag', help: 'start again in a RUN that is there' },
    crops: {
      kind: 'choice',
      choices: ['foreground', 'classes', 'uniform'],
      help: 'where crops lie: half of them on labels, by class, or anywhere (default foreground)',
    },
    augment: { kind: 'choice', choices: ['on', 'off'], help: 'flips, quarter turns, intensity (default on)' },
    'val-every': {
      kind: 'integer',
      min: 0,
      value: 'N',
      help: 'segment the validation cases every N steps (default 0: never)',
    },
    'val-data': { kind: 'text', value: 'DIR', help: 'validate on these scans' },
    'hold-out': {
      kind: 'integer',
      min: 0,
      value: 'N',
      help: 'hold out every N-th case (default 5 with --val-every, else 0)',
    },
    best: {
      kind: 'text',
      value: 'METRIC',
      help: 'validation metric that chooses best.safetensors: dice (default) or dice/CLASS',
    },
    patience: {
      kind: 'integer',
      min: 1,
      value: 'N',
      help: 'stop after N validations in a row without a better --best (default: never)',
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
    ['t3dc train dist/t3d segment --data data/phantom -o runs/first --steps 200', 'from weights drawn from seed 0'],
    ['t3dc train dist/t3d segment -o runs/first --resume', 'go on after Ctrl-C'],
    [
      't3dc train dist/t3d segment --data btcv -o runs/btcv --weights ssl.safetensors --val-every 500 --accumulate 2',
      'fine-tune from pre-trained weights with validation',
    ],
  ],
  async run({ ARTIFACT, ENTRY }, values, context) {
    const { trainRun } = await import('../train-run.ts');
    await trainRun(ARTIFACT, ENTRY, values, context);
  },
});
