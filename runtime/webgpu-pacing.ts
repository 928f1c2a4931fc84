// Work in flight without flooding the queue, and waiting without burning a core. Dawn on Node polls through setImmediate
// for as long as a promise is pending, which on a software adapter takes the core that should do the work: so most of the
// expected time is slept before any promise is asked for. https://github.com/dawn-gpu/node-webgpu
import { isNode, sleep } from './environment.ts';

/** Submits on the way to the GPU at once. */
const IN_FLIGHT = 2;
/** Part of the expected time that is slept. */
const NAP = 0.75;
const SHORTEST_NAP = 3;

/** Submits that nothing has waited for yet. */
export interface Pending {
  readonly key: string;
  readonly since: number;
  submits: number;
  flops: number;
}

export class Pacing {
  readonly #queue: GPUQueue;
  /** Milliseconds per submit, by kind of run; Infinity until the first run, in which drivers compile, is over. */
  readonly #expected = new Map<string, number>();
  #pending: Pending | null = null;
  #rate: number | null = null;
  #waiting: Promise<unknown>[] = [];

  constructor(queue: GPUQueue) {
    this.#queue = queue;
  }

  submitted(key: string, flops: number): void {
    this.#pending ??= { key, since: performance.now(), submits: 0, flops: 0 };
    this.#pending.submits++;
    this.#pending.flops += flops;
  }

  /** FLOP per millisecond that the device was seen to do; null until something was measured. */
  get rate(): number | null {
    return this.#rate;
  }

  /** Resolves when another submit may follow. */
  async room(): Promise<void> {
    if (isNode) {
      if (this.#pending && this.#pending.submits >= IN_FLIGHT) await this.drain();
      return;
    }
    this.#waiting.push(this.#queue.onSubmittedWorkDone());
    if (this.#waiting.length > IN_FLIGHT) await this.#waiting.shift();
  }

  /** Resolves when all submitted work is done. */
  async drain(): Promise<void> {
    const pending = this.take();
    await this.nap(pending);
    await this.#queue.onSubmittedWorkDone();
    this.measured(pending);
  }

  /** What a wait that begins now will wait for. */
  take(): Pending | null {
    const pending = this.#pending;
    this.#pending = null;
    return pending;
  }

  /** Node: sleeps most of the time that is left. */
  async nap(pending: Pending | null): Promise<void> {
    if (!isNode || !pending) return;
    const expected = this.#expected.get(pending.key);
    if (expected === undefined || expected === Number.POSITIVE_INFINITY) return;
    const ms = NAP * expected * pending.submits - (performance.now() - pending.since);
    if (ms >= SHORTEST_NAP) await sleep(ms);
  }

  /** Learns from a wait that has ended. The nap being shorter than the estimate lets the estimate fall as well as rise. */
  measured(pending: Pending | null): void {
    if (!pending) return;
    const all = performance.now() - pending.since;
    // Of runs that took long enough to tell; compiling makes the first look slower than it is, so the fastest counts.
    if (all > 5 && pending.flops > 0) this.#rate = Math.max(this.#rate ?? 0, pending.flops / all);
    const ms = all / pending.submits;
    const before = this.#expected.get(pending.key);
    this.#expected.set(
      pending.key,
      before === undefined ? Number.POSITIVE_INFINITY : Math.min(ms, 0.5 * (before + ms)),
    );
  }
}

/** Work per millisecond before anything was measured: 100 GFLOP/s. */
const FIRST_WORK = 1e8;

/** Work in slices of a few milliseconds with a pause after each, so that the page's own frames, and others' work on the same
 *  device, come in between. One slice is in flight at a time. */
export class Slices {
  readonly #queue: GPUQueue;
  readonly #budget: number;
  #perMs = FIRST_WORK;
  #since = 0;

  constructor(queue: GPUQueue, budgetMs: number) {
    this.#queue = queue;
    this.#budget = budgetMs;
  }

  /** A run begins. */
  begin(): void {
    this.#since = performance.now();
  }

  /** Whether the slice has no room for a dispatch of this work; or has taken half of the budget to be encoded alone. */
  full(work: number, more: number): boolean {
    if (work === 0) return false;
    return work + more > this.#budget * this.#perMs || performance.now() - this.#since > this.#budget / 2;
  }

  /** Waits for the slice that was submitted, and learns how fast it was. */
  async pause(work: number): Promise<void> {
    const submitted = performance.now();
    await this.#queue.onSubmittedWorkDone();
    const ms = performance.now() - submitted;
    // Waiting takes time of its own, so that fast devices look slower: growth is bounded by doubling, a fall is not.
    if (work > 0) this.#perMs = Math.min(2 * this.#perMs, Math.max(FIRST_WORK / 1000, work / Math.max(ms, 0.1)));
    this.#since = performance.now();
  }
}
