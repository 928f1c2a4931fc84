// A pre-training under way: what it tells, its steps, its diagnostics and examples, and what its report says.
import { basename, join } from 'node:path';
import { writeFileAtomic } from '../data/node.ts';
import { showCounts } from '../data/pairs.ts';
import { wholeStudy } from '../data/study-tiles.ts';
import { type Session, T3dcError } from '../runtime/index.ts';
import { diagnoseLeaks, type LeakDiagnostics } from '../tasks/diagnose.ts';
import type { LesionStore } from '../tasks/lesion-store.ts';
import type { BatchOptions, PretrainBatch, PretrainBatches } from '../tasks/pretrain-batches.ts';
import type { PretrainContract } from '../tasks/pretrain-contract.ts';
import type { LeftOut, PretrainSet } from '../tasks/pretrain-set.ts';
import { type FedStep, fed } from '../tasks/sample-feed.ts';
import type { Context } from './command.ts';
import { lastName } from './model-card.ts';
import { pretrainFeed } from './pretrain-feed.ts';
import { type LesionLog, lesionTable } from './pretrain-lesions.ts';
import { type Example, groundPictures, restoredPictures } from './pretrain-pictures.ts';
import { ENTRY, type PretrainPlan } from './pretrain-plan.ts';
import {
  countsOf,
  diagnosticLine,
  diagnosticNotes,
  diagnosticScalars,
  diagnosticTable,
  leftOutTable,
  pretrainCharts,
} from './pretrain-report.ts';
import type { RunConfig } from './run-config.ts';
import type { RunFolder } from './run-folder.ts';
import type { Scalars } from './tensorboard.ts';
import { describeRun } from './train-report.ts';
import { trainingLoop } from './training-loop.ts';
import { showTime } from './units.ts';

export const EXAMPLES = 'examples';
export const LEFT_OUT = 'left-out.json';

/** Of training, and of validation where there is one. */
interface Both<T> {
  readonly train: T;
  readonly val: T | null;
}

/** What a pre-training needs. */
export interface PretrainingParts {
  readonly session: Session;
  readonly contract: PretrainContract;
  readonly folder: RunFolder;
  readonly config: RunConfig<PretrainPlan>;
  readonly sets: Both<PretrainSet>;
  readonly batches: Both<PretrainBatches>;
  readonly options: BatchOptions;
  /** Grows while studies turn out to be unreadable. */
  readonly leftOut: readonly LeftOut[];
  readonly context: Context;
  /** Of the studies whose pairs have label maps with lesions. */
  readonly lesions: Both<LesionStore | null>;
  readonly lesionLog: LesionLog | null;
  /** Of volumes, over all threads. */
  readonly cacheBytes: number;
}

export class Pretraining {
  readonly #p: PretrainingParts;
  #diagnostics: LeakDiagnostics | null = null;
  #examples: readonly Example[] = [];

  constructor(parts: PretrainingParts) {
    this.#p = parts;
  }

