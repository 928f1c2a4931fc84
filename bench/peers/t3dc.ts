// This project's own targets, in the run's process.
import { readFileSync } from 'node:fs';
import { build } from '../../compiler/index.ts';
import { compileEntry } from '../../compiler/pipeline.ts';
import { resolveSettings } from '../../compiler/settings.ts';
import { trace } from '../../compiler/trace.ts';
import * as t from '../../dsl/index.ts';
import t3d from '../../models/t3d/index.ts';
import { open, type Session, writeSafetensors } from '../../runtime/index.ts';
import { settingsOf, weightsFor } from '../../test/parity.ts';
import { openBenchGpu } from '../device.ts';
import { conv3d } from '../kernels/cases.ts';
import { ADAMW, type ConvCase, type ModelCase, outputShape, type Tensor } from './cases.ts';
import { Absent, channelsFirst, channelsLast, type Peer, type Runner, type Settings } from './peer.ts';
import type { PeerName } from './schema.ts';

const VARIANTS = {
  't3dc wasm': { device: 'wasm', precision: 'f32' },
  't3dc webgpu': { device: 'webgpu', precision: 'f32' },
  't3dc webgpu f16': { device: 'webgpu', precision: 'f16' },
} as const satisfies Partial<Record<PeerName, object>>;

export const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

/** What a training step may allocate in all, on either target. */
const MEMORY = 4 * 2 ** 30;

type Inputs = Readonly<Record<string, Tensor>>;

export function t3dc(name: keyof typeof VARIANTS, settings: Settings): Peer {
  const { device, precision } = VARIANTS[name];
  let software: boolean | null = null;
  const isSoftware = async (): Promise<boolean> => (software ??= await softwareGpu());
  return {
    name,
    half: precision === 'f16',
    kinds: ['conv', 'gradients', 'model', 'step'],
    async describe() {
      const version = `t3dc ${VERSION}`;
      if (device === 'wasm') return { version, device: `wasm, ${settings.threads} threads` };
      const gpu = await openBenchGpu(true);
      if (!gpu) throw new Absent('no WebGPU adapter was found');
      const { vendor, architecture, device: card, description } = gpu.info;
      software = gpu.software;
      gpu.close();
      if (precision === 'f16' && software)
        throw new Absent('halves are for hardware: a software adapter is slower with them');
      return { version, device: [vendor, architecture, card, description].filter(Boolean).join(' ') };
    },
    async open(c, inputs) {
      if (c.op === 'swinunetr' && device === 'webgpu' && !settings.softwareModel && (await isSoftware()))
        throw new Absent('minutes a call on a software adapter: ask for it by --software-webgpu-model');
      const options = { device, precision, threads: settings.threads };
      return c.op === 'conv3d' ? convolution(c, inputs, options) : network(c, inputs, options);
    },
    async close() {},
  };
}

/** Whether the machine's WebGPU adapter, if any, is one in software. */
export async function softwareGpu(): Promise<boolean> {
  const gpu = await openBenchGpu(true);
  gpu?.close();
  return gpu?.software ?? false;
}

/** Operations of a call or a step, by this compiler's count, before it decides to compute anything twice. */
export function modelFlops(c: ModelCase): number {
  const entry = c.pass === 'step' ? 'segment' : 'logits';
  const model = trace(t3d, resolveSettings(t3d, { set: settingsOf(c.config) }), [entry]);
  const { forward, grad } = compileEntry(model, model.entries[0]!);
  return (grad ?? forward).kernels.reduce((sum, k) => sum + k.flops, 0);
}

interface Options {
  readonly device: 'wasm' | 'webgpu';
  readonly precision: 'f32' | 'f16';
  readonly threads: number;
}

const opened = (files: ReadonlyMap<string, Uint8Array>, { device, threads }: Options): Promise<Session> =>
  open(files, { device, threads, onNotice: () => {}, dawnFlags: ['enable-dawn-features=vulkan_enable_f16_on_nvidia'] });

