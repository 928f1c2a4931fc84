// The WebGPU device: an arena is a buffer, a run is one command stream from the scheduler, walked in one call.
import { arenaUse } from './arenas.ts';
import type { Artifact } from './artifact.ts';
import {
  type Device,
  type DeviceInfo,
  type OpTime,
  type RunMode,
  type RunSettings,
  SECTIONS_OF,
  type SectionKind,
} from './device.ts';
import { bytes, messageOf, T3dcError } from './errors.ts';
import { type Manifest, type Place, UNIT } from './manifest.ts';
import { alignUp, importedPages, instantiate, MODES, SessionBlock, WASM_PAGE } from './program.ts';
import { meter, type Progress } from './progress.ts';
import * as L from './scheduler/layout.ts';
import { type Acquired, acquire, type Choice, checkLimits, describe } from './webgpu-adapter.ts';
import { checkKernels, Kernels } from './webgpu-kernels.ts';
import { Pacing, Slices } from './webgpu-pacing.ts';
import { timeDispatches, timeSubmits } from './webgpu-profile.ts';
import { Readback } from './webgpu-readback.ts';
import type { WindowAxis } from './windows.ts';

export interface WebGpuOptions {
  readonly onNotice: (message: string) => void;
  readonly onProgress?: (progress: Progress) => void;
  readonly dawnFlags: readonly string[];
  /** The longest that a submit may take by what the device was seen to do; Infinity: as long as suits the device. */
  readonly frameBudgetMs: number;
}

/** A submit ends after so many dispatches, or about so many milliseconds of work by what the device was seen to do, so that no
 *  driver's watchdog fires and the page stays alive. */
const SUBMIT_DISPATCHES = 2048;
const SUBMIT_MS = 400;
/** Work of the first submits, when nothing is known: half a second on a device of 100 GFLOP/s. */
const FIRST_FLOPS = 5e10;
const MOST_FLOPS = 4e12;
/** Operations in the time of moving a byte, about, on GPUs: in slices of a few milliseconds, what only moves counts too. */
const FLOPS_PER_BYTE = 16;

/** Throws T3dcError 'no-device', 'limits', 'out-of-memory', 'bad-artifact'. */
export async function openWebGpu(artifact: Artifact, choice: Choice, options: WebGpuOptions): Promise<Device> {
  const { manifest } = artifact;
  const acquired = await acquire(choice, manifest, options);
  try {
    const forward = manifest.arenas.filter((a) => a.target !== 'wasm' && a.sections.includes('forward'));
    checkLimits(acquired.device, manifest, forward);
    if (!acquired.owned) checkKernels(manifest, acquired.device, acquired, options.onNotice);
    const block = await scheduler(artifact);
    return new WebGpuDevice(artifact, acquired, block, options);
  } catch (e) {
    if (acquired.owned) acquired.device.destroy();
    throw e;
  }
}

/** program.wasm in a memory of its own, for its scheduler alone. */
async function scheduler(artifact: Artifact): Promise<SessionBlock> {
  const code = await artifact.file('program.wasm');
  const module = await WebAssembly.compile(code as BufferSource);
  const pages = importedPages(code);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages * 9 + 256, shared: true });
  const program = await instantiate(module, memory, artifact.manifest);
  const s = alignUp(program.heapBase() >>> 0, UNIT);
  const end = s + (program.sessionBytes(artifact.manifest.arenas.length) >>> 0);
  const more = Math.ceil((end - memory.buffer.byteLength) / WASM_PAGE);
  if (more > 0) memory.grow(more);
  program.createSession(s, artifact.manifest.arenas.length);
  return new SessionBlock(program, memory, s);
}

