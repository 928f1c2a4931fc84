// The training loader: samples made ahead of the device, on threads of their own, handed out in order. Sample n is a function of
// (seed, epoch, index) alone: any number of threads, any timing and a run that was resumed give the same bytes.
import { epochOrder } from './epoch-order.ts';
import { DataError } from './errors.ts';
import { type Made, type SampleKey, type SampleThread, type SourceModule, startThread } from './loader-threads.ts';

export { epochOrder } from './epoch-order.ts';
export type { SampleKey, SampleSource, SourceModule } from './loader-threads.ts';

export interface LoaderPosition {
  readonly epoch: number;
  readonly index: number;
}

export interface LoaderOptions {
  /** Items of the list; an epoch takes each once. */
  readonly items: number;
  /** Default 0. */
  readonly seed?: number;
  /** An order of its own for each epoch. Default true; false keeps the list's. */
  readonly shuffle?: boolean;
  /** Threads. 0 makes samples in this thread, between other work. Default 2. */
  readonly workers?: number;
  /** Samples that may be in the making or ready: what memory must hold. Default twice the workers, at least 2. */
  readonly prefetch?: number;
  /** `item`: an item is always made by the same thread, so that caches of volumes do not repeat each other. Default `any`. */
  readonly affinity?: 'any' | 'item';
  /** Where to begin; `next` of the last sample of an earlier run goes on from there. Default the first of epoch 0. */
  readonly start?: LoaderPosition;
  /** Epoch at which it ends. Default: never. */
  readonly epochs?: number;
  /** How many samples from the start on, those of errors included, before it ends. Default: no end. */
  readonly samples?: number;
  /** What an item's error does. `skip` counts it, tells `onError` and goes on. Default `throw`, at the sample's turn. */
  readonly errors?: 'throw' | 'skip';
  readonly onError?: (error: Error, key: SampleKey) => void;
  readonly signal?: AbortSignal;
}

export interface Loaded<T> extends LoaderPosition {
  readonly item: number;
  readonly sample: T;
  /** How long the caller waited for it; 0 where it was ready. */
  readonly waitMs: number;
  /** Where to go on after it. */
  readonly next: LoaderPosition;
}

export interface LoaderStats {
  readonly delivered: number;
  readonly failed: number;
  /** What the device waited for data, in all. */
  readonly waitMs: number;
  /** Samples that were not ready when asked for. */
  readonly waits: number;
  readonly longestWaitMs: number;
  /** Time in the sources, over all threads. */
  readonly sampleMs: number;
}

interface Slot {
  readonly key: SampleKey;
  sent: boolean;
  made: Made | null;
}

/** Iterate once. Breaking off, an error and the signal's abort end the threads; `close` does too. */
export class Loader<T> implements AsyncIterableIterator<Loaded<T>> {
  readonly #options: LoaderOptions;
  readonly #workers: number;
  readonly #prefetch: number;
  readonly #source: SourceModule;
  readonly #slots = new Map<number, Slot>();
  readonly #orders = new Map<number, Uint32Array>();
  readonly #total: number;
  #threads: { readonly thread: SampleThread; busy: boolean }[] | null = null;
  /** Next to hand out, counted from the start. */
  #at = 0;
  #failuresInARow = 0;
  readonly #sleepers = new Set<() => void>();
  #lost: unknown = null;
  #ended = false;
  readonly #stats = { delivered: 0, failed: 0, waitMs: 0, waits: 0, longestWaitMs: 0, sampleMs: 0 };

  /** @throws `loader-options` */
  constructor(source: SourceModule, options: LoaderOptions) {
    const {
      items,
      workers = 2,
      prefetch = Math.max(2, 2 * workers),
      epochs,
      samples,
      start = { epoch: 0, index: 0 },
    } = options;
    const whole = (n: number, least: number): boolean => Number.isSafeInteger(n) && n >= least;
    if (
      !whole(items, 1) ||
      !whole(workers, 0) ||
      !whole(prefetch, 1) ||
      !whole(start.epoch, 0) ||
      !whole(start.index, 0) ||
      start.index > items
    )
      throw new DataError('loader-options', 'The loader cannot work so.', {
        found: `${items} items, ${workers} workers, prefetch ${prefetch}, start at epoch ${start.epoch}, index ${start.index}`,
        expected: 'at least one item, 0 or more workers, prefetch 1 or more, a start within an epoch',
        fix: 'change the options',
      });
    this.#source = source;
    this.#options = options;
    this.#workers = workers;
    this.#prefetch = prefetch;
    const left = epochs === undefined ? Number.POSITIVE_INFINITY : (epochs - start.epoch) * items - start.index;
    this.#total = Math.max(0, Math.min(left, samples ?? Number.POSITIVE_INFINITY));
  }

  get stats(): LoaderStats {
    return { ...this.#stats };
  }

  /** Starts reading before the first sample is asked for. */
  start(): void {
    if (this.#threads || this.#ended) return;
    const own = this.#workers === 0;
    this.#threads = Array.from({ length: own ? 1 : this.#workers }, () => ({
      thread: startThread(this.#source, !own),
      busy: false,
    }));
    this.#options.signal?.addEventListener('abort', this.#aborted, { once: true });
    this.#send();
  }

