// One dispatch of a kernel on a device: a slab of it, with windows of its buffers and inputs made up from their indices, so
// that a kernel over a whole volume can be measured and checked without the model around it.
import { type Slab, slabs } from '../../compiler/slabs.ts';
import { type DType, elementBytes } from '../../dsl/types.ts';
import { evaluateAt } from '../../kernels/evaluate-at.ts';
import type { Kernel } from '../../kernels/ir.ts';
import type { WgslKernel, WgslVariant } from '../../kernels/targets.ts';
import { fromHalf, toHalf } from '../../runtime/half.ts';

export interface TuneDevice {
  readonly device: GPUDevice;
  readonly software: boolean;
  /** Why the device is gone, or null. */
  lost(): string | null;
}

/** What one output element should be, by float64. */
export interface Expected {
  readonly buf: number;
  readonly at: number;
  readonly value: number;
}

/** Work of the measured part: about 20 ms on a software adapter. Hardware gets what an artifact would dispatch. */
const SOFTWARE_FLOPS = 3e8;
const SOFTWARE_BYTES = 16 * 2 ** 20;
const BINDING = 128 * 2 ** 20;
/** Milliseconds for float64 references of a kernel. */
const REFERENCE_MS = 400;
const MOST_SAMPLES = 48;
const LEAST_SAMPLES = 3;

export class KernelDispatch {
  readonly slab: Slab;
  readonly #gpu: TuneDevice;
  readonly #kernel: Kernel;
  readonly #emitted: WgslKernel;
  readonly #buffers: GPUBuffer[];
  readonly #step: GPUBuffer;
  readonly #outputs: readonly number[];
  readonly #positive: boolean;
  readonly #queries: { set: GPUQuerySet; resolved: GPUBuffer; staging: GPUBuffer } | null;

