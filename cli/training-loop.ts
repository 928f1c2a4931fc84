// The loop that every training command runs: steps, validation, the best step, early stopping, checkpoints, and what is left on
// disk when the run ends, is interrupted or diverges.
import { isDataError } from '../data/errors.ts';
import { type Session, T3dcError, type TrainStep } from '../runtime/index.ts';
import { BestStep } from './best.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import type { RunFolder } from './run-folder.ts';
import type { Scalars } from './tensorboard.ts';
import { showTime } from './units.ts';
import { adviceOn, MUCH, shareOf, WAITED, Waited } from './waiting.ts';

export interface LoopPlan {
  /** Optimiser steps in all. */
  readonly steps: number;
  /** Every how many steps `validate` is called, and after the last; 0 never. */
  readonly valEvery: number;
  readonly saveEvery: number;
  /** Tag of the metric that chooses best.safetensors; null: none is kept. */
  readonly best: string | null;
  /** Validations in a row without a better one after which the run ends; null: it goes to its last step. */
  readonly patience: number | null;
}

export interface TrainingTask {
  /** From the session's step on. */
  train(): AsyncIterable<TrainStep & { readonly waitMs?: number }>;
  /** Values by TensorBoard's tag, null where one could not be computed. Prints its own line. */
  validate?(): Promise<Scalars>;
  /** Writes report and model card, when a checkpoint was saved; `notes`: what a reader must know. */
  describe(notes: readonly string[], best: BestStep | null): Promise<void>;
}

export interface LoopEnd {
  readonly step: number;
  readonly loss: number;
  readonly ms: number;
  /** Steps that this call did. */
  readonly done: number;
  readonly best: BestStep | null;
  readonly stoppedEarly: boolean;
}

/**
 * @throws T3dcError `aborted` after Ctrl-C, a checkpoint saved; T3dcError `non-finite-loss` and CliError `non-finite-weights`, the
 *   last good checkpoint kept; CliError `no-metric`; what training and validation throw
 */
export async function trainingLoop(
  folder: RunFolder,
  session: Session,
  task: TrainingTask,
  plan: LoopPlan,
  { out, signal }: Context,
): Promise<LoopEnd> {
  const first = session.step;
  const started = performance.now();
  const best = plan.best === null ? null : new BestStep(plan.best, plan.patience);
  if (best) for (const r of folder.records) if (best.metric in r.values) best.take(r.step, r.values[best.metric]!);
  let loss = folder.records.findLast((r) => 'train/loss' in r.values)?.values['train/loss'] ?? Number.NaN;
  let skipped = 0;
  const waited = new Waited();
  const notes = (): string[] => [
    ...(best?.isOver
      ? [
          `Stopped early at step ${session.step} of ${plan.steps}: ${best.without} validations in a row without a better ${best.metric}.`,
        ]
      : []),
    ...(skipped > 0 ? [`${skipped} steps were skipped, since their gradients were not finite.`] : []),
  ];
  const save = async (): Promise<void> => {
    if (folder.saved !== session.step) await folder.save(session);
    await task.describe(notes(), best);
  };
  const validate = async (): Promise<void> => {
    const values = await task.validate!();
    folder.log(session.step, values);
    if (!best) return;
    const value = values[best.metric];
    if (value === undefined)
      throw new CliError('no-metric', `there is no metric ${best.metric}`, {
        expected: Object.keys(values).join(', '),
        hint: 'Choose one of these for --best.',
      });
    if (!best.take(session.step, value)) return;
    // The checkpoint first: a best step after it would be one that a resumed run has yet to do.
    await save();
    await folder.saveBest(session, best.metric, value!);
  };

  const bar = out.progress('train', plan.steps, first);
  try {
    if (folder.saved === null) await save();
    else await catchUp(folder, session, plan, best, validate, out);
    if (session.step < plan.steps && !best?.isOver)
      for await (const { step, loss: now, lr, ms, scale, waitMs = 0 } of task.train()) {
        loss = now;
        waited.take(ms, waitMs);
        folder.log(step, { ...valuesOf(loss, lr, ms, scale), [WAITED]: Number(shareOf(waitMs, ms).toFixed(4)) });
        skipped = scale?.skipped ?? 0;
        out.json({ event: 'step', step, loss, lr, ms, waitMs, ...(scale ? { scale } : {}) });
        bar.update(step, `loss ${loss.toFixed(4)}  lr ${Number(lr.toPrecision(3))}  ${showTime(ms)} a step`);
        const last = step === plan.steps;
        if (isDue(step, plan)) {
          await validate();
          if (best?.isOver) break;
        }
        if (step % plan.saveEvery === 0 && !last) await save();
      }
    bar.end();
    if (waited.share > MUCH) out.note(adviceOn(waited.share));
    await save();
    folder.settle();
  } catch (err) {
    bar.end();
    throw await brokenOff(err, folder, session, save, plan, task, best, signal, out);
  }
  const ms = performance.now() - started;
  return { step: session.step, loss, ms, done: session.step - first, best, stoppedEarly: best?.isOver ?? false };
}

