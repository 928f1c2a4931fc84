import { command } from '../command.ts';
import { UsageError } from '../errors.ts';
import { columns, parseSize, parseSpacing, showBytes, showTime } from '../units.ts';

export const dataPrepare = command({
  name: 'data prepare',
  summary: 'a data set read, prepared and stored in chunks',
  description: [
    'Reads every study of SRC (NIfTI or DICOM), turns it to RAS, cuts it to the patient, resamples it, and writes DIR/images and ' +
      'DIR/labels as OME-Zarr (HU, clipped to the window), DIR/reports, pairs.jsonl, dataset.json, and manifest.json: what was taken, ' +
      'how, and every study that was dropped and why. t3dc train --data DIR reads it.',
    'Layouts: btcv, msd, amos, totalsegmentator, ct-rate, bimcv-r, nnunet, pairs (pairs.jsonl or .csv), plain (images + labels), dicom ' +
      '(studies at any depth, the scan of each chosen by phase, kernel and slices).',
    'Ctrl-C stops at once; --resume goes on with what is not done.',
  ],
  positionals: [{ name: 'SRC', help: 'folder of the data set' }],
  options: {
    out: { kind: 'text', short: 'o', value: 'DIR', required: true, help: 'where to write' },
    layout: { kind: 'text', default: 'auto', value: 'NAME', help: 'how SRC is laid out; auto looks' },
    preprocess: {
      kind: 'text',
      value: 'FILE',
      help: "a contract, such as an artifact's preprocess.json; options below change it",
    },
    orientation: { kind: 'choice', choices: ['RAS'], default: 'RAS', help: 'axes of what is written' },
    spacing: { kind: 'text', value: 'MM', help: "mm, one or three, or own (the scan's; default 1.5x1.5x2)" },
    window: { kind: 'text', value: 'LO,HI', help: 'HU that are kept, clipped outside, or none (default -175,250)' },
    foreground: { kind: 'choice', choices: ['on', 'off'], help: 'cut away the air around the patient (default on)' },
    'thick-slices': {
      kind: 'choice',
      choices: ['refuse', 'in-plane'],
      help: 'slices above 5 mm: drop the study, or resample in-plane only and say so (default refuse)',
    },
    type: { kind: 'choice', choices: ['int16', 'float32'], default: 'int16', help: 'whole HU, or as resampled' },
    chunk: { kind: 'text', value: 'DxHxW', default: '64', help: 'voxels of a chunk' },
    phase: {
      kind: 'choice',
      choices: ['native', 'arterial', 'portal-venous', 'delayed'],
      default: 'portal-venous',
      help: 'DICOM: preferred series',
    },
    kernel: { kind: 'choice', choices: ['soft', 'sharp'], default: 'soft', help: 'DICOM: preferred series' },
    uneven: {
      kind: 'choice',
      choices: ['refuse', 'resample'],
      default: 'refuse',
      help: 'DICOM: unevenly spaced slices',
    },
    tilt: { kind: 'choice', choices: ['refuse', 'resample'], default: 'resample', help: 'DICOM: a tilted gantry' },
    jobs: { kind: 'integer', min: 1, max: 64, default: 1, value: 'N', help: 'threads; each holds a study in memory' },
    resume: { kind: 'flag', help: 'go on in DIR' },
  },
  examples: [
    ['t3dc data prepare Task03_Liver -o data/liver --jobs 4', 'a task of the Decathlon at 1.5 × 1.5 × 2 mm'],
    ['t3dc data prepare CT-RATE -o data/ct-rate --window -1000,1000 --jobs 8 --resume', 'go on after Ctrl-C'],
    ['t3dc data prepare dicom/ -o data/own --spacing own --window none', 'DICOM studies as they are, in chunks'],
  ],
  async run({ SRC }, values, { out, signal }) {
    const { readJson } = await import('../../data/node.ts');
    const { prepareSet } = await import('../../data/prepare-set.ts');
    const { ABDOMEN, preprocessFrom } = await import('../../data/prepare.ts');
    const given = values.preprocess === undefined ? {} : ((await readJson(values.preprocess)) as object);
    const base = { ...ABDOMEN, ...given };
    const contract = preprocessFrom({
      orientation: values.orientation,
      spacing:
        values.spacing === undefined
          ? base.spacing
          : values.spacing === 'own'
            ? null
            : parseSpacing('spacing', values.spacing),
      window: values.window === undefined ? base.window : parseWindow(values.window),
      foreground:
        values.foreground === 'off' ? null : values.foreground === 'on' ? ABDOMEN.foreground : base.foreground,
      thickSlices: { ...base.thickSlices, ...(values['thick-slices'] && { action: values['thick-slices'] }) },
    });
    const started = performance.now();
    let bar: ReturnType<typeof out.progress> | null = null;
    const { manifest, before } = await prepareSet(SRC, values.out, {
      contract,
      storage: { type: values.type, chunk: parseSize('chunk', values.chunk) },
      layout: values.layout,
      dicom: { phase: values.phase, kernel: values.kernel, uneven: values.uneven, tilt: values.tilt },
      jobs: values.jobs,
      resume: values.resume,
      onProgress: (done, total, name) => {
        bar ??= out.progress('prepare', total);
        bar.update(done, name);
        out.json({ event: 'study', done, total, name });
      },
      onNote: (note) => out.note(note),
      onDropped: (d) => out.note(`dropped ${d.name} (${d.code}): ${d.reason}`),
      signal,
    }).finally(() => bar?.end());
    const ms = performance.now() - started;
    const { counts, studies } = manifest;
    const bytes = studies.reduce((sum, s) => sum + s.bytes, 0);
    const patients = new Set(studies.map((s) => s.patient)).size;
    const there = before > 0 ? `, ${before} of them before` : '';
    out.line(
      `${counts.taken} of ${counts.found} studies of ${patients} patients in ${values.out}, ${showBytes(bytes)}${there} (${showTime(ms)})`,
    );
    out.lines(columns(Object.entries(counts.reasons).map(([code, n]) => ['  dropped', String(n), code])));
    out.line(`${values.out}: images, labels, reports, pairs.jsonl, dataset.json, manifest.json`);
    out.json({ event: 'done', dir: values.out, layout: manifest.layout, counts, before, bytes, patients, ms });
  },
});

/** HU that 12 bits of a scanner reach. */
const WHOLE: readonly [number, number] = [-1024, 3071];

function parseWindow(text: string): readonly [number, number] {
  if (text === 'none') return WHOLE;
  const parts = text.split(',').map(Number);
  if (parts.length === 2 && parts.every(Number.isFinite) && parts[0]! < parts[1]!) return [parts[0]!, parts[1]!];
  throw new UsageError('bad-value', '--window is no range of HU', {
    found: text,
    expected: 'LO,HI rising, such as -175,250, or none',
  });
}
