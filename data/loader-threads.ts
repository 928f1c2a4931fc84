// Where samples are made: worker threads (worker_threads on Node, Web Workers in a page), or this thread.
import { DataError } from './errors.ts';

/** Which sample. Whatever is random in it comes from `stream(seed, …, epoch, index)`, so that it is the same wherever it is made. */
export interface SampleKey {
  readonly seed: number;
  readonly epoch: number;
  /** Place in the epoch. */
  readonly index: number;
  /** Number of the item that stands there. */
  readonly item: number;
}

/** What a source module's `open(options)` returns, directly or as a promise; each thread has one of its own. */
export interface SampleSource<T = unknown> {
  /** A plain object of numbers, texts and typed arrays. The arrays are given away: none of them may be kept by the source. */
  sample(key: SampleKey): T | Promise<T>;
}

export interface SourceModule {
  /** Absolute URL of an ES module that exports `open(options)`. */
  readonly module: string | URL;
  /** Handed to `open`; must be cloneable. */
  readonly options?: unknown;
}

export interface Made {
  readonly sample?: unknown;
  readonly error?: Error;
  /** Time in the source. */
  readonly ms: number;
}

export interface SampleThread {
  /** One at a time. Rejects only where the thread itself is lost. */
  make(key: SampleKey): Promise<Made>;
  /** On Node: whether this thread keeps the process alive. */
  hold(alive: boolean): void;
  close(): Promise<void>;
}

const isNode = typeof process !== 'undefined' && !!process.versions?.node;

/** A thread with a source of its own; `worker: false` makes it in this one. */
export const startThread = (source: SourceModule, worker: boolean): SampleThread =>
  worker ? new WorkerThread(source) : new OwnThread(source);

class OwnThread implements SampleThread {
  readonly #source: SourceModule;
  #opened: Promise<SampleSource> | null = null;

  constructor(source: SourceModule) {
    this.#source = source;
  }

  async make(key: SampleKey): Promise<Made> {
    const started = performance.now();
    try {
      this.#opened ??= import(/* @vite-ignore */ String(this.#source.module)).then((m) => m.open(this.#source.options));
      const source = await this.#opened;
      await turn();
      const from = performance.now();
      const sample = await source.sample(key);
      return { sample, ms: performance.now() - from };
    } catch (err) {
      return { error: err instanceof Error ? err : new Error(String(err)), ms: performance.now() - started };
    }
  }

  hold(): void {}
  async close(): Promise<void> {}
}

/** The event loop's turn: without it a window of samples would be made before anyone could cancel or go on. */
const turn = (): Promise<void> =>
  new Promise((done) => {
    if (typeof setImmediate === 'function') setImmediate(done);
    else setTimeout(done, 0);
  });

/** Plain source, since it starts from a string on Node and from a Blob in a browser. A worker thread does not inherit tsx's hooks:
 *  for TypeScript it registers its own. */
const SOURCE = `
const owned = (value, buffers) => {
  if (ArrayBuffer.isView(value)) {
    if (typeof SharedArrayBuffer !== 'undefined' && value.buffer instanceof SharedArrayBuffer) return value;
    const whole = value.byteLength === value.buffer.byteLength ? value : value.slice();
    buffers.add(whole.buffer);
    return whole;
  }
  if (Array.isArray(value)) return value.map((v) => owned(v, buffers));
  if (value && Object.getPrototypeOf(value) === Object.prototype)
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, owned(v, buffers)]));
  return value;
};
const plain = (e) => ({
  name: e?.name ?? 'Error', message: String(e?.message ?? e), code: e?.code, stack: e?.stack,
  fields: Object.fromEntries(['syscall', 'path', 'found', 'expected', 'hint'].flatMap((k) => (typeof e?.[k] === 'string' ? [[k, e[k]]] : []))),
});
const load = async ({ module, tsx }) => {
  if (tsx && /\\.[cm]?ts($|\\?)/.test(module)) (await import(tsx)).register();
  return import(module);
};
const start = (first, post, listen) => {
  const opened = load(first).then((m) => m.open(first.options));
  opened.catch(() => {});
  listen(async (key) => {
    let from = performance.now();
    try {
      const source = await opened;
      from = performance.now();
      const buffers = new Set();
      const sample = owned(await source.sample(key), buffers);
      post({ sample, ms: performance.now() - from }, [...buffers]);
    } catch (e) { post({ failed: plain(e), ms: performance.now() - from }, []); }
  });
};`;
const NODE_SOURCE = `${SOURCE}
const { parentPort, workerData } = require('node:worker_threads');
start(workerData, (m, t) => parentPort.postMessage(m, t), (f) => parentPort.on('message', f));`;
const WEB_SOURCE = `${SOURCE}
let take = (first) => start(first, (m, t) => postMessage(m, t), (f) => { take = f; });
onmessage = (m) => take(m.data);`;

