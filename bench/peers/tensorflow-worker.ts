// TensorFlow.js's process: see tensorflow.ts. Its own layout is channels last, and its inputs are put into that beforehand.
import { type ConvCase, outputShape, type Tensor } from './cases.ts';
import { nodePackages, versionOf } from './install.ts';
import { channelsFirst, channelsLast } from './peer.ts';
import { serve } from './serve.ts';

// biome-ignore lint/suspicious/noExplicitAny: installed on demand, it has no types here
let tf: any;

async function load(): Promise<GPUAdapterInfo> {
  process.env.XDG_RUNTIME_DIR ??= '/tmp'; // silences the Vulkan loader
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create([]);
  // It looks for a page's `navigator.gpu`.
  Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'node' }, configurable: true });
  const require = nodePackages(['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-webgpu']);
  tf = require('@tensorflow/tfjs-core');
  require('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new Error('its webgpu backend does not start');
  return tf.backend().device.adapterInfo ?? (await gpu.requestAdapter())!.info;
}
const info = load();
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** [o c kd kh kw] to [kd kh kw c o] */
function taps(w: ArrayLike<number>, o: number, c: number, k: number): Float32Array {
  const out = new Float32Array(w.length);
  for (let a = 0; a < o; a++)
    for (let b = 0; b < c; b++) for (let t = 0; t < k; t++) out[(t * c + b) * o + a] = w[(a * c + b) * k + t]!;
  return out;
}
/** And back. */
function untaps(w: Float32Array, o: number, c: number, k: number): Float32Array {
  const out = new Float32Array(w.length);
  for (let a = 0; a < o; a++)
    for (let b = 0; b < c; b++) for (let t = 0; t < k; t++) out[(a * c + b) * k + t] = w[(t * c + b) * o + a]!;
  return out;
}

function prepared(c: ConvCase, inputs: Readonly<Record<string, Tensor>>) {
  const k = [c.k, c.k, c.k] as const;
  const voxels = [1, c.size, c.size, c.size] as const;
  const bound = tf.backend().device.limits.maxStorageBufferBindingSize as number;
  return {
    x: inputs.x && channelsLast(inputs.x.data, c.ci),
    dy: inputs.dy && channelsLast(inputs.dy.data, c.co),
    weight: inputs.weight && taps(inputs.weight.data, c.co, c.ci, c.k ** 3),
    shapes: { x: [...voxels, c.ci], dy: [...voxels, c.co], weight: [...k, c.ci, c.co] },
    bound,
  };
}

await serve({
  describe: async () => {
    const { vendor, architecture, device, description } = await info;
    return {
      version: versionOf('@tensorflow/tfjs-core') ?? '',
      device: [vendor, architecture, device, description].filter(Boolean).join(' '),
    };
  },
  async open(c, inputs) {
    await info;
    if (c.op !== 'conv3d') throw new Error('has no SwinUNETR');
    const { shapes, bound, ...data } = prepared(c, inputs);
    const largest = 4 * Math.max(c.ci, c.co) * c.size ** 3;
    if (largest > bound)
      throw new Error(
        `it binds a tensor whole: ${Math.round(largest / 2 ** 20)} MiB, and this adapter binds ${bound / 2 ** 20} MiB`,
      );
    const attributes = { strides: [1, 1, 1], pad: 'same', dataFormat: 'NDHWC', dilations: [1, 1, 1] };
    const kernel = (name: string, t: object, more: object = {}) =>
      tf.engine().runKernel(name, t, { ...attributes, ...more });
    const up = (name: 'x' | 'dy' | 'weight') => tf.tensor(data[name], shapes[name]);
    // What tf.grads would run beside a forward pass whose result nobody asked for.
    const work = {
      forward: () => tf.conv3d(up('x'), up('weight'), 1, 'same'),
      data: () => kernel('Conv3DBackpropInputV2', { dy: up('dy'), filter: up('weight') }, { inputShape: shapes.x }),
      weight: () => kernel('Conv3DBackpropFilterV2', { x: up('x'), dy: up('dy') }, { filterShape: shapes.weight }),
    }[c.pass];
    let last: Float32Array;
    let least = 0;
    return {
      note: 'channels last',
      async run() {
        const since = performance.now();
        const y = tf.tidy(work);
        const data = y.data(); // submits
        // Dawn polls while a promise is pending, which costs a software adapter a core: sleep through most of the wait.
        if (least > 20) Atomics.wait(NEVER, 0, 0, 0.85 * least);
        last = await data;
        y.dispose();
        const ms = performance.now() - since;
        least = least === 0 ? ms : Math.min(least, ms);
        return ms;
      },
      output: async () => {
        if (c.pass === 'weight') return untaps(last, c.co, c.ci, c.k ** 3);
        return channelsFirst(last, outputShape(c)[1]!);
      },
      async close() {},
    };
  },
});
