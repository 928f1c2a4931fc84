// onnxruntime: in Node its CPU and WebGPU providers, and onnxruntime-web's WebAssembly.
import { Child } from './child.ts';
import { nodePackages, versionOf } from './install.ts';
import { Absent, type Peer, type Settings } from './peer.ts';
import { onnxOf } from './pytorch.ts';
import type { PeerName } from './schema.ts';

const PROVIDERS = {
  'onnxruntime-node webgpu': { package: 'onnxruntime-node', provider: 'webgpu' },
  'onnxruntime-node cpu': { package: 'onnxruntime-node', provider: 'cpu' },
  'onnxruntime-web wasm': { package: 'onnxruntime-web', provider: 'wasm' },
} as const satisfies Partial<Record<PeerName, object>>;

const WORKER = new URL('./onnxruntime-worker.ts', import.meta.url).pathname;

export function onnxRuntime(
  name: keyof typeof PROVIDERS,
  settings: Settings,
  softwareGpu: () => Promise<boolean>,
): Peer {
  const { package: module, provider } = PROVIDERS[name];
  let child: Child | null = null;
  return {
    name,
    half: false,
    kinds: ['conv', 'model'], // it has no gradients
    async describe() {
      nodePackages([module]);
      return { version: `${module} ${versionOf(module)}`, device: `${provider} provider` };
    },
    async open(c, inputs) {
      if (c.op === 'swinunetr' && provider === 'webgpu' && !settings.softwareModel && (await softwareGpu()))
        throw new Absent('many minutes a call on a software adapter: ask for it by --software-webgpu-model');
      const onnx = c.op === 'swinunetr' ? await onnxOf(c, settings) : undefined;
      child = new Child(name, process.execPath, [...process.execArgv, WORKER]);
      return child.open(c, inputs, { module, provider, threads: settings.threads, onnx });
    },
    async close() {
      child?.close();
      child = null;
    },
  };
}
