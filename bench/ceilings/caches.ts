// How much memory a thread reaches how fast: the time of one load that waits for the one before, and the rate of reading in
// order, over growing working sets. Where the time of a load steps up, a cache ends. The block sizes of the wasm kernels
// (kernels/wasm/contractPlan.ts) rest on these figures.
import type { Ceiling } from '../schema.ts';

/** `chase` follows addresses that lie in memory; `read` adds up what it reads, so that nothing is left out. */
export const CACHE_SOURCE = `
export function chase(at: usize, n: i32): usize {
  for (let i = 0; i < n; i += 4) at = load<usize>(load<usize>(load<usize>(load<usize>(at))));
  return at;
}
export function read(from: usize, bytes: usize, rounds: i32): f32 {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  for (let r = 0; r < rounds; r++) {
    let p = from;
    for (const end = from + bytes; p < end; p += 64) {
      a = f32x4.add(a, v128.load(p)); b = f32x4.add(b, v128.load(p, 16));
      c = f32x4.add(c, v128.load(p, 32)); d = f32x4.add(d, v128.load(p, 48));
    }
  }
  return f32x4.extract_lane(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), 0);
}`;

const LINE = 64;
const LEAST = 4 << 10;
const MOST = 64 << 20;
/** Loads of a chase; bytes of a read. */
const LOADS = 1 << 17;
const BYTES = 1 << 26;

export interface WorkingSet {
  readonly bytes: number;
  /** Of one load that waits for the one before, in ns. */
  readonly latency: number;
  /** Reading in order, GB/s. */
  readonly rate: number;
}

/** Powers of two and one and a half times them. */
export const SIZES: readonly number[] = Array.from({ length: 29 }, (_, i) =>
  i % 2 ? (3 * LEAST * 2 ** ((i - 1) / 2)) / 2 : LEAST * 2 ** (i / 2),
).filter((n) => n <= MOST);

/** Links the lines of `bytes` at `base` into one cycle, in an order that no prefetcher follows (Sattolo's algorithm). */
export function link(memory: Uint32Array, base: number, bytes: number): void {
  const n = bytes / LINE;
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let state = 1;
  for (let i = n - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((state / 2 ** 32) * i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  for (let i = 0; i < n; i++) memory[(base + order[i]! * LINE) / 4] = base + order[(i + 1) % n]! * LINE;
}

export interface Probe {
  readonly memory: WebAssembly.Memory;
  readonly base: number;
  /** Milliseconds of a function on one thread, the least of several calls. */
  run(name: 'chase' | 'read', args: readonly number[]): Promise<number>;
}

export async function workingSets({ memory, base, run }: Probe): Promise<WorkingSet[]> {
  const sets: WorkingSet[] = [];
  for (const bytes of SIZES) {
    link(new Uint32Array(memory.buffer), base, bytes);
    const chase = await run('chase', [base, LOADS]);
    const rounds = Math.ceil(BYTES / bytes);
    const read = await run('read', [base, bytes, rounds]);
    sets.push({ bytes, latency: (1e6 * chase) / LOADS, rate: (bytes * rounds) / read / 1e6 });
  }
  return sets;
}

export interface Level {
  /** The largest working set that it held; for memory the largest that was tried. */
  readonly bytes: number;
  readonly latency: number;
  readonly rate: number;
}

/** What a level's load may take more than its fastest before another level answers, and what a next size may still add before
 *  the next level's latency has settled. */
const STEP = 1.6;
const SETTLED = 1.25;

/** The levels, fastest first; the last is what answers the largest working set. */
export function levels(sets: readonly WorkingSet[]): Level[] {
  const out: Level[] = [];
  for (let i = 0; i < sets.length; ) {
    const first = sets[i]!;
    let end = i + 1;
    while (end < sets.length && sets[end]!.latency < STEP * first.latency) end++;
    const held = sets.slice(i, end);
    const { latency, rate } = held[held.length >> 1]!;
    const bytes = held.at(-1)!.bytes;
    const before = out.at(-1);
    // A rise in small steps is one level.
    if (before && latency < STEP * before.latency) out[out.length - 1] = { ...before, bytes };
    else out.push({ bytes, latency, rate });
    // What lies between two levels is answered by both.
    i = end;
    while (i + 1 < sets.length && sets[i + 1]!.latency > SETTLED * sets[i]!.latency) i++;
  }
  return out;
}

/** `L1`, `L2`, …, and `memory` for what the largest working set met. */
export function cacheCeilings(sets: readonly WorkingSet[]): Ceiling[] {
  const found = levels(sets);
  return found.map((l, i) => ({
    name: i < found.length - 1 ? `L${i + 1}` : 'memory',
    unit: 'KiB',
    value: l.bytes / 1024,
    how: `largest working set${i < found.length - 1 ? ' held' : ' tried'}; a load takes ${l.latency.toFixed(1)} ns, reading ${l.rate.toFixed(0)} GB/s, 1 thread`,
  }));
}
