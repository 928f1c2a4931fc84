// What this machine's WebAssembly reaches: SIMD multiply-adds and copying, on all threads at once, and its caches on one.
//
// As CubeCL's probes: independent chains, primed buffers, warmed up until the time stops falling; of several probes the best.
import { Worker } from 'node:worker_threads';
import { compileAssembly } from '../../kernels/wasm/compile.ts';
import type { Ceiling } from '../schema.ts';
import { CACHE_SOURCE, cacheCeilings, workingSets } from './caches.ts';
import { plateau } from './plateau.ts';

/** Accumulators of the probes, v128 each. A chain of n hides a latency of n instructions; V8 spills past 16 registers. */
const CHAINS = [6, 8, 10, 12];
const COPY_BYTES = 256 * 2 ** 20;
/** One thread's buffers, from here on. */
const BASE = 2 ** 20;

/** Multiply-adds as the kernels do them: relaxed where the engine has it. `fma12(n)`: n rounds over 12 accumulators. */
function source(): string {
  const probe = (n: number): string => {
    const names = Array.from({ length: n }, (_, i) => `c${i}`);
    return `export function fma${n}(n: i32, x: f32): f32 {
  const a = f32x4.splat(x), b = f32x4.splat(<f32>1 - x);
  let ${names.map((c, i) => `${c} = f32x4.splat(<f32>${i})`).join(', ')};
  for (let i = 0; i < n; i++) {
    ${names.map((c) => `${c} = madd(${c}, a, b);`).join(' ')}
  }
  return f32x4.extract_lane(${names.reduce((s, c) => `f32x4.add(${s}, ${c})`)}, 0);
}`;
  };
  return `
@inline function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}
${CHAINS.map(probe).join('\n')}
export function copy(to: usize, from: usize, bytes: usize): void {
  for (const end = from + bytes; from < end; from += 64, to += 64) {
    const a = v128.load(from), b = v128.load(from, 16), c = v128.load(from, 32), d = v128.load(from, 48);
    v128.store(to, a); v128.store(to, b, 16); v128.store(to, c, 32); v128.store(to, d, 48);
  }
}
${CACHE_SOURCE}`;
}

/** One thread: waits at a barrier before each of the jobs, which all threads do at once. */
const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
const { module, memory, index, sync } = workerData;
const instance = new WebAssembly.Instance(module, { env: { memory, abort() { throw new Error('abort'); } } });
const f = instance.exports;
const flag = new Int32Array(sync);
parentPort.on('message', ({ name, args, arrivals }) => {
  Atomics.add(flag, 0, 1);
  while (Atomics.load(flag, 0) < arrivals);
  const since = performance.now();
  f[name](...args[index]);
  parentPort.postMessage(performance.now() - since);
});
`;

export interface WasmCeilings {
  readonly threads: number;
  readonly relaxed: boolean;
}

export async function wasmCeilings({ threads, relaxed }: WasmCeilings): Promise<Ceiling[]> {
  const sources = new Map([['probe.ts', source()]]);
  const code = await compileAssembly(sources, 'probe.ts', relaxed ? 'relaxed' : 'release');
  const module = await WebAssembly.compile(code as BufferSource);
  const pages = Math.ceil((BASE + threads * 2 * COPY_BYTES) / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
  const sync = new SharedArrayBuffer(4);
  const workers = Array.from(
    { length: threads },
    (_, index) => new Worker(WORKER, { eval: true, execArgv: [], workerData: { module, memory, index, sync } }),
  );
  let arrivals = 0;
  /** A function called on these threads at once, each with its arguments: the slowest one's milliseconds. */
  const call = async (on: readonly Worker[], name: string, args: readonly (readonly number[])[]): Promise<number> => {
    arrivals += on.length;
    const times = await Promise.all(
      on.map(
        (w) =>
          new Promise<number>((resolve, reject) => {
            w.removeAllListeners();
            w.once('message', resolve);
            w.once('error', reject);
            w.postMessage({ name, args, arrivals });
          }),
      ),
    );
    return Math.max(...times);
  };
  const together = (name: string, args: readonly (readonly number[])[]): Promise<number> => call(workers, name, args);
  try {
    let best = { rate: 0, how: '' };
    for (const n of CHAINS) {
      const rounds = 4_000_000;
      const ms = await plateau(() =>
        together(
          `fma${n}`,
          workers.map(() => [rounds, 0.75]),
        ),
      );
      const rate = (threads * rounds * n * 8) / ms / 1e6;
      if (rate > best.rate) best = { rate, how: `${n} chains of ${relaxed ? 'relaxed_madd' : 'mul and add'}` };
    }
    const at = (i: number): number[] => [BASE + i * 2 * COPY_BYTES, BASE + (2 * i + 1) * COPY_BYTES, COPY_BYTES];
    const ms = await plateau(() =>
      together(
        'copy',
        workers.map((_, i) => at(i)),
      ),
    );
    const sets = await workingSets({
      memory,
      base: BASE,
      run: (name, args) => plateau(() => call(workers.slice(0, 1), name, [args])),
    });
    const on = `${threads} thread${threads === 1 ? '' : 's'}`;
    return [
      { name: 'f32 FMA', unit: 'GFLOP/s', value: best.rate, how: `${best.how}, ${on}` },
      {
        name: 'copy',
        unit: 'GB/s',
        value: (threads * 2 * COPY_BYTES) / ms / 1e6,
        how: `load and store of 256 MiB, read and written bytes, ${on}`,
      },
      ...cacheCeilings(sets),
    ];
  } finally {
    await Promise.all(workers.map((w) => w.terminate()));
  }
}

/** Whether this engine takes relaxed SIMD now. */
export function relaxedSimd(): boolean {
  // A function of one f32x4.relaxed_madd.
  const code = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 1, 32,
    2, 253, 133, 2, 11,
  ];
  return WebAssembly.validate(Uint8Array.from(code));
}
