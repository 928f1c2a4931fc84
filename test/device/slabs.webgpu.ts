// Kernels cut into slabs so that no binding passes a limit: the same bits as kernels that were not cut.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import * as t from '../../dsl/index.ts';
import unet from '../../examples/unet.ts';
import { open } from '../../runtime/index.ts';

const SIZE = [16, 12, 20] as const;
const settings = { channels: [16, 16], size: [...SIZE], classes: 3 };
const voxels = SIZE.reduce((a, b) => a * b, 1);
const volume = Float32Array.from({ length: voxels }, (_, i) => ((i * 7919) % 1000) / 1000);
async function run(binding: number | undefined) {
  const limits = binding === undefined ? {} : { maxStorageBufferBindingSize: binding };
  const built = await build(unet, { set: settings, entries: ['logits'], targets: ['webgpu'], limits });
  const session = await open(built.files, { device: 'webgpu', seed: 3, onNotice: () => {} });
  try {
    const { logits } = await session.entries.logits!({ volume });
    return { logits: logits as Float32Array, dispatches: built.manifest.dispatches.length, built };
  } finally {
    await session.close();
  }
}

test('a U-Net with bindings of at most 64 KiB gives the bits of one without', async () => {
  const whole = await run(undefined);
  const cut = await run(64 << 10);
  assert.ok(cut.built.manifest.requires.maxStorageBufferBindingSize <= 64 << 10);
  assert.ok(cut.dispatches > whole.dispatches, `${cut.dispatches} dispatches for ${whole.dispatches}`);
  assert.equal([...cut.logits], [...whole.logits]);
});

test('attention and its gradients too, the bias summed over windows among them', async () => {
  const [g, n, h, e] = [96, 27, 2, 8];
  const token = t.f32({ g, n, h, e });
  const model = t.model({
    name: 'windows',
    settings: {},
    build: () => ({
      entries: {
        fit: {
          inputs: { q: token, k: token, v: token },
          loss: 'loss',
          optimizer: t.sgd({ lr: 0.1 }),
          run: ({ q, k, v }) => {
            const bias = t.param('bias', { h, n, m: n }, { init: { kind: 'uniform', low: -1, high: 1 } });
            const o = t.attention(q!, k!.rename({ n: 'm' }), v!.rename({ n: 'm' }), { bias });
            return { loss: o.mul(o).mean('g n h e') };
          },
        },
      },
    }),
  });
  const noise = (f: number) => Float32Array.from({ length: g * n * h * e }, (_, i) => Math.sin(f * i));
  const inputs = { q: noise(1), k: noise(2.3), v: noise(0.7) };
  const gradients = async (binding?: number) => {
    const limits = binding === undefined ? {} : { maxStorageBufferBindingSize: binding };
    const built = await build(model, { targets: ['webgpu'], limits });
    const session = await open(built.files, { device: 'webgpu', seed: 3, onNotice: () => {} });
    try {
      const { grads } = await session.grads('fit', inputs);
      return { grads, largest: built.manifest.requires.maxStorageBufferBindingSize };
    } finally {
      await session.close();
    }
  };
  const [whole, cut] = [await gradients(), await gradients(48 << 10)];
  assert.ok(whole.largest > 64 << 10 && cut.largest <= 48 << 10, `${whole.largest}, ${cut.largest}`);
  assert.equal(cut.grads, whole.grads);
});

test.run();