interface Answer {
  readonly sample?: unknown;
  readonly failed?: {
    readonly name: string;
    readonly message: string;
    readonly code?: string;
    readonly stack?: string;
    /** Further texts of errors of files and of the runtime. */
    readonly fields: Readonly<Record<string, string>>;
  };
  readonly ms: number;
}

interface Port {
  post(message: unknown): void;
  hold(alive: boolean): void;
  terminate(): Promise<unknown>;
}

class WorkerThread implements SampleThread {
  readonly #port: Promise<Port>;
  #waiting: { resolve: (made: Made) => void; reject: (err: unknown) => void } | null = null;
  #lost: DataError | null = null;
  #held = false;

  constructor(source: SourceModule) {
    const first = { module: String(source.module), options: source.options, tsx: tsxUrl() };
    const take = ({ failed, sample, ms }: Answer): void => {
      const waiting = this.#waiting;
      this.#waiting = null;
      waiting?.resolve(failed ? { error: revived(failed), ms } : { sample, ms });
    };
    const lose = (why: string): void => {
      this.#lost ??= new DataError('loader-thread', 'A thread of the loader was lost.', {
        found: why,
        expected: 'a thread that answers',
        fix: 'use fewer workers or a smaller cache where memory ran out; workers: 0 makes samples in this thread',
      });
      this.#waiting?.reject(this.#lost);
      this.#waiting = null;
    };
    this.#port = isNode ? nodePort(first, take, lose) : webPort(first, take, lose);
    this.#port.catch((err) => lose(String(err)));
  }

  async make(key: SampleKey): Promise<Made> {
    const port = await this.#port;
    if (this.#lost) throw this.#lost;
    port.hold(this.#held);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      port.post(key);
    });
  }

  hold(alive: boolean): void {
    this.#held = alive;
    this.#port.then((p) => p.hold(this.#held)).catch(() => {});
  }

  async close(): Promise<void> {
    const port = await this.#port.catch(() => null);
    await port?.terminate();
  }
}

async function nodePort(first: object, take: (a: Answer) => void, lose: (why: string) => void): Promise<Port> {
  const { Worker: NodeWorker } = await import('node:worker_threads');
  const worker = new NodeWorker(NODE_SOURCE, { eval: true, workerData: first, name: 't3dc loader' });
  worker.unref();
  worker.on('message', take);
  worker.on('messageerror', (e) => lose(String(e)));
  worker.on('error', (e) => lose(e instanceof Error ? e.message : String(e)));
  worker.on('exit', (code) => lose(`it ended with code ${code}`));
  return {
    post: (m) => worker.postMessage(m),
    hold: (alive) => (alive ? worker.ref() : worker.unref()),
    terminate: () => worker.terminate(),
  };
}

async function webPort(first: object, take: (a: Answer) => void, lose: (why: string) => void): Promise<Port> {
  const url = URL.createObjectURL(new Blob([WEB_SOURCE], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 't3dc loader' });
  worker.onmessage = (e: MessageEvent<Answer>) => take(e.data);
  worker.onmessageerror = () => lose('a sample that cannot be cloned');
  worker.onerror = (e) => lose(e.message || 'the worker could not be loaded');
  worker.postMessage(first);
  return {
    post: (m) => worker.postMessage(m),
    hold: () => {},
    terminate: async () => {
      worker.terminate();
      URL.revokeObjectURL(url);
    },
  };
}

/** tsx beside this module, while it is TypeScript itself. */
function tsxUrl(): string | undefined {
  if (!isNode || !import.meta.url.endsWith('.ts')) return undefined;
  try {
    return import.meta.resolve('tsx/esm/api');
  } catch {
    return undefined;
  }
}

/** Errors lose their class between threads. */
function revived({ name, message, code, stack, fields }: NonNullable<Answer['failed']>): Error {
  const err = Object.assign(new Error(message), fields, code === undefined ? {} : { code });
  if (name === 'DataError') Object.setPrototypeOf(err, DataError.prototype);
  err.name = name;
  err.stack = stack;
  return err;
}
