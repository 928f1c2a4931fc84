// f16 between kernels on WebGPU: close to f32, half the memory, a loss scale that skips what overflows, exact resume; and the
// same artifact on wasm in f32.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Built, build } from '../../compiler/index.ts';
import { type OpenOptions, open, readSafetensors, type Session, writeSafetensors } from '../../runtime/index.ts';
import type { Manifest } from '../../runtime/manifest.ts';
import { packManifest } from '../../runtime/manifest-pack.ts';
import { apart, batch, relativeL2 } from '../curves.ts';
import model from './cli-model.ts';

const entries = ['logits', 'segment'];
let single: Built;
let half: Built;
test.before(async () => {
  single = await build(model, { entries });
  half = await build(model, { entries, precision: 'f16', verify: true });
});

const batches = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => batch(from + i));

async function using<T>(built: Built, options: OpenOptions, work: (s: Session) => Promise<T>): Promise<T> {
  const s = await open(built.files, { device: 'webgpu', seed: 3, onNotice: () => {}, ...options });
  try {
    return await work(s);
  } finally {
    await s.close();
  }
}

const once = (built: Built, options: OpenOptions = {}) =>
  using(built, options, async (s) => {
    const { logits } = await s.entries.logits!({ volume: batch(0).volume });
    const { grads } = await s.grads('segment', batch(0));
    const losses: number[] = [];
    for await (const step of s.train('segment', batches(0, 8))) losses.push(step.loss);
    return { logits: logits as Float32Array, grads, losses };
  });

test('logits, gradients and the loss curve are near those of f32, in half the memory', async () => {
  const [a, b] = [await once(single), await once(half)];
  const logits = relativeL2(b.logits, a.logits);
  assert.ok(logits > 0 && logits < 2e-3, `logits: ${logits}`);
  const norm = Math.sqrt(Object.values(a.grads).reduce((s, g) => s + g.reduce((t, v) => t + v * v, 0), 0));
  for (const [name, g] of Object.entries(a.grads)) {
    const d = Math.sqrt(g.reduce((t, v, i) => t + (v - b.grads[name]![i]!) ** 2, 0));
    // A LeakyReLU near its kink takes the other slope more often than in f32; tiny gradients count by the whole's norm.
    const own = Math.sqrt(g.reduce((t, v) => t + v * v, 0));
    assert.ok(d < 0.05 * Math.max(own, 0.02 * norm), `${name}: ${d / own}`);
  }
  assert.ok(apart(b.losses, a.losses) < 1e-3, `${b.losses} and ${a.losses}`);
  const bytes = (x: Built) => x.manifest.arenas.filter((r) => r.name.startsWith('grad.') && r.target !== 'wasm');
  const sum = (x: Built): number => bytes(x).reduce((s, r) => s + r.bytes, 0);
  assert.ok(sum(half) < 0.6 * sum(single), `${sum(half)} of ${sum(single)}`);
});

/** The artifact as an adapter sees it that cannot run these variants. */
function without(built: Built, id: string): Built {
  const { manifest: m, files } = built;
  const kept = m.kernels.map((k) => k.variants.flatMap((v, i) => (v.id === id ? [] : [i])));
  const manifest: Manifest = {
    ...m,
    kernels: m.kernels.map((k, i) => ({ ...k, variants: kept[i]!.map((v) => k.variants[v]!) })),
    dispatches: m.dispatches.map((d) => ({ ...d, grids: kept[d.kernel]!.map((v) => d.grids[v]!) })),
  };
  const text = new TextEncoder().encode(JSON.stringify(packManifest(manifest)));
  return { ...built, manifest, files: new Map([...files, ['manifest.json', text]]) };
}

test('contractions that multiply halves are as near', async () => {
  const tiles = without(half, 'subgroup8');
  assert.ok(tiles.manifest.kernels.some((k) => k.variants[0]!.id === 'tiles-f16'));
  const logits = (b: Built) => using(b, {}, async (s) => (await s.entries.logits!({ volume: batch(0).volume })).logits);
  const [a, b, c] = [await logits(single), await logits(half), await logits(tiles)] as Float32Array[];
  const [stored, multiplied] = [relativeL2(b!, a!), relativeL2(c!, a!)];
  assert.ok(multiplied !== stored && multiplied < 1e-3, `${multiplied}; stored alone: ${stored}`);
});

test('the same artifact on wasm is the f32 one, and says so', async () => {
  const notices: string[] = [];
  const wasm = await once(half, { device: 'wasm', onNotice: (m) => notices.push(m) });
  assert.match(notices.join(), /WebAssembly computes and stores f32/);
  const own = await once(single, { device: 'wasm' });
  assert.equal(wasm.losses, own.losses);
});

test('a gradient that overflows skips the step, halves the scale, and is counted; then training goes on', () =>
  using(half, {}, async (s) => {
    for await (const step of s.train('segment', batches(0, 2)))
      assert.equal(step.scale, { lossScale: 65536, skipped: 0 });
    const file = readSafetensors(await s.saveCheckpoint());
    const scaler = file.tensors.get('arena.scaler')!;
    const words = new Float32Array(scaler.data.slice().buffer);
    assert.equal([...words.slice(0, 4)], [65536, 2, 2, 0]);
    words[0] = 2 ** 60;
    const tensors = [...file.tensors].map(([name, t]) => ({
      name,
      shape: t.shape,
      data: name === 'arena.scaler' ? new Uint8Array(words.buffer) : new Float32Array(t.data.slice().buffer),
    }));
    await s.loadCheckpoint(writeSafetensors(tensors, file.metadata));
    const before = await s.weights();
    for await (const step of s.train('segment', batches(2, 3)))
      assert.equal(step.scale, { lossScale: 2 ** 59, skipped: 1 });
    assert.ok(Buffer.from(await s.weights()).equals(Buffer.from(before)), 'a skipped step changed the weights');
    const after = readSafetensors(await s.saveCheckpoint()).tensors.get('arena.scaler')!;
    assert.equal(
      [...new Float32Array(after.data.slice().buffer).slice(0, 4)],
      [2 ** 59, 0, 2, 1],
      'Adam counts no step',
    );
  }));

test('5 steps, a checkpoint and 3 more are 8 steps, bit for bit', async () => {
  const whole = await using(half, {}, async (s) => {
    for await (const _ of s.train('segment', batches(0, 8)));
    return s.weights();
  });
  const checkpoint = await using(half, {}, async (s) => {
    for await (const _ of s.train('segment', batches(0, 5)));
    return s.saveCheckpoint();
  });
  const resumed = await using(half, {}, async (s) => {
    await s.loadCheckpoint(checkpoint);
    for await (const _ of s.train('segment', batches(5, 8)));
    return s.weights();
  });
  assert.ok(Buffer.from(resumed).equals(Buffer.from(whole)));
});

test.run();
