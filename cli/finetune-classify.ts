// `t3dc finetune classify`: an encoder fine-tuned to find findings in whole studies, kept on disk as every run.
import { readBytes } from '../data/node.ts';
import { openArtifact, type Session } from '../runtime/index.ts';
import type { ClassificationSample } from '../tasks/classification-samples.ts';
import { findingsOf } from '../tasks/classify.ts';
import { studyContract } from '../tasks/study-contract.ts';
import {
  type ClassificationValidation,
  trainClassification,
  validateClassification,
} from '../tasks/train-classification.ts';
import type { ClassificationSource } from './classification-source.ts';
import type { Context } from './command.ts';
import { some } from './eval-cases.ts';
import { type FindingSet, findingSet } from './finding-set.ts';
import { COMMAND, type FinetunePlan, type FinetuneValues, planFinetuning, tellGroups } from './finetune-plan.ts';
import { loadInitial } from './initial-weights.ts';
import { lastName } from './model-card.ts';
import { type RunConfig, runConfig } from './run-config.ts';
import { RunFolder } from './run-folder.ts';
import { cacheOf, sampleFeed } from './sample-feed.ts';
import { withSession } from './session.ts';
import { studiesIn } from './studies.ts';
import type { Scalars } from './tensorboard.ts';
import { describeRun } from './train-report.ts';
import { trainingLoop } from './training-loop.ts';
import { columns, parseBytes, showTime } from './units.ts';

const ENTRY = 'classify';

export async function finetuneClassify(artifact: string, values: FinetuneValues, context: Context): Promise<void> {
  const { out } = context;
  const cacheBytes = parseBytes('cache', values.cache);
  const { manifest } = await openArtifact(artifact);
  const contract = studyContract(manifest, ENTRY);
  const asked = planFinetuning(artifact, ENTRY, manifest, values);
  const sources = await studiesIn(asked.plan.studies, asked.plan.columns);
  const { plan, set } = await findingSet(asked.plan, values.findings, sources, manifest, out);
  const open = { device: values.device, threads: values.threads, seed: asked.checkpoint ? undefined : plan.seed };
  await withSession(artifact, open, out, async (session) => {
    session.trainable(ENTRY);
    if (plan.valEvery > 0) findingsOf(session);
    if (asked.checkpoint) await session.loadCheckpoint(await readBytes(asked.checkpoint));
    else if (plan.weights) await loadInitial(session, plan.weights, out);
    else out.note(`from scratch: ${manifest.parameters.length} tensors drawn from seed ${plan.seed}`);
    const data = {
      studies: plan.studies,
      labels: plan.labels,
      training: set.train.length,
      validation: set.validation.length,
    };
    const config = runConfig(COMMAND, ENTRY, manifest, plan, data);
    const folder = await RunFolder.open(values.out, config, asked.checkpoint ? session.step : null);
    const from = session.step > 0 ? `from step ${session.step} ` : '';
    out.line(`${ENTRY} on ${session.device.description}, ${from}to step ${plan.steps}`);
    out.line(`  ${plan.findings.length} findings: ${some(plan.findings, 8)}`);
    out.line(
      `  ${set.train.length} studies to train on, ${set.validation.length} to validate; ${contract.tiles} tiles of each, seed ${plan.seed}`,
    );
    tellGroups(manifest, ENTRY, out);
    out.json({ event: 'start', device: session.device, step: session.step, ...plan, cases: data });
    await trainInto(folder, session, config, set, { saveEvery: values['save-every'], cacheBytes }, context);
  });
}

