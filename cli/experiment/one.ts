// One unit of the experiment, in this process.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../data/node.ts';
import { writeSafetensors } from '../../runtime/safetensors.ts';
import type { Context } from '../command.ts';
import { segmentLesions } from './finetune.ts';
import type { Done, ExperimentOptions } from './index.ts';
import type { RunOptions } from './opened.ts';
import { pointing } from './pointing.ts';
import { retrieveStudies } from './retrieval.ts';
import { featuresOf, pretrainArm } from './run.ts';
import { type Studies, studiesOf } from './studies.ts';
import { fileOf, folderOf, nameOf, type Unit } from './units.ts';

/** Steps at the end over which the accuracy is told. */
const LAST = 20;

export async function one(o: ExperimentOptions, unit: Unit, context: Context): Promise<void> {
  const { dir, declaration: d } = o;
  mkdirSync(folderOf(dir, unit), { recursive: true });
  const studies = studiesOf(d);
  const options: RunOptions = {
    cache: join(dir, 'artifacts'),
    device: o.device,
    threads: o.jobs > 1 ? 1 : 2,
    signal: context.signal,
  };
  const done = await made(o, unit, studies, options, context);
  await writeFileAtomic(fileOf(dir, unit), `${JSON.stringify(done)}\n`);
}

async function made(
  o: ExperimentOptions,
  unit: Unit,
  studies: Studies,
  options: RunOptions,
  context: Context,
): Promise<object> {
  const { dir, declaration: d } = o;
  const { arm, seed } = unit;
  const path = join(folderOf(dir, unit), 'weights.safetensors');
  const weights = (): Uint8Array | null => (existsSync(path) ? readFileSync(path) : null);
  switch (unit.task) {
    case 'pretrain':
      return pretrainUnit(o, unit, studies, options, context);
    case 'pointing':
      return pointing(weights()!, arm as 't3d' | 't3d-shuffled', seed, studies, d, options);
    case 'retrieval':
      return retrieveStudies(weights()!, arm as 't3d', seed, studies, d, options);
    case 'masks':
      return segmentLesions(weights(), seed, unit.fraction!, studies, d, options);
  }
}

async function pretrainUnit(
  { dir, declaration: d }: ExperimentOptions,
  unit: Unit,
  studies: Studies,
  options: RunOptions,
  { out }: Context,
): Promise<Done> {
  const folder = folderOf(dir, unit);
  const log = join(folder, 'log.jsonl');
  await writeFileAtomic(log, '');
  const started = performance.now();
  const accuracy: number[] = [];
  const bar = out.progress(nameOf(unit), d.steps);
  const weights = await pretrainArm(unit.arm, unit.seed, studies, d, {
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
  const f = await featuresOf(weights, unit.seed, studies, options);
  const rows = (data: Float32Array, name: string) => ({ name, shape: [data.length / f.width, f.width], data });
  await writeFileAtomic(
    join(folder, 'features.safetensors'),
    writeSafetensors([rows(f.train, 'train'), rows(f.judged, 'judged')]),
  );
  const last = accuracy.slice(-LAST);
  return { seconds, accuracy: last.reduce((a, b) => a + b, 0) / Math.max(1, last.length), width: f.width };
}
