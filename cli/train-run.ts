// `t3dc train`: a run planned, executed and kept on disk.
import { resolve } from 'node:path';
import { readBytes } from '../data/node.ts';
import { type Manifest, openArtifact, type Session, T3dcError } from '../runtime/index.ts';
import { segmentationContract, trainSegmentation, type Validation, validateSegmentation } from '../tasks/index.ts';
import { type TrainingSet, trainingSet } from './cases.ts';
import type { Context } from './command.ts';
import { CliError, UsageError } from './errors.ts';
import { labelIds } from './label-ids.ts';
import type { Output } from './output.ts';
import { RunFolder, type RunPlan } from './run-folder.ts';
import { withSession } from './session.ts';
import { columns, parseBytes, showTime } from './units.ts';

/** The command's options, as parsed. */
export interface TrainValues {
  readonly data: string | undefined;
  readonly labels: string | undefined;
  readonly out: string;
  readonly steps: number | undefined;
  readonly lr: number | undefined;
  readonly warmup: number | undefined;
  readonly accumulate: number | undefined;
  readonly seed: number | undefined;
  readonly weights: string | undefined;
  readonly resume: boolean;
  readonly overwrite: boolean;
  readonly crops: RunPlan['crops'] | undefined;
  readonly augment: RunPlan['augment'] | undefined;
  readonly 'val-every': number | undefined;
  readonly 'val-data': string | undefined;
  readonly 'hold-out': number | undefined;
  readonly 'save-every': number;
  readonly cache: string;
  readonly device: 'auto' | 'webgpu' | 'wasm';
  readonly threads: number | undefined;
}

export async function trainRun(artifact: string, entry: string, values: TrainValues, context: Context): Promise<void> {
  const { out } = context;
  const cacheBytes = parseBytes('cache', values.cache);
  const { manifest } = await openArtifact(artifact);
  const contract = segmentationContract(manifest);
  const { plan, checkpoint } = planRun(artifact, entry, manifest, values);
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
    const folder = await RunFolder.open(values.out, plan, checkpoint ? session.step : null);
    tellPlan(session, plan, set, out);
    await trainInto(folder, session, plan, set, { saveEvery: values['save-every'], cacheBytes }, context);
  });
}

/** What is asked for, over what a resumed run asked for, over the artifact's own. */
function planRun(
  artifact: string,
  entry: string,
  manifest: Manifest,
  v: TrainValues,
): { plan: RunPlan; checkpoint: string | null } {
  const old = RunFolder.planOf(v.out);
  const checkpoint = RunFolder.checkpointOf(v.out);
  if (v.resume && v.overwrite) throw new UsageError('bad-value', '--resume and --overwrite exclude each other');
  if (v.resume && (!old || !checkpoint))
    throw new CliError('no-run', 'there is no run to resume', {
      found: old ? `${v.out} without a checkpoint` : v.out,
      expected: 'a folder that t3dc train wrote',
      hint: 'Check -o, or start the run without --resume.',
    });
  if (!v.resume && (old || checkpoint) && !v.overwrite)
    throw new CliError('run-exists', 'there is a run in this folder', {
      found: v.out,
      expected: 'a new folder',
      hint: 'Go on with it by --resume, start again by --overwrite, or choose another -o.',
    });
  const base = v.resume ? old : null;
  if (base && base.graphHash !== manifest.graphHash)
    throw new CliError('run-artifact', 'the run was started with another artifact', {
      found: `graph ${manifest.graphHash.slice(0, 12)} of ${artifact}`,
      expected: `graph ${base.graphHash.slice(0, 12)} of ${base.artifact}`,
      hint: 'Resume with the artifact that it was started with, or start a new run with --weights.',
    });
  if (base && base.entry !== entry)
    throw new CliError('run-artifact', 'the run trains another entry', { found: entry, expected: base.entry });
  const data = v.data ?? base?.data;
  if (data === undefined) throw new UsageError('missing-argument', 'train needs --data DIR');
  const training = manifest.entries[entry]?.training;
  const schedule = training?.schedule;
  const steps = v.steps ?? base?.steps ?? (schedule?.total || 1000);
  const ownWarmup = Math.min(schedule?.warmup ?? 0, Math.ceil(steps / 10));
  const valEvery = v['val-every'] ?? base?.valEvery ?? 0;
  const valData = v['val-data'] ?? base?.valData ?? null;
  const plan: RunPlan = {
    artifact: resolve(artifact),
    graphHash: manifest.graphHash,
    entry,
    data: resolve(data),
    labels: v.labels ?? base?.labels ?? null,
    weights: v.weights ?? base?.weights ?? null,
    steps,
    lr: v.lr ?? base?.lr ?? training?.lr ?? 0,
    warmup: v.warmup ?? base?.warmup ?? ownWarmup,
    seed: v.seed ?? base?.seed ?? 0,
    accumulate: v.accumulate ?? base?.accumulate ?? 1,
    crops: v.crops ?? base?.crops ?? 'foreground',
    augment: v.augment ?? base?.augment ?? 'on',
    valEvery,
    valData: valData && resolve(valData),
    holdOut: v['hold-out'] ?? base?.holdOut ?? (valEvery > 0 && !valData ? 5 : 0),
  };
  return { plan, checkpoint: v.resume ? checkpoint : null };
}

