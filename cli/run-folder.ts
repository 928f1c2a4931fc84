// A training run on disk, whatever command trains:
//
//   config.json               what was asked, and every constant (run-config.ts)
//   metrics.jsonl             a line a step or validation: { step, TAG: value, … }
//   events.out.tfevents.*     the same for TensorBoard, and pictures
//   checkpoint.safetensors    goes on exactly
//   weights.safetensors, weights.ema.safetensors, best.safetensors
//   report.html, model-card.md
//
// Every file but the logs is replaced as a whole, so that a crash leaves the last good one.
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { readBytes, writeFileAtomic } from '../data/node.ts';
import { readSafetensors, type Session, toFloat32 } from '../runtime/index.ts';
import { CliError } from './errors.ts';
import type { RunConfig } from './run-config.ts';
import { EventFile, type Scalars } from './tensorboard.ts';

/** Values by TensorBoard's tag: `train/loss`, `validation/dice/liver`. */
export interface MetricRecord {
  readonly step: number;
  readonly values: Scalars;
}

const FILES = {
  config: 'config.json',
  metrics: 'metrics.jsonl',
  checkpoint: 'checkpoint.safetensors',
  weights: 'weights.safetensors',
  average: 'weights.ema.safetensors',
  best: 'best.safetensors',
  report: 'report.html',
  card: 'model-card.md',
} as const;

export class RunFolder {
  readonly dir: string;
  readonly #events: EventFile;
  readonly #records: MetricRecord[] = [];
  #saved: number | null = null;
  /** Step of the checkpoint before, as long as its files are there. */
  #before: number | null = null;

  private constructor(dir: string, events: EventFile) {
    this.dir = dir;
    this.#events = events;
  }

  /** What was asked of the run that is there, or null. @throws CliError `run-broken`, `run-other` */
  static planOf<P>(dir: string, command: string): P | null {
    const path = join(dir, FILES.config);
    if (!existsSync(path)) return null;
    let config: Partial<RunConfig<P>>;
    try {
      config = JSON.parse(readFileSync(path, 'utf8')) as Partial<RunConfig<P>>;
    } catch (e) {
      throw broken(path, (e as Error).message, `JSON written by t3dc ${command}`);
    }
    if (typeof config.plan !== 'object' || typeof config.command !== 'string')
      throw broken(path, `keys ${Object.keys(config).join(', ')}`, 'command and plan');
    if (config.command !== command)
      throw new CliError('run-other', 'the run in this folder is of another command', {
        found: `${dir}, written by t3dc ${config.command}`,
        expected: `a run of t3dc ${command}`,
        hint: `Go on with it by t3dc ${config.command}, or choose another -o.`,
      });
    return config.plan;
  }

  static checkpointOf(dir: string): string | null {
    const path = join(dir, FILES.checkpoint);
    return existsSync(path) ? path : null;
  }

  /** Starts a run, its older files out of the way, or goes on with one from `resumeAt` steps. @throws CliError `run-broken` */
  static async open(dir: string, config: RunConfig<unknown>, resumeAt: number | null): Promise<RunFolder> {
    mkdirSync(dir, { recursive: true });
    // What is logged of steps after the checkpoint will be done, and logged, again.
    const kept = resumeAt === null ? [] : readMetrics(dir).filter((r) => r.step <= resumeAt);
    if (resumeAt === null) for (const name of Object.values(FILES)) rmSync(join(dir, name), { force: true });
    await writeFileAtomic(join(dir, FILES.config), `${JSON.stringify(config, null, 1)}\n`);
    await writeFileAtomic(join(dir, FILES.metrics), kept.map(lineOf).join(''));
    const folder = new RunFolder(dir, EventFile.open(dir, resumeAt));
    folder.#records.push(...kept);
    folder.#saved = resumeAt;
    folder.settle();
    return folder;
  }

  /** All that was logged, in the order in which it happened. */
  get records(): readonly MetricRecord[] {
    return this.#records;
  }
  /** Step of the checkpoint; null before there is one. */
  get saved(): number | null {
    return this.#saved;
  }

  log(step: number, values: Scalars): void {
    const record = { step, values };
    if (Number.isFinite(values['train/loss'] ?? Number.NaN)) this.settle();
    this.#records.push(record);
    appendFileSync(join(this.dir, FILES.metrics), lineOf(record));
    this.#events.scalars(step, values);
  }

  picture(step: number, tag: string, png: Uint8Array): void {
    this.#events.picture(step, { tag, png });
  }

