// The page's side of its worker for files.

import { received } from '../sent-errors.ts';
import type { Reply, Request, Tasks } from './files.ts';

export class FilesClient {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #next = 0;

  /** @throws DataError of reading; 'aborted' by the signal's reason: the worker ends at once, and the next call has another */
  async run<K extends keyof Tasks>(
    task: K,
    take: Tasks[K]['take'],
    options: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void } = {},
  ): Promise<Tasks[K]['give']> {
    const { signal, onProgress } = options;
    signal?.throwIfAborted();
    const id = this.#next++;
    const aborted = (): void => this.#end(signal!.reason);
    signal?.addEventListener('abort', aborted);
    try {
      return (await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject, onProgress });
        this.#open().postMessage({ id, task, take } as Request);
      })) as Tasks[K]['give'];
    } finally {
      this.#waiting.delete(id);
      signal?.removeEventListener('abort', aborted);
    }
  }

  #open(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./files-worker.js', import.meta.url), { type: 'module', name: 'files' });
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const waiting = this.#waiting.get(data.id);
      if ('give' in data) waiting?.resolve(data.give);
      else if ('error' in data) waiting?.reject(received(data.error));
      else waiting?.onProgress?.(data.done, data.total);
    };
    // Out of memory, most likely: the browser ends the worker and tells no more.
    worker.onerror = (e) => this.#end(new Error(e.message || 'The browser stopped reading: memory may have run out.'));
    this.#worker = worker;
    return worker;
  }

  #end(reason: unknown): void {
    this.#worker?.terminate();
    this.#worker = null;
    for (const w of this.#waiting.values()) w.reject(reason);
    this.#waiting.clear();
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
}
