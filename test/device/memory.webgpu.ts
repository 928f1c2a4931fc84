// What a session allocates is what its build promised: on WebGPU by counting buffers, on wasm by the memory's size. And a plan
// under a tight promise computes the bits of one without.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Built, build } from '../../compiler/index.ts';
import { type OpenOptions, open } from '../../runtime/index.ts';
import { batch } from '../curves.ts';
import model from './cli-model.ts';

const entries = ['logits', 'segment'];
let easy: Built;
let tight: Built;

test.before(async () => {
  easy = await build(model, { entries });
  // Asked for nearly nothing, the build says what it can do.
  const least = await build(model, { entries, memory: 1024 }).then(
    () => Number.NaN,
    (e: Error) => Number(e.message.match(/smallest plan needs (\d+)/)![1]),
  );
  tight = await build(model, { entries, memory: least });
});

/** Two steps, a forward run, and all weights. */
async function use(built: Built, options: OpenOptions) {
  const s = await open(built.files, { seed: 3, onNotice: () => {}, ...options });
  const losses: number[] = [];
  for await (const step of s.train('segment', [batch(0), batch(1)])) losses.push(step.loss);
  const { logits } = await s.entries.logits!({ volume: batch(0).volume });
  const weights = await s.weights();
  const bytes = s.allocatedBytes;
  await s.close();
  return { losses, logits, weights, bytes };
}

/** A device that counts the bytes of its live buffers. */
async function counted() {
  const { create } = await import('webgpu');
  const gpu: GPU = create([]);
  const device = await (await gpu.requestAdapter())!.requestDevice();
  const count = { now: 0, most: 0 };
  const make = device.createBuffer.bind(device);
  Object.defineProperty(device, 'createBuffer', {
    value: (d: GPUBufferDescriptor) => {
      const b = make(d);
      const destroy = b.destroy.bind(b);
      let live = true;
      count.now += b.size;
      count.most = Math.max(count.most, count.now);
      Object.defineProperty(b, 'destroy', {
        value: () => {
          if (live) count.now -= b.size;
          live = false;
          destroy();
        },
      });
      return b;
    },
  });
  return { device, count, gpu };
}

test('WebGPU: the most that was ever allocated is the promise', async () => {
  for (const built of [easy, tight]) {
    const { device, count, gpu } = await counted();
    await use(built, { device });
    const { webgpu } = built.manifest.memory.training;
    assert.ok(count.most <= webgpu, `${count.most} bytes, ${webgpu} were promised`);
    assert.ok(count.most > 0.98 * webgpu, `${count.most} bytes of ${webgpu}: the promise is too large`);
    assert.is(count.now, 0, 'all is given back');
    device.destroy();
    assert.ok(gpu, 'Dawn must outlive its device');
  }
});

test('wasm: the memory grows to the promise', async () => {
  for (const built of [easy, tight]) {
    const { bytes } = await use(built, { device: 'wasm', threads: 8 });
    assert.is(bytes, built.manifest.memory.training.wasm);
  }
});

test('under a tight promise the same bits', async () => {
  const { training } = tight.manifest.memory;
  assert.ok(training.webgpu < easy.manifest.memory.training.webgpu);
  for (const device of ['webgpu', 'wasm'] as const) {
    const [a, b] = [await use(easy, { device }), await use(tight, { device })];
    assert.equal(b.losses, a.losses);
    assert.equal(b.logits, a.logits);
    assert.ok(Buffer.from(a.weights).equals(Buffer.from(b.weights)));
  }
});

test.run();
