// The runtime's front door: `const session = await open('dist/model', { device: 'auto' })`.
import { openArtifact } from './artifact.ts';
import type { Device } from './device.ts';
import { isPage } from './environment.ts';
import { T3dcError, throwIfAborted } from './errors.ts';
import { meter, type Progress } from './progress.ts';
import { Session } from './session.ts';
import { type ArtifactSource, checkDigest } from './source.ts';
import { WasmDevice } from './wasm-device.ts';
import { openWebGpu } from './webgpu-device.ts';

export { type Artifact, openArtifact } from './artifact.ts';
export type { Rename, WeightReport } from './checkpoint.ts';
export type { DeviceInfo, OpTime } from './device.ts';
export { type ErrorCode, T3dcError } from './errors.ts';
export type { Dialect, Manifest } from './manifest.ts';
export type { Inputs, Outputs, TensorData, TensorInput } from './ports.ts';
export type { Progress } from './progress.ts';
export { readSafetensors, toFloat32, writeSafetensors } from './safetensors.ts';
export { Session } from './session.ts';
export type { ArtifactSource } from './source.ts';
export type { Batches, TrainOptions, TrainStep } from './train.ts';
export { deviceDescriptor } from './webgpu-adapter.ts';
export type { Windows } from './windows.ts';

export interface OpenOptions {
  /** `auto` (default): a hardware WebGPU adapter, else wasm. `webgpu` takes a software adapter where there is no other. A
   *  function gives a device of the caller's, and another when that is lost. */
  readonly device?: 'auto' | 'webgpu' | 'wasm' | GPUDevice | (() => Promise<GPUDevice>);
  /** wasm threads. Default: logical processors, at most 8; one where they are not allowed. */
  readonly threads?: number;
  /** Draws initial weights at once, and is the default seed of training. */
  readonly seed?: number | bigint;
  /** How far downloads and the compiling of kernels are. */
  readonly onProgress?: (progress: Progress) => void;
  /** Things worth knowing, such as a software adapter. Default: console.warn. */
  readonly onNotice?: (message: string) => void;
  /** Stops the opening, downloads included: T3dcError 'aborted'. */
  readonly signal?: AbortSignal;
  /** Browsers: keep what is fetched from URLs, artifact and weights, and use it the next time; each file is verified by its
   *  SHA-256. Default true. `caches.delete('t3dc')` forgets all. */
  readonly cache?: boolean;
  /** SHA-256 of the .t3dc file, or of a folder's manifest.json: 64 hexadecimal digits. Then a kept artifact is opened without a
   *  request; without, the server is asked whether it has changed. */
  readonly integrity?: string;
  /** Browsers, WebGPU: work is submitted in slices of at most so many milliseconds, so that the page's own frames come in
   *  between. Default 8 for a device that the page gave, else none. One dispatch is the least that a slice can be. */
  readonly frameBudgetMs?: number;
  /** Browsers: the worker of a wasm thread, which runs `runThread` of wasm-thread.ts. Default: one from a Blob, which a page's
   *  security policy may forbid. */
  readonly threadWorker?: () => Worker;
  /** Gives the device for 'auto' (`hardware`) and 'webgpu' (`any`) in place of the runtime's own request, so that models share
   *  one. It stays the caller's. Throws T3dcError 'no-device'. */
  readonly requestDevice?: (choice: 'hardware' | 'any') => Promise<GPUDevice>;
  /** Node: options for Dawn's `create`, such as `enable-dawn-features=allow_unsafe_apis`. Default none. */
  readonly dawnFlags?: readonly string[];
}

/** Opens an artifact (folder, .t3dc or bytes) on a device. Throws T3dcError: 'bad-artifact', 'no-device', 'limits',
 *  'out-of-memory', 'no-wasm-features', 'bad-option', 'device-error', 'aborted'. */
export async function open(from: ArtifactSource, options: OpenOptions = {}): Promise<Session> {
  const onNotice = options.onNotice ?? ((message: string) => console.warn(`t3dc: ${message}`));
  const { signal, onProgress, requestDevice } = options;
  throwIfAborted(signal);
  const download = { cache: options.cache ?? true, onNotice };
  const artifact = await openArtifact(from, {
    ...download,
    signal,
    integrity: checkDigest(options.integrity),
    onBytes: meter('download', onProgress),
  });
  throwIfAborted(signal);
  const choice = options.device ?? 'auto';
  const given = typeof choice === 'object' || typeof choice === 'function';
  const frameBudgetMs = checkBudget(options.frameBudgetMs ?? (given && isPage ? 8 : Number.POSITIVE_INFINITY));
  const webgpu = { onNotice, onProgress, dawnFlags: options.dawnFlags ?? [], frameBudgetMs };
  const gpu = async (): Promise<Device> => {
    if (typeof choice === 'function') return openWebGpu(artifact, await choice(), webgpu);
    if (typeof choice === 'object') return openWebGpu(artifact, choice, webgpu);
    const kind = choice === 'auto' ? 'hardware' : 'any';
    return openWebGpu(artifact, requestDevice ? await requestDevice(kind) : kind, webgpu);
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
  device ??= await WasmDevice.open(artifact, { threads: options.threads, onNotice, worker: options.threadWorker });
  try {
    throwIfAborted(signal);
    const session = new Session(artifact, device, {
      seed: options.seed,
      onNotice,
      download,
      onProgress,
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

function checkBudget(ms: number): number {
  if (!(ms > 0))
    throw new T3dcError('bad-option', 'frameBudgetMs is not a time', { found: ms, expected: 'milliseconds above 0' });
  return ms;
}
