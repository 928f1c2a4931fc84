import { command, DEVICE } from '../command.ts';
import { COLUMNS, STUDIES } from './classify.ts';

export const zeroshot = command({
  name: 'zeroshot',
  summary: 'findings of studies from prompts, without training on labels',
  description: [
    'FILE is {"finding": {"positive": ["…"], "negative": ["…"]}}: sentences as a report says them where the finding is there, and where ' +
      'it is not. The probability of a finding is the softmax over the mean score of its positive and of its negative prompts. OUT has a ' +
      'row per study and a column per finding: what t3dc eval classify reads.',
  ],
  positionals: [
    {
      name: 'ARTIFACT',
      help: 'folder or .t3dc file of t3dc build t3d --entries embedStudy,embedReport,contrastMoments,scorePairs',
    },
    STUDIES,
  ],
  options: {
    weights: { kind: 'text', value: 'FILE', required: true, help: 'weights of t3dc pretrain' },
    prompts: { kind: 'text', value: 'FILE', required: true, help: 'prompts (JSON)' },
    out: { kind: 'text', short: 'o', value: 'CSV', required: true, help: 'scores' },
    tokenizer: {
      kind: 'text',
      value: 'FILE|FOLDER',
      help: "the tower's tokenizer.json (default: the one beside the weights)",
    },
    index: {
      kind: 'text',
      value: 'INDEX',
      help: 'normalise scores as in this index (of t3dc embed), so that a study is scored the same whatever is scored with it',
    },
    labels: { kind: 'text', value: 'CSV', help: 'what is known of the studies: prints AUROC' },
    columns: COLUMNS,
    ...DEVICE,
  },
  examples: [
    [
      't3dc zeroshot dist/retrieval --weights w.safetensors --prompts p.json data/test -o scores.csv --index train.safetensors',
      'normalised by the training set',
    ],
  ],
  async run({ ARTIFACT, STUDIES: studies }, values, context) {
    const { zeroshotRun } = await import('../zeroshot-run.ts');
    await zeroshotRun(ARTIFACT, studies, values, context);
  },
});
