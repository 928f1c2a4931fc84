// Threads of the wasm target: an instance of program.wasm each, over one shared memory. Thread 0 takes runs by message, so
// that the caller's thread stays free; the others sleep in the scheduler and follow thread 0.
import { isNode } from './environment.ts';
import { messageOf, T3dcError } from './errors.ts';

/** What a thread does (wasm-thread.ts); plain source, since it starts from a string on Node and from a Blob in a browser. */
const SOURCE = `
const start = async ({ module, memory, s, t, generation }, post, listen) => {
  const env = { memory, now: () => performance.now(), abort() { throw new Error('program.wasm aborted'); } };
  const program = (await WebAssembly.instantiate(module, { env })).exports;
  if (t === 0) {
    listen((run) => {
      try { program.run(s, run.entry, run.mode, run.microstep); post({ done: true }); }
      catch (e) { post({ error: String((e && e.stack) || e) }); }
    });
    post({ ready: true });
  } else {
    post({ ready: true });
    try { program.worker(s, t, generation); }
    catch (e) { post({ error: String((e && e.stack) || e) }); }
  }
};`;
const NODE_SOURCE = `${SOURCE}
const { parentPort, workerData } = require('node:worker_threads');
start(workerData, (m) => parentPort.postMessage(m), (f) => parentPort.on('message', f))
  .catch((e) => parentPort.postMessage({ error: String(e) }));`;
const WEB_SOURCE = `${SOURCE}
let take = (first) => start(first, postMessage, (f) => { take = f; }).catch((e) => postMessage({ error: String(e) }));
onmessage = (m) => take(m.data);`;

interface Message {
  readonly ready?: true;
  readonly done?: true;
  readonly error?: string;
}

interface Thread {
  post(message: unknown): void;
  listen(on: (message: Message) => void, failed: (error: unknown) => void): void;
  /** On Node: whether this thread keeps the process alive. */
  hold(alive: boolean): void;
  terminate(): Promise<void>;
}

/** Whether threads and shared memory between them are allowed here. */
export const threadsAllowed = (): boolean =>
  isNode ||
  (typeof Worker !== 'undefined' && (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true);

export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly s: number;
  readonly generation: number;
}

export class ThreadPool {
  readonly #threads: Thread[];
  #settle: { resolve: () => void; reject: (e: unknown) => void } | null = null;
  #failure: T3dcError | null = null;

  private constructor(threads: Thread[]) {
    this.#threads = threads;
  }

  /** Starts `count` threads and waits until all are instantiated. Throws T3dcError 'device-error'. */
  static async start(count: number, from: ThreadStart, worker?: () => Worker): Promise<ThreadPool> {
    const threads: Thread[] = [];
    const pool = new ThreadPool(threads);
    try {
      const ready: Promise<void>[] = [];
      for (let t = 0; t < count; t++) {
        const thread = await spawn({ ...from, t }, worker);
        threads.push(thread);
        ready.push(
          new Promise((resolve, reject) => {
            const failed = (e: unknown): void => {
              reject(e);
              pool.#fail(e);
            };
            thread.listen((m) => {
              if (m.ready) resolve();
              else if (m.error !== undefined) failed(m.error);
              else pool.#done();
            }, failed);
          }),
        );
      }
      await Promise.all(ready);
    } catch (e) {
      await pool.terminate();
      throw new T3dcError('device-error', `wasm threads did not start: ${messageOf(e)}`, {
        hint: worker
          ? 'Open with { threads: 1 }, or see that the worker of a thread can be loaded.'
          : "Open with { threads: 1 }, give { threadWorker }, or allow workers from blob: URLs in the page's security policy.",
        cause: e,
      });
    }
    for (const t of threads) t.hold(false);
    return pool;
  }

  run(entry: number, mode: number, microstep: number): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#threads[0]!.hold(true);
      this.#threads[0]!.post({ entry, mode, microstep });
    });
  }

  async terminate(): Promise<void> {
    this.#failure ??= new T3dcError('closed', 'the session was closed');
    this.#settle?.reject(this.#failure);
    this.#settle = null;
    await Promise.all(this.#threads.map((t) => t.terminate()));
  }

  #done(): void {
    this.#threads[0]!.hold(false);
    const settle = this.#settle;
    this.#settle = null;
    settle?.resolve();
  }

  /** A thread that died leaves the others waiting at the barrier: the pool is finished. */
  #fail(e: unknown): void {
    this.#failure ??= new T3dcError('device-error', `a wasm thread failed: ${messageOf(e)}`, {
      hint: 'Close this session and open a new one.',
      cause: e,
    });
    this.#threads[0]?.hold(false);
    const settle = this.#settle;
    this.#settle = null;
    settle?.reject(this.#failure);
  }
}

async function spawn(start: ThreadStart & { readonly t: number }, make?: () => Worker): Promise<Thread> {
  if (isNode) {
    const { Worker: NodeWorker } = await import('node:worker_threads');
    const worker = new NodeWorker(NODE_SOURCE, { eval: true, workerData: start, name: `t3dc thread ${start.t}` });
    return {
      post: (m) => worker.postMessage(m),
      listen: (on, failed) => {
        worker.on('message', on);
        worker.on('error', failed);
      },
      hold: (alive) => (alive ? worker.ref() : worker.unref()),
      terminate: async () => void (await worker.terminate()),
    };
  }
  const url = make ? null : URL.createObjectURL(new Blob([WEB_SOURCE], { type: 'text/javascript' }));
  const worker = url === null ? make!() : new Worker(url, { name: `t3dc thread ${start.t}` });
  worker.postMessage(start);
  return {
    post: (m) => worker.postMessage(m),
    listen: (on, failed) => {
      worker.onmessage = (e: MessageEvent<Message>) => {
        if (url !== null) URL.revokeObjectURL(url);
        on(e.data);
      };
      worker.onerror = (e) => failed(e.message || 'the worker could not be loaded');
    },
    hold: () => {},
    terminate: async () => worker.terminate(),
  };
}
