import { command, DEVICE, LABELS_HELP } from '../command.ts';
import { columns, parseBytes, parseNames, showTime } from '../units.ts';

export const segment = command({
  name: 'segment',
  summary: 'segment a CT scan with trained weights',
  description: [
    "Takes a scan of any size, spacing and orientation: it is prepared by the artifact's contract, run in sliding windows and " +
      "written on the scan's own grid with its affine. Memory does not grow with classes × voxels; docs/inference.md says more.",
  ],
  positionals: [{ name: 'ARTIFACT', help: 'folder or .t3dc file that t3dc build wrote' }],
  options: {
    weights: { kind: 'text', value: 'FILE', required: true, help: 'weights or a checkpoint (safetensors)' },
    in: { kind: 'text', value: 'CT', required: true, help: 'the scan in HU: .nii, .nii.gz or a folder of DICOM files' },
    out: {
      kind: 'text',
      short: 'o',
      value: 'SEG',
      required: true,
      help: 'the label map: .nii, .nii.gz or .dcm (DICOM-SEG)',
    },
    dicom: {
      kind: 'text',
      value: 'DIR',
      help: 'for .dcm: the series that the scan was converted from (default: --in, a folder)',
    },
    series: {
      kind: 'text',
      value: 'N',
      help: 'which DICOM series, by its number or UID (default: the best of the study)',
    },
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
    resample: {
      kind: 'choice',
      choices: ['linear', 'nearest'],
      default: 'linear',
      help: "how logits go to the scan's grid; nearest gives the working grid's labels as they are",
    },
    'largest-component': { kind: 'flag', help: 'keep the largest component of every class' },
    'largest-component-of': {
      kind: 'text',
      value: 'NAMES',
      help: 'keep the largest component of these classes (liver,spleen)',
    },
    probabilities: {
      kind: 'text',
      value: 'DIR',
      help: "a NIfTI file per class with its probabilities, on the scan's grid",
    },
    'probability-type': {
      kind: 'choice',
      choices: ['uint16', 'float32'],
      default: 'uint16',
      help: 'how they are stored; uint16 is steps of 1/65535',
    },
    memory: {
      kind: 'text',
      value: 'SIZE',
      help: 'most memory for blended logits, such as 512MiB; less is slower (default 2GiB)',
    },
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
    [
      't3dc segment dist/t3d --weights w.safetensors --in ct.nii.gz --out seg.nii.gz --tta flips --probabilities probabilities/',
      'slower and finer, with probabilities',
    ],
    ['t3dc segment dist/t3d --weights w.safetensors --in series/ --out seg.dcm', 'from DICOM to DICOM'],
  ],
  async run({ ARTIFACT }, values, { out, signal }) {
    const data = await import('../../data/index.ts');
    const { checkOutput, labelWriter } = await import('../label-file.ts');
    const { ProbabilityFiles, readVolume, writeFileAtomic } = await import('../../data/node.ts');
    const { segment: segmentTask, segmentationContract } = await import('../../tasks/index.ts');
    const { loadWeightsFile, withSession } = await import('../session.ts');
    checkOutput(values.out);
    const maxBytes = values.memory === undefined ? undefined : parseBytes('memory', values.memory);
    const only = values['largest-component-of'];
    const { series } = values;
    const read: string[] = [];
    const onNote = (note: string) => {
      read.push(note);
      out.note(note);
    };
    const dicom = { series, signal, onNote };
    const image = await readVolume(values.in, { dicom });
    const rawTruth = values.truth === undefined ? undefined : await readVolume(values.truth);
    const { labelIds, withClasses } = await import('../label-ids.ts');
    await withSession(ARTIFACT, values, out, async (session) => {
      const contract = segmentationContract(session.manifest);
      const { classes, classNames } = contract;
      const ids = values.labels === undefined ? null : labelIds(values.labels, contract);
      const truth = rawTruth && withClasses(rawTruth, ids);
      const write = await labelWriter(image, { ...values, algorithm: session.manifest.model.name });
      const weights = await loadWeightsFile(session, values.weights, out);
      const started = performance.now();
      const { probabilities: folder, 'probability-type': type } = values;
      const files = folder === undefined ? undefined : await ProbabilityFiles.create(folder, classNames, type);
      let bar: ReturnType<typeof out.progress> | undefined;
      const progress = (label: string) => (done: number, total: number) => {
        bar ??= out.progress(label, total);
        bar.update(done);
        if (done < total) return;
        bar.end();
        bar = undefined;
      };
      let probabilities: string[] | undefined;
      let result: Awaited<ReturnType<typeof segmentTask>>;
      try {
        result = await segmentTask(session, image, {
          entry: values.entry,
          overlap: values.overlap,
          tta: values.tta,
          resample: values.resample,
          largestComponent: only === undefined ? values['largest-component'] : parseNames('largest-component-of', only),
          maxBytes,
          onProbabilities: files && ((slab, placement) => files.add(slab, placement)),
          onProgress: progress('segment'),
          signal,
        });
        await write(result);
        probabilities = await files?.finish({ onProgress: progress('probabilities'), signal });
      } finally {
        bar?.end();
        await files?.discard();
      }
      const ms = performance.now() - started;
      for (const note of result.notes) out.note(note);
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
      if (values['largest-component'] || only !== undefined)
        out.line(`${result.removed} voxels outside the largest components removed`);
      if (probabilities) out.line(`${folder}  (probabilities of ${probabilities.length} classes)`);
      out.line(`${values.out}  (${result.windows} windows, ${showTime(ms)} on ${session.device.description})`);
      out.json({
        out: values.out,
        device: session.device,
        weights,
        windows: result.windows,
        ms,
        millilitres: Object.fromEntries(classNames.map((n, i) => [n, result.millilitres[i]])),
        dice: score && Object.fromEntries(classNames.map((n, i) => [n, score.dice[i]])),
        mean: score?.mean,
        removed: result.removed,
        probabilities,
        notes: [...read, ...result.notes],
      });
    });
  },
});
