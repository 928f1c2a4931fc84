// `t3dc pretrain`: a pre-training planned, executed and kept on disk.
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readBytes, writeFileAtomic } from '../data/node.ts';
import { showCounts } from '../data/pairs.ts';
import { openArtifact, type Session, T3dcError, type TrainStep } from '../runtime/index.ts';
import { diagnoseLeaks, type LeakDiagnostics } from '../tasks/diagnose.ts';
import { frozenText } from '../tasks/frozen-text.ts';
import { type BatchOptions, type PretrainBatch, PretrainBatches } from '../tasks/pretrain-batches.ts';
import { type PretrainContract, pretrainContract } from '../tasks/pretrain-contract.ts';
import { type LeftOut, PretrainSet } from '../tasks/pretrain-set.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { lastName } from './model-card.ts';
import { pretrainPairs } from './pretrain-pairs.ts';
import { type Example, groundPictures, restoredPictures } from './pretrain-pictures.ts';
import { ENTRY, type PretrainPlan, type PretrainValues, planPretraining } from './pretrain-plan.ts';
import {
  countsOf,
  diagnosticLine,
  diagnosticNotes,
  diagnosticScalars,
  diagnosticTable,
  leftOutTable,
  pretrainCharts,
} from './pretrain-report.ts';
import { keepTokenizer, loadPart, tokenizerOf, towerOf } from './pretrain-text.ts';
import { type RunConfig, runConfig } from './run-config.ts';
import { RunFolder } from './run-folder.ts';
import { withSession } from './session.ts';
import type { Scalars } from './tensorboard.ts';
import { describeRun } from './train-report.ts';
import { trainingLoop } from './training-loop.ts';
import { parseBytes, showTime } from './units.ts';

const EXAMPLES = 'examples';

export async function pretrainRun(artifact: string, values: PretrainValues, context: Context): Promise<void> {
  const { out } = context;
  const cacheBytes = parseBytes('cache', values.cache);
  const { manifest } = await openArtifact(artifact);
  const contract = pretrainContract(manifest, ENTRY);
  const asked = planPretraining(artifact, manifest, values);
  const text = await tokenizerOf(asked.plan, contract);
  const read = await pretrainPairs(asked.plan, { columns: values.columns ?? {} }, out);
  const leftOut: LeftOut[] = [...read.leftOut];
  const options = {
    sections: asked.plan.sections,
    drop: asked.plan.drop,
    cacheBytes,
    onSkip: (left: LeftOut) => {
      leftOut.push(left);
      out.note(`left out ${left.name}: ${left.detail}`);
    },
    onNote: (note: string) => out.note(note),
  };
  const tokenizer = text?.tokenizer ?? null;
  const train = new PretrainSet(read.train, contract, tokenizer, options);
  const val = read.val.length > 0 ? new PretrainSet(read.val, contract, tokenizer, options) : null;
  const open = { device: values.device, threads: values.threads, seed: asked.checkpoint ? undefined : asked.plan.seed };
  await withSession(artifact, open, out, async (session) => {
    session.trainable(ENTRY);
    let hasText = asked.plan.textWeights !== null;
    if (asked.checkpoint) await session.loadCheckpoint(await readBytes(asked.checkpoint));
    else
      for (const path of [asked.plan.weights, asked.plan.textWeights])
        if (path) hasText = (await loadPart(session, path, out)) || hasText;
    const { augment, corrupt, fill } = asked.plan;
    const batchOptions: BatchOptions = {
      augment: augment === 'on',
      corrupt: { kind: corrupt, fill },
      ...(contract.text?.hidden ? { frozenText: frozenText(session) } : {}),
    };
    const { seed } = asked.plan;
    const batches = {
      train: new PretrainBatches(train, contract, seed, batchOptions),
      val: val && new PretrainBatches(val, contract, seed, batchOptions),
    };
    const plan = settled(asked.plan, read.hash, batches.train.perEpoch, session, out);
    const tower = text ? towerOf(manifest, plan, hasText) : null;
    const config = runConfig('pretrain', ENTRY, manifest, plan, {
      training: { list: plan.pairs, pairs: train.pairs.length },
      validation: val ? { list: plan.val ?? plan.splits, pairs: val.pairs.length } : null,
      text: text && { tower, tokenizer: text.from, tokens: text.tokenizer.size, sha256: await hashOf(text.from) },
    });
    const folder = await RunFolder.open(values.out, config, asked.checkpoint ? session.step : null);
    if (!asked.checkpoint) rmSync(join(folder.dir, EXAMPLES), { recursive: true, force: true });
    if (text) await keepTokenizer(text.from, folder.dir);
    const run = new Pretraining(
      session,
      contract,
      folder,
      config,
      { train, val },
      batches,
      batchOptions,
      leftOut,
      context,
    );
    run.tell(tower, text?.from ?? null);
    await run.go(values['save-every']);
  });
}

