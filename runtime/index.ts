// The runtime's front door: `const session = await open('dist/model', { device: 'auto' })`.
import { openArtifact } from './artifact.ts';
import type { Device } from './device.ts';
import { T3dcError } from './errors.ts';
import { Session } from './session.ts';
import type { ArtifactSource } from './source.ts';
import { WasmDevice } from './wasm-device.ts';
import { openWebGpu } from './webgpu-device.ts';

export { type Artifact, openArtifact } from './artifact.ts';
export type { Rename, WeightReport } from './checkpoint.ts';
export type { DeviceInfo, OpTime } from './device.ts';
export { type ErrorCode, T3dcError } from './errors.ts';
export type { Dialect, Manifest } from './manifest.ts';
export type { Inputs, Outputs, TensorData, TensorInput } from './ports.ts';
export { readSafetensors, toFloat32, writeSafetensors } from './safetensors.ts';
export { Session } from './session.ts';
export type { ArtifactSource } from './source.ts';
export type { Batches, TrainOptions, TrainStep } from './train.ts';
export type { Windows } from './windows.ts';

export interface Progress {
  readonly stage: 'kernels';
  readonly done: number;
  readonly total: number;
}

export interface OpenOptions {
  /** `auto` (default): a hardware WebGPU adapter, else wasm. `webgpu` takes a software adapter where there is no other. A
   *  function gives a device of the caller's, and another when that is lost. */
  readonly device?: 'auto' | 'webgpu' | 'wasm' | GPUDevice | (() => Promise<GPUDevice>);
  /** wasm threads. Default: logical processors, at most 8; one where they are not allowed. */
  readonly threads?: number;
  /** Draws initial weights at once, and is the default seed of training. */
  readonly seed?: number | bigint;
  readonly onProgress?: (progress: Progress) => void;
  /** Things worth knowing, such as a software adapter. Default: console.warn. */
  readonly onNotice?: (message: string) => void;
  /** Node: options for Dawn's `create`, such as `enable-dawn-features=allow_unsafe_apis`. Default none. */
  readonly dawnFlags?: readonly string[];
}

/** Opens an artifact (folder, .t3dc or bytes) on a device. Throws T3dcError: 'bad-artifact', 'no-device', 'limits',
 *  'out-of-memory', 'no-wasm-features', 'bad-option', 'device-error'. */
export async function open(from: ArtifactSource, options: OpenOptions = {}): Promise<Session> {
  const onNotice = options.onNotice ?? ((message: string) => console.warn(`t3dc: ${message}`));
  const artifact = await openArtifact(from);
  const choice = options.device ?? 'auto';
  const webgpu = { onNotice, onProgress: options.onProgress, dawnFlags: options.dawnFlags ?? [] };
  const gpu = async (): Promise<Device> => {
    if (typeof choice === 'function') return openWebGpu(artifact, await choice(), webgpu);
    if (typeof choice === 'object') return openWebGpu(artifact, choice, webgpu);
    return openWebGpu(artifact, choice === 'auto' ? 'hardware' : 'any', webgpu);
  };
  let device: Device | null = null;
  if (choice === 'webgpu' || typeof choice === 'object' || typeof choice === 'function') device = await gpu();
  else if (choice === 'auto') {
    try {
      device = await gpu();
    } catch (e) {
      if (!(e instanceof T3dcError) || (e.code !== 'no-device' && e.code !== 'limits')) throw e;
      if (e.code === 'limits') onNotice(`the GPU is not used: ${e.message}`);
    }
  } else if (choice !== 'wasm')
    throw new T3dcError('bad-option', 'unknown device', {
      found: choice,
      expected: "'auto', 'webgpu', 'wasm', a GPUDevice or a function that gives one",
    });
  device ??= await WasmDevice.open(artifact, { threads: options.threads, onNotice });
  try {
    const session = new Session(artifact, device, {
      seed: options.seed,
      onNotice,
      ...(device.info.kind === 'webgpu' && typeof choice !== 'object' ? { reopen: gpu } : {}),
    });
    await device.allocate([]);
    if (options.seed !== undefined) await session.initialise(options.seed);
    return session;
  } catch (e) {
    await device.close();
    throw e;
  }
}
