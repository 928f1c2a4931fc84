import { command, DEVICE, LABELS_HELP } from '../command.ts';
import { columns, showTime } from '../units.ts';

export const segment = command({
  name: 'segment',
  summary: 'segment a CT scan with trained weights',
  description: [
    "Takes a scan of any size, spacing and orientation: it is prepared by the artifact's contract, run in sliding windows and " +
      "written on the scan's own grid with its affine.",
  ],
  positionals: [{ name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote' }],
  options: {
    weights: { kind: 'text', value: 'FILE', required: true, help: 'weights or a checkpoint (safetensors)' },
    in: { kind: 'text', value: 'CT', required: true, help: 'the scan: .nii or .nii.gz, in HU' },
    out: { kind: 'text', short: 'o', value: 'SEG', required: true, help: 'the label map: .nii or .nii.gz' },
    overlap: {
      kind: 'number',
      min: 0,
      max: 0.95,
      value: 'X',
      help: "share of a window that its neighbour has too (default: the artifact's)",
    },
    tta: {
      kind: 'choice',
      choices: ['none', 'flips'],
      default: 'none',
      help: 'flips: average over mirrored windows, 8 times the work (4 where a class has a side and no partner)',
    },
    'largest-component': { kind: 'flag', help: 'keep the largest component of every class' },
    truth: { kind: 'text', value: 'SEG', help: 'label map to compare with: prints Dice per class' },
    labels: { kind: 'text', value: 'MAP', help: `for --truth: ${LABELS_HELP}` },
    picture: { kind: 'text', value: 'PNG', help: 'three planes with the labels over them, beside the truth' },
    entry: { kind: 'text', value: 'NAME', help: 'entry that gives logits (default logits)' },
    ...DEVICE,
  },
  examples: [
    ['t3dc segment dist/t3d --weights runs/first/weights.safetensors --in ct.nii.gz --out seg.nii.gz', 'a scan'],
    [
      't3dc segment dist/t3d --weights w.safetensors --in ct.nii.gz --out seg.nii.gz --truth gt.nii.gz --picture look.png',
      'with Dice and a picture',
    ],
  ],
  async run({ ARTIFACT }, values, { out, signal }) {
    const data = await import('../../data/index.ts');
    const { readVolume, writeFileAtomic, writeVolume } = await import('../../data/node.ts');
    const { segment: segmentTask, segmentationContract } = await import('../../tasks/index.ts');
    const { loadWeightsFile, withSession } = await import('../session.ts');
    const image = await readVolume(values.in);
    const rawTruth = values.truth === undefined ? undefined : await readVolume(values.truth);
    const { labelIds, withClasses } = await import('../label-ids.ts');
    await withSession(ARTIFACT, values, out, async (session) => {
      const contract = segmentationContract(session.manifest);
      const { classes, classNames } = contract;
      const ids = values.labels === undefined ? null : labelIds(values.labels, contract);
      const truth = rawTruth && withClasses(rawTruth, ids);
      await loadWeightsFile(session, values.weights, out);
      const started = performance.now();
      let bar: ReturnType<typeof out.progress> | undefined;
      const result = await segmentTask(session, image, {
        entry: values.entry,
        overlap: values.overlap,
        tta: values.tta,
        largestComponent: values['largest-component'],
        onProgress: (done, total) => {
          bar ??= out.progress('segment', total);
          bar.update(done);
        },
        signal,
      });
      bar?.end();
      const ms = performance.now() - started;
      for (const note of result.notes) out.note(note);
      await writeVolume(values.out, result.labels);
      const score = truth && data.dice(result.labels.data, truth.data, classes);
      const rows = classNames.slice(1).map((name, i) => {
        const value = score?.dice[i + 1];
        const shown = value === undefined ? [] : [Number.isNaN(value) ? 'Dice – (absent)' : `Dice ${value.toFixed(3)}`];
        return [name, `${result.millilitres[i + 1]!.toFixed(1)} mL`, ...shown];
      });
      if (values.picture !== undefined) {
        const pictureRows = [
          { title: 'prediction', labels: result.labels },
          ...(truth ? [{ title: 'truth', labels: truth }] : []),
        ];
        const png = data.pictureOf(image, pictureRows, { classes: classNames, values: score?.dice });
        await writeFileAtomic(values.picture, png);
      }
      out.lines(columns(rows, '.rr'));
      if (score)
        out.line(`mean Dice ${score.mean.toFixed(3)}${score.empty > 0 ? ` (${score.empty} classes absent)` : ''}`);
      if (values['largest-component']) out.line(`${result.removed} voxels outside the largest components removed`);
      out.line(`${values.out}  (${result.windows} windows, ${showTime(ms)} on ${session.device.description})`);
      out.json({
        out: values.out,
        device: session.device,
        windows: result.windows,
        ms,
        millilitres: Object.fromEntries(classNames.map((n, i) => [n, result.millilitres[i]])),
        dice: score && Object.fromEntries(classNames.map((n, i) => [n, score.dice[i]])),
        mean: score?.mean,
        notes: result.notes,
      });
    });
  },
});