  get #plan(): PretrainPlan {
    return this.#p.config.plan;
  }

  /** What will be done, and with which tower and tokenizer. */
  tell(tower: string | null, tokenizer: string | null): void {
    const { out } = this.#p.context;
    const session = this.#p.session;
    const plan = this.#plan;
    const kind = session.manifest.entries[ENTRY]?.training?.schedule.kind ?? 'constant';
    const from = session.step > 0 ? `from step ${session.step} ` : '';
    const { train, val } = this.#p.sets;
    out.line(`${this.#p.contract.method} on ${session.device.description}, ${from}to step ${plan.steps}`);
    out.line(
      `  ${train.pairs.length} pairs to train on, ${val?.pairs.length ?? 0} to validate, ${this.#p.batches.train.perEpoch} batches of ${this.#p.contract.batch} an epoch, seed ${plan.seed}`,
    );
    out.line(`  text tower: ${tower ?? 'none, the method reads no reports'}`);
    if (tokenizer) out.line(`  tokenizer: ${tokenizer}, ${train.tokenizer!.size} tokens`);
    out.line(`  lr ${plan.lr}, ${kind} with ${plan.warmup} warm-up steps, ${plan.accumulate} batches a step`);
    out.json({
      event: 'start',
      device: session.device,
      step: session.step,
      method: this.#p.contract.method,
      tower,
      ...plan,
      pairs: { train: train.pairs.length, validation: val?.pairs.length ?? 0 },
      leftOut: countsOf(this.#p.leftOut),
    });
  }

  async go(saveEvery: number): Promise<void> {
    const { out } = this.#p.context;
    const plan = this.#plan;
    const end = await trainingLoop(
      this.#p.folder,
      this.#p.session,
      {
        train: () => this.#train(),
        validate: () => this.#diagnose(),
        describe: async (notes, best) => {
          await describeRun(
            this.#p.folder,
            this.#p.session,
            { ...this.#story(), notes: [...notes, ...this.#notes()] },
            best,
          );
          if (this.#p.leftOut.length > 0)
            await writeFileAtomic(join(this.#p.folder.dir, LEFT_OUT), `${JSON.stringify(this.#p.leftOut, null, 1)}\n`);
        },
      },
      {
        steps: plan.steps,
        valEvery: plan.diagnoseEvery ?? 0,
        saveEvery,
        best: plan.best === null || plan.diagnoseEvery === 0 ? null : `validation/${plan.best}`,
        patience: plan.patience,
      },
      this.#p.context,
    );
    if (this.#p.leftOut.length > 0)
      out.line(`left out: ${showCounts(countsOf(this.#p.leftOut))}; ${LEFT_OUT} names them`);
    const each = end.done > 0 ? `, ${showTime(end.ms / end.done)} a step` : '';
    out.line(`${end.step} steps done in ${showTime(end.ms)}${each}; loss ${end.loss.toFixed(4)}`);
    for (const note of diagnosticNotes(this.#diagnostics)) out.line(note);
    if (end.best?.best) out.line(`best ${plan.best} ${end.best.best.value.toFixed(4)} at step ${end.best.best.step}`);
    out.line(`${this.#p.folder.dir}: ${this.#p.folder.files.join(', ')}`);
    out.json({
      event: 'done',
      step: end.step,
      loss: end.loss,
      ms: end.ms,
      run: this.#p.folder.dir,
      diagnostics: this.#diagnostics,
      leftOut: countsOf(this.#p.leftOut),
      best: end.best?.best ?? null,
      stoppedEarly: end.stoppedEarly,
    });
  }

  async *#train(): AsyncGenerator<FedStep, void, void> {
    const session = this.#p.session;
    const { steps, lr, warmup, seed, accumulate } = this.#plan;
    const feed = pretrainFeed(this.#p);
    const batches = this.#p.batches.train.from(session.step, accumulate, seed, feed.images);
    const training = session.train(ENTRY, batches, {
      steps: steps - session.step,
      lr,
      schedule: { total: steps, warmup },
      accumulation: accumulate,
      seed,
      outputs: ['tcl', 'tir', 'accuracy', ...this.#optional],
      signal: this.#p.context.signal,
    });
    for await (const step of fed(feed, training, session.step)) {
      const { tcl, tir, accuracy } = step.outputs as Readonly<Record<string, Float32Array>>;
      const values: Record<string, number> = {
        ...(this.#p.contract.tiles > 0 ? { 'train/tcl': tcl![0]!, 'train/accuracy': accuracy![0]! } : {}),
        ...(this.#p.contract.restored > 0 ? { 'train/tir': tir![0]! } : {}),
        ...optionScalars(step.outputs as Readonly<Record<string, Float32Array>>),
        ...this.#p.lesionLog?.ofStep(step.step, accumulate, this.#p.batches.train.perEpoch, this.#p.folder.records),
      };
      this.#p.folder.log(step.step, values);
      yield step;
    }
  }

  /** What the entry hands over where options are on. */
  get #optional(): string[] {
    const { outputs } = this.#p.session.manifest.entries[ENTRY]!;
    return outputs.map((o) => o.name).filter((n) => ['view', 'counters', 'counter_accuracy'].includes(n));
  }

  /** The entry diagnose on the validation pairs, or on the first training pairs where there are none; and example slices. */
  async #diagnose(): Promise<Scalars> {
    const { out, signal } = this.#p.context;
    const set = this.#p.sets.val ?? this.#p.sets.train;
    const batches = this.#p.batches.val ?? this.#p.batches.train;
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
    const found = await diagnoseLeaks(this.#p.session, this.#p.contract, made(this.#plan.seed), total, {
      tokenizer: set.tokenizer,
      frozenText: this.#p.options.frozenText,
      lesions: this.#p.sets.val ? this.#p.lesions.val : this.#p.lesions.train,
      lambdas: lambdasOf(this.#p.session),
      signal,
      onProgress: (done) => bar.update(done),
    });
    bar.end();
    this.#diagnostics = found;
    await this.#draw(first!, set);
    out.line(`step ${this.#p.session.step}: ${diagnosticLine(found)}`);
    const values = diagnosticScalars(found, this.#p.sets.val !== null);
    out.json({ event: 'diagnose', step: this.#p.session.step, ...values });
    return values;
  }

  async #draw(batch: PretrainBatch, set: PretrainSet): Promise<void> {
    const { step } = this.#p.session;
    const names = batch.items.map(({ pair }) => set.pairs[pair]!.name);
    const studies = [];
    for (const { pair } of batch.items.slice(0, 2)) studies.push(await wholeStudy((await set.study(pair))!));
    this.#examples = [
      ...(await restoredPictures(this.#p.session, this.#p.contract, batch, names)),
      ...(await groundPictures(this.#p.session, this.#p.contract, batch, studies, names)),
    ];
    for (const { name, png } of this.#examples) {
      this.#p.folder.picture(step, `examples/${name}`, png);
      await writeFileAtomic(join(this.#p.folder.dir, EXAMPLES, `${String(step).padStart(6, '0')}-${name}.png`), png);
    }
  }

  #notes(): string[] {
    const { val } = this.#p.sets;
    return [
      ...diagnosticNotes(this.#diagnostics),
      ...(this.#diagnostics && !val ? ['Diagnosed on pairs that were trained on: --val or --splits give others.'] : []),
      ...(this.#p.leftOut.length > 0 ? [`Left out: ${showCounts(countsOf(this.#p.leftOut))}.`] : []),
    ];
  }

  #story() {
    const { train, val } = this.#p.sets;
    const { method, batch } = this.#p.contract;
    const plan = this.#plan;
    const where = val ? 'validation pairs' : 'training pairs';
    const text = (this.#p.config.data.text ?? null) as { tower: string } | null;
    return {
      config: this.#p.config as unknown as RunConfig<Readonly<Record<string, unknown>>>,
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
      tables: [
        ...diagnosticTable(this.#diagnostics, where),
        ...lesionTable(this.#p.folder.records),
        ...leftOutTable(this.#p.leftOut),
      ],
      charts: pretrainCharts(this.#p.folder.records),
    };
  }
}

/** Batches without a false report say nothing of them. */
function optionScalars(out: Readonly<Record<string, Float32Array>>): Record<string, number> {
  const { view, counters, counter_accuracy: right } = out;
  return {
    ...(view ? { 'train/view': view[0]! } : {}),
    ...(counters && counters[0]! > 0 ? { 'train/counter_accuracy': right![0]! } : {}),
  };
}

function lambdasOf(session: Session): { tcl: number; tir: number } {
  const { pretrain } = session.manifest.model.settings as { pretrain?: { lambdaTcl?: number; lambdaTir?: number } };
  if (typeof pretrain?.lambdaTcl !== 'number' || typeof pretrain.lambdaTir !== 'number')
    throw new T3dcError('bad-artifact', 'the settings do not say how the losses are weighed', {
      expected: 'pretrain.lambdaTcl and pretrain.lambdaTir',
    });
  return { tcl: pretrain.lambdaTcl, tir: pretrain.lambdaTir };
}
