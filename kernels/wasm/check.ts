// Runs kernels as compiled wasm against the float64 reference. Used by tests and by hand.
import { fromHalf, toHalf } from '../../runtime/half.ts';
import { evaluate } from '../evaluate.ts';
import { STEP_WORDS } from '../expr.ts';
import { fill, type Sample } from '../samples/index.ts';
import type { WasmKernel } from '../targets.ts';
import { compileAssembly, type WasmTarget } from './compile.ts';
import { emitWasm, libraryImports, librarySources } from './index.ts';

export interface CheckResult {
  readonly name: string;
  /** Largest relative L2 error among the outputs, against evaluate. */
  readonly error: number;
  /** Did one thread and two give the same bits? */
  readonly threadsAgree: boolean;
  /** Milliseconds of one call with one thread; the least of `repeat` calls. */
  readonly ms: number;
  readonly ok: boolean;
}

/** rel L2 <= 1e-5 (f16: 1e-4, since where float32 and float64 round a half differently, one element is off by 2^-11) and
 *  equal bits for one thread and two. */
const TOLERANCE = 1e-5;
const HALF_TOLERANCE = 1e-4;

type Entry = (p: number, t: number, nt: number) => void;

/** Compiles all samples into one module; functions are exported as k0, k1, … in the samples' order. */
export async function compileSamples(
  kernels: readonly WasmKernel[],
  target: WasmTarget,
): Promise<{ module: WebAssembly.Module; bytes: number; functions: number }> {
  const names = new Map<string, string>();
  for (const k of kernels) if (!names.has(k.code)) names.set(k.code, `k${names.size}`);
  const text = [libraryImports('./kernels')];
  for (const [code, name] of names) text.push(code.replaceAll('NAME', name));
  kernels.forEach((k, i) => {
    text.push(`export function run${i}(p: usize, t: u32, nt: u32): void { ${names.get(k.code)}(p, t, nt); }`);
  });
  const sources = new Map([['program.ts', text.join('\n')]]);
  for (const [file, code] of librarySources()) sources.set(`kernels/${file}`, code);
  const binary = await compileAssembly(sources, 'program.ts', target);
  return { module: await WebAssembly.compile(binary as BufferSource), bytes: binary.length, functions: names.size };
}

/** A small session: memory, a bump allocator, one instance. */
export function instantiate(module: WebAssembly.Module, bytes: number) {
  const pages = Math.ceil((bytes + (2 << 20)) / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
  const instance = new WebAssembly.Instance(module, {
    env: {
      memory,
      abort: () => {
        throw new Error('wasm aborted');
      },
    },
  });
  let top = 1 << 20;
  const alloc = (n: number): number => {
    const at = top;
    top += Math.ceil(n / 256) * 256;
    return at;
  };
  return { memory, instance, alloc, entry: (i: number) => instance.exports[`run${i}`] as Entry };
}

const wordBytes = (s: Sample, k: WasmKernel, threads: number): number =>
  s.kernel.bufs.reduce((n, b) => n + b.size * 4 + 512, 0) +
  (k.params.length + 64) * 4 +
  threads * (k.scratch + 512) +
  4096;

/** Places a kernel's buffers, parameters and (poisoned) scratch; returns the address of its parameter block. */
export function place(
  s: Sample,
  k: WasmKernel,
  memory: WebAssembly.Memory,
  alloc: (n: number) => number,
  step: Uint32Array,
  seed: number,
) {
  const values = fill(s.kernel, seed);
  const at = s.kernel.bufs.map((b, i) => {
    const a = alloc(b.size * 4);
    if (b.dtype === 'f16') {
      const view = new Uint16Array(memory.buffer, a, b.size);
      view.set(Uint16Array.from(values[i]!, toHalf));
      return { a, view };
    }
    const view =
      b.dtype === 'f32'
        ? new Float32Array(memory.buffer, a, b.size)
        : b.dtype === 'i32'
          ? new Int32Array(memory.buffer, a, b.size)
          : new Uint32Array(memory.buffer, a, b.size);
    view.set(values[i]!);
    return { a, view };
  });
  const stepAt = alloc(STEP_WORDS * 4);
  new Uint32Array(memory.buffer, stepAt, STEP_WORDS).set(step);
  const scratch = alloc(2 * Math.ceil(k.scratch / 256) * 256);
  new Uint32Array(memory.buffer, scratch, (2 * Math.ceil(k.scratch / 256) * 256) / 4).fill(0x7fc00000);
  const words = [...at.map((x) => x.a), stepAt, scratch, ...k.params];
  const p = alloc(words.length * 4);
  new Uint32Array(memory.buffer, p, words.length).set(words);
  return { p, values, views: at.map((x) => x.view) };
}

/** Emits, compiles and runs every sample; throws what emitting or compiling throws. */
export async function checkWasm(
  samples: readonly Sample[],
  options: { target?: WasmTarget; repeat?: number } = {},
): Promise<CheckResult[]> {
  const kernels = samples.map((s) => emitWasm(s.kernel));
  const { module } = await compileSamples(kernels, options.target ?? 'release');
  const step = new Uint32Array(STEP_WORDS);
  step.set([123, 456, 7, 1]);
  new Float32Array(step.buffer)[4] = 0.125;
  return samples.map((s, i) => {
    const k = kernels[i]!;
    const { memory, alloc, entry } = instantiate(module, 2 * wordBytes(s, k, 2));
    const one = place(s, k, memory, alloc, step, i + 1);
    const two = place(s, k, memory, alloc, step, i + 1);
    const start = performance.now();
    entry(i)(one.p, 0, 1);
    let ms = performance.now() - start;
    entry(i)(two.p, 0, 2);
    entry(i)(two.p, 1, 2);
    const got = one.views.map((v) => v.slice());
    for (let r = 1; r < (options.repeat ?? 1); r++) {
      const from = performance.now();
      entry(i)(one.p, 0, 1);
      ms = Math.min(ms, performance.now() - from);
    }
    evaluate(s.kernel, one.values, step);
    let error = 0;
    let threadsAgree = true;
    let close = true;
    s.kernel.bufs.forEach((b, n) => {
      const other = two.views[n]!;
      const bits = new Uint8Array(got[n]!.buffer);
      const otherBits = new Uint8Array(other.slice().buffer);
      for (let e = 0; e < bits.length; e++) if (bits[e] !== otherBits[e]) threadsAgree = false;
      if (b.access === 'read') return;
      const mine = b.dtype === 'f16' ? Float64Array.from(got[n]!, fromHalf) : got[n]!;
      const e = relativeError(mine, one.values[n]!);
      if (!(e <= (b.dtype === 'f16' ? HALF_TOLERANCE : TOLERANCE))) close = false;
      error = Math.max(error, e);
    });
    return { name: s.name, error, threadsAgree, ms, ok: close && threadsAgree };
  });
}

/** |got - want| / |want|; infinite when anything is not a number or a sum is missing. */
function relativeError(got: ArrayLike<number>, want: Float64Array): number {
  let d = 0;
  let n = 0;
  for (let i = 0; i < want.length; i++) {
    if (Number.isNaN(want[i]!) !== Number.isNaN(got[i]!)) return Number.POSITIVE_INFINITY;
    if (Number.isNaN(want[i]!)) continue;
    if (!Number.isFinite(want[i]!)) {
      if (got[i] !== want[i]) return Number.POSITIVE_INFINITY;
      continue;
    }
    d += (got[i]! - want[i]!) ** 2;
    n += want[i]! ** 2;
  }
  return n === 0 ? Math.sqrt(d) : Math.sqrt(d / n);
}