/** The plan with what follows from the data; the tokenizer's own file and the list may change no more. */
function settled(
  plan: PretrainPlan,
  hash: string,
  perEpoch: number,
  session: Session,
  out: Context['out'],
): PretrainPlan {
  const can = session.manifest.entries.diagnose !== undefined;
  if (!can && plan.diagnoseEvery !== 0)
    out.note('the artifact has no entry diagnose: whether text and images are used is not measured');
  if (!can && plan.best !== null)
    throw new CliError('no-diagnose', 'validation needs the entry diagnose', {
      found: Object.keys(session.manifest.entries).join(', '),
      expected: 'an artifact built with it: --entries pretrain,diagnose,ground,restore',
    });
  const epoch = Math.max(1, Math.ceil(perEpoch / plan.accumulate));
  return { ...plan, pairsHash: hash, diagnoseEvery: can ? (plan.diagnoseEvery ?? epoch) : 0 };
}

const hashOf = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readBytes(path))
    .digest('hex');

class Pretraining {
  readonly #session: Session;
  readonly #contract: PretrainContract;
  readonly #folder: RunFolder;
  readonly #config: RunConfig<PretrainPlan>;
  readonly #sets: { readonly train: PretrainSet; readonly val: PretrainSet | null };
  readonly #batches: { readonly train: PretrainBatches; readonly val: PretrainBatches | null };
  readonly #options: BatchOptions;
  readonly #leftOut: readonly LeftOut[];
  readonly #context: Context;
  #diagnostics: LeakDiagnostics | null = null;
  #examples: readonly Example[] = [];

  constructor(
    session: Session,
    contract: PretrainContract,
    folder: RunFolder,
    config: RunConfig<PretrainPlan>,
    sets: { readonly train: PretrainSet; readonly val: PretrainSet | null },
    batches: { readonly train: PretrainBatches; readonly val: PretrainBatches | null },
    options: BatchOptions,
    leftOut: readonly LeftOut[],
    context: Context,
  ) {
    this.#session = session;
    this.#contract = contract;
    this.#folder = folder;
    this.#config = config;
    this.#sets = sets;
    this.#batches = batches;
    this.#options = options;
    this.#leftOut = leftOut;
    this.#context = context;
  }

