// Finding a GPU and asking it for all that it has: limits as the adapter reports them, features that some kernel can use.
import { adapterKey, FEATURES } from './adapter-key.ts';
import { isNode } from './environment.ts';
import { bytes, messageOf, T3dcError } from './errors.ts';
import type { Arena, Manifest } from './manifest.ts';

/** `hardware` never takes a software adapter; `any` takes one, with a notice, where there is nothing better. */
export type Choice = 'hardware' | 'any' | GPUDevice;

export interface Acquired {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo | null;
  /** adapter-key.ts */
  readonly key: string;
  readonly software: boolean;
  /** Whether the device is ours to destroy. */
  readonly owned: boolean;
  /** Kept so that Dawn's instance lives as long as the device; dropping it lets Node exit. */
  instance: unknown;
}

/** Limits that plans and kernels may use beyond WebGPU's defaults. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** Throws T3dcError 'no-device'. */
export async function acquire(
  choice: Choice,
  manifest: Manifest,
  options: { readonly dawnFlags: readonly string[]; readonly onNotice: (message: string) => void },
): Promise<Acquired> {
  if (typeof choice === 'object') {
    if (isSoftware(choice.adapterInfo)) options.onNotice(slow(choice.adapterInfo));
    return {
      device: choice,
      info: choice.adapterInfo ?? null,
      key: adapterKey(choice.adapterInfo, choice),
      software: isSoftware(choice.adapterInfo),
      owned: false,
      instance: null,
    };
  }
  const features = manifest.kernels.flatMap((k) => k.variants.flatMap((v) => v.features));
  const { adapter, gpu, software } = await findAdapter(choice, options.dawnFlags);
  if (software) options.onNotice(slow(adapter.info));
  const device = await deviceOf(adapter, features);
  return { device, info: adapter.info, key: adapterKey(adapter.info, adapter), software, owned: true, instance: gpu };
}

/** What to ask an adapter for, so that models run on the device at their best: `adapter.requestDevice(deviceDescriptor(adapter))`.
 *  Limits as the adapter reports them; of features those that kernels use and the adapter has. */
export function deviceDescriptor(
  adapter: GPUAdapter,
  features: Iterable<string> = FEATURES,
): { label: string; requiredFeatures: GPUFeatureName[]; requiredLimits: Record<string, number> } {
  const wanted = new Set(['timestamp-query', ...features]);
  return {
    label: 't3dc',
    requiredFeatures: [...wanted].filter((f) => adapter.features.has(f)) as GPUFeatureName[],
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
  };
}

/** A device for several models. Throws T3dcError 'no-device'. */
export async function requestDevice(choice: 'hardware' | 'any'): Promise<GPUDevice> {
  return deviceOf((await findAdapter(choice, [])).adapter, FEATURES);
}

async function deviceOf(adapter: GPUAdapter, features: Iterable<string>): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice(deviceDescriptor(adapter, features));
  } catch (e) {
    throw new T3dcError('no-device', `${describe(adapter.info)} gave no device: ${messageOf(e)}`, { cause: e });
  }
}

async function findAdapter(choice: 'hardware' | 'any', dawnFlags: readonly string[]) {
  const gpu = await findGpu(dawnFlags);
  // Browsers and Dawn prefer hardware by themselves; the fallback is asked for only where that gives nothing.
  let adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter && choice === 'any') adapter = await gpu.requestAdapter({ forceFallbackAdapter: true });
  const software = adapter !== null && isSoftware(adapter.info);
  if (!adapter || (software && choice === 'hardware'))
    throw new T3dcError(
      'no-device',
      adapter ? 'there is only a software WebGPU adapter' : 'no WebGPU adapter was found',
      {
        hint: "Check the GPU's driver (Vulkan, Metal or Direct3D 12), or open with { device: 'wasm' }.",
      },
    );
  return { adapter, gpu, software };
}

const slow = (info: GPUAdapterInfo | null | undefined): string =>
  `${describe(info)} is a software adapter: { device: 'wasm' } is faster`;

export function describe(info: GPUAdapterInfo | null | undefined): string {
  const text = [info?.vendor, info?.architecture, info?.device, info?.description].filter((s) => s).join(' ');
  return text || 'a WebGPU device';
}

/** Checks the plan against the device before anything is allocated. Throws T3dcError 'limits', with the bytes that are missing. */
export function checkLimits(device: GPUDevice, manifest: Manifest, arenas: readonly Arena[]): void {
  const { limits } = device;
  const faults: string[] = [];
  for (const a of arenas)
    if (a.bytes > limits.maxBufferSize)
      faults.push(
        `arena ${a.name} needs a buffer of ${bytes(a.bytes)}, ${bytes(a.bytes - limits.maxBufferSize)} over maxBufferSize`,
      );
  const { maxStorageBufferBindingSize: binding, maxStorageBuffersPerShaderStage: buffers } = manifest.requires;
  if (binding > limits.maxStorageBufferBindingSize)
    faults.push(
      `a kernel binds ${bytes(binding)}, ${bytes(binding - limits.maxStorageBufferBindingSize)} over maxStorageBufferBindingSize`,
    );
  if (buffers > limits.maxStorageBuffersPerShaderStage)
    faults.push(
      `a kernel binds ${buffers} storage buffers, maxStorageBuffersPerShaderStage is ${limits.maxStorageBuffersPerShaderStage}`,
    );
  if (limits.minUniformBufferOffsetAlignment > 256 || limits.minStorageBufferOffsetAlignment > 256)
    faults.push('buffer offsets must align to more than 256 bytes');
  if (faults.length)
    throw new T3dcError('limits', `the plan does not fit this device: ${faults.join('; ')}`, {
      hint: "Build the artifact for smaller limits, or use { device: 'wasm' }.",
    });
}

export const isSoftware = (info: GPUAdapterInfo | null | undefined): boolean =>
  (info as { isFallbackAdapter?: boolean } | undefined)?.isFallbackAdapter === true ||
  /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(describe(info));

async function findGpu(dawnFlags: readonly string[]): Promise<GPU> {
  if (!isNode) {
    if (typeof navigator !== 'undefined' && navigator.gpu) return navigator.gpu;
    throw new T3dcError('no-device', 'this browser has no WebGPU here', {
      hint: "Use a current browser over https or localhost, or open with { device: 'wasm' }.",
    });
  }
  // Not a literal, so that bundlers for the browser leave the optional package alone.
  const name = 'webgpu';
  try {
    const { create } = (await import(name)) as { create(flags: string[]): GPU };
    return create([...dawnFlags]);
  } catch (e) {
    throw new T3dcError('no-device', `the optional package webgpu (Dawn for Node) cannot be loaded: ${messageOf(e)}`, {
      hint: "Install it with `npm install webgpu`, or open with { device: 'wasm' }.",
      cause: e,
    });
  }
}
