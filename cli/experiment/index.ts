// The experiment: arms with seeds, each run kept in a folder so that an interruption loses one run at most, several beside each
// other; then the tables and the report.
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../data/node.ts';
import { readSafetensors, toFloat32, writeSafetensors } from '../../runtime/safetensors.ts';
import type { Context } from '../command.ts';
import { CliError } from '../errors.ts';
import { showTime } from '../units.ts';
import { version } from '../version.ts';
import { ARMS, type Arm, type Declaration } from './declaration.ts';
import { probe } from './probe.ts';
import { experimentPage } from './report.ts';
import { type ArmRun, type Results, resultsOf } from './results.ts';
import { featuresOf, pretrainArm } from './run.ts';
import { type Studies, studiesOf } from './studies.ts';

export interface ExperimentOptions {
  readonly dir: string;
  readonly declaration: Declaration;
  readonly device: 'wasm' | 'webgpu';
  /** Runs beside each other, each on one thread. */
  readonly jobs: number;
  readonly resume: boolean;
}

interface Done {
  readonly seconds: number;
  readonly accuracy: number;
  readonly width: number;
}

const folderOf = (dir: string, arm: Arm, seed: number): string => join(dir, 'runs', `${arm}-${seed}`);
const isDone = (dir: string, arm: Arm, seed: number): boolean =>
  existsSync(join(folderOf(dir, arm, seed), 'done.json'));

/** The arm and seed of `ARM:SEED`. */
export function runOf(text: string, d: Declaration): { arm: Arm; seed: number } {
  const [name, seed] = text.split(':');
  const arm = ARMS.find((a) => a === name);
  if (!arm || !d.seeds.includes(Number(seed)))
    throw new CliError('no-run', 'there is no such run', {
      found: text,
      expected: `ARM:SEED with ${ARMS.join(', ')} and ${d.seeds.join(', ')}`,
      hint: 'Leave --only out to do all.',
    });
  return { arm, seed: Number(seed) };
}

export async function experiment(o: ExperimentOptions, { out, signal }: Context): Promise<Results> {
  const { dir, declaration: d } = o;
  prepare(o);
  // The primary comparison first.
  const primary = (arm: Arm): boolean => arm === 't3d' || arm === 't3d-shuffled';
  const arms = [...d.arms.filter(primary), ...d.arms.filter((a) => !primary(a))];
  const all = [arms.slice(0, 2), arms.slice(2)].flatMap((part) =>
    d.seeds.flatMap((seed) => part.map((arm) => ({ arm, seed }))),
  );
  const left = all.filter(({ arm, seed }) => !isDone(dir, arm, seed));
  const started = performance.now();
  out.line(
    `${all.length} runs of ${d.steps} steps, ${all.length - left.length} done already; ${o.jobs} beside each other`,
  );
  out.json({ event: 'start', runs: all.length, done: all.length - left.length, dir });
  const bar = out.progress('runs', all.length, all.length - left.length);
  let done = all.length - left.length;
  const queue = [...left];
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      signal.throwIfAborted();
      await child(o, next.arm, next.seed, signal);
      done++;
      bar.update(done, `${next.arm}, seed ${next.seed}`);
      out.json({ event: 'run', ...next, done });
    }
  };
  try {
    // An artifact is built by the run that needs it first, so that the first of each arm go one after the other.
    await Promise.all(Array.from({ length: Math.max(1, o.jobs) }, lane));
  } finally {
    bar.end();
  }
  const results = await judge(o);
  out.line(`done in ${showTime(performance.now() - started)}`);
  return results;
}

/** Tables and report of what is done. */
export async function judge({ dir, declaration: d }: ExperimentOptions): Promise<Results> {
  const studies = studiesOf(d);
  const runs: ArmRun[] = [];
  for (const arm of d.arms)
    for (const seed of d.seeds) {
      if (!isDone(dir, arm, seed)) continue;
      const folder = folderOf(dir, arm, seed);
      const { seconds, accuracy, width } = JSON.parse(readFileSync(join(folder, 'done.json'), 'utf8')) as Done;
      const { tensors } = readSafetensors(readFileSync(join(folder, 'features.safetensors')));
      const f = { width, train: toFloat32(tensors.get('train')!), judged: toFloat32(tensors.get('judged')!) };
      runs.push({ arm, seed, probes: probe(f, studies, seed, d), seconds, accuracy });
    }
  const results = resultsOf(runs, studies.judged, d);
  const small = runs.map(({ probes, ...r }) => ({
    ...r,
    probes: probes.map(({ fraction, auroc }) => ({ fraction, auroc })),
  }));
  await writeFileAtomic(
    join(dir, 'results.json'),
    `${JSON.stringify({ declaration: d, results, runs: small }, null, 1)}\n`,
  );
  await writeFileAtomic(join(dir, 'report.html'), experimentPage(d, results, runs));
  return results;
}

