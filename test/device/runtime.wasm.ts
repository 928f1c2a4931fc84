import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { zipSync } from 'fflate';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { windowStarts } from '../../data/index.ts';
import { open } from '../../runtime/index.ts';
import { batch, buildFixture, withManifest } from './fixture.ts';
import { batches, collect, deviceChecks, fails } from './runtime-checks.ts';

let files = new Map<string, Uint8Array>();
test.before(async () => {
  files = await buildFixture({ relaxed: true });
});

deviceChecks(test, () => files, { device: 'wasm', threads: 1 });

test('the result does not depend on the number of threads', async () => {
  const results: unknown[] = [];
  for (const threads of [1, 2, 3]) {
    const s = await open(files, { device: 'wasm', threads, seed: 7 });
    assert.is(s.device.threads, threads);
    const steps = await collect(s.train('fit', batches(40)));
    results.push([steps.map((r) => r.loss), await s.weights()]);
    await s.close();
  }
  assert.equal(results[1], results[0]);
  assert.equal(results[2], results[0]);
});

test('after the first step a training run takes no more memory', async () => {
  const s = await open(files, { device: 'wasm', threads: 2, seed: 7 });
  let bytes = 0;
  for await (const step of s.train('fit', batches(12), { accumulation: 2 })) {
    if (step.step === 1) bytes = s.allocatedBytes;
    assert.is(s.allocatedBytes, bytes);
  }
  await s.close();
});

test('a trap rejects the call, on any thread', async () => {
  for (const threads of [1, 2]) {
    const s = await open(files, { device: 'wasm', threads, seed: 7 });
    await fails('device-error', () => s.entries.trap!({}), /unreachable/);
    await s.close();
  }
});

test('a plan beyond 4 GiB is refused with the bytes', async () => {
  const big = withManifest(files, (m) => ({
    ...m,
    arenas: m.arenas.map((a) => (a.role === 'state' ? { ...a, bytes: 5 * 2 ** 30 } : a)),
  }));
  const s = await open(big, { device: 'wasm', threads: 1, seed: 7 });
  await s.entries.linear!({ x: batch(0).x });
  await fails('limits', () => collect(s.train('fit', batches(1))), /5,368,709,120 bytes/);
  await s.close();
});

test('an artifact opens from a folder, a file URL and a .t3dc file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 't3dc-'));
  try {
    for (const [name, data] of files) {
      await mkdir(dirname(join(folder, 'model', name)), { recursive: true });
      await writeFile(join(folder, 'model', name), data);
    }
    const zip = zipSync(Object.fromEntries(files));
    await writeFile(join(folder, 'model.t3dc'), zip);
    await writeFile(join(folder, 'short.t3dc'), zip.subarray(0, zip.length - 300));
    const { x } = batch(0);
    const found: unknown[] = [];
    for (const from of [join(folder, 'model'), new URL(`file://${folder}/model`), join(folder, 'model.t3dc'), zip]) {
      const s = await open(from, { device: 'wasm', threads: 1, seed: 3 });
      found.push(await s.entries.linear!({ x }));
      await s.close();
    }
    for (const f of found) assert.equal(f, found[0]);
    await fails('bad-artifact', () => open(join(folder, 'short.t3dc')), /not a readable/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('threads and options are checked', async () => {
  await fails('bad-option', () => open(files, { device: 'wasm', threads: 0 }));
  await fails('bad-option', () => open(files, { device: 'cuda' as 'wasm' }), /cuda/);
});

test("sliding windows lie as MONAI's do", async () => {
  const s = await open(files, { device: 'wasm', threads: 1, seed: 7 });
  const axis = (size: number, roi: number, overlap: number): number[] =>
    [...s.windows([size], [roi], overlap)].map((w) => w[0]!);
  assert.equal(axis(96, 96, 0.5), [0]);
  assert.equal(axis(97, 96, 0.5), [0, 1]);
  assert.equal(axis(200, 96, 0.5), [0, 48, 96, 104]);
  assert.equal(axis(192, 96, 0), [0, 96]);
  assert.equal(axis(50, 96, 0.25), [0]);
  assert.equal(axis(10, 4, 0.99), [0, 1, 2, 3, 4, 5, 6]);
  const w = s.windows([5, 4, 4], [4, 4, 2], [0.5, 0.5, 0.5]);
  assert.is(w.count, 2 * 1 * 3);
  assert.equal([...w].slice(0, 4), [
    [0, 0, 0],
    [0, 0, 1],
    [0, 0, 2],
    [1, 0, 0],
  ]);
  assert.throws(() => s.windows([5], [4], 1), /overlap/);
  // The data room's own, which is compared with MONAI itself.
  for (const overlap of [0, 0.25, 0.5, 0.7, 0.99])
    for (let size = 16; size < 60; size++)
      for (const roi of [1, 7, 16])
        assert.equal(
          [...s.windows([size, 16, 16], [roi, 16, 7], overlap)],
          windowStarts([size, 16, 16], [roi, 16, 7], overlap),
        );
  await s.close();
});

test.run();
