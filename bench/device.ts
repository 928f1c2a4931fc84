// The GPU of a bench: one device for the ceilings and the cases, with every feature that either can use.
import { T3dcError } from '../runtime/index.ts';
import { isSoftware } from '../runtime/webgpu-adapter.ts';

export interface BenchGpu {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly software: boolean;
  close(): void;
}

const FEATURES = ['subgroups', 'timestamp-query', 'shader-f16', 'chromium-experimental-subgroup-matrix'];
/** Timestamps in full, subgroup matrices, and f16 where NVIDIA's driver has it. */
const DAWN = [
  'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia',
  'disable-dawn-features=timestamp_quantization',
];

/** null where there is no adapter; a software one only where `software` allows it. `flags`: of Dawn. Throws T3dcError 'no-device'
 *  without Dawn. */
export async function openBenchGpu(software: boolean, flags: readonly string[] = DAWN): Promise<BenchGpu | null> {
  process.env.XDG_RUNTIME_DIR ??= '/tmp'; // silences the Vulkan loader
  let gpu: GPU | null;
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    gpu = create([...flags]);
  } catch (e) {
    throw new T3dcError('no-device', 'the optional package webgpu (Dawn for Node) cannot be loaded', {
      hint: 'Install it with `npm install webgpu`, or bench --device wasm.',
      cause: e,
    });
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return null;
  const { info } = adapter;
  const slow = isSoftware(info);
  if (slow && !software) return null;
  const requiredLimits: Record<string, number> = {};
  // Every limit that a compute shader meets.
  for (const name in adapter.limits)
    if (/Buffer|Binding|Compute|Storage/.test(name)) requiredLimits[name] = adapter.limits[name as 'maxBufferSize'];
  const device = await adapter.requestDevice({
    requiredFeatures: FEATURES.filter((f) => adapter.features.has(f)) as GPUFeatureName[],
    requiredLimits,
  });
  return {
    device,
    info,
    software: slow,
    close: () => {
      device.destroy();
      gpu = null;
    },
  };
}
