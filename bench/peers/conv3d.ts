// A 3x3x3 convolution 48 -> 48: this project's two targets beside onnxruntime's WebGPU, wasm and CPU providers, in alternating
// order in one run. All have the same number of threads.
//
//   npx tsx bench/peers/conv3d.ts [--size 32] [--threads 1] [--rounds 5] [--json FILE]
//
// The peers are installed on demand into .cache/peers (without install scripts: those download CUDA). Every call counts whole:
// input up, kernel, output back.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import v8 from 'node:v8';
import { build } from '../../compiler/index.ts';
import { conv3d, f32, model, scope } from '../../dsl/index.ts';
import { open, writeSafetensors } from '../../runtime/index.ts';
import { convModel } from './onnx-model.ts';

const PINNED = 'T3DC_BENCH_PINNED';
const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '32' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string' },
  },
});
const [CI, CO, K, SIZE, THREADS] = [48, 48, 3, Number(options.size), Number(options.threads)];
const FLOP = 2 * K ** 3 * CI * CO * SIZE ** 3;

interface Runner {
  readonly name: string;
  run(): Promise<Float32Array>;
  close(): Promise<void>;
}

const at = (i: number, seed: number) => (((Math.imul(i + seed, 2654435761) >>> 8) % 2001) - 1000) / 1000;
const x = Float32Array.from({ length: CI * SIZE ** 3 }, (_, i) => at(i, 1));
const weight = Float32Array.from({ length: CO * CI * K ** 3 }, (_, i) => at(i, 7) / 20);

async function ours(device: 'wasm' | 'webgpu'): Promise<Runner> {
  const spec = model({
    name: 'conv',
    settings: {},
    build: () => ({
      entries: {
        conv: {
          inputs: { x: f32({ b: 1, c: CI, d: SIZE, h: SIZE, w: SIZE }) },
          run: ({ x }) => ({ y: scope('conv', () => conv3d(x, CO, { kernel: K, bias: false })).permute('b c d h w') }),
        },
      },
    }),
  });
  const built = await build(spec, { targets: [device] });
  const session = await open(built.files, { device, threads: THREADS, onNotice: () => {} });
  const shape = [CO, CI, K, K, K];
  await session.loadWeights(writeSafetensors([{ name: 'conv.weight', shape, data: weight }]));
  return {
    name: `t3dc ${session.device.description ?? device}`,
    run: async () => (await session.entries.conv!({ x })).y as Float32Array,
    close: () => session.close(),
  };
}

function install(packages: readonly string[]): NodeJS.Require {
  const folder = new URL('../../.cache/peers/', import.meta.url).pathname;
  mkdirSync(folder, { recursive: true });
  const missing = packages.filter((p) => !existsSync(join(folder, 'node_modules', p)));
  if (missing.length > 0) {
    if (!existsSync(join(folder, 'package.json'))) writeFileSync(join(folder, 'package.json'), '{"private":true}\n');
    console.error(`installing ${missing.join(', ')}`);
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...missing], {
      cwd: folder,
      stdio: 'inherit',
    });
  }
  return createRequire(join(folder, 'package.json'));
}

// biome-ignore lint/suspicious/noExplicitAny: a peer's module, installed on demand, has no types here
async function theirs(name: string, ort: any, provider: string): Promise<Runner> {
  const session = await ort.InferenceSession.create(convModel(CI, CO, K, SIZE, weight), {
    executionProviders: [provider],
    intraOpNumThreads: THREADS,
    interOpNumThreads: 1,
  });
  const feed = { x: new ort.Tensor('float32', x, [1, CI, SIZE, SIZE, SIZE]) };
  return {
    name,
    run: async () => (await session.run(feed)).y.data as Float32Array,
    close: () => session.release(),
  };
}

function relativeL2(a: Float32Array, b: Float32Array): number {
  let d = 0;
  let n = 0;
  for (let i = 0; i < b.length; i++) {
    d += (a[i]! - b[i]!) ** 2;
    n += b[i]! ** 2;
  }
  return Math.sqrt(d / n);
}

const median = (v: number[]) => [...v].sort((a, b) => a - b)[v.length >> 1]!;

async function main(): Promise<void> {
  const rounds = Number(options.rounds);
  v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  const require = install(['onnxruntime-node', 'onnxruntime-web']);
  const web = require('onnxruntime-web');
  web.env.wasm.numThreads = THREADS;
  const node = require('onnxruntime-node');
  const runners = [
    await ours('webgpu'),
    await theirs('onnxruntime-node webgpu', node, 'webgpu'),
    await ours('wasm'),
    await theirs('onnxruntime-web wasm', web, 'wasm'),
    await theirs('onnxruntime-node cpu', node, 'cpu'),
  ];
  const times = runners.map((): number[] => []);
  const outputs: Float32Array[] = [];
  for (const [i, r] of runners.entries()) {
    for (let warm = 0; warm < 2; warm++) outputs[i] = Float32Array.from(await r.run());
  }
  for (let round = 0; round < rounds; round++)
    for (const [i, r] of runners.entries()) {
      const start = performance.now();
      await r.run();
      times[i]!.push(performance.now() - start);
    }
  const cases = runners.map((r, i) => ({
    name: r.name,
    ms: Number(median(times[i]!).toFixed(2)),
    gflops: Number((FLOP / median(times[i]!) / 1e6).toFixed(2)),
    relativeL2: relativeL2(outputs[i]!, outputs[3]!),
  }));
  const ratio = (a: number, b: number) => Number((cases[b]!.ms / cases[a]!.ms).toFixed(2));
  const result = {
    case: `conv3d ${K}³ ${CI}->${CO} ${SIZE}³, f32, whole calls, ${THREADS} ${THREADS === 1 ? 'thread' : 'threads'}`,
    machine: cpus()[0]!.model,
    rounds,
    cases,
    ratio: { webgpu: ratio(0, 1), wasm: ratio(2, 3), cpu: ratio(2, 4) },
  };
  console.table(cases);
  console.log(
    `times as fast as onnxruntime: webgpu ${result.ratio.webgpu}, wasm ${result.ratio.wasm}; wasm beside its CPU provider ${result.ratio.cpu}`,
  );
  if (options.json) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  for (const r of runners) await r.close();
}

// So many threads mean so many cores for software adapters too: they size their pool by the machine, so the run pins itself.
if (!process.env[PINNED]) {
  const child = spawnSync(
    'taskset',
    ['-c', `0-${THREADS - 1}`, process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    {
      stdio: 'inherit',
      env: { XDG_RUNTIME_DIR: '/tmp', LP_NUM_THREADS: String(THREADS), ...process.env, [PINNED]: '1' },
    },
  );
  process.exit(child.status ?? 1);
}
await main();
