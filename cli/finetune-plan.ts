// What `t3dc finetune classify` is asked to do: its options, over those of the run that it resumes, over the artifact's own.
import { resolve } from 'node:path';
import type { Manifest } from '../runtime/index.ts';
import { UsageError } from './errors.ts';
import { resumed } from './resume.ts';
import { defaultWorkers } from './workers.ts';

export const COMMAND = 'finetune classify';

/** All that decides what a run computes, beside the artifact and the data themselves. */
export interface FinetunePlan {
  readonly artifact: string;
  readonly graphHash: string;
  readonly entry: string;
  readonly studies: string;
  readonly columns: Readonly<Record<string, string>>;
  readonly labels: string;
  readonly findings: readonly string[];
  /** Null: from nothing, as was asked for. */
  readonly weights: string | null;
  readonly splits: string | null;
  readonly fold: number;
  /** Every how many patients one is held out; 0 none. */
  readonly holdOut: number;
  readonly steps: number;
  readonly lr: number;
  readonly warmup: number;
  readonly seed: number;
  readonly accumulate: number;
  readonly augment: 'on' | 'off';
  /** Threads that make samples ahead; what they make does not depend on it. */
  readonly workers: number;
  readonly valEvery: number;
  /** `auroc`, `auroc/FINDING` or `loss`; null where nothing is validated. */
  readonly best: string | null;
  readonly patience: number | null;
}

/** The command's options, as parsed. */
export interface FinetuneValues {
  readonly studies: string | undefined;
  readonly labels: string | undefined;
  readonly findings: string | undefined;
  readonly columns: Readonly<Record<string, string>>;
  readonly out: string;
  readonly weights: string | undefined;
  readonly 'from-scratch': boolean;
  readonly splits: string | undefined;
  readonly fold: number | undefined;
  readonly 'hold-out': number | undefined;
  readonly steps: number | undefined;
  readonly lr: number | undefined;
  readonly warmup: number | undefined;
  readonly accumulate: number | undefined;
  readonly seed: number | undefined;
  readonly augment: FinetunePlan['augment'] | undefined;
  readonly 'val-every': number | undefined;
  readonly best: string | undefined;
  readonly patience: number | undefined;
  readonly resume: boolean;
  readonly overwrite: boolean;
  readonly 'save-every': number;
  readonly cache: string;
  readonly workers: number | undefined;
  readonly device: 'auto' | 'webgpu' | 'wasm';
  readonly threads: number | undefined;
}

/** `findings` is filled in when the labels were read. @throws UsageError, CliError `no-run`, `run-exists`, `run-artifact` */
export function planFinetuning(
  artifact: string,
  entry: string,
  manifest: Manifest,
  v: FinetuneValues,
): { plan: FinetunePlan; checkpoint: string | null } {
  const { base, checkpoint } = resumed<FinetunePlan>(COMMAND, artifact, manifest, v);
  if (!base) needStart(v);
  const [studies, labels] = [v.studies ?? base?.studies, v.labels ?? base?.labels];
  if (studies === undefined || labels === undefined)
    throw new UsageError('missing-argument', `${COMMAND} needs ${studies === undefined ? '--studies' : '--labels'}`, {
      hint: `See t3dc ${COMMAND} --help.`,
    });
  const training = manifest.entries[entry]?.training;
  const steps = v.steps ?? base?.steps ?? (training?.schedule.total || 1000);
  const valEvery = v['val-every'] ?? base?.valEvery ?? 0;
  const splits = v.splits ?? base?.splits ?? null;
  if (splits && v['hold-out'] !== undefined)
    throw new UsageError('bad-value', '--splits and --hold-out exclude each other');
  const asked = v.patience !== undefined ? '--patience' : v.best !== undefined ? '--best' : null;
  if (asked && valEvery === 0)
    throw new UsageError('missing-argument', `${asked} needs validation`, {
      expected: '--val-every N',
      hint: 'The best step is found by scoring studies that are held out.',
    });
  const plan: FinetunePlan = {
    artifact: resolve(artifact),
    graphHash: manifest.graphHash,
    entry,
    studies: resolve(studies),
    columns: Object.keys(v.columns).length > 0 ? v.columns : (base?.columns ?? {}),
    labels: resolve(labels),
    findings: base?.findings ?? [],
    weights: v.weights !== undefined ? resolve(v.weights) : (base?.weights ?? null),
    splits: splits && resolve(splits),
    fold: v.fold ?? base?.fold ?? 0,
    holdOut: v['hold-out'] ?? base?.holdOut ?? (valEvery > 0 && !splits ? 5 : 0),
    steps,
    lr: v.lr ?? base?.lr ?? training?.lr ?? 0,
    warmup: v.warmup ?? base?.warmup ?? Math.min(training?.schedule.warmup ?? 0, Math.ceil(steps / 10)),
    seed: v.seed ?? base?.seed ?? 0,
    accumulate: v.accumulate ?? base?.accumulate ?? 1,
    augment: v.augment ?? base?.augment ?? 'on',
    workers: v.workers ?? base?.workers ?? defaultWorkers(),
    valEvery,
    best: valEvery > 0 ? (v.best ?? base?.best ?? 'auroc') : null,
    patience: valEvery > 0 ? (v.patience ?? base?.patience ?? null) : null,
  };
  return { plan, checkpoint };
}

/** Fine-tuning from nothing is a thing to ask for. @throws UsageError `missing-argument`, `bad-value` */
export function needStart(v: { readonly weights: string | undefined; readonly 'from-scratch': boolean }): void {
  if (v.weights !== undefined && v['from-scratch'])
    throw new UsageError('bad-value', '--weights and --from-scratch exclude each other');
  if (v.weights === undefined && !v['from-scratch'])
    throw new UsageError('missing-argument', 'fine-tuning needs the weights that it starts from', {
      expected: '--weights FILE, or --from-scratch to train from weights drawn from the seed',
      hint: 'weights.safetensors of t3dc pretrain, or a published file.',
    });
}

/** What the artifact's groups do to the rates, in words; null where it has none. */
export function groupsOf(manifest: Manifest, entry: string): readonly string[] | null {
  const groups = manifest.entries[entry]?.training?.groups ?? [];
  if (groups.length === 0) return null;
  return groups.map(({ match, lr = 1, weightDecay = 1 }) => {
    const rate = lr === 0 ? 'frozen' : `rate × ${Number(lr.toPrecision(3))}`;
    return `${match}  ${rate}${weightDecay === 1 ? '' : `, weight decay × ${weightDecay}`}`;
  });
}

/** Says which parameters learn otherwise, or that all learn alike. */
export function tellGroups(
  manifest: Manifest,
  entry: string,
  out: { line(text: string): void; note(text: string): void },
): void {
  const groups = groupsOf(manifest, entry);
  if (groups) for (const g of groups) out.line(`  ${g}`);
  else
    out.note(
      'all parameters learn at one rate: the artifact has no groups (t3dc build … --set layerDecay=0.75, or freeze=REGEX, gives it some)',
    );
}
