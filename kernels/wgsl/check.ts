// Runs kernels on a device against the float64 reference.
import { type DType, elementBytes } from '../../dsl/types.ts';
import { fromHalf, toHalf } from '../../runtime/half.ts';
import { evaluate } from '../evaluate.ts';
import { STEP_WORDS } from '../expr.ts';
import type { Kernel } from '../ir.ts';
import { fill, type Sample } from '../samples/index.ts';
import { PARAM_WORDS, type WgslKernel, type WgslVariant } from '../targets.ts';
import type { TestDevice } from './device.ts';
import { emitWgsl } from './index.ts';
import type { EmitOptions } from './module.ts';

export interface CheckResult {
  readonly sample: string;
  readonly variant: string;
  /** Greatest relative L2 error over the outputs (Infinity: a NaN where there should be none, or a wrong integer). */
  readonly error: number;
  /** What is wrong; empty when all is well. */
  readonly problems: readonly string[];
}

export interface CheckOptions {
  /** Variant ids to run; all that the device can run by default. */
  readonly variants?: readonly string[];
  /** Schedules to run beside the kernel's own variants. */
  readonly schedules?: (kernel: Kernel) => readonly string[];
  /** Greatest relative L2 error. */
  readonly tolerance?: number;
  /** What runs for a sample; what the target emits by default. */
  readonly emit?: (s: Sample, options: EmitOptions) => WgslKernel;
}

/** Every variant of every sample: whole, again (bit-identical), and in slabs with windows that start elsewhere. */
export async function checkWgsl(
  t: TestDevice,
  samples: readonly Sample[],
  options: CheckOptions = {},
): Promise<CheckResult[]> {
  const tolerance = options.tolerance ?? 1e-5;
  const results: CheckResult[] = [];
  for (const s of samples) {
    // A narrow grid, so that small kernels fold too.
    const large = s.kernel.bufs.some((b) => b.size > 1 << 19);
    const schedules = options.schedules?.(s.kernel) ?? [];
    const narrow: EmitOptions = { readOnly: new Set(), maxFold: large ? 64 : 24, schedules };
    const emitted = options.emit?.(s, narrow) ?? emitWgsl(s.kernel, narrow);
    const inputs = fill(s.kernel, 7);
    const expected = inputs.map((a) => a.slice());
    const step = stepBlock();
    evaluate(s.kernel, expected, step);
    for (const v of [...emitted.variants, ...(emitted.scheduled ?? [])]) {
      if (options.variants && !options.variants.includes(v.id)) continue;
      if (!supports(t, v)) continue;
      const problems: string[] = [];
      let error = Number.POSITIVE_INFINITY;
      try {
        const whole = [{ first: 0, count: emitted.outermost }];
        const first = await run(t, s.kernel, emitted, v, inputs, step, whole, 0);
        error = compare(s.kernel, first, expected, problems, tolerance);
        const again = await run(t, s.kernel, emitted, v, inputs, step, whole, 0);
        if (!same(first, again)) problems.push('a second run gave other bits');
        const cut = slabs(emitted.outermost, emitted.slabMultiple ?? 1);
        const parts = await run(t, s.kernel, emitted, v, inputs, step, cut, 64);
        if (!same(first, parts)) problems.push(`${cut.length} slabs gave other bits`);
      } catch (e) {
        problems.push(String((e as Error).message));
      }
      results.push({ sample: s.name, variant: v.id, error, problems });
    }
  }
  return results;
}

export function supports(t: TestDevice, v: WgslVariant): boolean {
  const { features, subgroupSize } = v.requires;
  if (!features.every((f) => t.device.features.has(f))) return false;
  if (v.requires.subgroupMatrix) return false; // tests have no such device; see test/device/matrix.webgpu.ts
  return !subgroupSize || (t.subgroupSize?.min === subgroupSize && t.subgroupSize.max === subgroupSize);
}

interface Slab {
  readonly first: number;
  readonly count: number;
}

/** Up to three slabs of unequal sizes. */
function slabs(outermost: number, multiple: number): Slab[] {
  const cuts = [
    0,
    Math.floor(outermost / 5 / multiple) * multiple,
    Math.floor((outermost * 2) / 3 / multiple) * multiple,
  ];
  const edges = [...new Set([...cuts, outermost])];
  return edges.slice(1).map((end, i) => ({ first: edges[i]!, count: end - edges[i]! }));
}

/** A step block with something in every slot. */
export function stepBlock(): Uint32Array {
  const step = new Uint32Array(STEP_WORDS);
  const floats = new Float32Array(step.buffer);
  step.set([0x12345678, 0x9abcdef0, 17, 1]);
  floats[4] = 0.125;
  floats[5] = 2;
  floats[6] = 18;
  step[7] = 3;
  return step;
}

const isFloat = (d: DType): boolean => d === 'f32';

function encode(values: Float64Array, dtype: DType): ArrayBuffer {
  if (isFloat(dtype)) return Float32Array.from(values).buffer as ArrayBuffer;
  // A whole number of words; the last half of an odd number is nobody's.
  if (dtype === 'f16') {
    const halves = new Uint16Array(2 * Math.ceil(values.length / 2));
    halves.set(Uint16Array.from(values, toHalf));
    return halves.buffer;
  }
  // Poisoned integers: a value that no kernel writes.
  if (dtype === 'i32') return Int32Array.from(values, (v) => (Number.isNaN(v) ? -0x7fffffff : v)).buffer as ArrayBuffer;
  return Uint32Array.from(values, (v) => (Number.isNaN(v) ? 0xfffffffe : v)).buffer as ArrayBuffer;
}

