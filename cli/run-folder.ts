// A training run on disk: RUN/run.json (what was asked), log.jsonl (a line a step), checkpoint.safetensors (goes on exactly),
// weights.safetensors and loss.svg. Every file is replaced as a whole, so that a crash leaves the last good one.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../data/node.ts';
import type { Session } from '../runtime/index.ts';
import { CliError } from './errors.ts';
import { lossPicture } from './loss-picture.ts';

/** All that decides what a run computes, beside the artifact and the data themselves. */
export interface RunPlan {
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
  /** Every how many steps the held-out cases are segmented; 0 never. */
  readonly valEvery: number;
  readonly valData: string | null;
  /** Every how many cases one is held out; 0 none. */
  readonly holdOut: number;
}

export interface StepRecord {
  readonly step: number;
  readonly loss: number;
  readonly lr: number;
  readonly ms: number;
}
export interface ValidationRecord {
  readonly step: number;
  readonly dice: Readonly<Record<string, number | null>>;
  readonly mean: number | null;
}

const CHECKPOINT = 'checkpoint.safetensors';

export class RunFolder {
  readonly dir: string;
  readonly #title: string;
  readonly #steps: StepRecord[] = [];
  readonly #validations: ValidationRecord[] = [];

  private constructor(dir: string, title: string) {
    this.dir = dir;
    this.#title = title;
  }

  /** The plan of a run that is there, or null. @throws CliError `run-broken` */
  static planOf(dir: string): RunPlan | null {
    const path = join(dir, 'run.json');
    if (!existsSync(path)) return null;
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as RunPlan;
    } catch (e) {
      throw new CliError('run-broken', `${path} is not readable`, {
        found: (e as Error).message,
        expected: 'JSON written by t3dc train',
        hint: 'Start a new run in another folder.',
      });
    }
  }

  /** Starts a run, its older files out of the way, or goes on with one from `resumeAt` steps. */
  static async open(dir: string, plan: RunPlan, resumeAt: number | null): Promise<RunFolder> {
    mkdirSync(dir, { recursive: true });
    const folder = new RunFolder(dir, `${plan.entry} on ${plan.data}`);
    const log = join(dir, 'log.jsonl');
    if (resumeAt !== null && existsSync(log)) {
      // Steps after the checkpoint will be done, and logged, again.
      for (const line of readFileSync(log, 'utf8').split('\n').filter(Boolean)) {
        const record = JSON.parse(line) as StepRecord | ValidationRecord;
        if (record.step > resumeAt) continue;
        if ('loss' in record) folder.#steps.push(record);
        else folder.#validations.push(record);
      }
    }
    const kept = [...folder.#steps, ...folder.#validations].sort((a, b) => a.step - b.step);
    await writeFileAtomic(join(dir, 'run.json'), `${JSON.stringify(plan, null, 1)}\n`);
    await writeFileAtomic(log, kept.map((r) => `${JSON.stringify(r)}\n`).join(''));
    return folder;
  }

  get checkpoint(): string {
    return join(this.dir, CHECKPOINT);
  }
  static checkpointOf(dir: string): string | null {
    const path = join(dir, CHECKPOINT);
    return existsSync(path) ? path : null;
  }

  logStep(record: StepRecord): void {
    this.#steps.push(record);
    this.#append(record);
  }

  logValidation(record: ValidationRecord): void {
    this.#validations.push(record);
    this.#append(record);
  }

  /** Writes checkpoint, weights and curve. */
  async save(session: Session): Promise<void> {
    await writeFileAtomic(this.checkpoint, await session.saveCheckpoint());
    await writeFileAtomic(join(this.dir, 'weights.safetensors'), await session.weights());
    const scores = this.#validations.flatMap((v) => (v.mean === null ? [] : [{ step: v.step, dice: v.mean }]));
    await writeFileAtomic(join(this.dir, 'loss.svg'), lossPicture(this.#title, this.#steps, scores));
  }

  #append(record: object): void {
    appendFileSync(join(this.dir, 'log.jsonl'), `${JSON.stringify(record)}\n`);
  }
}