  constructor(gpu: TuneDevice, kernel: Kernel, emitted: WgslKernel, positive = false) {
    this.#gpu = gpu;
    this.#kernel = kernel;
    this.#emitted = emitted;
    this.#positive = positive;
    this.slab = middle(gpu, kernel, emitted);
    const { device } = gpu;
    const storage = 0x80 | 0x4 | 0x8; // STORAGE | COPY_SRC | COPY_DST
    this.#outputs = kernel.bufs.flatMap((b, i) => (b.access === 'read' ? [] : [i]));
    this.#buffers = kernel.bufs.map((_, i) => device.createBuffer({ size: this.#bytes(i), usage: storage }));
    this.restore();
    this.#step = device.createBuffer({ size: 64, usage: storage });
    device.queue.writeBuffer(this.#step, 0, STEP);
    this.#queries = device.features.has('timestamp-query')
      ? {
          set: device.createQuerySet({ type: 'timestamp', count: 2 }),
          resolved: device.createBuffer({ size: 16, usage: 0x200 | 0x4 }), // QUERY_RESOLVE | COPY_SRC
          staging: device.createBuffer({ size: 16, usage: 0x1 | 0x8 }), // MAP_READ | COPY_DST
        }
      : null;
  }

  /** Writes the inputs again: a wrong candidate may have written over them. */
  restore(): void {
    this.#kernel.bufs.forEach((b, i) => {
      if (b.access === 'read') this.#gpu.device.queue.writeBuffer(this.#buffers[i]!, 0, this.#content(i));
    });
  }

  /** Compiles a variant, without running it. Rejects with the compiler's words. */
  async compile(variant: WgslVariant): Promise<Runnable> {
    const { device } = this.#gpu;
    const visibility = 0x4; // COMPUTE
    const entries: GPUBindGroupLayoutEntry[] = [
      { binding: 0, visibility, buffer: { type: 'uniform' } },
      ...this.#kernel.bufs.map((_, i) => ({ binding: i + 1, visibility, buffer: { type: 'storage' as const } })),
    ];
    const { usesStep } = this.#emitted;
    if (usesStep) entries.push({ binding: entries.length, visibility, buffer: { type: 'read-only-storage' } });
    const layout = device.createBindGroupLayout({ entries });
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: variant.code });
    const made = device.createComputePipelineAsync({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module },
    });
    const [pipeline, error] = await Promise.all([made.catch((e: Error) => e), device.popErrorScope()]);
    if (error || pipeline instanceof Error)
      throw new Error(`does not compile: ${(error ?? (pipeline as Error)).message.split('\n')[0]}`);
    return { variant, pipeline, layout };
  }

  /** Runs from poisoned outputs, whole or in two parts: the outputs' bytes. Rejects with a validation error's words. */
  async outputs(r: Runnable, parts: 'whole' | 'two'): Promise<ArrayBuffer[]> {
    const { device } = this.#gpu;
    for (const i of this.#outputs) device.queue.writeBuffer(this.#buffers[i]!, 0, this.#content(i));
    const { first, count } = this.slab;
    const multiple = this.#emitted.slabMultiple ?? 1;
    const cut = Math.floor(count / 2 / multiple) * multiple;
    const list =
      parts === 'whole' || cut === 0
        ? [[first, count]]
        : [
            [first, cut],
            [first + cut, count - cut],
          ];
    device.pushErrorScope('validation');
    const encoder = device.createCommandEncoder();
    for (const [from, n] of list) this.#encode(encoder, r, from!, n!);
    const staging = this.#outputs.map((i) => {
      const to = device.createBuffer({ size: this.#bytes(i), usage: 0x1 | 0x8 });
      encoder.copyBufferToBuffer(this.#buffers[i]!, 0, to, 0, this.#bytes(i));
      return to;
    });
    device.queue.submit([encoder.finish()]);
    const error = await device.popErrorScope();
    if (error) throw new Error(`does not run: ${error.message.split('\n')[0]}`);
    const out: ArrayBuffer[] = [];
    for (const s of staging) {
      await s.mapAsync(1);
      out.push(s.getMappedRange().slice(0));
      s.destroy();
    }
    return out;
  }

  /** Milliseconds of one dispatch, by timestamps where the device has them; of `times` dispatches in a row. `expected`: of them
   *  all, as far as is known. */
  async time(r: Runnable, times: number, expected: number | null): Promise<number> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    const q = this.#queries;
    const { first, count } = this.slab;
    this.#encode(encoder, r, first, count, times, q?.set);
    if (q) {
      encoder.resolveQuerySet(q.set, 0, 2, q.resolved, 0);
      encoder.copyBufferToBuffer(q.resolved, 0, q.staging, 0, 16);
    }
    const commands = encoder.finish();
    const since = performance.now();
    device.queue.submit([commands]);
    // A software adapter computes on the cores that Dawn's polling would take: then it needs several times as long.
    if (this.#gpu.software) Atomics.wait(NEVER, 0, 0, expected ?? 20);
    if (!q) {
      await device.queue.onSubmittedWorkDone();
      return (performance.now() - since) / times;
    }
    await q.staging.mapAsync(1);
    const [start, end] = new BigUint64Array(q.staging.getMappedRange());
    q.staging.unmap();
    return Number(end! - start!) / 1e6 / times;
  }

  /** Elements of the outputs inside the slab, by float64, spread over it. */
  expected(): Expected[] {
    const bufs = this.#kernel.bufs.map((b, i) => this.#view(i, b.size));
    const since = performance.now();
    const found: Expected[] = [];
    for (let n = 0; n < MOST_SAMPLES; n++) {
      for (const buf of this.#outputs) {
        const [from, to] = this.#written(buf);
        const size = to - from;
        const at = from + (n === 0 ? 0 : n === 1 ? size - 1 : Math.floor(((n * 0.6180339887498949) % 1) * size));
        found.push({ buf, at, value: evaluateAt(this.#kernel, bufs, buf, at, STEP) });
      }
      if (n + 1 >= LEAST_SAMPLES && performance.now() - since > REFERENCE_MS) break;
    }
    return found;
  }

  /** What is wrong with these outputs beside float64 samples and beside another variant's outputs; null when nothing is. */
  problem(
    got: readonly ArrayBuffer[],
    samples: readonly Expected[],
    other: readonly ArrayBuffer[] | null,
  ): string | null {
    for (const [n, buf] of this.#outputs.entries()) {
      const { dtype, label } = this.#kernel.bufs[buf]!;
      const lo = this.slab.windows[buf]![0];
      const [from, to] = this.#written(buf);
      // A half that float32 and float64 round differently is off by 2^-11.
      const tolerance = dtype === 'f16' ? 1e-4 : 1e-5;
      const x = decode(got[n]!, dtype);
      const mine = samples.filter((s) => s.buf === buf);
      const bySample = relative(mine.length, (i) => [x(mine[i]!.at - lo), mine[i]!.value]);
      if (!(bySample <= tolerance)) return `${label}: relative L2 error ${bySample.toExponential(1)} against float64`;
      if (!other) continue;
      const y = decode(other[n]!, dtype);
      const byOther = relative(to - from, (i) => [x(from - lo + i), y(from - lo + i)]);
      if (!(byOther <= tolerance))
        return `${label}: relative L2 difference ${byOther.toExponential(1)} from the heuristic's variant`;
    }
    return null;
  }

  destroy(): void {
    for (const b of [...this.#buffers, this.#step]) b.destroy();
    this.#queries?.set.destroy();
    this.#queries?.resolved.destroy();
    this.#queries?.staging.destroy();
  }

  #encode(encoder: GPUCommandEncoder, r: Runnable, first: number, count: number, times = 1, querySet?: GPUQuerySet) {
    const { device } = this.#gpu;
    const words = new Uint32Array(16);
    words.set([first, count, ...this.slab.windows.map(([lo]) => lo)]);
    const params = device.createBuffer({ size: 64, usage: 0x40 | 0x8 }); // UNIFORM | COPY_DST
    device.queue.writeBuffer(params, 0, words);
    const buffers = [params, ...this.#buffers, ...(this.#emitted.usesStep ? [this.#step] : [])];
    const group = device.createBindGroup({
      layout: r.layout,
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const pass = encoder.beginComputePass(
      querySet ? { timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } } : undefined,
    );
    pass.setPipeline(r.pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...r.variant.grid(count));
    pass.end();
  }

  /** Elements of an output that the slab writes. */
  #written(buf: number): [number, number] {
    const inner = this.#kernel.bufs[buf]!.size / this.#emitted.outermost;
    const { first, count } = this.slab;
    return [first * inner, (first + count) * inner];
  }

  #bytes(buf: number): number {
    const [lo, hi] = this.slab.windows[buf]!;
    return Math.ceil(((hi - lo) * elementBytes(this.#kernel.bufs[buf]!.dtype)) / 16) * 16;
  }

  /** A window's contents before a run: outputs poisoned. */
  #content(buf: number): ArrayBuffer {
    const { dtype, access } = this.#kernel.bufs[buf]!;
    const bytes = new ArrayBuffer(this.#bytes(buf));
    const [lo, hi] = this.slab.windows[buf]!;
    if (access === 'write') {
      if (dtype === 'f16') new Uint16Array(bytes).fill(0x7e00);
      else new Uint32Array(bytes).fill(dtype === 'f32' ? 0x7fc00000 : 0xfffffffe);
      return bytes;
    }
    const put =
      dtype === 'f32' ? new Float32Array(bytes) : dtype === 'f16' ? new Uint16Array(bytes) : new Uint32Array(bytes);
    const code = dtype === 'f16' ? toHalf : (v: number) => v;
    for (let i = lo; i < hi; i++) put[i - lo] = code(drawn(dtype, buf, i, this.#positive));
    return bytes;
  }

  /** A whole tensor as something that has elements. */
  #view(buf: number, length: number): ArrayLike<number> {
    const { dtype } = this.#kernel.bufs[buf]!;
    return new Proxy([] as unknown as ArrayLike<number>, {
      get: (_, key) => (key === 'length' ? length : drawn(dtype, buf, Number(key), this.#positive)),
    });
  }
}

export interface Runnable {
  readonly variant: WgslVariant;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Microstep 0: gradients are written, not added to. */
const STEP = (() => {
  const step = new Uint32Array(16);
  step.set([0x12345678, 0x9abcdef0, 17, 0]);
  new Float32Array(step.buffer).set([0.125, 2, 18], 4);
  return step;
})();

/** A slab from the middle of the kernel, as large as an artifact's or as a software adapter does quickly. */
function middle({ device, software }: TuneDevice, kernel: Kernel, { outermost, slabMultiple }: WgslKernel): Slab {
  const limit = Math.min(BINDING, device.limits.maxStorageBufferBindingSize);
  const moved = kernel.bufs.reduce((n, b) => n + b.size * elementBytes(b.dtype), 0);
  const most = Math.min(SOFTWARE_FLOPS, (kernel.flops * SOFTWARE_BYTES) / moved);
  const maxFlops = software ? Math.max(1, most) : undefined;
  const list = slabs(kernel, { outermost, multiple: slabMultiple, maxBytes: limit, maxFlops });
  return list[list.length >> 1]!;
}

/** In (-1, 1), or in (0.5, 1); small integers. From the place alone. */
function drawn(dtype: DType, buf: number, i: number, positive: boolean): number {
  let h = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(buf + 1, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h ^= h >>> 13;
  const u = (h >>> 8) / 2 ** 24;
  switch (dtype) {
    case 'f32':
      return positive ? 0.5 + u / 2 : 2 * u - 1;
    case 'f16':
      return Math.round(positive ? 512 + 512 * u : 1024 * (2 * u - 1)) / 1024;
    case 'bool':
      return h & 1;
    default:
      return (h >>> 8) & 3;
  }
}

function decode(bytes: ArrayBuffer, dtype: DType): (i: number) => number {
  if (dtype === 'f16') {
    const halves = new Uint16Array(bytes);
    return (i) => fromHalf(halves[i]!);
  }
  const typed =
    dtype === 'f32' ? new Float32Array(bytes) : dtype === 'i32' ? new Int32Array(bytes) : new Uint32Array(bytes);
  return (i) => typed[i]!;
}

/** |x - y| over |y|; infinite where one alone is not finite. */
function relative(n: number, pair: (i: number) => [number, number]): number {
  let diff = 0;
  let norm = 0;
  for (let i = 0; i < n; i++) {
    const [x, y] = pair(i);
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) {
      if (Number.isFinite(y)) norm += y * y;
      continue;
    }
    if (!Number.isFinite(x) || !Number.isFinite(y)) return Number.POSITIVE_INFINITY;
    diff += (x - y) ** 2;
    norm += y * y;
  }
  return diff === 0 ? 0 : Math.sqrt(diff / norm);
}