  /**
   * Writes checkpoint and weights, and their moving average where the model keeps one. The files before stay beside them until
   * the next step has a loss: weights may be finite and yet beyond help.
   * @throws CliError `non-finite-weights`, the files as they were
   */
  async save(session: Session): Promise<void> {
    const weights = await session.weights();
    this.#checkFinite(weights, session.step);
    const checkpoint = await session.saveCheckpoint();
    const hasAverage =
      session.step > 0 && session.manifest.arenas.some((a) => a.role === 'state' && a.name === AVERAGE);
    const average = hasAverage ? await session.weights({ average: true }) : null;
    for (const path of this.#restorable) if (existsSync(path)) keep(path, `${path}${BEFORE}`);
    await writeFileAtomic(join(this.dir, FILES.weights), weights);
    if (average) await writeFileAtomic(join(this.dir, FILES.average), average);
    await writeFileAtomic(join(this.dir, FILES.checkpoint), checkpoint);
    this.#before = this.#saved;
    this.#saved = session.step;
  }

  /** The last checkpoint is good: the one before it goes. */
  settle(): void {
    for (const path of this.#restorable) rmSync(`${path}${BEFORE}`, { force: true });
    this.#before = null;
  }

  /** The last checkpoint is not: the one before it comes back, where there is one. */
  fallBack(): void {
    if (this.#before === null) return;
    for (const path of this.#restorable)
      if (existsSync(`${path}${BEFORE}`)) renameSync(`${path}${BEFORE}`, path);
      else rmSync(path, { force: true });
    this.#saved = this.#before;
    this.#before = null;
  }

  get #restorable(): string[] {
    return [FILES.weights, FILES.average, FILES.checkpoint].map((name) => join(this.dir, name));
  }

  /** The weights of the best step so far, which is now. */
  async saveBest(session: Session, metric: string, value: number): Promise<void> {
    const metadata = { step: String(session.step), metric, value: String(value) };
    await writeFileAtomic(join(this.dir, FILES.best), await session.weights({ metadata }));
  }

  /** Step of best.safetensors, or null. */
  async bestStep(): Promise<number | null> {
    const path = join(this.dir, FILES.best);
    if (!existsSync(path)) return null;
    return Number(readSafetensors(await readBytes(path)).metadata.step);
  }

  async describe(report: string, card: string): Promise<void> {
    await writeFileAtomic(join(this.dir, FILES.report), report);
    await writeFileAtomic(join(this.dir, FILES.card), card);
  }

  /** Names of the files that are there, for people. */
  get files(): string[] {
    return Object.values(FILES).filter((name) => existsSync(join(this.dir, name)));
  }

  #checkFinite(weights: Uint8Array, step: number): void {
    for (const [name, tensor] of readSafetensors(weights).tensors)
      if (!toFloat32(tensor).every(Number.isFinite))
        throw new CliError('non-finite-weights', `the weights of step ${step} are not finite, and are not saved`, {
          found: `NaN or infinity in ${name}`,
          expected: 'finite numbers',
          hint: this.hintOfResume,
        });
  }

  /** What to do when a run broke off because it diverged. */
  get hintOfResume(): string {
    const kept = this.#saved === null ? '' : `The checkpoint of step ${this.#saved} is kept. `;
    return `${kept}Go on from it with --resume and a lower --lr; look for bad values in the data if it happens again.`;
  }
}

/** The state in which models keep the moving average of their weights (dsl's ema). */
const AVERAGE = 'ema';

const BEFORE = '.before';

/** A second name for a file's contents, which are about to be replaced as a whole. */
function keep(path: string, name: string): void {
  rmSync(name, { force: true });
  try {
    linkSync(path, name);
  } catch {
    copyFileSync(path, name); // a file system without links
  }
}

const lineOf = ({ step, values }: MetricRecord): string => `${JSON.stringify({ step, ...values })}\n`;

function readMetrics(dir: string): MetricRecord[] {
  const path = join(dir, FILES.metrics);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line, i): MetricRecord[] => {
    if (line === '') return [];
    try {
      const { step, ...values } = JSON.parse(line) as { step: number } & Record<string, number | null>;
      if (!Number.isInteger(step)) throw new Error('no step');
      return [{ step, values }];
    } catch (e) {
      // A crash may have cut the last line short; its step is done again.
      if (i === lines.length - 1) return [];
      throw broken(`${path}, line ${i + 1},`, (e as Error).message, 'a JSON object with a step');
    }
  });
}

const broken = (path: string, found: string, expected: string): CliError =>
  new CliError('run-broken', `${path} is not readable`, {
    found,
    expected,
    hint: 'Start a new run in another folder.',
  });