class WebGpuDevice implements Device {
  readonly info: DeviceInfo;
  readonly #artifact: Artifact;
  readonly #manifest: Manifest;
  readonly #acquired: Acquired;
  readonly #device: GPUDevice;
  readonly #block: SessionBlock;
  readonly #options: WebGpuOptions;
  readonly #arenas: (GPUBuffer | undefined)[];
  #sections: ReadonlySet<SectionKind> = new Set();
  readonly #step: GPUBuffer;
  readonly #kernels: Kernels;
  readonly #readback: Readback;
  readonly #pacing: Pacing;
  /** `entry mode` whose dispatches are compiled and bound. */
  readonly #ready = new Set<string>();
  /** `entry mode` whose first run passed validation. */
  readonly #validated = new Set<string>();
  #failure: T3dcError | null = null;
  #closed = false;
  /** Work of each dispatch: a kernel's, or its share where it is cut into slabs. */
  readonly #flops: Float64Array;
  /** Slices of the frame budget; null: as much at once as suits the device. */
  readonly #slices: Slices | null;
  readonly #onError = (event: GPUUncapturedErrorEvent): void => this.#fail(gpuError(event.error));

  constructor(artifact: Artifact, acquired: Acquired, block: SessionBlock, options: WebGpuOptions) {
    this.#artifact = artifact;
    this.#manifest = artifact.manifest;
    this.#acquired = acquired;
    this.#device = acquired.device;
    this.#block = block;
    this.#options = options;
    this.#arenas = new Array(artifact.manifest.arenas.length);
    this.#step = this.#device.createBuffer({ label: 'step block', size: L.STEP_BLOCK_BYTES, usage: 0x80 | 0x8 }); // STORAGE | COPY_DST
    this.#kernels = new Kernels(artifact, this.#device, acquired, this.#step, options.onNotice);
    const sliced = options.frameBudgetMs < SUBMIT_MS;
    this.#flops = workOf(artifact.manifest, sliced ? FLOPS_PER_BYTE : 0);
    this.#slices = sliced ? new Slices(this.#device.queue, options.frameBudgetMs) : null;
    this.#readback = new Readback(this.#device);
    this.#pacing = new Pacing(this.#device.queue);
    // On a device of the caller's, others' errors are none of ours: our own are caught as we submit.
    if (acquired.owned) this.#device.addEventListener('uncapturederror', this.#onError);
    void this.#device.lost.then((lost) => {
      if (this.#closed) return;
      this.#fail(
        new T3dcError('device-lost', `the GPU device was lost (${lost.reason}): ${lost.message}`, {
          hint: 'If it happens again, build for less memory or smaller slabs.',
        }),
      );
    });
    this.info = {
      kind: 'webgpu',
      description: describe(acquired.info),
      software: acquired.software,
      features: [...this.#device.features].sort(),
    };
  }

  async allocate(sections: readonly SectionKind[]): Promise<void> {
    const wanted = new Set([...this.#sections, ...sections]);
    const { kept, shared } = arenaUse(this.#manifest, wanted, 'webgpu');
    const arenas = this.#manifest.arenas;
    const added = kept.filter((i) => !this.#arenas[i]);
    // The nth shared arena of every section is the same buffer.
    const slots: { size: number; arenas: number[] }[] = [];
    for (const list of shared)
      list.forEach((arena, n) => {
        const slot = (slots[n] ??= { size: 0, arenas: [] });
        slot.size = Math.max(slot.size, arenas[arena]!.bytes);
        slot.arenas.push(arena);
      });
    const grown = slots.filter((slot) => slot.arenas.some((i) => (this.#arenas[i]?.size ?? 0) < slot.size));
    if (added.length === 0 && grown.length === 0) return;
    checkLimits(
      this.#device,
      this.#manifest,
      [...added, ...grown.flatMap((s) => s.arenas)].map((i) => arenas[i]!),
    );
    // Given back first: the new buffer may need the place. What was submitted keeps the old one alive until it is done.
    for (const slot of grown)
      for (const i of slot.arenas) {
        this.#arenas[i]?.destroy();
        this.#arenas[i] = undefined;
      }
    if (grown.length > 0) {
      this.#kernels.unbind();
      this.#ready.clear();
    }
    const requests = [
      ...added.map((i) => ({ label: arenas[i]!.name, size: arenas[i]!.bytes, arenas: [i] })),
      ...grown.map((s) => ({ label: s.arenas.map((i) => arenas[i]!.name).join(', '), ...s })),
    ];
    const buffers = await this.#createBuffers(requests);
    requests.forEach((r, n) => {
      for (const i of r.arenas) this.#arenas[i] = buffers[n];
    });
    this.#sections = wanted;
    for (const i of added) {
      const { file } = arenas[i]!;
      if (file !== undefined) this.write(i, 0, await this.#artifact.file(file));
    }
  }

  async #createBuffers(requests: readonly { readonly label: string; readonly size: number }[]): Promise<GPUBuffer[]> {
    this.#device.pushErrorScope('out-of-memory');
    this.#device.pushErrorScope('validation');
    const buffers = requests.map(({ label, size }) =>
      // STORAGE | COPY_SRC | COPY_DST
      this.#device.createBuffer({ label, size: alignUp(Math.max(size, 4), UNIT), usage: 0x80 | 0x4 | 0x8 }),
    );
    const validation = await this.#device.popErrorScope();
    const memory = await this.#device.popErrorScope();
    const error = memory ?? validation;
    if (!error) return buffers;
    for (const b of buffers) b.destroy();
    const list = requests.map((r) => `${r.label} ${bytes(r.size)}`).join(', ');
    throw new T3dcError('out-of-memory', `the GPU gave no memory for ${list}: ${error.message}`, {
      hint: 'Close other users of the GPU, or build the artifact for less memory (--memory).',
    });
  }

  async require(entry: string, mode: RunMode): Promise<void> {
    this.#check();
    this.#block.needSections(entry, this.#manifest.entries[entry]!.index, 'webgpu', mode);
    await this.allocate(SECTIONS_OF[mode]);
    const key = `${entry} ${mode}`;
    if (this.#ready.has(key)) return;
    const indices = this.#dispatches(entry, mode);
    await this.#kernels.prepare([...new Set(indices)], this.#arenas, meter('compile', this.#options.onProgress));
    this.#ready.add(key);
  }

  configure(settings: RunSettings): void {
    this.#block.configure(settings);
  }
  get step(): number {
    return this.#block.step;
  }
  set step(step: number) {
    this.#block.step = step;
  }
  get lr(): number {
    return this.#block.lr;
  }
  get allocatedBytes(): number {
    const sizes = [...new Set(this.#arenas)].map((b) => b?.size ?? 0);
    return sizes.reduce((a, b) => a + b, 0) + this.#kernels.bytes + this.#readback.bytes + this.#step.size;
  }
  get windowAxis(): WindowAxis {
    return this.#block.program;
  }
  get lost(): boolean {
    return this.#failure?.code === 'device-lost';
  }
  isAllocated(arena: number): boolean {
    return this.#arenas[arena] !== undefined;
  }

  write(arena: number, byteOffset: number, data: Uint8Array): void {
    this.#device.queue.writeBuffer(this.#arenas[arena]!, byteOffset, data as BufferSource);
  }
  clear(arena: number, byteOffset: number, byteLength: number): void {
    const encoder = this.#device.createCommandEncoder({ label: 'clear' });
    encoder.clearBuffer(this.#arenas[arena]!, byteOffset, byteLength);
    this.#device.queue.submit([encoder.finish()]);
  }

  async read(places: readonly Place[]): Promise<Uint8Array[]> {
    this.#check();
    const pending = this.#pacing.take();
    const data = await this.#guard(this.#readback.read(places, this.#arenas, () => this.#pacing.nap(pending)));
    this.#pacing.measured(pending);
    return data;
  }

  async run(entry: string, mode: RunMode, microstep: number): Promise<void> {
    this.#check();
    const key = `${entry} ${mode}`;
    const { queue } = this.#device;
    const { program, s } = this.#block;
    const words = program.stream(s, this.#manifest.entries[entry]!.index, MODES[mode], microstep);
    const stream = this.#block.stream(words).slice();
    // The plan's bindings are the same each time, so that one validated run vouches for the next.
    const first = !this.#validated.has(key);
    const validate = first && this.#acquired.owned;
    if (validate) this.#device.pushErrorScope('validation');
    const checks: Promise<unknown>[] = [];
    let encoder: GPUCommandEncoder | null = null;
    let pass: GPUComputePassEncoder | null = null;
    let count = 0;
    let flops = 0;
    const slices = this.#slices;
    const rate = this.#pacing.rate;
    const most = rate === null ? FIRST_FLOPS : Math.min(MOST_FLOPS, Math.max(FIRST_FLOPS / 10, SUBMIT_MS * rate));
    const submit = (): void => {
      if (!encoder || !pass) return;
      pass.end();
      if (!this.#acquired.owned) checks.push(this.#scoped(() => queue.submit([encoder!.finish()])));
      else queue.submit([encoder.finish()]);
      this.#pacing.submitted(key, flops);
      encoder = null;
      pass = null;
      count = 0;
      flops = 0;
    };
    slices?.begin();
    for (let at = 0; at < stream.length; ) {
      if (stream[at] === L.CMD_STEP) {
        // A write to a buffer comes before everything that is submitted after it.
        submit();
        queue.writeBuffer(this.#step, 0, stream, at + 1, L.STEP_BLOCK_BYTES / 4);
        at += 1 + L.STEP_BLOCK_BYTES / 4;
        continue;
      }
      const begin = stream[at + 1]!;
      const end = begin + stream[at + 2]!;
      at += 3;
      for (let i = begin; i < end; i++) {
        // Before the dispatch that would be too much, not after it.
        if (slices?.full(flops, this.#flops[i]!)) {
          const work = flops;
          submit();
          await this.#guard(slices.pause(work));
        }
        encoder ??= this.#device.createCommandEncoder({ label: key });
        pass ??= (encoder as GPUCommandEncoder).beginComputePass();
        this.#kernels.encode(pass as GPUComputePassEncoder, i);
        count++;
        flops += this.#flops[i]!;
        if (!slices && (count >= SUBMIT_DISPATCHES || flops >= most)) {
          submit();
          await this.#guard(this.#pacing.room());
        }
      }
    }
    const work = flops;
    submit();
    if (slices) await this.#guard(slices.pause(work));
    if (validate) checks.push(this.#reported(this.#device.popErrorScope()));
    if (first) {
      await this.#guard(Promise.all(checks));
      this.#validated.add(key);
    }
    await this.#guard(this.#pacing.room());
  }

  /** Catches the errors of what is done at once, and nobody else's. They are there before what is read back afterwards. */
  #scoped(work: () => void): Promise<unknown> {
    this.#device.pushErrorScope('out-of-memory');
    this.#device.pushErrorScope('validation');
    work();
    return Promise.all([this.#reported(this.#device.popErrorScope()), this.#reported(this.#device.popErrorScope())]);
  }

  /** A scope's error is the session's; that the device was lost is told elsewhere. */
  #reported(scope: Promise<GPUError | null>): Promise<void> {
    return scope.then(
      (error) => error && this.#fail(gpuError(error)),
      () => {},
    ) as Promise<void>;
  }

  async profile(entry: string, mode: RunMode): Promise<OpTime[]> {
    this.#check();
    await this.#guard(this.#pacing.drain());
    this.#block.program.prepare(this.#block.s, 0);
    this.#peek(entry, mode);
    this.#device.queue.writeBuffer(this.#step, 0, this.#block.stream(1 + L.STEP_BLOCK_BYTES / 4).slice(1));
    // What runs for every tile is timed once.
    const times = new Map<number, number>();
    for (const i of this.#dispatches(entry, mode)) times.set(i, (times.get(i) ?? 0) + 1);
    const indices = [...times.keys()];
    const ready = indices.map((i) => this.#kernels.get(i));
    const exact = this.#device.features.has('timestamp-query');
    if (!exact)
      this.#options.onNotice('this device has no timestamps: the times include the submission of each dispatch');
    const ms = await this.#guard((exact ? timeDispatches : timeSubmits)(this.#device, ready));
    const out: OpTime[] = [];
    // Slabs of one op follow each other; they are reported as one.
    for (let from = 0; from < indices.length; ) {
      const { kernel, label } = this.#manifest.dispatches[indices[from]!]!;
      let to = from;
      let sum = 0;
      for (; to < indices.length; to++) {
        const d = this.#manifest.dispatches[indices[to]!]!;
        if (d.kernel !== kernel || d.label !== label || (to > from && d.params[0] === 0)) break;
        sum += ms[to]! * times.get(indices[to]!)!;
      }
      const info = this.#manifest.kernels[kernel]!;
      out.push({
        label,
        kind: info.kind,
        variant: ready[from]!.variant,
        ms: sum,
        flops: info.flops * times.get(indices[from]!)!,
        bytes: info.bytes * times.get(indices[from]!)!,
      });
      from = to;
    }
    return out;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#device.removeEventListener('uncapturederror', this.#onError);
    this.#readback.destroy();
    this.#kernels.destroy();
    this.#step.destroy();
    for (const b of this.#arenas) b?.destroy();
    if (this.#acquired.owned) this.#device.destroy();
    this.#acquired.instance = null;
  }

  /** Dispatches of a run, in order. */
  #dispatches(entry: string, mode: RunMode): number[] {
    const stream = this.#peek(entry, mode);
    const out: number[] = [];
    for (let at = 0; at < stream.length; ) {
      if (stream[at] === L.CMD_STEP) at += 1 + L.STEP_BLOCK_BYTES / 4;
      else {
        for (let i = 0; i < stream[at + 2]!; i++) out.push(stream[at + 1]! + i);
        at += 3;
      }
    }
    return out;
  }

  #peek(entry: string, mode: RunMode): Uint32Array {
    const words = this.#block.program.peekStream(this.#block.s, this.#manifest.entries[entry]!.index, MODES[mode]);
    if (words === 0)
      throw new T3dcError('bad-artifact', `program.wasm: the WebGPU program of ${entry} holds an unknown op`, {
        hint: 'Build the artifact again.',
      });
    return this.#block.stream(words);
  }

  /** Turns rejections and errors that the GPU reported meanwhile into ours. */
  async #guard<T>(work: Promise<T>): Promise<T> {
    let result: T;
    try {
      result = await work;
    } catch (e) {
      this.#check();
      throw e instanceof T3dcError ? e : new T3dcError('device-error', `the GPU failed: ${messageOf(e)}`, { cause: e });
    }
    this.#check();
    return result;
  }

  #check(): void {
    if (this.#closed) throw new T3dcError('closed', 'the session was closed');
    if (this.#failure) throw this.#failure;
  }

  /** The first failure is the cause; later ones follow from it. */
  #fail(e: T3dcError): void {
    this.#failure ??= e;
  }
}

/** Operations of each dispatch, which may be a part of its kernel: parameter word 0 is the first outermost index, word 1 their
 *  number. `perByte`: what a byte that is read or written counts beside them. */
function workOf({ dispatches, kernels }: Manifest, perByte: number): Float64Array {
  const outermost = new Float64Array(kernels.length);
  const end = (d: Manifest['dispatches'][number]): number => d.params[0]! + d.params[1]!;
  for (const d of dispatches) outermost[d.kernel] = Math.max(1, outermost[d.kernel]!, end(d));
  return Float64Array.from(dispatches, (d) => {
    const { flops, bytes: moved } = kernels[d.kernel]!;
    return ((flops + perByte * moved) * d.params[1]!) / outermost[d.kernel]!;
  });
}

function gpuError(error: GPUError): T3dcError {
  const memory = error.constructor.name === 'GPUOutOfMemoryError';
  return new T3dcError(memory ? 'out-of-memory' : 'device-error', `the GPU reported an error: ${error.message}`, {
    hint: memory
      ? 'Close other users of the GPU, or build for less memory.'
      : 'This is a fault of the artifact or the driver; please report it.',
  });
}
