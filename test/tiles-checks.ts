// A loop over tiles against the same network on all tiles at once: values, every gradient, and the memory of the plan.
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../compiler/index.ts';
import * as t from '../dsl/index.ts';
import { model } from '../dsl/index.ts';
import { type OpenOptions, open } from '../runtime/index.ts';

const C = 4;
/** x [b c d h w] -> tokens [b n c]; `shift` [c] comes from outside. */
function encode(x: t.Tensor, shift: t.Tensor): t.Tensor {
  return t.scope('net', () => {
    const a = t.scope('stem', () => t.conv3d(x.permute('b d h w c'), C, { kernel: 3, stride: 2, padding: 1 }));
    const b = t.scope('conv', () => t.conv3d(t.gelu(a.add(shift)), C, { kernel: 3, padding: 1 }));
    return t.layerNorm(a.add(b), 'c').merge('d h w', 'n');
  });
}

/** Mixes the tokens of all tiles, so that each one's cotangent depends on every other. */
function mix(v: t.Tensor): t.Tensor {
  const q = v.mean('tile n');
  const p = v.mul(q).sum('c').mul(3).exp();
  return p.mul(v.mul(v).mean('c')).mean('tile n');
}

const spec = (tiles: number, drop = 0) =>
  model({
    name: 'tiles',
    settings: {},
    build: () => {
      const inputs = { tiles: t.f32({ tile: tiles, b: 1, c: 1, d: 6, h: 6, w: 6 }), weight: t.f32({ tile: tiles }) };
      // Computed once, outside: its gradient is the tiles' sum.
      const shift = (): t.Tensor => {
        const raw = t.param('shift', { c: C }, { init: { kind: 'uniform', low: -1, high: 1 } });
        return raw.mul(raw).sub(0.25);
      };
      const loss = (v: t.Tensor, sum: t.Tensor): Record<string, t.Tensor> => ({
        loss: mix(v.squeeze('b')).add(sum.mul(0.1)),
        tokens: v,
      });
      return {
        entries: {
          tiled: {
            inputs,
            loss: 'loss',
            optimizer: t.adamW({ lr: 1e-3 }),
            run: ({ tiles: x, weight }) => {
              const s = shift();
              const { v, sum } = t.overTiles(
                { x: x!, weight: weight! },
                'tile',
                ({ x: tile, weight: w }) => {
                  const tokens = encode(t.dropout(tile, drop), s);
                  return { v: tokens, sum: tokens.mul(tokens).mul(tokens).mean('b n c').mul(w) };
                },
                ['sum'],
              );
              return loss(v, sum);
            },
          },
          ...(drop
            ? {}
            : {
                whole: {
                  inputs,
                  loss: 'loss',
                  optimizer: t.adamW({ lr: 1e-3 }),
                  run: ({ tiles: x, weight }: Readonly<Record<string, t.Tensor>>) => {
                    const all = encode(x!.merge('tile b', 'b'), shift());
                    const v = all.split('b', { tile: -1, b: 1 });
                    return loss(v, v.mul(v).mul(v).mean('b n c').mul(weight!).sum('tile'));
                  },
                },
              }),
        },
      };
    },
  });

const wave = (n: number, f: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(f * i + 0.3 * f));
const inputsOf = (tiles: number) => ({ tiles: wave(tiles * 216, 0.37), weight: wave(tiles, 1.3) });

