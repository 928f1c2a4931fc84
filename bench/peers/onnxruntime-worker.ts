// onnxruntime's process: see onnxruntime.ts.
import { readFileSync } from 'node:fs';
import { nodePackages, versionOf } from './install.ts';
import { convModel } from './onnx-model.ts';
import { serve } from './serve.ts';

interface Options {
  readonly module: 'onnxruntime-node' | 'onnxruntime-web';
  readonly provider: 'webgpu' | 'cpu' | 'wasm';
  readonly threads: number;
  /** File of the network, where the case is one. */
  readonly onnx?: string;
}

await serve({
  describe: async () => ({ version: versionOf('onnxruntime-node') ?? '', device: '' }),
  async open(c, inputs, given) {
    const { module, provider, threads, onnx } = given as unknown as Options;
    const ort = nodePackages([module])(module);
    if (module === 'onnxruntime-web') ort.env.wasm.numThreads = threads;
    const model =
      c.op === 'conv3d' ? convModel(c.ci, c.co, c.k, c.size, inputs.weight!.data as Float32Array) : readFileSync(onnx!);
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
    });
    const [name, output] = [session.inputNames[0] as string, session.outputNames[0] as string];
    const { data, shape } = inputs[c.op === 'conv3d' ? 'x' : 'volume']!;
    const feed = { [name]: new ort.Tensor('float32', data, shape) };
    let last: Float32Array;
    return {
      async run() {
        const since = performance.now();
        last = (await session.run(feed))[output].data;
        return performance.now() - since;
      },
      output: async () => last,
      close: () => session.release(),
    };
  },
});