async function trainInto(
  folder: RunFolder,
  session: Session,
  config: RunConfig<FinetunePlan>,
  set: FindingSet,
  limits: { readonly saveEvery: number; readonly cacheBytes: number },
  context: Context,
): Promise<void> {
  const { out, signal } = context;
  const { plan } = config;
  let last: ClassificationValidation | null = null;
  const { batch } = studyContract(session.manifest, ENTRY);
  const end = await trainingLoop(
    folder,
    session,
    {
      train: () =>
        trainClassification(session, ENTRY, set.train, {
          steps: plan.steps,
          lr: plan.lr,
          schedule: { total: plan.steps, warmup: plan.warmup },
          seed: plan.seed,
          accumulation: plan.accumulate,
          findings: plan.findings,
          feed: (first, count) =>
            sampleFeed<ClassificationSample>({
              module: 'classification-source',
              options: classificationSource(session, set, plan, limits.cacheBytes),
              items: set.train.length,
              seed: plan.seed,
              shuffle: true,
              first,
              count,
              workers: plan.workers,
              prefetch: Math.max(batch, plan.workers) + 1,
              signal,
            }),
          onNote: (note) => out.note(note),
          signal,
        }),
      validate: async () => {
        last = await validate(session, set, plan, context);
        return scalarsOf(last, plan.findings);
      },
      describe: (notes, best) =>
        describeRun(
          folder,
          session,
          {
            config: config as unknown as RunConfig<Readonly<Record<string, unknown>>>,
            steps: plan.steps,
            samples: batch * plan.accumulate,
            task: `Tells of whole CT studies whether these are found: ${plan.findings.join(', ')}.`,
            data: storyOf(plan, set),
            cases: { training: set.train.length, validation: set.validation.length },
            images: [],
            notes,
          },
          best,
        ),
    },
    { ...plan, saveEvery: limits.saveEvery, best: plan.best === null ? null : `validation/${plan.best}` },
    context,
  );
  const each = end.done > 0 ? `, ${showTime(end.ms / end.done)} a step` : '';
  out.line(`${end.step} steps done in ${showTime(end.ms)}${each}; loss ${end.loss.toFixed(4)}`);
  if (end.best?.best) {
    const { step, value } = end.best.best;
    const why = end.stoppedEarly ? `; stopped early, ${end.best.without} validations in a row were no better` : '';
    out.line(`best ${plan.best} ${value.toFixed(3)} at step ${step}${why}`);
  }
  const found = last as ClassificationValidation | null;
  if (found) out.lines(columns(plan.findings.map((name, f) => [`  ${name}`, show(found.auroc[f]!)])));
  out.line(`${folder.dir}: ${folder.files.join(', ')}`);
  out.json({
    event: 'done',
    step: end.step,
    loss: end.loss,
    ms: end.ms,
    run: folder.dir,
    auroc: found && Object.fromEntries(plan.findings.map((n, f) => [n, known(found.auroc[f]!)])),
    best: end.best?.best ?? null,
    stoppedEarly: end.stoppedEarly,
  });
}

/** What threads need to make the samples. */
const classificationSource = (
  session: Session,
  { trainFiles }: FindingSet,
  plan: FinetunePlan,
  cacheBytes: number,
): ClassificationSource => {
  const contract = studyContract(session.manifest, ENTRY);
  return {
    studies: trainFiles,
    sampling: {
      contract,
      seed: plan.seed,
      perStep: plan.accumulate * contract.batch,
      findings: plan.findings,
      augment: plan.augment === 'on',
      cacheBytes: cacheOf(cacheBytes, plan.workers),
    },
  };
};

async function validate(
  session: Session,
  set: FindingSet,
  plan: FinetunePlan,
  { out, signal }: Context,
): Promise<ClassificationValidation> {
  const bar = out.progress('validate', set.validation.length);
  const found = await validateClassification(session, set.validation, {
    signal,
    onProgress: (done) => bar.update(done),
  });
  bar.end();
  out.json({
    event: 'validation',
    step: session.step,
    auroc: Object.fromEntries(plan.findings.map((n, f) => [n, known(found.auroc[f]!)])),
    mean: known(found.macro),
    loss: found.loss,
  });
  out.line(
    `step ${session.step}: macro AUROC ${show(found.macro)}, loss ${found.loss.toFixed(4)} over ${found.studies} studies`,
  );
  return found;
}

const known = (v: number): number | null => (Number.isNaN(v) ? null : v);
const show = (v: number): string => (Number.isNaN(v) ? '–' : v.toFixed(3));

const scalarsOf = (v: ClassificationValidation, names: readonly string[]): Scalars => ({
  'validation/auroc': known(v.macro),
  ...Object.fromEntries(names.map((n, f) => [`validation/auroc/${n}`, known(v.auroc[f]!)])),
  'validation/loss': known(v.loss),
});

const storyOf = (plan: FinetunePlan, set: FindingSet): string[] => [
  `Trained on ${set.train.length} CT studies of \`${lastName(plan.studies)}\`, with findings of \`${lastName(plan.labels)}\`.`,
  set.validation.length > 0
    ? `Validated on ${set.validation.length} studies of other patients.`
    : 'Nothing was held out to validate on.',
  plan.weights
    ? `Started from the weights in \`${lastName(plan.weights)}\`.`
    : 'Started from weights drawn from a seed.',
];
