// `t3dc train` and `t3dc finetune segment`: a run planned, executed and kept on disk.
import { resolve } from 'node:path';
import { diagonalAffine, pictureOf } from '../data/index.ts';
import { readBytes } from '../data/node.ts';
import { openArtifact, type Session } from '../runtime/index.ts';
import { lossEntry } from '../tasks/contract.ts';
import {
  segmentationContract,
  trainSegmentation,
  type ValidateOptions,
  type Validation,
  validateSegmentation,
} from '../tasks/index.ts';
import type { SegmentationSample } from '../tasks/segmentation-samples.ts';
import { type TrainingSet, trainingSet } from './cases.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { loadInitial } from './initial-weights.ts';
import { labelIds } from './label-ids.ts';
import { lastName } from './model-card.ts';
import type { Output } from './output.ts';
import { type RunConfig, runConfig } from './run-config.ts';
import { RunFolder } from './run-folder.ts';
import type { ReportImage } from './run-report.ts';
import { cacheOf, sampleFeed } from './sample-feed.ts';
import type { SegmentationSource } from './segmentation-source.ts';
import { withSession } from './session.ts';
import type { Scalars } from './tensorboard.ts';
import { checkBest, planRun, type TrainPlan, type TrainValues } from './train-plan.ts';
import { describeRun } from './train-report.ts';
import { trainingLoop } from './training-loop.ts';
import { columns, parseBytes, showTime } from './units.ts';

/** @param command that the run is of: what its folder says, and what goes on with it */
export async function trainRun(
  artifact: string,
  entry: string,
  values: TrainValues,
  context: Context,
  command = 'train',
): Promise<void> {
  const { out } = context;
  const cacheBytes = parseBytes('cache', values.cache);
  const { manifest } = await openArtifact(artifact);
  const contract = segmentationContract(manifest);
  const { plan, checkpoint } = planRun(command, artifact, entry, manifest, values);
  checkBest(plan, contract);
  const labels = plan.labels === null ? null : labelIds(plan.labels, contract);
  const set = await trainingSet(plan.data, contract.classes, { ...plan, labels });
  if (plan.valEvery > 0 && set.validation.length === 0)
    throw new CliError('too-few-cases', 'there is nothing to validate on', {
      found: `${set.train.length} cases, none held out`,
      expected: 'a case to hold out',
      hint: 'Lower --hold-out, or give --val-data.',
    });
  const open = { device: values.device, threads: values.threads, seed: checkpoint ? undefined : plan.seed };
  await withSession(artifact, open, out, async (session) => {
    session.trainable(entry);
    if (checkpoint) await session.loadCheckpoint(await readBytes(checkpoint));
    else if (plan.weights) await loadInitial(session, plan.weights, out);
    const data = {
      training: { folder: plan.data, cases: set.train.length },
      validation: { folder: plan.valData ?? plan.data, cases: set.validation.length },
      labels: plan.labels,
    };
    const config = runConfig(command, entry, manifest, plan, data);
    const folder = await RunFolder.open(values.out, config, checkpoint ? session.step : null);
    tellPlan(session, plan, set, out);
    await trainInto(folder, session, config, set, { saveEvery: values['save-every'], cacheBytes }, context);
  });
}

function tellPlan(session: Session, plan: TrainPlan, set: TrainingSet, out: Output): void {
  const kind = session.manifest.entries[plan.entry]?.training?.schedule.kind ?? 'constant';
  const from = session.step > 0 ? `from step ${session.step} ` : '';
  out.line(`${plan.entry} on ${session.device.description}, ${from}to step ${plan.steps}`);
  out.line(`  ${set.train.length} cases to train on, ${set.validation.length} to validate, seed ${plan.seed}`);
  out.line(`  lr ${plan.lr}, ${kind} with ${plan.warmup} warm-up steps, ${plan.accumulate} batches a step`);
  out.json({
    event: 'start',
    device: session.device,
    step: session.step,
    ...plan,
    cases: { train: set.train.length, validation: set.validation.length },
  });
}

