// The page's end of a worker: calls and their answers, arrays on their way, and what the worker asks of the page meanwhile.

import { T3dcError } from '../runtime/errors.ts';
import type { Progress } from '../runtime/index.ts';
import { hand } from './arrays.ts';
import {
  CALLBACKS,
  type CallbackName,
  type FromWorker,
  type Method,
  type SessionState,
  type ToWorker,
} from './messages.ts';
import { received, sendable } from './sent-errors.ts';

/** What is needed of a Worker. */
export interface WorkerLike {
  postMessage(message: unknown, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  onmessageerror?: ((event: MessageEvent) => void) | null;
  terminate(): void;
}

export interface SessionListeners {
  readonly onProgress: ((progress: Progress) => void) | undefined;
  readonly onNotice: (message: string) => void;
}

export interface RemoteCall {
  readonly signal?: AbortSignal;
  readonly transfer?: boolean;
  /** An aborted signal rejects with its reason, as data's functions do, and not with 'aborted'. */
  readonly reason?: boolean;
  readonly on?: Readonly<Partial<Record<CallbackName, ((...args: never[]) => void) | undefined>>>;
  /** The next batch (null: no more), or the case of this number. */
  readonly pull?: (item: number) => Promise<unknown>;
}

interface Waiting extends RemoteCall {
  readonly session: number;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class Connection {
  readonly #worker: WorkerLike;
  readonly #sessions = new Map<number, SessionListeners>();
  readonly #states = new Map<number, SessionState>();
  readonly #waiting = new Map<number, Waiting>();
  /** Calls whose generators live in the worker. */
  readonly #generators = new Map<number, RemoteCall>();
  #next = 0;
  /** Calls are sent one after the other, also where one's arrays take several turns. */
  #sending: Promise<unknown> = Promise.resolve();
  #failure: T3dcError | null = null;

  constructor(worker: WorkerLike) {
    this.#worker = worker;
    worker.onmessage = (event) => this.#take(event.data as FromWorker);
    worker.onerror = (event) => {
      event.preventDefault?.();
      this.#fail(event.message || 'its script could not be loaded');
    };
    worker.onmessageerror = () => this.#fail('a message could not be read');
  }

  /** A number for a session to be. */
  join(listeners: SessionListeners): number {
    this.#sessions.set(this.#next, listeners);
    return this.#next++;
  }

  /** Closes a session; with the last one the worker ends. */
  async leave(session: number): Promise<void> {
    if (!this.#sessions.delete(session)) return;
    const closed = new T3dcError('closed', 'the session was closed');
    const last = this.#sessions.size === 0;
    if (last) this.#end(closed);
    else {
      for (const [call, w] of this.#waiting)
        if (w.session === session) {
          this.#waiting.delete(call);
          w.reject(closed);
        }
      await this.call(session, 'close', []).catch(() => {}); // it may never have been opened
    }
    this.#states.delete(session);
  }

  state(session: number): SessionState {
    return this.#states.get(session)!;
  }

  /** Resolves with what the method gives in the worker. An aborted signal rejects at once; the work there ends within a window. */
  call(session: number, method: Method, args: readonly unknown[], options: RemoteCall = {}): Promise<unknown> {
    return this.#start(this.#next++, session, method, args, options);
  }

  /** A generator of the worker's; `next` gives null at its end. */
  generator(session: number, method: Method, args: readonly unknown[], options: RemoteCall = {}) {
    const id = this.#next++;
    const { signal } = options;
    const abort = () => this.#post({ type: 'abort', call: id });
    this.#generators.set(id, options);
    signal?.addEventListener('abort', abort);
    const started = this.#start(id, session, method, args, { on: options.on });
    started.catch(() => {}); // the first `next` tells
    return {
      next: async () => {
        await started;
        return this.call(session, 'next', [id], { signal });
      },
      end: async () => {
        signal?.removeEventListener('abort', abort);
        await this.call(session, 'return', [id]).catch(() => {}); // a closed worker has no generator any more
        this.#generators.delete(id);
      },
    };
  }

  #start(id: number, session: number, method: Method, args: readonly unknown[], o: RemoteCall): Promise<unknown> {
    const { signal } = o;
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      const aborted = (): void => {
        this.#waiting.delete(id);
        this.#post({ type: 'abort', call: id });
        settle();
        reject(abortError(signal!, o.reason));
      };
      const settle = (): void => signal?.removeEventListener('abort', aborted);
      if (signal?.aborted) {
        reject(abortError(signal, o.reason));
        return;
      }
      signal?.addEventListener('abort', aborted);
      this.#waiting.set(id, {
        ...o,
        session,
        resolve(value) {
          settle();
          resolve(value);
        },
        reject(error) {
          settle();
          reject(error);
        },
      });
      const send = async (): Promise<void> => {
        const wanted = () => this.#waiting.has(id);
        const handed = await hand(args, o.transfer ?? false, (m, transfer) => this.#post(m, transfer), wanted);
        if (!handed || !wanted()) return;
        const listens = CALLBACKS.filter((name) => o.on?.[name]);
        const sent = handed.value as unknown[];
        this.#post({ type: 'call', call: id, session, method, args: sent, listens }, handed.transfer);
      };
      this.#sending = this.#sending.then(send).catch((e) => {
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        waiting?.reject(e);
      });
    });
  }

  #take(message: FromWorker): void {
    const { type } = message;
    if (type === 'result' || type === 'error') {
      const waiting = this.#waiting.get(message.call);
      if (!waiting) return;
      this.#waiting.delete(message.call);
      if (type === 'error') waiting.reject(received(message.error));
      else {
        if (message.state) this.#states.set(waiting.session, message.state);
        waiting.resolve(message.value);
      }
    } else if (type === 'progress') this.#sessions.get(message.session)?.onProgress?.(message.progress);
    else if (type === 'notice') this.#sessions.get(message.session)?.onNotice(message.message);
    else if (type === 'event') {
      const on = (this.#waiting.get(message.call) ?? this.#generators.get(message.call))?.on?.[message.name];
      (on as ((...args: readonly unknown[]) => void) | undefined)?.(...message.args);
    } else void this.#pulled(message.call, message.pull, message.item);
  }

  /** Batches and cases are copied, like all that a page gives. */
  async #pulled(call: number, pull: number, item: number): Promise<void> {
    try {
      const from = this.#waiting.get(call) ?? this.#generators.get(call);
      const value = (await from?.pull?.(item)) ?? null;
      const handed = await hand(
        value,
        false,
        (m, transfer) => this.#post(m, transfer),
        () => true,
      );
      if (handed) this.#post({ type: 'pulled', pull, value: handed.value }, handed.transfer);
    } catch (e) {
      this.#post({ type: 'pulled', pull, error: sendable(e) });
    }
  }

  #post(message: ToWorker, transfer: Transferable[] = []): void {
    if (!this.#failure) this.#worker.postMessage(message, transfer);
  }

  #fail(why: string): void {
    this.#end(
      new T3dcError('device-error', `the worker failed: ${why}`, {
        hint: 'Serve worker.js of the package from this origin and allow it (script-src or worker-src), or give { worker }.',
      }),
    );
  }

  #end(error: T3dcError): void {
    if (!this.#failure) this.#worker.terminate();
    this.#failure ??= error;
    for (const w of this.#waiting.values()) w.reject(error);
    this.#waiting.clear();
    this.#generators.clear();
  }
}

const abortError = (signal: AbortSignal, reason: boolean | undefined): unknown =>
  reason ? signal.reason : new T3dcError('aborted', 'the call was aborted', { cause: signal.reason });
