// Large tensors computed slab by slab: the bits of the whole, gradients and steps of the optimiser among them, in less memory.
// T3D too in `npm run test:curves`: its kernels take software adapters minutes to compile.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Built, build } from '../../compiler/index.ts';
import unet from '../../examples/unet.ts';
import t3d from '../../models/t3d/index.ts';
import { open } from '../../runtime/index.ts';

interface Task {
  readonly name: string;
  readonly built: (o: { slabs?: boolean; memory?: number; precision?: 'f32' | 'f16' }) => Promise<Built>;
  readonly entry: string;
  readonly shape: readonly [number, number, number];
  readonly classes: number;
}

const U = [32, 12, 20] as const;
const T3D: Task = {
  name: 'T3D',
  built: (o) =>
    build(t3d, {
      preset: 'nano',
      set: { depths: [2, 1, 1, 1], outChannels: 3, size: [64, 32, 32] },
      entries: ['segment'],
      targets: ['webgpu'],
      ...o,
    }),
  entry: 'segment',
  shape: [64, 32, 32],
  classes: 3,
};
const TASKS: readonly Task[] = [
  {
    name: 'a U-Net',
    built: (o) =>
      build(unet, { set: { channels: [8, 16], size: [...U], classes: 3 }, targets: ['webgpu'], verify: true, ...o }),
    entry: 'segment',
    shape: U,
    classes: 3,
  },
  ...(process.env.T3DC_CURVES === 't3d' ? [T3D] : []),
];

async function results(built: Built, t: Task) {
  const voxels = t.shape.reduce((a, b) => a * b, 1);
  const volume = Float32Array.from({ length: voxels }, (_, i) => ((i * 7919) % 1000) / 1000);
  const labels = Int32Array.from({ length: voxels }, (_, i) => Math.floor(i / 64) % t.classes);
  const session = await open(built.files, { device: 'webgpu', seed: 3, onNotice: () => {} });
  try {
    const entry = built.manifest.entries[t.entry]!;
    const inputs = Object.fromEntries(entry.inputs.map((p) => [p.name, p.dtype === 'f32' ? volume : labels]));
    const { grads } = await session.grads(t.entry, inputs);
    const losses: number[] = [];
    for await (const step of session.train(t.entry, [inputs, inputs])) losses.push(step.loss);
    return { grads, losses, outputs: await session.entries[t.entry]!(inputs) };
  } finally {
    await session.close();
  }
}

const temporaries = (b: Built, entry: string): number => b.manifest.entries[entry]!.memory.webgpu!.grad!.allocated;

for (const t of TASKS) {
  for (const precision of ['f32', 'f16'] as const) {
    test(`${t.name}, ${precision}: by slabs the same bits, in less memory`, async () => {
      const whole = await t.built({ precision });
      const slabs = await t.built({ precision, slabs: true });
      const kept = whole.manifest.entries[t.entry]!.memory;
      const before = (kept.webgpu ?? kept).grad!.allocated;
      const after = temporaries(slabs, t.entry);
      assert.ok(after < 0.7 * before, `${after} bytes by slabs, ${before} whole`);
      assert.equal(await results(slabs, t), await results(whole, t));
    });
  }
}

test('a promise between the two is kept by the plan, with less work than for the fewest bytes', async () => {
  const [t] = TASKS as [Task];
  const [whole, least] = [await t.built({}), await t.built({ slabs: true })];
  const training = (b: Built): number => b.manifest.memory.training.webgpu;
  const memory = Math.round((training(whole) + training(least)) / 2);
  const between = await t.built({ slabs: true, memory });
  const work = (b: Built): number => b.manifest.entries[t.entry]!.flops.grad;
  assert.ok(training(between) <= memory);
  assert.ok(
    work(between) < work(least) && work(between) >= work(whole),
    `${work(whole)}, ${work(between)}, ${work(least)}`,
  );
});

test.run();
