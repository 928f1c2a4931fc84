// What WebGPU offers on this machine, asked through Dawn as the runtime does.
import { isSoftware } from '../runtime/webgpu-adapter.ts';

export interface AdapterFacts {
  readonly description: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly software: boolean;
  readonly subgroups: readonly [min: number, max: number] | null;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

export interface WebGpuFacts {
  /** The npm package `webgpu` is there. */
  readonly installed: boolean;
  readonly version: string | null;
  readonly adapters: readonly AdapterFacts[];
  /** Why there is none. */
  readonly problem: string | null;
}

const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** Adapters by preference, each once. Never throws. */
export async function probeWebGpu(): Promise<WebGpuFacts> {
  // The Vulkan loader complains on stderr without it.
  process.env.XDG_RUNTIME_DIR ??= (await import('node:os')).tmpdir();
  let dawn: { create(flags: string[]): GPU };
  let version: string | null = null;
  try {
    dawn = (await import('webgpu')) as unknown as { create(flags: string[]): GPU };
    const { createRequire } = await import('node:module');
    const { readFileSync } = await import('node:fs');
    const main = createRequire(import.meta.url).resolve('webgpu');
    version = (JSON.parse(readFileSync(new URL('package.json', `file://${main}`), 'utf8')) as { version: string })
      .version;
  } catch (e) {
    const missing = (e as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    return {
      installed: !missing,
      version,
      adapters: [],
      problem: missing ? null : `the package webgpu does not load: ${(e as Error).message}`,
    };
  }
  try {
    const gpu = dawn.create([]);
    const wanted: GPURequestAdapterOptions[] = [
      { powerPreference: 'high-performance' },
      { powerPreference: 'low-power' },
      { forceFallbackAdapter: true },
    ];
    const adapters = new Map<string, AdapterFacts>();
    for (const options of wanted) {
      const adapter = await gpu.requestAdapter(options);
      if (!adapter) continue;
      const facts = factsOf(adapter);
      adapters.set(`${facts.vendor} ${facts.description}`, facts);
    }
    return {
      installed: true,
      version,
      adapters: [...adapters.values()],
      problem: adapters.size > 0 ? null : 'Dawn finds no adapter: no usable Vulkan, Metal or D3D12 driver',
    };
  } catch (e) {
    return { installed: true, version, adapters: [], problem: (e as Error).message };
  }
}

function factsOf(adapter: GPUAdapter): AdapterFacts {
  const info = adapter.info as GPUAdapterInfo & { subgroupMinSize?: number; subgroupMaxSize?: number };
  const name = [info.device, info.description].filter(Boolean).join(' ');
  const subgroups =
    info.subgroupMinSize && info.subgroupMaxSize ? ([info.subgroupMinSize, info.subgroupMaxSize] as const) : null;
  return {
    description: name || 'unnamed',
    vendor: info.vendor,
    architecture: info.architecture,
    software: isSoftware(info),
    subgroups,
    features: [...adapter.features].sort(),
    limits: Object.fromEntries(LIMITS.map((k) => [k, Number(adapter.limits[k])])),
  };
}
