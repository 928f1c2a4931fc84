// Checkpoints of a training run: weights, optimiser state, step, seed and schedule, in one safetensors file, such that a run
// resumed from it continues bit for bit.
import type { RunSettings } from './device.ts';
import { T3dcError } from './errors.ts';
import type { Manifest, Parameter, Schedule } from './manifest.ts';
import { type Metadata, readSafetensors, toFloat32, type WriteTensor, writeSafetensors } from './safetensors.ts';
import type { ParameterStore } from './store.ts';

const PREFIX = 'optimizer.';
const TAIL = 'arena.';

export interface TrainingState {
  readonly step: number;
  readonly settings: RunSettings;
}

/** Arenas of scalars that kernels keep, saved whole. */
const scalarArenas = (m: Manifest): { name: string; arena: number }[] =>
  m.arenas.flatMap((a, arena) => (a.role === 'scalars' ? [{ name: a.name, arena }] : []));

const stateArenas = (m: Manifest): { name: string; arena: number }[] =>
  m.arenas.flatMap((a, arena) => (a.role === 'state' ? [{ name: a.name, arena }] : []));

/** The file's bytes. `withState` is false before any training: there is none. */
export async function writeTrainingState(
  manifest: Manifest,
  store: ParameterStore,
  state: TrainingState,
  withState: boolean,
): Promise<Uint8Array> {
  const tensors = asTensors('', await store.read(manifest.parameters));
  if (withState) {
    const trainable = manifest.parameters.filter((p) => p.trainable);
    for (const { name, arena } of stateArenas(manifest)) {
      tensors.push(...asTensors(`${PREFIX}${name}.`, await store.read(trainable, arena)));
      const tail = await store.tail(arena);
      if (tail) tensors.push({ name: `${TAIL}${name}`, shape: [tail.length], data: tail });
    }
    for (const { name, arena } of scalarArenas(manifest)) {
      const data = await store.whole(arena);
      if (data) tensors.push({ name: `${TAIL}${name}`, shape: [data.length], data });
    }
  }
  const { seed, schedule, lr, accumulation } = state.settings;
  return writeSafetensors(tensors, {
    format: 't3dc-checkpoint-1',
    model: manifest.model.name,
    graph: manifest.graphHash,
    step: String(state.step),
    seed: String(seed),
    schedule: JSON.stringify(schedule),
    lr: String(lr),
    accumulation: String(accumulation),
    optimizer: String(withState),
  });
}

/** Weights only, by checkpoint name; those that are trained from the arena `trained`, where one is given. */
export async function writeWeights(
  manifest: Manifest,
  store: ParameterStore,
  metadata: Metadata = {},
  trained?: number,
): Promise<Uint8Array> {
  const own = manifest.parameters.filter((p) => trained === undefined || !p.trainable);
  const others = manifest.parameters.filter((p) => trained !== undefined && p.trainable);
  const values = new Map([...(await store.read(own)), ...(await store.read(others, trained))]);
  const inOrder = new Map(manifest.parameters.map((p) => [p, values.get(p)!]));
  return writeSafetensors(asTensors('', inOrder), { format: 'pt', model: manifest.model.name, ...metadata });
}

/** Whether a checkpoint holds optimiser state (so that its arenas must be there before it is read). */
export function hasOptimizerState(file: Uint8Array): boolean {
  return readSafetensors(file).metadata.optimizer === 'true';
}

/** Writes a checkpoint's weights and state to the device. Throws T3dcError 'bad-checkpoint', 'weights-mismatch'. */
export function readTrainingState(manifest: Manifest, store: ParameterStore, file: Uint8Array): TrainingState {
  const { metadata, tensors } = readSafetensors(file);
  if (metadata.format !== 't3dc-checkpoint-1')
    throw new T3dcError('bad-checkpoint', 'this file is no training checkpoint', {
      found: `format ${metadata.format}`,
      expected: 't3dc-checkpoint-1',
      hint: 'Use loadWeights for weights alone.',
    });
  const take = (p: Parameter, name: string): Float32Array => {
    const tensor = tensors.get(name);
    if (!tensor || tensor.shape.join() !== p.shape.join())
      throw new T3dcError('weights-mismatch', `the checkpoint does not fit this artifact: ${name}`, {
        found: tensor ? `[${tensor.shape.join(', ')}]` : 'no such tensor',
        expected: `[${p.shape.join(', ')}]`,
        hint: 'Resume with the artifact that wrote it, or use loadWeights with { strict: false }.',
      });
    return toFloat32(tensor);
  };
  // Everything is checked before anything is written.
  const writes: (() => void)[] = [];
  for (const p of manifest.parameters) {
    const values = take(p, p.name);
    writes.push(() => store.write(p, values));
  }
  if (metadata.optimizer === 'true') {
    for (const { name, arena } of stateArenas(manifest)) {
      for (const p of manifest.parameters) {
        if (!p.trainable) continue;
        const values = take(p, `${PREFIX}${name}.${p.name}`);
        writes.push(() => store.write(p, values, arena));
      }
      const tail = tensors.get(`${TAIL}${name}`);
      writes.push(() => store.writeTail(arena, tail ? tail.data : null));
    }
    for (const { name, arena } of scalarArenas(manifest)) {
      const saved = tensors.get(`${TAIL}${name}`);
      writes.push(() => store.writeWhole(arena, saved?.data ?? countedSteps(manifest, arena, Number(metadata.step))));
    }
  }
  for (const write of writes) write();
  return {
    step: Number(metadata.step),
    settings: {
      seed: BigInt(metadata.seed ?? 0),
      schedule: JSON.parse(metadata.schedule ?? 'null') as Schedule,
      lr: Number(metadata.lr),
      accumulation: Number(metadata.accumulation),
    },
  };
}

/** For a checkpoint of a run that skipped no steps and so did not count them: Adam's count is the step. */
function countedSteps(manifest: Manifest, arena: number, step: number): Uint8Array {
  const words = new Float32Array(manifest.arenas[arena]!.bytes / 4);
  words[2] = step;
  return new Uint8Array(words.buffer);
}

const asTensors = (prefix: string, values: ReadonlyMap<Parameter, Float32Array>): WriteTensor[] =>
  Array.from(values, ([p, data]) => ({ name: prefix + p.name, shape: p.shape, data }));
