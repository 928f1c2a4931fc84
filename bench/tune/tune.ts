// Tuning one kernel: what the heuristics choose on this adapter, against other schedules of the same kernel. A candidate that
// does not compile, differs from float64 or from the heuristic's variant, or gives other bits in slabs or when it is run
// again, is discarded and never timed. The others are timed in turns; one that is not clearly faster is not taken.
import { createHash } from 'node:crypto';
import type { TunedKernel } from '../../compiler/tuning.ts';
import type { WgslKernel, WgslVariant } from '../../kernels/targets.ts';
import { alternatives, emitWgsl } from '../../kernels/wgsl/index.ts';
import { T3dcError } from '../../runtime/index.ts';
import { fits } from '../../runtime/webgpu-kernels.ts';
import { KernelDispatch, type Runnable, type TuneDevice } from './dispatch.ts';
import type { TuningJob } from './kernels.ts';

export interface TuneOptions {
  /** Candidates at most, the heuristic's own among them. */
  readonly most: number;
  readonly signal?: AbortSignal;
  /** Another emitter; tests have one that makes mistakes. */
  readonly emit?: typeof emitWgsl;
  readonly alternatives?: typeof alternatives;
}

/** A schedule is taken when its median is below this share of the heuristic's, and it was faster in this share of the rounds: on
 *  a busy machine medians alone are luck. */
const GAIN = 0.95;
const WINS = 0.8;
const ROUNDS = 7;
/** Rounds of a kernel end after this, but not before LEAST_ROUNDS. */
const ROUNDS_MS = 2000;
const LEAST_ROUNDS = 3;
/** A candidate that is so much slower than the fastest is given up after one run; and so are the schedules of its family. */
const HOPELESS = 1.6;
/** A time is that of as many dispatches as take about this long: more where the clock is the processor's other work. */
const LONG_ENOUGH_MS = { hardware: 2, software: 16 };

