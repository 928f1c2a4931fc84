// The training loop on the host's side: batches in, losses out. Control of the step itself is the scheduler's.
import type { RunSettings } from './device.ts';
import { T3dcError, throwIfAborted } from './errors.ts';
import type { Entry, Schedule } from './manifest.ts';
import { checkInputs, type Inputs, type Outputs } from './ports.ts';
import type { Session } from './session.ts';

export type Batches = Iterable<Inputs> | AsyncIterable<Inputs>;

export interface TrainOptions {
  /** Optimiser steps to do in this call. Default: until the batches end. */
  readonly steps?: number;
  /** Base learning rate. Default: the loaded checkpoint's, else the artifact's. */
  readonly lr?: number;
  readonly schedule?: Partial<Schedule>;
  /** Microsteps (batches) per optimiser step. Default 1. */
  readonly accumulation?: number;
  readonly seed?: number | bigint;
  /** Read the loss back, and yield, every so many steps (and at the last). Default 1. */
  readonly readEvery?: number;
  /** Outputs to read back beside the loss. Default none. */
  readonly outputs?: readonly string[];
  /** What a NaN or infinite loss does. Default 'reject'; where the entry is built with `guard`, only the tenth in a row rejects,
   *  since its steps are skipped. */
  readonly onNonFinite?: 'reject' | 'continue';
  readonly signal?: AbortSignal;
}

export interface TrainStep {
  /** Optimiser steps done, this one included. */
  readonly step: number;
  /** Mean over the microsteps. */
  readonly loss: number;
  readonly lr: number;
  /** Wall time of a step, averaged since the last yield. */
  readonly ms: number;
  /** The last microstep's. */
  readonly outputs: Outputs;
  /** f16 or a guarded entry: the loss scale after this step (1 in f32), and the steps skipped so far because a gradient was not
   *  finite. */
  readonly scale?: { readonly lossScale: number; readonly skipped: number };
}

/** Of a guarded entry, losses in a row that may be not finite. */
const MOST_SKIPPED = 9;

/** Throws T3dcError 'no-entry', 'not-trainable', 'bad-option', 'bad-input', 'non-finite-loss', 'aborted' and the device's. */
export async function* train(
  session: Session,
  name: string,
  batches: Batches,
  options: TrainOptions,
): AsyncGenerator<TrainStep, void, void> {
  const entry = session.trainable(name);
  if (!entry.training || entry.loss === null)
    throw new T3dcError('not-trainable', `${name} was built without an optimiser`, {
      hint: 'Build the model with one.',
    });
  const settings = settingsOf(session, entry, options);
  const readEvery = positive('readEvery', options.readEvery ?? 1);
  const steps = options.steps ?? Number.POSITIVE_INFINITY;
  await session.startTraining(name, settings);
  const next = iterate(batches);
  let since = performance.now();
  let unread = 0;
  let bad = 0;
  for (let n = 0; n < steps; n++) {
    throwIfAborted(options.signal);
    const data: Uint8Array[][] = [];
    for (let m = 0; m < settings.accumulation; m++) {
      const batch = await next();
      if (batch === null) break;
      data.push(checkInputs(name, entry.inputs, batch));
    }
    const complete = data.length === settings.accumulation;
    if (!complete && data.length > 0)
      session.notice(`the batches ended within a step: ${data.length} of ${settings.accumulation} were left over`);
    if (!complete) return;
    unread++;
    const reading = unread === readEvery || n + 1 === steps;
    const done = await session.exclusive(() =>
      step(session, name, entry, settings, data, reading, options.outputs ?? []),
    );
    if (!done) continue;
    const now = performance.now();
    const ms = (now - since) / unread;
    unread = 0;
    bad = Number.isFinite(done.loss) ? 0 : bad + 1;
    if (bad > (entry.training.guard ? MOST_SKIPPED : 0) && options.onNonFinite !== 'continue')
      throw new T3dcError('non-finite-loss', `the loss of step ${session.step} is ${done.loss}`, {
        hint: "Lower the learning rate, look for bad values in the batch, or train with { onNonFinite: 'continue' }.",
      });
    yield {
      step: session.step,
      loss: done.loss,
      lr: session.host.lr,
      ms,
      outputs: done.outputs,
      ...(done.scale ? { scale: done.scale } : {}),
    };
    since = performance.now();
  }
}

async function step(
  session: Session,
  name: string,
  entry: Entry,
  settings: RunSettings,
  data: readonly Uint8Array[][],
  reading: boolean,
  names: readonly string[],
): Promise<{ loss: number; outputs: Outputs; scale: TrainStep['scale'] } | null> {
  const { host } = session;
  session.trained();
  host.configure(settings);
  const loss = entry.outputs.find((p) => p.name === entry.loss)!;
  const losses: Promise<Uint8Array[]>[] = [];
  const scaler = session.scaler;
  for (let m = 0; m < data.length; m++) {
    // A read-back waits for its run: at most two are on their way.
    if (losses.length >= 2) await losses[losses.length - 2];
    session.writeInputs(entry, data[m]!);
    await host.run(name, 'train', m);
    if (reading) {
      const scaled = scaler >= 0 && m === data.length - 1;
      const read = host.read([
        { ...loss.place, bytes: 4 },
        ...(scaled ? [{ arena: scaler, offset: 0, bytes: 16 }] : []),
      ]);
      read.catch(() => {}); // it is awaited below; until then its failure is nobody's
      losses.push(read);
    }
  }
  if (!reading) return null;
  let sum = 0;
  let scale: TrainStep['scale'];
  for (const [value, scalars] of await Promise.all(losses)) {
    sum += new DataView(value!.buffer, value!.byteOffset).getFloat32(0, true);
    if (!scalars) continue;
    const words = new DataView(scalars.buffer, scalars.byteOffset);
    scale = { lossScale: words.getFloat32(0, true) || 1, skipped: words.getFloat32(12, true) };
  }
  return { loss: sum / data.length, scale, outputs: names.length ? await session.readOutputs(entry, names) : {} };
}

/** Options, else the loaded checkpoint's settings, else the artifact's. */
function settingsOf(session: Session, entry: Entry, options: TrainOptions): RunSettings {
  const training = entry.training!;
  const { resumed } = session;
  return {
    seed: options.seed ?? resumed?.seed ?? session.settings.seed,
    lr: options.lr ?? resumed?.lr ?? training.lr,
    schedule: { ...(resumed?.schedule ?? training.schedule), ...options.schedule },
    accumulation: positive('accumulation', options.accumulation ?? resumed?.accumulation ?? 1),
  };
}

function positive(name: string, value: number): number {
  if (!(Number.isInteger(value) && value >= 1))
    throw new T3dcError('bad-option', `${name} is not a whole number above 0`, { found: value });
  return value;
}

function iterate(batches: Batches): () => Promise<Inputs | null> {
  const iterator = Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
  return async () => {
    const { done, value } = await iterator.next();
    return done ? null : (value as Inputs);
  };
}