/** Whole words. */
const bytesOf = (b: { readonly size: number; readonly dtype: DType }): number =>
  4 * Math.ceil((b.size * elementBytes(b.dtype)) / 4);

/** Compiles one variant. Errors: the compiler's messages. */
export async function compile(t: TestDevice, v: WgslVariant): Promise<GPUComputePipeline> {
  const { device } = t;
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: v.code });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const error = await device.popErrorScope();
  if (error) throw new Error(`${error.message}\n${numbered(v.code)}`);
  return pipeline;
}

const numbered = (code: string): string =>
  code
    .split('\n')
    .map((l, i) => `${i + 1}: ${l}`)
    .join('\n');

/** Contents of every buffer after the dispatches. `shift`: every tensor starts this many elements (and more) after the
 *  start of its window, as a window offset below zero. */
async function run(
  t: TestDevice,
  kernel: Kernel,
  emitted: WgslKernel,
  variant: WgslVariant,
  inputs: readonly Float64Array[],
  step: Uint32Array,
  cut: readonly Slab[],
  shift: number,
): Promise<ArrayBuffer[]> {
  const { device } = t;
  const pipeline = await compile(t, variant);
  device.pushErrorScope('validation');
  const made: GPUBuffer[] = [];
  const make = (size: number, usage: number): GPUBuffer => {
    const b = device.createBuffer({ size: Math.ceil(size / 256) * 256, usage });
    made.push(b);
    return b;
  };
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const starts = kernel.bufs.map((_, i) => shift * (i + 1));
  const buffers = kernel.bufs.map((b, i) => {
    const each = elementBytes(b.dtype);
    const buffer = make((b.size + starts[i]!) * each, storage);
    device.queue.writeBuffer(buffer, starts[i]! * each, encode(inputs[i]!, b.dtype));
    return buffer;
  });
  const stepBuffer = make(64, storage);
  device.queue.writeBuffer(stepBuffer, 0, step as Uint32Array<ArrayBuffer>);
  const encoder = device.createCommandEncoder();
  for (const s of cut) {
    const words = new Uint32Array(PARAM_WORDS);
    words.set([s.first, s.count, ...starts.map((x) => -x)].slice(0, PARAM_WORDS));
    const params = make(64, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    device.queue.writeBuffer(params, 0, words);
    const entries = [
      { binding: 0, resource: { buffer: params } },
      ...buffers.map((buffer, i) => ({ binding: i + 1, resource: { buffer } })),
    ];
    if (emitted.usesStep) entries.push({ binding: buffers.length + 1, resource: { buffer: stepBuffer } });
    const declared = entries.filter((e) => variant.code.includes(`@binding(${e.binding})`));
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: declared }));
    pass.dispatchWorkgroups(...variant.grid(s.count));
    pass.end();
  }
  const staging = buffers.map((b, i) => {
    const size = bytesOf(kernel.bufs[i]!);
    const to = make(size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    encoder.copyBufferToBuffer(b, starts[i]! * elementBytes(kernel.bufs[i]!.dtype), to, 0, size);
    return to;
  });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(error.message);
  const out: ArrayBuffer[] = [];
  for (const [i, s] of staging.entries()) {
    await s.mapAsync(GPUMapMode.READ);
    out.push(s.getMappedRange(0, bytesOf(kernel.bufs[i]!)).slice(0));
    s.unmap();
  }
  for (const b of made) b.destroy();
  return out;
}

function decode(bytes: ArrayBuffer, dtype: DType, count: number): Float64Array {
  if (dtype === 'f16') return Float64Array.from(new Uint16Array(bytes, 0, count), fromHalf);
  const typed = isFloat(dtype)
    ? new Float32Array(bytes)
    : dtype === 'i32'
      ? new Int32Array(bytes)
      : new Uint32Array(bytes);
  return Float64Array.from(typed);
}

function compare(
  kernel: Kernel,
  got: readonly ArrayBuffer[],
  expected: readonly Float64Array[],
  problems: string[],
  tolerance: number,
): number {
  let worst = 0;
  kernel.bufs.forEach((b, i) => {
    if (b.access === 'read') return;
    const x = decode(got[i]!, b.dtype, b.size);
    const y = expected[i]!;
    let diff = 0;
    let norm = 0;
    let at = -1;
    let far = 0;
    for (let n = 0; n < y.length; n++) {
      if (Object.is(x[n], y[n]) || x[n] === y[n]) {
        if (Number.isFinite(y[n]!)) norm += y[n]! ** 2;
        continue;
      }
      const d = Math.abs(x[n]! - y[n]!);
      if (!(d <= far)) {
        far = d;
        at = n;
      }
      diff += d * d;
      norm += y[n]! ** 2;
    }
    const error = diff === 0 ? 0 : Math.sqrt(diff / norm);
    // Where float32 and float64 round a half differently, one element is off by 2^-11.
    if (!(error <= (b.dtype === 'f16' ? 10 * tolerance : tolerance))) {
      problems.push(`${b.label}: relative L2 error ${error.toExponential(2)}; at ${at}: ${x[at]}, expected ${y[at]}`);
    }
    worst = Number.isNaN(error) ? Infinity : Math.max(worst, error);
  });
  return worst;
}

function same(a: readonly ArrayBuffer[], b: readonly ArrayBuffer[]): boolean {
  return a.every((x, i) => Buffer.compare(Buffer.from(x), Buffer.from(b[i]!)) === 0);
}
