// The worker's side of openInWorker: sessions by number, on one GPU device, and the calls of the page.
import type { Volume } from '../data/index.ts';
import { T3dcError } from '../runtime/errors.ts';
import type { ArtifactSource, Inputs, OpenOptions, TrainOptions } from '../runtime/index.ts';
import type { SegmentationCase, TrainSegmentationOptions } from '../tasks/index.ts';
import { buffersOf, Pieced } from './arrays.ts';
import type { CallbackName, FromWorker, Method, Opened, SentOptions, ToWorker } from './messages.ts';
import { type LocalSession, open } from './open.ts';
import { received, sendable } from './sent-errors.ts';
import { SharedDevice } from './shared-device.ts';

export interface Host {
  post(message: FromWorker, transfer: Transferable[]): void;
  /** Another worker of the same script, for a thread of the wasm target; absent on Node, which has its own. */
  threadWorker?(): Worker;
}

type Call = Extract<ToWorker, { type: 'call' }>;
type Options = Record<string, unknown>;

/** Serves a page; gives what takes its messages. */
export function serve(host: Host): (message: ToWorker) => void {
  const sessions = new Map<number, LocalSession>();
  const aborts = new Map<number, AbortController>();
  const generators = new Map<number, AsyncGenerator<unknown, void, void>>();
  const pulls = new Map<number, { resolve: (value: unknown) => void; reject: (e: unknown) => void }>();
  const pieced = new Pieced();
  const device = new SharedDevice();
  let nextPull = 0;

  const post = (message: FromWorker, result?: unknown): void => host.post(message, [...buffersOf(result)]);

  /** The page's next batch, or its case of this number. */
  const pull = (call: number, item: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      pulls.set(nextPull, { resolve, reject });
      post({ type: 'pull', call, pull: nextPull++, item });
    });

  /** A callback of the page's. Its arrays are copied: what is valid during the call alone must outlive it. */
  const event =
    (call: number, name: CallbackName) =>
    (...args: readonly unknown[]): void =>
      post({ type: 'event', call, name, args });

  const stubs = (call: number, names: readonly string[]): SegmentationCase[] =>
    names.map((name, n) => ({ name, load: async () => (await pull(call, n)) as { image: Volume; label: Volume } }));

  async function opened({ session: number, args }: Call, signal: AbortSignal): Promise<Opened> {
    const [from, { device: choice, ...rest }] = args as [ArtifactSource, SentOptions];
    const options: OpenOptions = {
      ...rest,
      device: choice,
      signal,
      requestDevice: (kind) => device.get(kind),
      ...(host.threadWorker ? { threadWorker: host.threadWorker } : {}),
      onProgress: (progress) => post({ type: 'progress', session: number, progress }),
      onNotice: (message) => post({ type: 'notice', session: number, message }),
    };
    const session = await open(from, options);
    if (signal.aborted) {
      await session.close();
      throw new T3dcError('aborted', 'the opening was aborted');
    }
    sessions.set(number, session);
    const { generator, model, precision, graphHash, requires, memory, preprocess, files } = session.manifest;
    const entries = Object.fromEntries(
      Object.entries(session.manifest.entries).map(([name, { inputs, outputs, loss }]) => [
        name,
        { inputs, outputs, loss },
      ]),
    );
    return { manifest: { generator, model, precision, graphHash, requires, memory, preprocess, files, entries } };
  }

  /** What each method does; a generator is kept under the number of the call that made it. */
  async function run(c: Call, session: LocalSession, signal: AbortSignal): Promise<unknown> {
    const [first, second] = c.args as [never, Options];
    const methods: Record<Exclude<Method, 'open'>, () => unknown> = {
      entry: () => session.entries[first]!(second as Inputs, { signal }),
      segment: () =>
        session.tasks.segment(first, {
          ...second,
          signal,
          onProgress: c.listens.includes('onProgress') ? event(c.call, 'onProgress') : undefined,
          onProbabilities: c.listens.includes('onProbabilities') ? event(c.call, 'onProbabilities') : undefined,
        }),
      validate: () =>
        session.tasks.validate(stubs(c.call, first), { ...second, signal, onProgress: event(c.call, 'onProgress') }),
      initialise: () => session.initialise(first),
      loadWeights: () => session.loadWeights(first, { ...second, signal }),
      weights: () => session.weights(first),
      saveCheckpoint: () => session.saveCheckpoint(),
      loadCheckpoint: () => session.loadCheckpoint(first),
      grads: () => session.grads(first, second as Inputs, { signal }),
      profile: () => session.profile(first, second),
      train: () => {
        const options = { ...second, signal } as TrainOptions;
        generators.set(c.call, session.train(first, batches(c.call), options));
      },
      trainTask: () => {
        const options = { ...second, signal, onNote: event(c.call, 'onNote') } as unknown as TrainSegmentationOptions;
        generators.set(c.call, session.tasks.train(stubs(c.call, first), options));
      },
      next: async () => {
        const step = await generators.get(first)!.next();
        return step.done ? null : { value: step.value };
      },
      return: async () => {
        aborts.get(first)?.abort();
        await generators.get(first)?.return();
        generators.delete(first);
        aborts.delete(first);
      },
      close: async () => {
        sessions.delete(c.session);
        await session.close();
      },
    };
    return methods[c.method as keyof typeof methods]();
  }

  async function* batches(call: number): AsyncGenerator<Inputs, void, void> {
    for (;;) {
      const batch = (await pull(call, 0)) as Inputs | null;
      if (batch === null) return;
      yield batch;
    }
  }

  async function take(c: Call): Promise<void> {
    const controller = new AbortController();
    aborts.set(c.call, controller);
    try {
      const session = sessions.get(c.session);
      if (!session && c.method !== 'open') throw new T3dcError('closed', 'the session was closed');
      const value = session ? await run(c, session, controller.signal) : await opened(c, controller.signal);
      const now = sessions.get(c.session);
      const state = now ? { step: now.step, allocatedBytes: now.allocatedBytes, device: now.device } : null;
      post({ type: 'result', call: c.call, value, state }, value);
    } catch (e) {
      post({ type: 'error', call: c.call, error: sendable(e) });
    } finally {
      // A generator's goes on for as long as it does.
      if (!generators.has(c.call)) aborts.delete(c.call);
    }
  }

  return (message) => {
    if (message.type === 'piece') pieced.take(message);
    else if (message.type === 'drop') pieced.drop(message.id);
    else if (message.type === 'abort') aborts.get(message.call)?.abort();
    else if (message.type === 'call') void take({ ...message, args: pieced.whole(message.args) as unknown[] });
    else {
      const waiting = pulls.get(message.pull);
      pulls.delete(message.pull);
      if (message.error) waiting?.reject(received(message.error));
      else waiting?.resolve(pieced.whole(message.value));
    }
  };
}
