// PyTorch and MONAI, on the CPU and on CUDA; and SwinUNETR as an ONNX file, which they export for onnxruntime.
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { ADAMW, type ModelCase } from './cases.ts';
import { Child } from './child.ts';
import { FOLDER, python } from './install.ts';
import { Absent, type Peer, type Settings } from './peer.ts';
import type { PeerName } from './schema.ts';

const SCRIPT = new URL('./pytorch.py', import.meta.url).pathname;
const VARIANTS = {
  'pytorch cpu': { device: 'cpu', amp: false },
  'pytorch cuda': { device: 'cuda', amp: false },
  'pytorch cuda amp': { device: 'cuda', amp: true },
} as const satisfies Partial<Record<PeerName, object>>;

const start = (name: string, { threads, python: given }: Settings): Child =>
  new Child(name, given ?? python(), ['-u', SCRIPT], { OMP_NUM_THREADS: String(threads), PYTHONWARNINGS: 'ignore' });

export function pyTorch(name: keyof typeof VARIANTS, settings: Settings): Peer {
  const { device, amp } = VARIANTS[name];
  let child: Child | null = null;
  return {
    name,
    half: amp,
    kinds: ['conv', 'gradients', 'model', 'step'],
    async describe() {
      child ??= start(name, settings);
      const { version, cuda, device: cpu } = await child.ask({ op: 'describe' });
      if (device === 'cuda' && !cuda) throw new Absent('PyTorch finds no CUDA device');
      return { version: version!, device: device === 'cuda' ? cuda! : cpu! };
    },
    async open(c, inputs) {
      child ??= start(name, settings);
      const { lr, weightDecay: weight_decay, betas, eps } = ADAMW;
      return child.open(c, inputs, { device, amp, threads: settings.threads, adamw: { lr, weight_decay, betas, eps } });
    },
    async close() {
      child?.close();
      child = null;
    },
  };
}

/** The network's ONNX file, exported once. @throws Absent with the operation that the exporter refuses */
export async function onnxOf(c: ModelCase, settings: Settings): Promise<string> {
  const { feature_size: f, size } = c.config;
  const file = join(FOLDER, `swinunetr-f${f}-${size.join('x')}.onnx`);
  if (existsSync(file)) return file;
  mkdirSync(FOLDER, { recursive: true });
  const child = start('pytorch', settings);
  try {
    await child.ask({ op: 'export', case: c, file: `${file}.part` });
  } finally {
    child.close();
  }
  renameSync(`${file}.part`, file);
  return file;
}
