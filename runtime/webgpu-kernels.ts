// Kernels on a WebGPU device: which variant runs, pipelines compiled without blocking, and a bind group per dispatch. All
// are made once, and only for the sections that are used.
import type { Artifact } from './artifact.ts';
import { messageOf, T3dcError } from './errors.ts';
import { type Dispatch, type KernelInfo, type Manifest, type SubgroupMatrix, UNIT } from './manifest.ts';
import { PARAM_STRIDE } from './memory.ts';
import { type Acquired, describe } from './webgpu-adapter.ts';

/** Bytes of a dispatch's parameter block. */
const PARAM_BYTES = 64;
/** Pipelines compiled at once. */
const CONCURRENCY = 4;

export interface ReadyDispatch {
  /** Id of the variant. */
  readonly variant: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
}

/** What an adapter tells of its subgroups, beyond the types at hand. */
interface SubgroupInfo {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrix>;
}

const sameMatrix = (a: SubgroupMatrix, b: SubgroupMatrix): boolean =>
  (['componentType', 'resultComponentType', 'M', 'N', 'K'] as const).every((key) => a[key] === b[key]);

interface Compiled {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly variant: number;
}

/** Whether a device can run a variant, by what the variant says that it needs; one that is for some adapters, by the adapter's key. */
export function fits(
  v: Omit<KernelInfo['variants'][number], 'id' | 'file' | 'constants'>,
  { features, limits }: Pick<GPUDevice, 'features' | 'limits'>,
  adapter: GPUAdapterInfo | null,
  key = '',
): boolean {
  if (v.adapters && !v.adapters.includes(key)) return false;
  if (!v.features.every((f) => features.has(f))) return false;
  if (v.workgroupStorage !== undefined && v.workgroupStorage > limits.maxComputeWorkgroupStorageSize) return false;
  if (v.invocations !== undefined && v.invocations > limits.maxComputeInvocationsPerWorkgroup) return false;
  const info = adapter as SubgroupInfo | null;
  const { subgroupSize: size, subgroupMatrix: matrix } = v;
  if (size !== undefined && !(info?.subgroupMinSize === size && info.subgroupMaxSize === size)) return false;
  return matrix === undefined || [...(info?.subgroupMatrixConfigs ?? [])].some((c) => sameMatrix(c, matrix));
}

/** Checks a caller's device against every kernel before anything is compiled, and tells what it would be better with. Throws
 *  T3dcError 'limits'. */
export function checkKernels(
  { kernels }: Manifest,
  device: GPUDevice,
  { info, key }: Pick<Acquired, 'info' | 'key'>,
  onNotice: (message: string) => void,
): void {
  const hint = 'Make it by adapter.requestDevice(deviceDescriptor(adapter)).';
  const bad = kernels.filter((k) => !k.variants.some((v) => fits(v, device, info, key)));
  if (bad.length > 0)
    throw new T3dcError('limits', `the device cannot run ${bad.length} of ${kernels.length} kernels`, {
      found: [...device.features].join(', ') || 'no features',
      expected: bad.slice(0, 3).map((k) => `${k.name}: ${JSON.stringify(k.variants.at(-1))}`),
      hint,
    });
  const lacks = kernels.map((k) =>
    k.variants[0]!.features.filter((f) => !device.features.has(f) && !f.startsWith('chromium-')),
  );
  const missing = [...new Set(lacks.flat())].join(', ');
  if (missing)
    onNotice(`the device lacks ${missing}: ${lacks.filter((l) => l[0]).length} kernels may be slower. ${hint}`);
}

export class Kernels {
  readonly #artifact: Artifact;
  readonly #device: GPUDevice;
  readonly #info: GPUAdapterInfo | null;
  readonly #key: string;
  readonly #step: GPUBuffer;
  readonly #params: GPUBuffer;
  readonly #onNotice: (message: string) => void;
  readonly #modules = new Map<string, Promise<GPUShaderModule>>();
  readonly #compiled = new Map<number, Promise<Compiled>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #ready: (ReadyDispatch | undefined)[];