/** `failed` tells why a kernel cannot be tuned here. Throws T3dcError `device-lost`, or what the signal was aborted with. */
export async function tuneKernel(
  gpu: TuneDevice,
  job: TuningJob,
  o: TuneOptions,
): Promise<{ readonly tuned: TunedKernel } | { readonly failed: string }> {
  const { kernel } = job;
  const emit = o.emit ?? emitWgsl;
  const others = o.alternatives ?? alternatives;
  const own = emit(kernel, OPTIONS);
  const fitting = own.variants.filter((v) => fits(v.requires, gpu.device, gpu.device.adapterInfo));
  if (fitting.length === 0) return { failed: 'no variant runs on this device' };
  const long = LONG_ENOUGH_MS[gpu.software ? 'software' : 'hardware'];
  let dispatch = new KernelDispatch(gpu, kernel, own);
  try {
    let samples = dispatch.expected();
    // Signs that make roots and logarithms of negative numbers would compare NaN with NaN.
    if (samples.filter((s) => Number.isFinite(s.value)).length < samples.length / 2) {
      dispatch.destroy();
      dispatch = new KernelDispatch(gpu, kernel, own, true);
      samples = dispatch.expected();
    }
    const discarded: Record<string, string> = {};
    const alive = new Map<string, Candidate>();
    let reference: ArrayBuffer[] | null = null;
    const fastest = (): number => Math.min(...[...alive.values()].map((c) => c.first));
    /** Compiles, checks, and times once. */
    const consider = async (variant: WgslVariant): Promise<Candidate | null> => {
      o.signal?.throwIfAborted();
      try {
        const run = await dispatch.compile(variant);
        const outputs = await dispatch.outputs(run, 'whole');
        const problem = dispatch.problem(outputs, samples, reference);
        if (problem) throw new Error(problem);
        const bits = digest(outputs);
        const once = await dispatch.time(run, 1, null);
        if (bits !== digest(await dispatch.outputs(run, 'two'))) throw new Error('two slabs give other bits than one');
        reference ??= outputs;
        const times = Math.max(1, Math.min(64, Math.floor(long / Math.max(once, 1e-3))));
        const c: Candidate = { run, bits, times, first: once, ms: [] };
        alive.set(variant.id, c);
        return c;
      } catch (e) {
        o.signal?.throwIfAborted();
        lookAfter(gpu);
        dispatch.restore();
        discarded[variant.id] = (e as Error).message;
        return null;
      }
    };

    for (const v of fitting) await consider(v);
    const heuristic = fitting[0]!.id;
    if (!alive.has(heuristic)) return { failed: `${heuristic}: ${discarded[heuristic]}` };
    const families = [...alive].filter(([, c]) => c.first < HOPELESS * fastest()).map(([id]) => id);
    const wanted = inTurns(families.map((id) => others(kernel, id))).slice(0, Math.max(0, o.most - fitting.length));
    for (const id of wanted) {
      const found: WgslKernel = emit(kernel, { ...OPTIONS, schedules: [id] });
      const variant = found.scheduled?.find((v) => v.id === id);
      if (variant && fits(variant.requires, gpu.device, gpu.device.adapterInfo)) await consider(variant);
    }

    const racing = [...alive].filter(([id, c]) => id === heuristic || c.first < HOPELESS * fastest());
    const since = performance.now();
    for (let round = 0; round < ROUNDS; round++) {
      if (round >= LEAST_ROUNDS && performance.now() - since > ROUNDS_MS) break;
      for (const [, c] of round % 2 ? [...racing].reverse() : racing) {
        o.signal?.throwIfAborted();
        c.ms.push(await dispatch.time(c.run, c.times, c.first * c.times));
      }
    }
    for (const [id, c] of racing) {
      if (c.bits !== digest(await dispatch.outputs(c.run, 'whole'))) {
        if (id === heuristic) return { failed: `${heuristic}: a second run gives other bits` };
        alive.delete(id);
        discarded[id] = 'a second run gives other bits';
      }
    }
    const ms: Record<string, number> = {};
    for (const [id, c] of alive) ms[id] = round4(c.ms.length ? median(c.ms) : c.first);
    const standard = alive.get(heuristic)!;
    const faster = [...alive].filter(
      ([id, c]) => c.ms.length > 0 && ms[id]! < GAIN * ms[heuristic]! && wins(c, standard),
    );
    const schedule = faster.sort(([a], [b]) => ms[a]! - ms[b]!)[0]?.[0] ?? heuristic;
    return { tuned: { what: job.what, heuristic, schedule, ms, discarded } };
  } finally {
    dispatch.destroy();
  }
}

interface Candidate {
  readonly run: Runnable;
  /** Of its outputs. */
  readonly bits: string;
  readonly times: number;
  readonly first: number;
  readonly ms: number[];
}

const wins = (c: Candidate, than: Candidate): boolean =>
  c.ms.filter((t, round) => t < than.ms[round]!).length >= WINS * c.ms.length;

const OPTIONS = { readOnly: new Set<number>(), maxFold: 65535 };

/** As the runtime decides (runtime/webgpu-kernels.ts). */
/** The first of each list, then the second of each. */
function inTurns(lists: readonly (readonly string[])[]): string[] {
  const longest = Math.max(0, ...lists.map((l) => l.length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((l) => (i < l.length ? [l[i]!] : []))).flat();
}

/** A device that is gone makes every candidate look wrong. Throws T3dcError `device-lost`. */
function lookAfter(gpu: TuneDevice): void {
  const why = gpu.lost();
  if (why !== null)
    throw new T3dcError('device-lost', `the GPU device was lost: ${why}`, {
      hint: 'What was measured is kept: run the command again to go on.',
    });
}

function digest(buffers: readonly ArrayBuffer[]): string {
  const hash = createHash('sha256');
  for (const b of buffers) hash.update(new Uint8Array(b));
  return hash.digest('hex');
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1]!;
const round4 = (x: number): number => Number(x.toPrecision(4));
