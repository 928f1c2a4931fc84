// The experiment: its units, several beside each other in processes of their own; then the tables and the report.
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../data/node.ts';
import { readSafetensors, toFloat32 } from '../../runtime/safetensors.ts';
import type { Context } from '../command.ts';
import { CliError } from '../errors.ts';
import { showTime } from '../units.ts';
import { version } from '../version.ts';
import type { Declaration } from './declaration.ts';
import type { LesionResult } from './finetune.ts';
import type { Pointing } from './pointing.ts';
import { probe } from './probe.ts';
import { experimentPage } from './report.ts';
import { type ArmRun, type Results, resultsOf } from './results.ts';
import type { RetrievalResult } from './retrieval.ts';
import { studiesOf } from './studies.ts';
import { fileOf, folderOf, isDone, nameOf, type Unit, unitsOf } from './units.ts';

export interface ExperimentOptions {
  readonly dir: string;
  readonly declaration: Declaration;
  readonly device: 'wasm' | 'webgpu';
  /** Units beside each other, each on one thread. */
  readonly jobs: number;
  readonly resume: boolean;
}

/** What pre-training leaves beside weights and features. */
export interface Done {
  readonly seconds: number;
  readonly accuracy: number;
  readonly width: number;
}

export async function experiment(o: ExperimentOptions, { out, signal }: Context): Promise<Results> {
  const { dir, declaration: d } = o;
  await prepare(o);
  const all = unitsOf(d);
  const left = all.filter((u) => !isDone(dir, u));
  const started = performance.now();
  let done = all.length - left.length;
  out.line(`${all.length} parts, ${done} done already; ${o.jobs} beside each other`);
  out.json({ event: 'start', parts: all.length, done, dir });
  const bar = out.progress('parts', all.length, done);
  const running = new Set<Unit>();
  const take = (): Unit | undefined => {
    // What starts from weights waits until they are there.
    const ready = (u: Unit): boolean => u.task === 'pretrain' || isDone(dir, { ...u, task: 'pretrain' });
    const at = left.findIndex(ready);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  const lane = async (): Promise<void> => {
    for (;;) {
      signal.throwIfAborted();
      const next = take();
      if (!next) {
        if (left.length === 0 || running.size === 0) return;
        await new Promise((wake) => setTimeout(wake, 1000));
        continue;
      }
      running.add(next);
      try {
        await child(o, next, signal);
      } finally {
        running.delete(next);
      }
      bar.update(++done, nameOf(next));
      out.json({ event: 'part', part: nameOf(next), done });
    }
  };
  try {
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
  const read = <T>(u: Unit): T => JSON.parse(readFileSync(fileOf(dir, u), 'utf8')) as T;
  for (const u of unitsOf(d)) {
    if (u.task !== 'pretrain' || !isDone(dir, u)) continue;
    const { seconds, accuracy, width } = read<Done>(u);
    const { tensors } = readSafetensors(readFileSync(join(folderOf(dir, u), 'features.safetensors')));
    const f = { width, train: toFloat32(tensors.get('train')!), judged: toFloat32(tensors.get('judged')!) };
    const others = unitsOf(d).filter((x) => x.arm === u.arm && x.seed === u.seed && x !== u && isDone(dir, x));
    const pointing = others.find((x) => x.task === 'pointing');
    const retrieved = others.find((x) => x.task === 'retrieval');
    runs.push({
      arm: u.arm,
      seed: u.seed,
      probes: probe(f, studies, u.seed, d),
      seconds,
      accuracy,
      pointing: pointing ? read<Pointing>(pointing) : null,
      retrieval: retrieved ? read<RetrievalResult>(retrieved) : null,
      lesions: others.filter((x) => x.task === 'masks').map((x) => read<LesionResult>(x)),
    });
  }
  const results = resultsOf(runs, studies.judged, d);
  const small = runs.map(({ probes, ...r }) => ({
    ...r,
    probes: probes.map(({ fraction, auroc }) => ({ fraction, auroc })),
  }));
  const json = { declaration: d, results, runs: small };
  await writeFileAtomic(join(dir, 'results.json'), `${JSON.stringify(json, null, 1)}\n`);
  await writeFileAtomic(join(dir, 'report.html'), experimentPage(d, results, runs));
  return results;
}

/** The declaration of a folder must be the one that is asked for. */
async function prepare({ dir, declaration, resume, device }: ExperimentOptions): Promise<void> {
  const path = join(dir, 'config.json');
  const text = `${JSON.stringify({ version: version(), device, declaration }, null, 1)}\n`;
  if (!existsSync(path)) {
    mkdirSync(dir, { recursive: true });
    await writeFileAtomic(path, text);
    return;
  }
  const same = readFileSync(path, 'utf8') === text;
  if (resume && same) return;
  throw new CliError(
    'experiment-exists',
    same ? 'there is an experiment in this folder' : 'the folder holds another experiment',
    {
      found: dir,
      expected: same ? '--resume, or a new folder' : 'the same declaration, version and device',
      hint: same ? 'Go on with it by --resume.' : 'Choose another -o.',
    },
  );
}

/** A unit in a process of its own. */
function child(o: ExperimentOptions, unit: Unit, signal: AbortSignal): Promise<void> {
  const log = join(folderOf(o.dir, unit), 'errors.txt');
  return new Promise((resolve, reject) => {
    const words = ['experiment', '-o', o.dir, '--only', nameOf(unit), '--jobs', String(o.jobs), '--json'];
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
      if (signal.aborted) return reject(signal.reason);
      if (code === 0) return resolve();
      if (existsSync(folderOf(o.dir, unit))) appendFileSync(log, errors);
      reject(
        new CliError('experiment-run', `${nameOf(unit)} failed (exit ${code})`, {
          found: errors.trim(),
          hint: 'What is done is kept: mend the cause and go on with --resume.',
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
