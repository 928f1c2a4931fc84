import { command, DEVICE } from '../command.ts';

/** What commands on whole studies say of them. */
export const STUDIES = {
  name: 'STUDIES',
  help: 'a scan (.nii, .nii.gz, a folder of DICOM files), a folder of scans, or a list (.csv, .jsonl) with a column image',
} as const;

export const COLUMNS = {
  kind: 'pairs',
  value: 'FIELD=COLUMN',
  help: 'columns of other names, as in image=scan patient=who',
} as const;

export const classify = command({
  name: 'classify',
  summary: 'probabilities of findings for whole studies',
  description: [
    "Each study is prepared by the artifact's contract and seen tile by tile at its working spacing; where it has more tiles than the " +
      'artifact takes, that is said. OUT has a row for each study and a column of probabilities for each finding: what t3dc eval ' +
      'classify reads. Studies that cannot be used are left out by name and reason.',
  ],
  positionals: [
    { name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote, with the entry scores' },
    STUDIES,
  ],
  options: {
    weights: { kind: 'text', value: 'FILE', required: true, help: 'weights or a checkpoint (safetensors)' },
    out: { kind: 'text', short: 'o', value: 'CSV', required: true, help: 'scores' },
    findings: { kind: 'text', value: 'a,b', help: "names of the findings (default: the artifact's findingNames)" },
    labels: { kind: 'text', value: 'CSV', help: 'what is known of the studies: prints AUROC' },
    columns: COLUMNS,
    ...DEVICE,
  },
  examples: [
    ['t3dc classify dist/findings --weights runs/f/best.safetensors data/test -o scores.csv', 'a folder of studies'],
    ['t3dc classify dist/findings --weights w.safetensors series/ -o scores.csv', 'one DICOM study'],
    [
      't3dc classify dist/findings --weights w.safetensors test.csv -o scores.csv --labels labels.csv',
      'a list, compared with what is known',
    ],
  ],
  async run({ ARTIFACT, STUDIES: studies }, values, context) {
    const { classifyRun } = await import('../classify-run.ts');
    await classifyRun(ARTIFACT, studies, values, context);
  },
});