async function convolution(c: ConvCase, inputs: Inputs, o: Options): Promise<Runner> {
  const port = (name: string) => (name === 'weight' ? kernelPort(c) : volumePort(c, name === 'dy' ? c.co : c.ci));
  const forward = c.pass === 'forward';
  const wanted = Object.keys(inputs).filter((name) => !(forward && name === 'weight'));
  const spec = t.model({
    name: 'conv',
    settings: {},
    build: () => ({
      entries: {
        conv: {
          inputs: Object.fromEntries(wanted.map((name) => [name, port(name)])),
          run: (v) => ({ y: forward ? layer(c, v.x!) : gradient(c, v) }),
        },
      },
    }),
  });
  const built = await build(spec, { targets: [o.device], precision: o.precision });
  const session = await opened(built.files, o);
  if (forward) {
    const { shape, data } = inputs.weight!;
    await session.loadWeights(writeSafetensors([{ name: 'conv.weight', shape, data: data as Float32Array }]));
  }
  const channels = (name: string) => (name === 'dy' ? c.co : c.ci);
  const feed = Object.fromEntries(
    wanted.map((name) => {
      const { data } = inputs[name]!;
      return [name, name !== 'weight' ? channelsLast(data, channels(name)) : data];
    }),
  );
  let y: Float32Array;
  return {
    note: 'channels last',
    async run() {
      const since = performance.now();
      y = (await session.entries.conv!(feed)).y as Float32Array;
      return performance.now() - since;
    },
    output: async () => (c.pass !== 'weight' ? channelsFirst(y, outputShape(c)[1]!) : y),
    close: () => session.close(),
  };
}

const kernelPort = (c: ConvCase) => t.f32({ o: c.co, c: c.ci, kd: c.k, kh: c.k, kw: c.k });

const volumePort = (c: ConvCase, channels: number) => t.f32({ b: 1, d: c.size, h: c.size, w: c.size, c: channels });

/** A layer, whose weight is a parameter. */
const layer = (c: ConvCase, x: t.Tensor): t.Tensor =>
  t.scope('conv', () => t.conv3d(x, c.co, { kernel: c.k, bias: false }));

/** The bench's own case; the weight and its gradient in PyTorch's order. */
function gradient(c: ConvCase, inputs: Readonly<Record<string, t.Tensor>>): t.Tensor {
  const { x, weight, dy } = inputs;
  const given = { x, w: weight?.permute('kd kh kw c o'), dy };
  const present = Object.fromEntries(Object.entries(given).flatMap(([name, v]) => (v ? [[name, v]] : [])));
  const { dx, dw } = conv3d(c.pass as 'data', { ci: c.ci, co: c.co, k: c.k, size: c.size }).run(present);
  return c.pass === 'weight' ? dw!.permute('o c kd kh kw') : dx!;
}

async function network(c: ModelCase, inputs: Inputs, o: Options): Promise<Runner> {
  const step = c.pass === 'step';
  const built = await build(t3d, {
    entries: [step ? 'segment' : 'logits'],
    set: {
      ...settingsOf(c.config),
      lr: ADAMW.lr,
      weightDecay: ADAMW.weightDecay,
      clip: 0,
      schedule: 'constant',
      warmup: 0,
    },
    targets: [o.device],
    precision: o.precision,
    memory: MEMORY,
  });
  const session = await opened(built.files, o);
  await session.loadWeights(weightsFor(built.manifest, c.config.seed));
  const feed = Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data]));
  const losses: number[] = [];
  let logits: Float32Array;
  return {
    // Arenas are allocated by the first call that needs them.
    get note() {
      return `${(session.allocatedBytes / 2 ** 30).toFixed(2)} GiB allocated`;
    },
    async run() {
      const since = performance.now();
      if (step) for await (const s of session.train('segment', [feed])) losses.push(s.loss);
      else logits = (await session.entries.logits!(feed)).logits as Float32Array;
      return performance.now() - since;
    },
    output: async () => (step ? Float32Array.from(losses) : logits),
    close: () => session.close(),
  };
}