async function trainInto(
  folder: RunFolder,
  session: Session,
  config: RunConfig<TrainPlan>,
  set: TrainingSet,
  limits: { readonly saveEvery: number; readonly cacheBytes: number },
  context: Context,
): Promise<void> {
  const { out, signal } = context;
  const { plan } = config;
  let validation: Validation | null = null;
  let picture: ReportImage | null = null;
  let absent: readonly string[] = [];
  const warnings = () => (absent.length === 0 ? [] : [absentNote(absent, set.train.length)]);
  const batch = session.manifest.entries[plan.entry]!.inputs[0]!.shape[0] ?? 1;
  const classes = segmentationContract(session.manifest).classNames.slice(1);
  const end = await trainingLoop(
    folder,
    session,
    {
      train: () =>
        trainSegmentation(session, plan.entry, set.train, {
          steps: plan.steps,
          lr: plan.lr,
          schedule: { total: plan.steps, warmup: plan.warmup },
          seed: plan.seed,
          accumulation: plan.accumulate,
          feed: (first, count) =>
            sampleFeed<SegmentationSample>({
              module: 'segmentation-source',
              options: segmentationSource(session, set, plan, limits.cacheBytes),
              items: set.train.length,
              seed: plan.seed,
              shuffle: true,
              first,
              count,
              workers: plan.workers,
              prefetch: 2 * Math.max(batch, plan.workers),
              signal,
            }),
          onNote: (note) => out.note(note),
          onAbsent: (names) => {
            absent = names;
            out.note(absentNote(names, set.train.length));
          },
          signal,
        }),
      validate: async () => {
        const drawn: ReportImage[] = [];
        validation = await validate(session, set, context, (found) => {
          if (drawn.length === 0) drawn.push(slicesOf(found, session, plan));
        });
        picture = drawn[0] ?? null;
        if (picture) folder.picture(session.step, 'validation/slices', picture.png);
        return scalarsOf(validation);
      },
      describe: (notes, best) =>
        describeRun(
          folder,
          session,
          {
            config: config as unknown as RunConfig<Readonly<Record<string, unknown>>>,
            steps: plan.steps,
            samples: batch * plan.accumulate,
            task: `Segments ${classes.length === 1 ? classes[0] : `${classes.slice(0, -1).join(', ')} and ${classes.at(-1)}`} in CT.`,
            data: dataOf(plan, set),
            cases: { training: set.train.length, validation: set.validation.length },
            images: picture ? [picture] : [],
            notes: [...warnings(), ...notes],
          },
          best,
        ),
    },
    {
      ...plan,
      saveEvery: limits.saveEvery,
      best: plan.best === null ? null : `validation/${plan.best}`,
    },
    context,
  );
  const each = end.done > 0 ? `, ${showTime(end.ms / end.done)} a step` : '';
  out.line(`${end.step} steps done in ${showTime(end.ms)}${each}; loss ${end.loss.toFixed(4)}`);
  if (end.best?.best) {
    const { step, value } = end.best.best;
    const why = end.stoppedEarly ? `; stopped early, ${end.best.without} validations in a row were no better` : '';
    out.line(`best ${plan.best} ${value.toFixed(3)} at step ${step}${why}`);
  }
  if (validation) out.lines(tableOf(validation));
  out.line(`${folder.dir}: ${folder.files.join(', ')}`);
  out.json({
    event: 'done',
    step: end.step,
    loss: end.loss,
    ms: end.ms,
    run: folder.dir,
    dice: validation && byName(validation),
    best: end.best?.best ?? null,
    stoppedEarly: end.stoppedEarly,
    absentClasses: absent,
  });
}