/** Pre-trained weights: what they lack stays as drawn, and it is said. */
async function loadInitial(session: Session, path: string, out: Output): Promise<void> {
  const report = await session.loadWeights(await readBytes(path), { strict: false });
  const all = session.manifest.parameters.length;
  out.note(`${path}: ${report.matched.length} of ${all} tensors loaded`);
  for (const d of report.dialects) out.note(`  ${d.tensors} by the names of ${d.name}`);
  const list = (names: readonly string[]) => names.slice(0, 4).join(', ') + (names.length > 4 ? ', …' : '');
  const left = [...report.missing, ...report.shapeMismatch.map((m) => m.name)];
  if (left.length > 0) out.note(`drawn from the seed instead: ${list(left)} (${left.length})`);
  if (report.unexpected.length > 0) out.note(`not used: ${list(report.unexpected)} (${report.unexpected.length})`);
}

function tellPlan(session: Session, plan: RunPlan, set: TrainingSet, out: Output): void {
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
  plan: RunPlan,
  set: TrainingSet,
  limits: { readonly saveEvery: number; readonly cacheBytes: number },
  { out, signal }: Context,
): Promise<void> {
  const first = session.step;
  const started = performance.now();
  const bar = out.progress('train', plan.steps, first);
  const training = trainSegmentation(session, plan.entry, set.train, {
    steps: plan.steps,
    lr: plan.lr,
    schedule: { total: plan.steps, warmup: plan.warmup },
    seed: plan.seed,
    accumulation: plan.accumulate,
    crops: plan.crops === 'foreground' ? { kind: 'foreground', positive: 0.5 } : { kind: plan.crops },
    augment: plan.augment === 'off' ? { flip: 0, rot90: 0, shiftChance: 0 } : {},
    cacheBytes: limits.cacheBytes,
    onNote: (note) => out.note(note),
    signal,
  });
  let validation: Validation | null = null;
  let loss = Number.NaN;
  try {
    for await (const { step, loss: now, lr, ms } of training) {
      loss = now;
      folder.logStep({ step, loss, lr, ms: Math.round(ms) });
      out.json({ event: 'step', step, loss, lr, ms });
      bar.update(step, `loss ${loss.toFixed(4)}  lr ${Number(lr.toPrecision(3))}  ${showTime(ms)} a step`);
      const last = step === plan.steps;
      if (plan.valEvery > 0 && (step % plan.valEvery === 0 || last))
        validation = await validate(folder, session, set, { out, signal });
      if (step % limits.saveEvery === 0 && !last) await folder.save(session);
    }
  } catch (err) {
    bar.end();
    if (!signal.aborted) throw err;
    if (session.step > 0) await folder.save(session);
    out.note(`stopped at step ${session.step} of ${plan.steps}; --resume goes on from there`);
    throw new T3dcError('aborted', 'the training was cancelled', { cause: err });
  }
  bar.end();
  await folder.save(session);
  const ms = performance.now() - started;
  const each = session.step > first ? `, ${showTime(ms / (session.step - first))} a step` : '';
  out.line(`${session.step} steps done in ${showTime(ms)}${each}; loss ${loss.toFixed(4)}`);
  if (validation) out.lines(tableOf(validation));
  out.line(`${folder.dir}: weights.safetensors, checkpoint.safetensors, log.jsonl, loss.svg`);
  out.json({ event: 'done', step: session.step, loss, ms, run: folder.dir, dice: validation && byName(validation) });
}

async function validate(
  folder: RunFolder,
  session: Session,
  set: TrainingSet,
  { out, signal }: Context,
): Promise<Validation> {
  const bar = out.progress('validate', set.validation.length);
  const found = await validateSegmentation(session, set.validation, {
    signal,
    onProgress: (done, total) => bar.update(Math.floor((done / total) * set.validation.length)),
  });
  bar.end();
  const record = { step: session.step, dice: byName(found), mean: known(found.mean) };
  folder.logValidation(record);
  out.json({ event: 'validation', ...record });
  out.line(`step ${session.step}: mean Dice ${found.mean.toFixed(3)} over ${set.validation.length} cases`);
  return found;
}

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
