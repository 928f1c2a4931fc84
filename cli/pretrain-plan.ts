// What `t3dc pretrain` is asked to do: its options, over those of the run that it resumes, over the artifact's own.
import { resolve } from 'node:path';
import { DROPS, type Drop } from '../data/report-cleaning.ts';
import type { Sections } from '../data/report-tokens.ts';
import type { Manifest } from '../runtime/index.ts';
import { UsageError } from './errors.ts';
import { resumed } from './resume.ts';
import { parseNames } from './units.ts';
import { defaultWorkers } from './workers.ts';

export const ENTRY = 'pretrain';

/** All that decides what a run computes, beside the artifact and the data themselves. */
export interface PretrainPlan {
  readonly artifact: string;
  readonly graphHash: string;
  readonly pairs: string;
  /** Of names, patients and texts: a run goes on with the pairs that it was begun with. Null before they were read. */
  readonly pairsHash: string | null;
  readonly columns: Readonly<Record<string, string>>;
  /** A file of splits, and which of them. */
  readonly splits: string | null;
  readonly fold: number;
  readonly val: string | null;
  /** Null where the method reads no reports. */
  readonly tokenizer: string | null;
  /** Of its file, as with the pairs. */
  readonly tokenizerHash: string | null;
  readonly sections: Sections;
  readonly drop: readonly Drop[];
  readonly weights: string | null;
  readonly textWeights: string | null;
  /** Whether either had any of the text tower. */
  readonly hasTextWeights: boolean;
  readonly steps: number;
  readonly lr: number;
  readonly warmup: number;
  readonly seed: number;
  readonly accumulate: number;
  readonly augment: 'on' | 'off';
  /** Threads that make samples ahead; what they make does not depend on it. */
  readonly workers: number;
  readonly corrupt: 'cutout' | 'blocks';
  readonly fill: 'noise' | 'mean';
  /** Classes of the label maps that are lesions, as asked; null: by their names. */
  readonly lesions: string | null;
  /** Steps between diagnostics; 0 never; null: once an epoch. */
  readonly diagnoseEvery: number | null;
  /** Batches of each. */
  readonly diagnoseBatches: number;
  /** Metric of validation that best.safetensors is chosen by; null where nothing is validated. */
  readonly best: string | null;
  readonly patience: number | null;
}

/** The command's options, as parsed. */
export interface PretrainValues {
  readonly pairs: string | undefined;
  readonly splits: string | undefined;
  readonly fold: number | undefined;
  readonly val: string | undefined;
  readonly tokenizer: string | undefined;
  readonly sections: Sections | undefined;
  readonly drop: string | undefined;
  readonly out: string;
  readonly steps: number | undefined;
  readonly lr: number | undefined;
  readonly warmup: number | undefined;
  readonly accumulate: number | undefined;
  readonly seed: number | undefined;
  readonly weights: string | undefined;
  readonly 'text-weights': string | undefined;
  readonly resume: boolean;
  readonly overwrite: boolean;
  readonly augment: PretrainPlan['augment'] | undefined;
  readonly corrupt: PretrainPlan['corrupt'] | undefined;
  readonly fill: PretrainPlan['fill'] | undefined;
  readonly lesions: string | undefined;
  readonly 'diagnose-every': number | undefined;
  readonly 'diagnose-batches': number | undefined;
  readonly best: string | undefined;
  readonly patience: number | undefined;
  readonly 'save-every': number;
  readonly cache: string;
  readonly workers: number | undefined;
  readonly columns: Readonly<Record<string, string>>;
  readonly device: 'auto' | 'webgpu' | 'wasm';
  readonly threads: number | undefined;
}

/** What is asked for, over what a resumed run asked for, over the artifact's own. @throws CliError, UsageError */
export function planPretraining(
  artifact: string,
  manifest: Manifest,
  v: PretrainValues,
): { plan: PretrainPlan; checkpoint: string | null } {
  const { base, checkpoint } = resumed<PretrainPlan>('pretrain', artifact, manifest, v);
  const pairs = v.pairs ?? base?.pairs;
  if (pairs === undefined) throw new UsageError('missing-argument', 'pretrain needs --pairs FILE|DIR');
  const splits = v.splits ?? base?.splits ?? null;
  const val = v.val ?? base?.val ?? null;
  if (splits && val) throw new UsageError('bad-value', '--splits and --val exclude each other');
  const isValidated = splits !== null || val !== null;
  const patience = v.patience ?? base?.patience ?? null;
  if (!isValidated && (v.best !== undefined || v.patience !== undefined))
    throw new UsageError('missing-argument', `${v.best !== undefined ? '--best' : '--patience'} needs validation`, {
      expected: '--val or --splits',
      hint: 'The best step is found on pairs that were not trained on.',
    });
  const training = manifest.entries[ENTRY]?.training;
  const schedule = training?.schedule;
  const steps = v.steps ?? base?.steps ?? (schedule?.total || 1000);
  const plan: PretrainPlan = {
    artifact: resolve(artifact),
    graphHash: manifest.graphHash,
    pairs: resolve(pairs),
    pairsHash: base?.pairsHash ?? null,
    columns: Object.keys(v.columns).length > 0 ? v.columns : (base?.columns ?? {}),
    splits: splits && resolve(splits),
    fold: v.fold ?? base?.fold ?? 0,
    val: val && resolve(val),
    tokenizer: v.tokenizer !== undefined ? resolve(v.tokenizer) : (base?.tokenizer ?? null),
    tokenizerHash: base?.tokenizerHash ?? null,
    sections: v.sections ?? base?.sections ?? 'findings+impression',
    drop: v.drop === undefined ? (base?.drop ?? []) : parseDrops(v.drop),
    weights: v.weights ?? base?.weights ?? null,
    textWeights: v['text-weights'] ?? base?.textWeights ?? null,
    hasTextWeights: base?.hasTextWeights ?? v['text-weights'] !== undefined,
    steps,
    lr: v.lr ?? base?.lr ?? training?.lr ?? 0,
    warmup: v.warmup ?? base?.warmup ?? Math.min(schedule?.warmup ?? 0, Math.ceil(steps / 10)),
    seed: v.seed ?? base?.seed ?? 0,
    accumulate: v.accumulate ?? base?.accumulate ?? 1,
    augment: v.augment ?? base?.augment ?? 'on',
    workers: v.workers ?? base?.workers ?? defaultWorkers(),
    corrupt: v.corrupt ?? base?.corrupt ?? 'cutout',
    fill: v.fill ?? base?.fill ?? 'noise',
    lesions: v.lesions ?? base?.lesions ?? null,
    diagnoseEvery: v['diagnose-every'] ?? base?.diagnoseEvery ?? null,
    diagnoseBatches: v['diagnose-batches'] ?? base?.diagnoseBatches ?? 4,
    best: isValidated ? (v.best ?? base?.best ?? 'loss') : null,
    patience: isValidated ? patience : null,
  };
  return { plan, checkpoint };
}

function parseDrops(list: string): Drop[] {
  const names = list.trim() === 'none' ? [] : parseNames('drop', list);
  const wrong = names.find((n) => !DROPS.includes(n as Drop));
  if (wrong !== undefined)
    throw new UsageError('bad-value', '--drop names no such part of a report', {
      found: wrong,
      expected: `some of ${DROPS.join(', ')}, or none`,
    });
  return names as Drop[];
}
