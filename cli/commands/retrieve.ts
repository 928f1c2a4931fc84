import { command, DEVICE } from '../command.ts';

export const retrieve = command({
  name: 'retrieve',
  summary: 'find studies for a text, or reports for a study',
  description: [
    '--text gives the studies of INDEX that fit it best, --volume the reports that fit a study best. Without either, every study is ' +
      'scored against every report: recall and median rank of the pairs that belong together, in both directions.',
    'Artifact, weights and tokenizer are those that the index was made with; others are refused. Where they lie elsewhere now, say so.',
  ],
  positionals: [{ name: 'INDEX', help: 'that t3dc embed wrote' }],
  options: {
    text: { kind: 'text', value: 'TEXT', help: 'sentences, as a report would say them' },
    volume: { kind: 'text', value: 'CT', help: 'a scan: .nii, .nii.gz or a folder of DICOM files' },
    top: { kind: 'integer', short: 'k', min: 1, default: 10, value: 'K', help: 'how many' },
    out: {
      kind: 'text',
      short: 'o',
      value: 'CSV',
      help: 'the matrix of all scores, for t3dc eval retrieve; beside it, NAME.cases.csv and NAME.groups.csv',
    },
    artifact: { kind: 'text', value: 'ARTIFACT', help: 'where the artifact lies now' },
    weights: { kind: 'text', value: 'FILE', help: 'where the weights lie now' },
    tokenizer: { kind: 'text', value: 'FILE|FOLDER', help: 'where the tokenizer lies now' },
    ...DEVICE,
  },
  examples: [
    ['t3dc retrieve test.index.safetensors --text "A rim-enhancing lesion in the spleen." -k 5', 'text to studies'],
    ['t3dc retrieve test.index.safetensors --volume ct.nii.gz', 'a study to reports'],
    ['t3dc retrieve test.index.safetensors -o scores.csv', 'R@1, R@5, R@10 and MedR of the index itself'],
  ],
  async run({ INDEX }, values, context) {
    const { retrieveRun } = await import('../retrieve-run.ts');
    await retrieveRun(INDEX, values, context);
  },
});
