import { SECTIONS } from '../../data/report-tokens.ts';
import { command, DEVICE } from '../command.ts';
import { COLUMNS } from './classify.ts';

export const embed = command({
  name: 'embed',
  summary: 'studies and reports into an index for retrieval',
  description: [
    'Encodes the pairs of P (a CSV, a JSONL, or a folder) with pre-trained weights, each study tile by tile at its working spacing, and ' +
      'measures what scores are normalised by (docs/retrieval.md). INDEX holds names, patients and features; the reports themselves ' +
      'only with --keep-text. Features of a study and of sentences tell of a patient: keep an index where the data may lie.',
  ],
  positionals: [
    {
      name: 'ARTIFACT',
      help: 'folder or .t3dc file of t3dc build t3d --entries embedStudy,embedReport,contrastMoments,scorePairs',
    },
  ],
  options: {
    weights: { kind: 'text', value: 'FILE', required: true, help: 'weights of t3dc pretrain' },
    pairs: { kind: 'text', value: 'P', required: true, help: 'pairs of CT and report' },
    out: { kind: 'text', short: 'o', value: 'INDEX', required: true, help: 'the index (safetensors)' },
    tokenizer: {
      kind: 'text',
      value: 'FILE|FOLDER',
      help: "the tower's tokenizer.json (default: the one beside the weights)",
    },
    sections: {
      kind: 'choice',
      choices: SECTIONS,
      default: 'findings+impression',
      help: 'which sections of a report are read, as in pre-training',
    },
    'keep-text': { kind: 'flag', help: 'keep the reports in the index, so that t3dc retrieve shows them' },
    columns: COLUMNS,
    ...DEVICE,
  },
  examples: [
    [
      't3dc embed dist/retrieval --weights runs/t3d/weights.safetensors --pairs data/test -o test.index.safetensors',
      'an index without text',
    ],
  ],
  async run({ ARTIFACT }, values, context) {
    const { embedRun } = await import('../embed-run.ts');
    await embedRun(ARTIFACT, values, context);
  },
});
