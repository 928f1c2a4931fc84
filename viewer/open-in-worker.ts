// A model in a worker with a device of its own: the page is never blocked. This is the page's side; viewer/worker-host.ts is the
// other.

import { T3dcError } from '../runtime/errors.ts';
import type { ArtifactSource, Inputs, OpenOptions, Outputs } from '../runtime/index.ts';
import { Connection, type WorkerLike } from './connection.ts';
import type { Method, Opened, SentOptions } from './messages.ts';
import type { CallOptions, LoadWeightsOptions, ModelSession, ModelTasks, WeightSource } from './session.ts';
import { spawn } from './spawn.ts';

export interface WorkerOptions
  extends Pick<OpenOptions, 'threads' | 'seed' | 'cache' | 'integrity' | 'signal' | 'onProgress' | 'onNotice'> {
  /** As for `open`; a GPUDevice cannot be sent to a worker, which has one of its own. Default `auto`. */
  readonly device?: 'auto' | 'webgpu' | 'wasm';
  /**
   * Makes the module worker, where the bundler must find it in the page's own code:
   * `() => new Worker(new URL('t3dc/worker', import.meta.url), { type: 'module' })`. Default: worker.js beside this file.
   */
  readonly worker?: () => WorkerLike;
  /** An open session whose worker this one is to live in; both run on one GPU device. The worker ends with the last of them. */
  readonly share?: WorkerSession;
}

/** A ModelSession whose work is done in a worker. Inputs are copied unless a call says `transfer: true`; results are handed over. */
export interface WorkerSession extends ModelSession {
  /** @internal */
  readonly connection: Connection;
}

/**
 * Opens an artifact in a worker: a .t3dc file's or a folder's URL (relative to the page), or bytes.
 * `onProgress` tells all stages (download, weights, compile, run); `signal` stops the opening.
 * Throws T3dcError as `open`, and 'device-error' where the worker cannot be started.
 */
export async function openInWorker(from: ArtifactSource, options: WorkerOptions = {}): Promise<WorkerSession> {
  const device: unknown = options.device ?? 'auto';
  if (device !== 'auto' && device !== 'webgpu' && device !== 'wasm')
    throw new T3dcError('bad-option', 'a worker takes no device of the page', {
      found: typeof device,
      expected: "'auto', 'webgpu' or 'wasm'",
      hint: 'Use open(…, { device }) to share a GPUDevice with the page.',
    });
  const connection = options.share ? options.share.connection : new Connection(await (options.worker ?? spawn)());
  const { threads, seed, cache, integrity, signal, onProgress, onNotice } = options;
  const session = connection.join({
    onProgress,
    onNotice: onNotice ?? ((message) => console.warn(`t3dc: ${message}`)),
  });
  const sent: SentOptions = { device, threads, seed, cache, integrity };
  try {
    const { manifest } = (await connection.call(session, 'open', [located(from), sent], { signal })) as Opened;
    return new RemoteSession(connection, session, manifest);
  } catch (e) {
    await connection.leave(session);
    throw e;
  }
}

class RemoteSession implements WorkerSession {
  readonly connection: Connection;
  readonly manifest: ModelSession['manifest'];
  readonly entries: ModelSession['entries'];
  readonly tasks: ModelTasks;
  readonly #session: number;
  #closed = false;

  constructor(connection: Connection, session: number, manifest: ModelSession['manifest']) {
    this.connection = connection;
    this.manifest = manifest;
    this.#session = session;
    this.entries = Object.fromEntries(
      Object.keys(manifest.entries).map((name) => [
        name,
        (inputs: Inputs, call?: CallOptions) => this.#call<Outputs>('entry', [name, inputs], call),
      ]),
    );
    this.tasks = {
      segment: (volume, o = {}) => {
        const { signal, transfer, onProgress, onProbabilities, ...rest } = o;
        const on = { onProgress, onProbabilities };
        return this.#call('segment', [volume, rest], { signal, transfer, on, reason: true });
      },
      validate: (cases, o = {}) => {
        const { signal, onProgress, onCase, ...rest } = o;
        if (onCase) throw notInWorker('onCase');
        const pull = (n: number) => cases[n]!.load();
        const names = cases.map((c) => c.name);
        return this.#call('validate', [names, rest], { signal, on: { onProgress }, pull, reason: true });
      },
      train: (cases, o) => {
        const { signal, onNote, ...rest } = o;
        const names = cases.map((c) => c.name);
        return this.#iterate('trainTask', [names, rest], { signal, on: { onNote }, pull: (n) => cases[n]!.load() });
      },
    };
  }