const isDue = (step: number, { valEvery, steps }: LoopPlan): boolean =>
  valEvery > 0 && (step % valEvery === 0 || step === steps);

function valuesOf(loss: number, lr: number, ms: number, scale: TrainStep['scale']): Scalars {
  const scaled: Scalars = scale ? { 'train/loss_scale': scale.lossScale, 'train/skipped': scale.skipped } : {};
  return { 'train/loss': loss, 'train/lr': lr, 'train/ms': Math.round(ms), ...scaled };
}

/** What a resumed run's checkpoint was left without: it was interrupted in the validation of its step, or before the best
 *  weights were written. */
async function catchUp(
  folder: RunFolder,
  session: Session,
  plan: LoopPlan,
  best: BestStep | null,
  validate: () => Promise<void>,
  out: Context['out'],
): Promise<void> {
  const { step } = session;
  const validated = folder.records.some(
    (r) => r.step === step && Object.keys(r.values).some((k) => k.startsWith('validation/')),
  );
  if (step > 0 && isDue(step, plan) && !validated) await validate();
  if (!best?.best) return;
  const kept = await folder.bestStep();
  if (kept === best.best.step) return;
  if (best.best.step === step) await folder.saveBest(session, best.metric, best.best.value);
  else
    out.note(
      `best.safetensors is ${kept === null ? 'not there' : `of step ${kept}`}; the best ${best.metric} was at step ${best.best.step}, and its weights are gone`,
    );
}

/** Leaves the folder such that the run can go on, and says what to do. */
async function brokenOff(
  err: unknown,
  folder: RunFolder,
  session: Session,
  save: () => Promise<void>,
  plan: LoopPlan,
  task: TrainingTask,
  best: BestStep | null,
  signal: AbortSignal,
  out: Context['out'],
): Promise<unknown> {
  if (signal.aborted) {
    await save();
    folder.settle();
    out.note(`stopped at step ${session.step} of ${plan.steps}; --resume goes on from there`);
    return new T3dcError('aborted', 'the training was cancelled', { cause: err });
  }
  // Data that cannot be used: what was learned until then is kept.
  if (isDataError(err)) {
    await save();
    folder.settle();
    out.note(`step ${session.step} of ${plan.steps} is saved; --resume goes on from there once the data are right`);
    return err;
  }
  const { code, message } = err as { code?: unknown; message?: string };
  if (code !== 'non-finite-loss' && code !== 'non-finite-weights') return err;
  if (session.step === (folder.saved ?? 0) + 1) folder.fallBack();
  const problem = (message ?? '').split(/[.;] /)[0]!;
  await task.describe([`The run broke off: ${problem}. The weights here are those of step ${folder.saved}.`], best);
  if (code === 'non-finite-weights') return err;
  return new T3dcError('non-finite-loss', problem, { hint: folder.hintOfResume, cause: err });
}
