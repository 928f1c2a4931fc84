// What `t3dc train` is asked to do: its options, over those of the run that it resumes, over the artifact's own.
import { resolve } from 'node:path';
import type { Manifest } from '../runtime/index.ts';
import type { SegmentationContract } from '../tasks/index.ts';
import { CliError, UsageError } from './errors.ts';
import { resumed } from './resume.ts';
import { defaultWorkers } from './workers.ts';

/** All that decides what a run computes, beside the artifact and the data themselves. */
export interface TrainPlan {
  readonly artifact: string;
  readonly graphHash: string;
  readonly entry: string;
  readonly data: string;
  /** `--labels` as given; null where the maps' ids are the classes. */
  readonly labels: string | null;
  readonly weights: string | null;
  readonly steps: number;
  readonly lr: number;
  readonly warmup: number;
  readonly seed: number;
  readonly accumulate: number;
  readonly crops: 'foreground' | 'classes' | 'uniform';
  readonly augment: 'on' | 'off';
  /** Threads that make samples ahead; what they make does not depend on it. */
  readonly workers: number;
  /** Every how many steps the held-out cases are segmented; 0 never. */
  readonly valEvery: number;
  readonly valData: string | null;
  /** Every how many cases one is held out; 0 none. */
  readonly holdOut: number;
  /** What best.safetensors is chosen by, `dice` or `dice/CLASS`; null where nothing is validated. */
  readonly best: string | null;
  /** Validations in a row without a better one after which the run ends; null: never. */
  readonly patience: number | null;
}

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
  readonly crops: TrainPlan['crops'] | undefined;
  readonly augment: TrainPlan['augment'] | undefined;
  readonly 'val-every': number | undefined;
  readonly 'val-data': string | undefined;
  readonly 'hold-out': number | undefined;
  readonly best: string | undefined;
  readonly patience: number | undefined;
  readonly 'save-every': number;
  readonly cache: string;
  readonly workers: number | undefined;
  readonly device: 'auto' | 'webgpu' | 'wasm';
  readonly threads: number | undefined;
}

/** What is asked for, over what a resumed run asked for, over the artifact's own. */
export function planRun(
  command: string,
  artifact: string,
  entry: string,
  manifest: Manifest,
  v: TrainValues,
): { plan: TrainPlan; checkpoint: string | null } {
  const { base, checkpoint } = resumed<TrainPlan>(command, artifact, manifest, v);
  if (base && base.entry !== entry)
    throw new CliError('run-artifact', 'the run trains another entry', { found: entry, expected: base.entry });
  const data = v.data ?? base?.data;
  if (data === undefined) throw new UsageError('missing-argument', `${command} needs --data DIR`);
  const training = manifest.entries[entry]?.training;
  const schedule = training?.schedule;
  const steps = v.steps ?? base?.steps ?? (schedule?.total || 1000);
  const ownWarmup = Math.min(schedule?.warmup ?? 0, Math.ceil(steps / 10));
  const valEvery = v['val-every'] ?? base?.valEvery ?? 0;
  const valData = v['val-data'] ?? base?.valData ?? null;
  const plan: TrainPlan = {
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
    workers: v.workers ?? base?.workers ?? defaultWorkers(),
    valEvery,
    valData: valData && resolve(valData),
    holdOut: v['hold-out'] ?? base?.holdOut ?? (valEvery > 0 && !valData ? 5 : 0),
    best: v.best ?? (valEvery > 0 ? (base?.best ?? 'dice') : null),
    patience: v.patience ?? (valEvery > 0 ? (base?.patience ?? null) : null),
  };
  return { plan, checkpoint };
}

/** @throws UsageError where the best step cannot be found, or not by this metric */
export function checkBest(plan: TrainPlan, contract: SegmentationContract): void {
  const asked = plan.patience !== null ? '--patience' : plan.best !== null ? '--best' : null;
  if (asked && plan.valEvery === 0)
    throw new UsageError('missing-argument', `${asked} needs validation`, {
      expected: '--val-every N',
      hint: 'The best step is found by segmenting held-out cases every so many steps.',
    });
  const names = ['dice', ...contract.classNames.slice(1).map((c) => `dice/${c}`)];
  if (plan.best !== null && !names.includes(plan.best))
    throw new UsageError('bad-value', '--best is no metric of this artifact', {
      found: plan.best,
      expected: names.join(', '),
    });
}
