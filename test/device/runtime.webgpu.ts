// Runs on whatever adapter is here (lavapipe in CI). Where there is none, what remains to be tested is the refusal.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { open, T3dcError } from '../../runtime/index.ts';
import { batch, buildFixture, withManifest } from './fixture.ts';
import { batches, deviceChecks, fails, near } from './runtime-checks.ts';

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

  test('a lost device is replaced: what was loaded is there again, what was trained is said to be gone', async () => {
    const { create } = await import('webgpu');
    const gpu: GPU = create([]);
    const devices: GPUDevice[] = [];
    const lose = async (): Promise<void> => {
      devices.at(-1)!.destroy();
      await devices.at(-1)!.lost;
    };
    const notices: string[] = [];
    const s = await open(files, {
      device: async () => {
        devices.push(await (await gpu.requestAdapter())!.requestDevice());
        return devices.at(-1)!;
      },
      seed: 7,
      onNotice: (m) => notices.push(m),
    });
    try {
      const { x } = batch(0);
      const before = await s.entries.linear!({ x });
      await lose();
      assert.equal(await s.entries.linear!({ x }), before, 'drawn from the seed again');
      assert.is(devices.length, 2);
      assert.match(notices.join(), /device was lost/);

      for await (const _ of s.train('fit', batches(3)));
      const checkpoint = await s.saveCheckpoint();
      const weights = await s.weights();
      await lose();
      await fails('device-lost', () => s.entries.linear!({ x }), /3 steps of training.*loadCheckpoint/);
      await fails('no-weights', () => s.entries.linear!({ x }));
      assert.is((await s.loadCheckpoint(checkpoint)).step, 3);
      assert.equal(await s.weights(), weights);
      await lose();
      assert.equal(await s.weights(), weights, 'the checkpoint again');
      assert.is(s.step, 3);

      // In the middle of a run.
      const { y } = await s.entries.linear!({ x });
      const run = s.entries.linear!({ x });
      devices.at(-1)!.destroy();
      assert.equal((await run).y, y);
    } finally {
      await s.close();
      for (const d of devices) d.destroy();
    }
  });

  test('after the first step a training run allocates nothing on the device', async () => {
    const { create } = await import('webgpu');
    const gpu: GPU = create([]);
    const device = await (await gpu.requestAdapter())!.requestDevice();
    const made = { buffers: 0, groups: 0, pipelines: 0, modules: 0 };
    const count = (
      method: 'createBuffer' | 'createBindGroup' | 'createShaderModule',
      what: keyof typeof made,
    ): void => {
      const own = device[method].bind(device) as (d: never) => never;
      Object.defineProperty(device, method, {
        value: (d: never) => {
          made[what]++;
          return own(d);
        },
      });
    };
    count('createBuffer', 'buffers');
    count('createBindGroup', 'groups');
    count('createShaderModule', 'modules');
    const s = await open(files, { device, seed: 7, onNotice: () => {} });
    let first: typeof made | null = null;
    let bytes = 0;
    for await (const step of s.train('fit', batches(12), { accumulation: 2 })) {
      if (step.step !== 1) continue;
      first = { ...made };
      bytes = s.allocatedBytes;
    }
    assert.ok(first && first.buffers > 0 && first.groups > 0 && first.modules > 0, JSON.stringify(first));
    assert.equal(made, first);
    assert.is(s.allocatedBytes, bytes);
    await s.close();
    device.destroy();
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
