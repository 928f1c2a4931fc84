// The WebGPU device.
import type { Artifact } from './artifact.ts';
import type { Device } from './device.ts';
import { T3dcError } from './errors.ts';

export interface WebGpuOptions {
  readonly onNotice: (message: string) => void;
  readonly onProgress?: (progress: {
    readonly stage: 'kernels';
    readonly done: number;
    readonly total: number;
  }) => void;
  readonly dawnFlags: readonly string[];
}

export async function openWebGpu(
  _artifact: Artifact,
  _which: 'any' | 'hardware' | GPUDevice,
  _options: WebGpuOptions,
): Promise<Device> {
  throw new T3dcError('no-device', 'this build of the runtime has no WebGPU device', {
    hint: "Open with { device: 'wasm' }.",
  });
}
