// Kernels cut into slabs so that no binding passes a limit: the same bits as kernels that were not cut.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
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

test.run();
