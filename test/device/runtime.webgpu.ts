// Runs on whatever adapter is here (lavapipe in CI). Where there is none, what remains to be tested is the refusal.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { open, T3dcError } from '../../runtime/index.ts';
import { batch, buildFixture, withManifest } from './fixture.ts';
import { deviceChecks, fails, near } from './runtime-checks.ts';

const files = await buildFixture();
const quiet = { device: 'webgpu', onNotice: () => {} } as const;
let adapter = true;
try {
  await (await open(files, quiet)).close();
} catch (e) {
  if (!(e instanceof T3dcError) || e.code !== 'no-device') throw e;
  adapter = false;
}

if (adapter) {
  deviceChecks(test, () => files, quiet);

  test('WebGPU and wasm agree: initial weights bit for bit, outputs to rounding', async () => {
    const run = async (device: 'wasm' | 'webgpu') => {
      const s = await open(files, { ...quiet, device, seed: 7 });
      const result = { weights: await s.weights(), y: (await s.entries.linear!({ x: batch(0).x })).y! };
      await s.close();
      return result;
    };
    const [wasm, webgpu] = [await run('wasm'), await run('webgpu')];
    assert.equal(webgpu.weights, wasm.weights);
    near(webgpu.y, wasm.y, 1e-6);
  });

  test('a plan over the device limits is refused before anything is allocated', async () => {
    const big = withManifest(files, (m) => ({
      ...m,
      requires: { ...m.requires, maxStorageBufferBindingSize: 2 ** 40 },
    }));
    await fails('limits', () => open(big, quiet), /over maxStorageBufferBindingSize/);
    const huge = withManifest(files, (m) => ({
      ...m,
      arenas: m.arenas.map((a) => (a.name === 'activations' ? { ...a, bytes: 2 ** 45 } : a)),
    }));
    await fails('limits', () => open(huge, quiet), /arena activations needs a buffer/);
  });

  test('a device of the caller is used and left alive', async () => {
    const { create } = await import('webgpu');
    let gpu: GPU | null = create([]);
    const device = await (await gpu.requestAdapter())!.requestDevice();
    const s = await open(files, { device, seed: 7, onNotice: () => {} });
    await s.entries.linear!({ x: batch(0).x });
    await s.close();
    const buffer = device.createBuffer({ size: 16, usage: 1 | 8 });
    await buffer.mapAsync(1);
    device.destroy();
    gpu = null;
  });

  test('a lost device rejects', async () => {
    const { create } = await import('webgpu');
    const gpu: GPU = create([]);
    const device = await (await gpu.requestAdapter())!.requestDevice();
    const s = await open(files, { device, seed: 7, onNotice: () => {} });
    await s.entries.linear!({ x: batch(0).x });
    device.destroy();
    await device.lost;
    await fails('device-lost', () => s.entries.linear!({ x: batch(0).x }));
    await s.close();
  });

  test('an entry without a WebGPU program is refused', async () => {
    const s = await open(files, { ...quiet, seed: 7 });
    await fails('bad-artifact', () => s.entries.trap!({}), /no forward program of trap for webgpu/);
    await s.close();
  });
} else {
  test('without an adapter the error says what to do', () => fails('no-device', () => open(files, quiet), /wasm/));
}

test('auto never takes a software adapter', async () => {
  const s = await open(files, { seed: 7, onNotice: () => {} });
  assert.not.ok(s.device.software);
  await s.close();
});

test.run();