  get #plan(): PretrainPlan {
    return this.#config.plan;
  }

  /** What will be done, and with which tower and tokenizer. */
  tell(tower: string | null, tokenizer: string | null): void {
    const { out } = this.#context;
    const session = this.#session;
    const plan = this.#plan;
    const kind = session.manifest.entries[ENTRY]?.training?.schedule.kind ?? 'constant';
    const from = session.step > 0 ? `from step ${session.step} ` : '';
    const { train, val } = this.#sets;
    out.line(`${this.#contract.method} on ${session.device.description}, ${from}to step ${plan.steps}`);
    out.line(
      `  ${train.pairs.length} pairs to train on, ${val?.pairs.length ?? 0} to validate, ${this.#batches.train.perEpoch} batches of ${this.#contract.batch} an epoch, seed ${plan.seed}`,
    );
    out.line(`  text tower: ${tower ?? 'none, the method reads no reports'}`);
    if (tokenizer) out.line(`  tokenizer: ${tokenizer}, ${train.tokenizer!.size} tokens`);
    out.line(`  lr ${plan.lr}, ${kind} with ${plan.warmup} warm-up steps, ${plan.accumulate} batches a step`);
    out.json({
      event: 'start',
      device: session.device,
      step: session.step,
      method: this.#contract.method,
      tower,
      ...plan,
      pairs: { train: train.pairs.length, validation: val?.pairs.length ?? 0 },
      leftOut: countsOf(this.#leftOut),
    });
  }

  async go(saveEvery: number): Promise<void> {
    const { out } = this.#context;
    const plan = this.#plan;
    const end = await trainingLoop(
      this.#folder,
      this.#session,
      {
        train: () => this.#train(),
        validate: () => this.#diagnose(),
        describe: (notes, best) =>
          describeRun(this.#folder, this.#session, { ...this.#story(), notes: [...notes, ...this.#notes()] }, best),
      },
      {
        steps: plan.steps,
        valEvery: plan.diagnoseEvery ?? 0,
        saveEvery,
        best: plan.best === null || plan.diagnoseEvery === 0 ? null : `validation/${plan.best}`,
        patience: plan.patience,
      },
      this.#context,
    );
    await this.#tellLeftOut();
    const each = end.done > 0 ? `, ${showTime(end.ms / end.done)} a step` : '';
    out.line(`${end.step} steps done in ${showTime(end.ms)}${each}; loss ${end.loss.toFixed(4)}`);
    for (const note of diagnosticNotes(this.#diagnostics)) out.line(note);
    if (end.best?.best) out.line(`best ${plan.best} ${end.best.best.value.toFixed(4)} at step ${end.best.best.step}`);
    out.line(`${this.#folder.dir}: ${this.#folder.files.join(', ')}`);
    out.json({
      event: 'done',
      step: end.step,
      loss: end.loss,
      ms: end.ms,
      run: this.#folder.dir,
      diagnostics: this.#diagnostics,
      leftOut: countsOf(this.#leftOut),
      best: end.best?.best ?? null,
      stoppedEarly: end.stoppedEarly,
    });
  }

  async *#train(): AsyncGenerator<TrainStep, void, void> {
    const session = this.#session;
    const { steps, lr, warmup, seed, accumulate } = this.#plan;
    const training = session.train(ENTRY, this.#batches.train.from(session.step, accumulate, seed), {
      steps: steps - session.step,
      lr,
      schedule: { total: steps, warmup },
      accumulation: accumulate,
      seed,
      outputs: ['tcl', 'tir', 'accuracy'],
      signal: this.#context.signal,
    });
    for await (const step of training) {
      const { tcl, tir, accuracy } = step.outputs as Readonly<Record<string, Float32Array>>;
      const values: Record<string, number> = {
        ...(this.#contract.tiles > 0 ? { 'train/tcl': tcl![0]!, 'train/accuracy': accuracy![0]! } : {}),
        ...(this.#contract.restored > 0 ? { 'train/tir': tir![0]! } : {}),
      };
      this.#folder.log(step.step, values);
      yield step;
    }
  }

  /** The entry diagnose on the validation pairs, or on the first training pairs where there are none; and example slices. */
  async #diagnose(): Promise<Scalars> {
    const { out, signal } = this.#context;
    const set = this.#sets.val ?? this.#sets.train;
    const batches = this.#batches.val ?? this.#batches.train;
    const total = Math.min(this.#plan.diagnoseBatches, batches.perEpoch);
    const bar = out.progress('diagnose', total);
    let first: PretrainBatch | null = null;
    const made = async function* (seed: number): AsyncGenerator<PretrainBatch, void, void> {
      for (let n = 0; n < total; n++) {
        const batch = await batches.fixed(n, seed);
        first ??= batch;
        yield batch;
      }
    };
    const found = await diagnoseLeaks(this.#session, this.#contract, made(this.#plan.seed), total, {
      tokenizer: set.tokenizer,
      frozenText: this.#options.frozenText,
      lambdas: lambdasOf(this.#session),
      signal,
      onProgress: (done) => bar.update(done),
    });
    bar.end();
    this.#diagnostics = found;
    await this.#draw(first!, set);
    out.line(`step ${this.#session.step}: ${diagnosticLine(found)}`);
    const values = diagnosticScalars(found, this.#sets.val !== null);
    out.json({ event: 'diagnose', step: this.#session.step, ...values });
    return values;
  }

  async #draw(batch: PretrainBatch, set: PretrainSet): Promise<void> {
    const { step } = this.#session;
    const names = batch.items.map(({ pair }) => set.pairs[pair]!.name);
    const studies = [];
    for (const { pair } of batch.items.slice(0, 2)) studies.push((await set.study(pair))!);
    this.#examples = [
      ...(await restoredPictures(this.#session, this.#contract, batch, names)),
      ...(await groundPictures(this.#session, this.#contract, batch, studies, names)),
    ];
    for (const { name, png } of this.#examples) {
      this.#folder.picture(step, `examples/${name}`, png);
      await writeFileAtomic(join(this.#folder.dir, EXAMPLES, `${String(step).padStart(6, '0')}-${name}.png`), png);
    }
  }

  #notes(): string[] {
    const { val } = this.#sets;
    return [
      ...diagnosticNotes(this.#diagnostics),
      ...(this.#diagnostics && !val ? ['Diagnosed on pairs that were trained on: --val or --splits give others.'] : []),
      ...(this.#leftOut.length > 0 ? [`Left out: ${showCounts(countsOf(this.#leftOut))}.`] : []),
    ];
  }

  #story() {
    const { train, val } = this.#sets;
    const { method, batch } = this.#contract;
    const plan = this.#plan;
    const where = val ? 'validation pairs' : 'training pairs';
    const text = (this.#config.data.text ?? null) as { tower: string } | null;
    return {
      config: this.#config as unknown as RunConfig<Readonly<Record<string, unknown>>>,
      steps: plan.steps,
      samples: batch * plan.accumulate,
      task: `An encoder (and a decoder, where restoration was learned) pre-trained by \`${method}\`: to be fine-tuned, not to be used as it is.`,
      data: [
        `Pre-trained on ${train.pairs.length} pairs of CT and report of \`${lastName(plan.pairs)}\`.`,
        ...(val
          ? [`Validated on ${val.pairs.length} pairs of other patients.`]
          : ['Nothing was held out to validate on.']),
        ...(text ? [`Text tower: ${text.tower}.`] : ['No report was read.']),
        ...(plan.weights ? [`Started from the weights in \`${basename(plan.weights)}\`.`] : []),
      ],
      cases: { training: train.pairs.length, validation: val?.pairs.length ?? 0 },
      images: this.#examples,
      tables: [...diagnosticTable(this.#diagnostics, where), ...leftOutTable(this.#leftOut)],
      charts: pretrainCharts(this.#folder.records),
    };
  }

  async #tellLeftOut(): Promise<void> {
    if (this.#leftOut.length === 0) return;
    this.#context.out.line(`left out: ${showCounts(countsOf(this.#leftOut))}; left-out.json names them`);
    await writeFileAtomic(join(this.#folder.dir, 'left-out.json'), `${JSON.stringify(this.#leftOut, null, 1)}\n`);
  }
}

function lambdasOf(session: Session): { tcl: number; tir: number } {
  const { pretrain } = session.manifest.model.settings as { pretrain?: { lambdaTcl?: number; lambdaTir?: number } };
  if (typeof pretrain?.lambdaTcl !== 'number' || typeof pretrain.lambdaTir !== 'number')
    throw new T3dcError('bad-artifact', 'the settings do not say how the losses are weighed', {
      expected: 'pretrain.lambdaTcl and pretrain.lambdaTir',
    });
  return { tcl: pretrain.lambdaTcl, tir: pretrain.lambdaTir };
}