/** What threads need to make the samples. */
const segmentationSource = (
  session: Session,
  { trainFiles }: TrainingSet,
  plan: TrainPlan,
  cacheBytes: number,
): SegmentationSource => {
  const contract = segmentationContract(session.manifest);
  return {
    cases: trainFiles,
    ids: plan.labels === null ? null : labelIds(plan.labels, contract),
    sampling: {
      contract,
      seed: plan.seed,
      perStep: plan.accumulate * lossEntry(session, contract, plan.entry).batch,
      crops: plan.crops === 'foreground' ? { kind: 'foreground', positive: 0.5 } : { kind: plan.crops },
      augment: plan.augment === 'off' ? { flip: 0, rot90: 0, shiftChance: 0 } : {},
      cacheBytes: cacheOf(cacheBytes, plan.workers),
    },
  };
};

async function validate(
  session: Session,
  set: TrainingSet,
  { out, signal }: Context,
  onCase: ValidateOptions['onCase'],
): Promise<Validation> {
  const bar = out.progress('validate', set.validation.length);
  const found = await validateSegmentation(session, set.validation, {
    signal,
    onCase,
    onProgress: (done, total) => bar.update(Math.floor((done / total) * set.validation.length)),
  });
  bar.end();
  out.json({ event: 'validation', step: session.step, dice: byName(found), mean: known(found.mean) });
  out.line(`step ${session.step}: mean Dice ${found.mean.toFixed(3)} over ${set.validation.length} cases`);
  return found;
}

type FoundCase = Parameters<NonNullable<ValidateOptions['onCase']>>[0];

/** Three planes of a case on its prepared grid: what was found, above what is true. */
function slicesOf({ case: c, labels, dice }: FoundCase, session: Session, plan: TrainPlan): ReportImage {
  const affine = diagonalAffine(c.spacing);
  const volume = { data: c.image, dims: c.dims, affine };
  const { classNames } = segmentationContract(session.manifest);
  const rows = [
    { title: `found at step ${session.step}`, labels: { data: labels, dims: c.dims, affine } },
    { title: 'truth', labels: { data: c.label, dims: c.dims, affine } },
  ];
  const png = pictureOf(volume, rows, { window: [0, 1], classes: classNames, values: dice });
  return { png, caption: `${c.name} of ${lastName(plan.valData ?? plan.data)}, held out, at step ${session.step}` };
}

const absentNote = (names: readonly string[], cases: number): string =>
  `None of the ${cases} training cases has a voxel of ${names.join(', ')}: what they cannot show is not learned.`;

const dataOf = (plan: TrainPlan, set: TrainingSet): string[] => [
  `Trained on ${set.train.length} labelled CT volumes of \`${lastName(plan.data)}\`.`,
  set.validation.length > 0
    ? `Validated on ${set.validation.length} volumes of \`${lastName(plan.valData ?? plan.data)}\`${plan.valData ? '' : ', held out by name: nothing here knows whether two volumes are of one patient'}.`
    : 'Nothing was held out to validate on.',
  ...(plan.weights ? [`Started from the weights in \`${lastName(resolve(plan.weights))}\`.`] : []),
];

const scalarsOf = (v: Validation): Scalars => ({
  'validation/dice': known(v.mean),
  ...Object.fromEntries(Object.entries(byName(v)).map(([name, value]) => [`validation/dice/${name}`, value])),
});

const known = (v: number): number | null => (Number.isNaN(v) ? null : v);

const byName = (v: Validation): Record<string, number | null> =>
  Object.fromEntries(v.classNames.map((name, c) => [name, known(v.dice[c]!)] as const).slice(1));

const tableOf = (v: Validation): string[] =>
  columns(
    v.perClass
      .map((c, i) => [
        `  ${v.classNames[i]}`,
        Number.isNaN(c.mean) ? '–' : c.mean.toFixed(3),
        c.empty > 0 ? `absent in ${c.empty} of ${c.cases} cases` : '',
      ])
      .slice(1),
  );