  /** @throws the error of the item whose turn it is (`errors: 'throw'`), `loader-thread`, `loader-nothing`, the signal's reason */
  async next(): Promise<IteratorResult<Loaded<T>, undefined>> {
    const asked = performance.now();
    let waited = false;
    try {
      for (;;) {
        this.#options.signal?.throwIfAborted();
        if (this.#ended) return { value: undefined, done: true };
        if (this.#lost) throw this.#lost;
        if (this.#at >= this.#total) {
          await this.close();
          return { value: undefined, done: true };
        }
        this.start();
        this.#send();
        const slot = this.#slots.get(this.#at)!;
        if (!slot.made) {
          waited = true;
          await this.#news();
          continue;
        }
        this.#slots.delete(this.#at++);
        this.#send();
        this.#stats.sampleMs += slot.made.ms;
        if (slot.made.error) {
          this.#fail(slot.made.error, slot.key);
          continue;
        }
        this.#failuresInARow = 0;
        const waitMs = waited ? performance.now() - asked : 0;
        this.#stats.delivered++;
        this.#stats.waitMs += waitMs;
        this.#stats.longestWaitMs = Math.max(this.#stats.longestWaitMs, waitMs);
        if (waited) this.#stats.waits++;
        const { epoch, index, item } = slot.key;
        return {
          value: { epoch, index, item, sample: slot.made.sample as T, waitMs, next: this.#position(this.#at) },
          done: false,
        };
      }
    } catch (err) {
      await this.close();
      throw err;
    }
  }

  async return(): Promise<IteratorResult<Loaded<T>, undefined>> {
    await this.close();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the threads; what is not handed out yet is lost. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#options.signal?.removeEventListener('abort', this.#aborted);
    const threads = this.#threads ?? [];
    this.#threads = [];
    this.#slots.clear();
    this.#wake();
    await Promise.all(threads.map((t) => t.thread.close()));
  }

  readonly #aborted = (): void => {
    this.#wake();
  };

  #fail(error: Error, key: SampleKey): void {
    const { errors = 'throw', items } = this.#options;
    error.message = `item ${key.item} (epoch ${key.epoch}, index ${key.index}): ${error.message}`;
    if (errors === 'throw') throw error;
    this.#stats.failed++;
    this.#options.onError?.(error, key);
    if (++this.#failuresInARow < items) return;
    throw new DataError('loader-nothing', 'No sample of a whole epoch could be made.', {
      found: `${items} errors in a row, the last: ${error.message}`,
      expected: 'at least one sample an epoch',
      fix: 'see the errors that onError was told',
    });
  }

  /** Something was made, lost or ended. Meanwhile the threads keep the process alive. */
  async #news(): Promise<void> {
    const threads = this.#threads ?? [];
    for (const t of threads) t.thread.hold(true);
    await new Promise<void>((resolve) => {
      this.#sleepers.add(resolve);
    });
    for (const t of threads) t.thread.hold(false);
  }

  #wake(): void {
    for (const resolve of this.#sleepers) resolve();
    this.#sleepers.clear();
  }

  /** Opens the slots of the window and gives idle threads the first that they may make. */
  #send(): void {
    const end = Math.min(this.#at + this.#prefetch, this.#total);
    for (let n = this.#at; n < end; n++)
      if (!this.#slots.has(n)) this.#slots.set(n, { key: this.#key(n), sent: false, made: null });
    const threads = this.#threads ?? [];
    for (let n = this.#at; n < end && threads.some((t) => !t.busy); n++) {
      const slot = this.#slots.get(n)!;
      if (slot.sent) continue;
      const own =
        this.#options.affinity === 'item' ? threads[slot.key.item % threads.length]! : threads.find((t) => !t.busy)!;
      if (own.busy) continue;
      slot.sent = true;
      own.busy = true;
      own.thread.make(slot.key).then(
        (made) => {
          slot.made = made;
          own.busy = false;
          if (!this.#ended) this.#send();
          this.#wake();
        },
        (lost) => {
          this.#lost ??= lost;
          this.#wake();
        },
      );
    }
  }

  #position(n: number): LoaderPosition {
    const { items, start = { epoch: 0, index: 0 } } = this.#options;
    const from = start.index + n;
    return { epoch: start.epoch + Math.floor(from / items), index: from % items };
  }

  #key(n: number): SampleKey {
    const { items, seed = 0, shuffle = true } = this.#options;
    const { epoch, index } = this.#position(n);
    if (!shuffle) return { seed, epoch, index, item: index };
    let order = this.#orders.get(epoch);
    if (!order) {
      order = epochOrder(items, seed, epoch);
      this.#orders.set(epoch, order);
      for (const old of this.#orders.keys()) if (old < epoch - 1) this.#orders.delete(old);
    }
    return { seed, epoch, index, item: order[index]! };
  }
}