/** One run, here. */
export async function one(o: ExperimentOptions, arm: Arm, seed: number, { out, signal }: Context): Promise<void> {
  const { dir, declaration: d } = o;
  const folder = folderOf(dir, arm, seed);
  mkdirSync(folder, { recursive: true });
  const studies: Studies = studiesOf(d);
  const log = join(folder, 'log.jsonl');
  await writeFileAtomic(log, '');
  const options = { cache: join(dir, 'artifacts'), device: o.device, threads: o.jobs > 1 ? 1 : 2, signal };
  const started = performance.now();
  const accuracy: number[] = [];
  const bar = out.progress(`${arm}, seed ${seed}`, d.steps);
  const weights = await pretrainArm(arm, seed, studies, d, {
    ...options,
    onStep: (s) => {
      appendFileSync(log, `${JSON.stringify(s)}\n`);
      accuracy.push(s.accuracy);
      bar.update(s.step, `loss ${s.loss.toFixed(3)}  accuracy ${s.accuracy.toFixed(2)}`);
    },
  });
  bar.end();
  const seconds = (performance.now() - started) / 1000;
  if (weights) await writeFileAtomic(join(folder, 'weights.safetensors'), weights);
  const f = await featuresOf(weights, seed, studies, options);
  await writeFileAtomic(
    join(folder, 'features.safetensors'),
    writeSafetensors([
      { name: 'train', shape: [f.train.length / f.width, f.width], data: f.train },
      { name: 'judged', shape: [f.judged.length / f.width, f.width], data: f.judged },
    ]),
  );
  const last = accuracy.slice(-20);
  const done: Done = { seconds, accuracy: last.reduce((a, b) => a + b, 0) / Math.max(1, last.length), width: f.width };
  await writeFileAtomic(join(folder, 'done.json'), `${JSON.stringify(done)}\n`);
}

/** The declaration of a folder must be the one that is asked for. */
function prepare({ dir, declaration, resume, device }: ExperimentOptions): void {
  const path = join(dir, 'config.json');
  const text = `${JSON.stringify({ version: version(), device, declaration }, null, 1)}\n`;
  if (existsSync(path)) {
    const same = readFileSync(path, 'utf8') === text;
    if (!resume || !same)
      throw new CliError(
        'experiment-exists',
        same ? 'there is an experiment in this folder' : 'the folder holds another experiment',
        {
          found: dir,
          expected: same ? '--resume, or a new folder' : 'the same declaration, version and device',
          hint: same ? 'Go on with it by --resume.' : 'Choose another -o.',
        },
      );
    return;
  }
  mkdirSync(dir, { recursive: true });
  appendFileSync(path, text);
}

/** A run in a process of its own. */
function child(o: ExperimentOptions, arm: Arm, seed: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const words = ['experiment', '-o', o.dir, '--only', `${arm}:${seed}`, '--json'];
    const p = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    p.stderr.on('data', (chunk) => {
      errors = `${errors}${chunk}`.slice(-4000);
    });
    const stop = (): void => {
      p.kill('SIGTERM');
    };
    signal.addEventListener('abort', stop, { once: true });
    p.on('error', reject);
    p.on('exit', (code) => {
      signal.removeEventListener('abort', stop);
      if (signal.aborted) reject(signal.reason);
      else if (code === 0) resolve();
      else
        reject(
          new CliError('experiment-run', `the run of ${arm} with seed ${seed} failed (exit ${code})`, {
            found: errors.trim(),
            hint: 'Runs that are done are kept: mend the cause and go on with --resume.',
          }),
        );
    });
  });
}

/** The declaration that a folder was begun with, and on what. */
export function begun(dir: string): { declaration: Declaration; device: 'wasm' | 'webgpu' } | null {
  const path = join(dir, 'config.json');
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null;
}
