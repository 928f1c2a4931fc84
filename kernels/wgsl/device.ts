// A WebGPU device from Dawn on Node, for tests and benchmarks of kernels (the runtime opens its own).
import { create, globals } from 'webgpu';

export interface TestDevice {
  readonly device: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly subgroupSize: { readonly min: number; readonly max: number } | null;
  /** Destroys the device and drops Dawn, so that Node exits. */
  close(): void;
}

/** The first adapter's device with all of the adapter's limits, and subgroups, f16 and timestamps where it has them.
 *  Errors: `no-adapter`. */
export async function openDevice(): Promise<TestDevice> {
  process.env.XDG_RUNTIME_DIR ??= '/tmp'; // silences the Vulkan loader
  Object.assign(globalThis, globals);
  let gpu: GPU | null = create([]);
  const adapter = await gpu.requestAdapter();
  if (!adapter) {
    gpu = null;
    throw Object.assign(new Error('no WebGPU adapter: run scripts/setup-vulkan.sh for a software one'), {
      code: 'no-adapter',
    });
  }
  const requiredLimits: Record<string, number> = {};
  for (const name of [
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxStorageBuffersPerShaderStage',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
  ] as const) {
    requiredLimits[name] = adapter.limits[name];
  }
  const wanted: GPUFeatureName[] = ['subgroups', 'shader-f16', 'timestamp-query'];
  const requiredFeatures = wanted.filter((f) => adapter.features.has(f));
  const info = adapter.info as GPUAdapterInfo & { subgroupMinSize?: number; subgroupMaxSize?: number };
  const subgroupSize =
    requiredFeatures.includes('subgroups') && info.subgroupMinSize
      ? { min: info.subgroupMinSize, max: info.subgroupMaxSize! }
      : null;
  const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
  return {
    device,
    adapter,
    subgroupSize,
    close: () => {
      device.destroy();
      gpu = null;
    },
  };
}