export function tilesTests(test: Test, device: 'webgpu' | 'wasm', options: OpenOptions = {}): void {
  const opened = async (s: ReturnType<typeof spec>, memory?: number) => {
    const built = await build(s, { targets: [device], verify: true, ...(memory ? { memory } : {}) });
    return { built, session: await open(built.files, { device, seed: 5, onNotice: () => {}, ...options }) };
  };

  test('values and gradients are those of all tiles at once, to 1e-5', async () => {
    const { session } = await opened(spec(5));
    try {
      const x = inputsOf(5);
      const [a, b] = [await session.grads('tiled', x), await session.grads('whole', x)];
      const near = (what: string, u: ArrayLike<number>, v: ArrayLike<number>): void => {
        let d = 0;
        let n = 0;
        for (let i = 0; i < v.length; i++) {
          d += (u[i]! - v[i]!) ** 2;
          n += v[i]! ** 2;
        }
        assert.ok(n > 0, `${what} is not all zero`);
        assert.ok(Math.sqrt(d / n) < 1e-5, `${what}: ${Math.sqrt(d / n)} apart`);
      };
      near('loss', a.outputs.loss as Float32Array, b.outputs.loss as Float32Array);
      near('tokens', a.outputs.tokens as Float32Array, b.outputs.tokens as Float32Array);
      assert.equal(Object.keys(a.grads), Object.keys(b.grads));
      assert.ok(Object.keys(a.grads).length >= 6);
      for (const n of Object.keys(b.grads)) near(n, a.grads[n]!, b.grads[n]!);
      const again = await session.grads('tiled', x);
      assert.equal(again.grads, a.grads, 'the same bits');
      const inference = await session.entries.tiled!(x);
      near('tokens of a forward run', inference.tokens as Float32Array, a.outputs.tokens as Float32Array);
    } finally {
      await session.close();
    }
  });

  test('random numbers are new in every tile and the same in both passes', async () => {
    const { session } = await opened(spec(4, 0.5));
    try {
      // One tile, four times: what differs is dropout's.
      const tile = wave(216, 0.37);
      const tiles = new Float32Array(4 * 216);
      for (let i = 0; i < 4; i++) tiles.set(tile, i * 216);
      const x = { tiles, weight: new Float32Array(4).fill(1) };
      const { outputs, grads } = await session.grads('tiled', x);
      const v = outputs.tokens as Float32Array;
      const row = v.length / 4;
      for (let i = 1; i < 4; i++) assert.not.equal(v.subarray(0, row), v.subarray(i * row, (i + 1) * row));
      // A step of one parameter along its gradient moves the loss by what the gradient says: only if masks agree.
      const name = 'net.conv.weight';
      const at = grads[name]!.reduce((best, g, i, all) => (Math.abs(g) > Math.abs(all[best]!) ? i : best), 0);
      const losses: number[] = [];
      const { readSafetensors, toFloat32, writeSafetensors } = await import('../runtime/safetensors.ts');
      const file = readSafetensors(await session.weights());
      for (const h of [1e-2, -1e-2]) {
        const moved = [...file.tensors].map(([n, tensor]) => {
          const data = toFloat32(tensor).slice();
          if (n === name) data[at]! += h;
          return { name: n, shape: tensor.shape, data };
        });
        await session.loadWeights(writeSafetensors(moved));
        losses.push(((await session.grads('tiled', x)).outputs.loss as Float32Array)[0]!);
      }
      const slope = (losses[0]! - losses[1]!) / 2e-2;
      assert.ok(Math.abs(slope - grads[name]![at]!) < 2e-2 * Math.abs(slope), `${slope} and ${grads[name]![at]}`);
    } finally {
      await session.close();
    }
  });

  test('memory is one tile’s: forty tiles hold what five do, but for their results', async () => {
    const peak = async (n: number, entry: 'tiled' | 'whole') => {
      const { manifest } = await build(spec(n), { targets: [device], entries: [entry] });
      return manifest.entries[entry]!.memory.grad!.peak;
    };
    const results = (n: number): number => n * 27 * C * 4;
    const [few, many] = [await peak(5, 'tiled'), await peak(40, 'tiled')];
    // Tokens, their cotangents and what the loss makes of them.
    assert.ok(many - few <= 8 * (results(40) - results(5)), `${few} and ${many} bytes`);
    assert.ok((await peak(40, 'whole')) > 2 * many, 'all at once take more');
  });

  test('under a tight promise the bits are the same', async () => {
    const s = spec(3);
    const least = await build(s, { targets: [device], memory: 1024 }).then(
      () => Number.NaN,
      (e: Error) => Number(e.message.match(/smallest plan needs (\d+)/)![1]),
    );
    const [easy, tight] = [await opened(s), await opened(s, least)];
    try {
      const x = inputsOf(3);
      assert.equal((await tight.session.grads('tiled', x)).grads, (await easy.session.grads('tiled', x)).grads);
    } finally {
      await easy.session.close();
      await tight.session.close();
    }
  });

  test('a profile names what runs in the loop once, and steps train', async () => {
    const { session } = await opened(spec(3));
    try {
      const ops = await session.profile('tiled', { mode: 'grad' });
      assert.ok(ops.length > 10 && ops.every((o) => o.ms >= 0));
      const labels = ops.map((o) => o.label);
      assert.ok(labels.some((l) => l.includes('overTiles')));
      const losses: number[] = [];
      const batches = Array.from({ length: 6 }, () => inputsOf(3));
      for await (const step of session.train('tiled', batches, { accumulation: 2 })) losses.push(step.loss);
      assert.is(losses.length, 3);
      assert.ok(losses[2]! < losses[0]!, losses.join());
    } finally {
      await session.close();
    }
  });
}