  constructor(
    artifact: Artifact,
    device: GPUDevice,
    { info, key }: Pick<Acquired, 'info' | 'key'>,
    step: GPUBuffer,
    onNotice: (message: string) => void,
  ) {
    const { dispatches } = artifact.manifest;
    this.#artifact = artifact;
    this.#device = device;
    this.#info = info;
    this.#key = key;
    this.#step = step;
    this.#onNotice = onNotice;
    this.#ready = new Array(dispatches.length);
    const words = new Uint32Array(Math.max(1, dispatches.length) * (PARAM_STRIDE / 4));
    dispatches.forEach((d, i) => {
      words.set(d.params, i * (PARAM_STRIDE / 4));
    });
    this.#params = device.createBuffer({
      label: 'parameter blocks',
      size: words.byteLength,
      usage: 0x40 | 0x8, // UNIFORM | COPY_DST
    });
    device.queue.writeBuffer(this.#params, 0, words);
  }

  get manifest(): Manifest {
    return this.#artifact.manifest;
  }

  /** A dispatch that `prepare` made ready. */
  get(index: number): ReadyDispatch {
    return this.#ready[index]!;
  }

  encode(pass: GPUComputePassEncoder, index: number): void {
    const { pipeline, group, grid } = this.#ready[index]!;
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
  }

  /** Compiles and binds these dispatches. Throws T3dcError 'device-error', 'bad-artifact', 'limits'. */
  async prepare(
    indices: readonly number[],
    arenas: readonly (GPUBuffer | undefined)[],
    progress?: (done: number, total: number) => void,
  ): Promise<void> {
    const open = indices.filter((i) => !this.#ready[i]);
    if (open.length === 0) return;
    const kernels = [...new Set(open.map((i) => this.manifest.dispatches[i]!.kernel))];
    let next = 0;
    let done = 0;
    const lane = async (): Promise<void> => {
      while (next < kernels.length) {
        await this.#compile(kernels[next++]!);
        progress?.(++done, kernels.length);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, lane));
    for (const i of open)
      this.#ready[i] = this.#bind(i, await this.#compile(this.manifest.dispatches[i]!.kernel), arenas);
  }

  /** Forgets the bind groups (an arena's buffer was replaced); pipelines stay. */
  unbind(): void {
    this.#ready.fill(undefined);
  }

  get bytes(): number {
    return this.#params.size;
  }

  destroy(): void {
    this.#params.destroy();
  }

  #compile(kernel: number): Promise<Compiled> {
    let compiled = this.#compiled.get(kernel);
    if (!compiled) {
      compiled = this.#compileVariants(this.manifest.kernels[kernel]!);
      this.#compiled.set(kernel, compiled);
    }
    return compiled;
  }

  /** The first variant that is for this adapter, that the device can run, and that its driver accepts. */
  async #compileVariants(kernel: KernelInfo): Promise<Compiled> {
    const layout = this.#layout(kernel);
    const pipelineLayout = this.#device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const fit = kernel.variants.flatMap((v, i) => (fits(v, this.#device, this.#info, this.#key) ? [i] : []));
    if (fit.length === 0)
      throw new T3dcError('limits', `no variant of kernel ${kernel.name} runs on ${describe(this.#info)}`, {
        expected: JSON.stringify(kernel.variants.at(-1)),
        hint: "Open with { device: 'wasm' }.",
      });
    for (const [n, variant] of fit.entries()) {
      const { id, file, constants } = kernel.variants[variant]!;
      const module = await this.#module(file);
      try {
        const pipeline = await this.#device.createComputePipelineAsync({
          label: kernel.name,
          layout: pipelineLayout,
          compute: { module, constants: Object.fromEntries(constants.map((value, i) => [`N${i}`, value])) },
        });
        return { pipeline, layout, variant };
      } catch (e) {
        const { messages } = await module.getCompilationInfo();
        const lines = messages
          .filter((m) => m.type === 'error')
          .map((m) => `${file}:${m.lineNum}:${m.linePos} ${m.message}`);
        const why = lines.length ? lines.slice(0, 3).join('; ') : messageOf(e);
        if (n + 1 === fit.length)
          throw new T3dcError('device-error', `kernel ${kernel.name} (${id}) does not compile: ${why}`, { cause: e });
        this.#onNotice(`kernel ${kernel.name}: the variant ${id} does not compile here, the next is used: ${why}`);
      }
    }
    throw new Error('unreachable');
  }

  #module(file: string): Promise<GPUShaderModule> {
    let module = this.#modules.get(file);
    if (!module) {
      module = this.#artifact.text(file).then((code) => this.#device.createShaderModule({ label: file, code }));
      this.#modules.set(file, module);
    }
    return module;
  }

  /** Binding 0: the parameter block; then the buffers; then the step block. */
  #layout(kernel: KernelInfo): GPUBindGroupLayout {
    const key = `${kernel.bindings.join()} ${kernel.usesStep}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      const visibility = 0x4; // COMPUTE
      const entries: GPUBindGroupLayoutEntry[] = [
        { binding: 0, visibility, buffer: { type: 'uniform', minBindingSize: PARAM_BYTES } },
      ];
      for (const access of kernel.bindings)
        entries.push({
          binding: entries.length,
          visibility,
          buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
        });
      if (kernel.usesStep) entries.push({ binding: entries.length, visibility, buffer: { type: 'read-only-storage' } });
      layout = this.#device.createBindGroupLayout({ entries });
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  #bind(
    index: number,
    { pipeline, layout, variant }: Compiled,
    arenas: readonly (GPUBuffer | undefined)[],
  ): ReadyDispatch {
    const dispatch: Dispatch = this.manifest.dispatches[index]!;
    const kernel = this.manifest.kernels[dispatch.kernel]!;
    const entries: GPUBindGroupEntry[] = [
      { binding: 0, resource: { buffer: this.#params, offset: index * PARAM_STRIDE, size: PARAM_BYTES } },
    ];
    for (const [arena, offset, size] of dispatch.bindings) {
      const buffer = arenas[arena];
      if (!buffer)
        throw new T3dcError(
          'bad-artifact',
          `${dispatch.label} uses the arena ${this.manifest.arenas[arena]?.name ?? arena}, which this section lacks`,
          {
            hint: 'Build the artifact again.',
          },
        );
      entries.push({
        binding: entries.length,
        resource: { buffer, offset: offset * UNIT, size: Math.ceil(size / 4) * 4 },
      });
    }
    if (kernel.usesStep) entries.push({ binding: entries.length, resource: { buffer: this.#step } });
    return {
      variant: this.manifest.kernels[dispatch.kernel]!.variants[variant]!.id,
      pipeline,
      group: this.#device.createBindGroup({ layout, entries }),
      grid: dispatch.grids[variant]!,
    };
  }
}