  get device(): ModelSession['device'] {
    return this.#state.device;
  }
  get step(): number {
    return this.#state.step;
  }
  get allocatedBytes(): number {
    return this.#closed ? 0 : this.#state.allocatedBytes;
  }

  initialise(seed?: number | bigint): Promise<void> {
    return this.#call('initialise', [seed]);
  }
  async loadWeights(from: WeightSource, { signal, rename, ...rest }: LoadWeightsOptions = {}) {
    if (rename) throw notInWorker('rename');
    return this.#call<Awaited<ReturnType<ModelSession['loadWeights']>>>('loadWeights', [located(from), rest], {
      signal,
    });
  }
  weights(options: Parameters<ModelSession['weights']>[0] = {}): Promise<Uint8Array> {
    return this.#call('weights', [options]);
  }
  saveCheckpoint(): Promise<Uint8Array> {
    return this.#call('saveCheckpoint', []);
  }
  loadCheckpoint(from: WeightSource): Promise<{ readonly step: number }> {
    return this.#call('loadCheckpoint', [located(from)]);
  }
  grads(name: string, inputs: Inputs, options: CallOptions = {}): ReturnType<ModelSession['grads']> {
    return this.#call('grads', [name, inputs], options);
  }
  profile(name: string, options: Parameters<ModelSession['profile']>[1] = {}): ReturnType<ModelSession['profile']> {
    return this.#call('profile', [name, options]);
  }
  train(...[name, batches, options = {}]: Parameters<ModelSession['train']>): ReturnType<ModelSession['train']> {
    const { signal, ...rest } = options;
    let iterator: Iterator<Inputs> | AsyncIterator<Inputs> | null = null;
    const pull = async () => {
      iterator ??= Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
      const { done, value } = await iterator.next();
      return done ? null : value;
    };
    return this.#iterate('train', [name, rest], { signal, pull });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.connection.leave(this.#session);
  }

  get #state() {
    return this.connection.state(this.#session);
  }

  async #call<T>(
    method: Method,
    args: readonly unknown[],
    options: Parameters<Connection['call']>[3] = {},
  ): Promise<T> {
    this.#check();
    return (await this.connection.call(this.#session, method, args, options)) as T;
  }

  /** A generator that lives in the worker. */
  async *#iterate<T>(
    method: Method,
    args: readonly unknown[],
    options: Parameters<Connection['call']>[3],
  ): AsyncGenerator<T, void, void> {
    this.#check();
    const remote = this.connection.generator(this.#session, method, args, options);
    try {
      for (;;) {
        const value = (await remote.next()) as { readonly value: T } | null;
        if (value === null) return;
        yield value.value;
      }
    } finally {
      await remote.end();
    }
  }

  #check(): void {
    if (this.#closed) throw new T3dcError('closed', 'the session was closed', { hint: 'Open a new one.' });
  }
}

/** Relative URLs are the page's, not the worker script's. */
function located<T>(from: T): T | string {
  if (from instanceof URL) return from.href;
  if (typeof from === 'string' && typeof document !== 'undefined') return new URL(from, document.baseURI).href;
  return from;
}

const notInWorker = (name: string): T3dcError =>
  new T3dcError('bad-option', `${name} is a function, which cannot be sent to a worker`, {
    hint: 'Leave it out, or use open(…), which works on this thread.',
  });
