// All figures that want a GPU, by one command: kernels against the card's ceilings, whole calls and training steps of T3D base in f32
// and f16 with the host's share, and other programs on the same card. One JSON each.
//
//   npx tsx bench/gpu.ts --out FOLDER [--quick] [--python PATH] [--only kernels,entries,peers]
//
// --quick: small sizes, to see that all of it runs (on a software adapter too). --python: one that has PyTorch and MONAI, where the
// machine has no network to install them from. A part that fails is named, and does not keep the others from running.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openBenchGpu } from './device.ts';
import { nvidia } from './peers/install.ts';

const { values: o } = parseArgs({
  options: {
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
    python: { type: 'string' },
    only: { type: 'string', default: 'kernels,entries,peers' },
  },
});
const root = new URL('..', import.meta.url).pathname;

interface Step {
  readonly part: string;
  readonly name: string;
  readonly args: readonly string[];
}

function steps(folder: string, quick: boolean): Step[] {
  const cli = (...args: string[]) => [join(root, 'bin/t3dc.mjs'), ...args];
  const json = (name: string) => join(folder, `${name}.json`);
  const bench = (name: string, ...args: string[]): Step => ({
    part: name.split('-')[0]!,
    name,
    args: cli('bench', ...args, '--device', 'webgpu', '--out', json(name)),
  });
  const model = quick
    ? ['examples/unet.ts']
    : ['t3d', '--preset', 'base', '--memory', '16GiB', '--max-binding', '1GiB'];
  const entry = 'segment';
  const runs = ['--runs', quick ? '2' : '20'];
  const entries = (['f32', 'f16'] as const).flatMap((precision) => {
    const artifact = join(folder, `model-${precision}.t3dc`);
    const build = cli('build', ...model, '--entries', entry, '--precision', precision, '-o', artifact);
    return [
      { part: 'entries', name: `build-${precision}`, args: build },
      bench(`entries-${precision}`, artifact, entry, ...runs),
    ];
  });
  const peers = [
    't3dc webgpu',
    't3dc webgpu f16',
    'onnxruntime-node webgpu',
    'tensorflow.js webgpu',
    'pytorch cuda',
    'pytorch cuda amp',
    'pytorch cpu',
  ];
  return [
    bench('kernels', ...(quick ? ['--filter', '16→16 k3 32', '--time', '0.1'] : [])),
    ...entries,
    {
      part: 'peers',
      name: 'peers',
      args: [
        ...process.execArgv,
        join(root, 'bench/peers/run.ts'),
        ...['--peers', peers.join(','), '--threads', '2', '--json', json('peers'), '--markdown'],
        ...(quick ? ['--only', 'conv,gradients', '--size', '8', '--rounds', '2'] : []),
        ...(o.python ? ['--python', o.python] : []),
      ],
    },
  ];
}

async function main(): Promise<number> {
  if (!o.out) throw new Error('--out FOLDER is missing: where the JSON goes');
  const folder = resolve(o.out);
  const gpu = await openBenchGpu(true);
  if (!gpu) throw new Error('no WebGPU adapter was found');
  const { vendor, architecture, device, description } = gpu.info;
  const adapter = [vendor, architecture, device, description].filter(Boolean).join(' ');
  const { software } = gpu;
  gpu.close();
  if (software && !o.quick) throw new Error(`${adapter} is a software adapter: hours. Use --quick to try the command`);
  mkdirSync(folder, { recursive: true });
  const only = o.only.split(',');
  const done = steps(folder, o.quick)
    .filter((s) => only.includes(s.part))
    .map(({ name, args }) => {
      console.error(`\n== ${name}`);
      const since = performance.now();
      const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
      return { name, ok: status === 0, status, signal, seconds: Math.round((performance.now() - since) / 1000) };
    });
  const machine = {
    card: nvidia() ?? adapter,
    adapter,
    software,
    quick: o.quick,
    date: new Date().toISOString(),
    steps: done,
  };
  writeFileSync(join(folder, 'machine.json'), `${JSON.stringify(machine, null, 1)}\n`);
  for (const s of done) console.error(`${s.ok ? 'ok  ' : 'FAIL'} ${s.name}, ${s.seconds} s`);
  return done.every((s) => s.ok) ? 0 : 1;
}

process.exitCode = await main().catch((e: Error) => {
  console.error(e.message);
  return 1;
});
