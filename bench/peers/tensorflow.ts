// TensorFlow.js on WebGPU, which in Node is Dawn's. It has convolutions and their gradients, but no SwinUNETR.
import { Child } from './child.ts';
import { nodePackages, versionOf } from './install.ts';
import type { Peer } from './peer.ts';

const PACKAGES = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-webgpu'];
const WORKER = new URL('./tensorflow-worker.ts', import.meta.url).pathname;

export function tensorFlow(): Peer {
  let child: Child | null = null;
  const start = (): Child => {
    child ??= new Child('tensorflow.js webgpu', process.execPath, [...process.execArgv, WORKER]);
    return child;
  };
  return {
    name: 'tensorflow.js webgpu',
    half: false,
    kinds: ['conv', 'gradients'],
    async describe() {
      nodePackages(PACKAGES);
      const { device } = await start().ask({ op: 'describe' });
      return { version: `tfjs-backend-webgpu ${versionOf(PACKAGES[1]!)}`, device: device ?? '' };
    },
    async open(c, inputs) {
      return start().open(c, inputs, {});
    },
    async close() {
      child?.close();
      child = null;
    },
  };
}
