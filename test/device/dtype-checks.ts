// Tensors of every dtype through a whole artifact: ports, stored activations, views, concat, gather and training, compared with
// the primitives' float64 references.
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import { trace } from '../../compiler/trace.ts';
import * as t from '../../dsl/index.ts';
import { roundToHalf } from '../../dsl/types.ts';
import { type OpenOptions, open, readSafetensors, type Session, toFloat32 } from '../../runtime/index.ts';
import { uniform } from '../counters.ts';
import { relativeL2 } from '../curves.ts';
import { evaluate } from '../evaluate-graph.ts';

const [B, H, C, F] = [3, 5, 7, 9];
const dense = (x: t.Tensor): t.Tensor => t.scope('dense', () => t.linear(x.cast('f32'), F)).cast('f16');

const dtypes = t.model({
  name: 'dtypes',
  settings: {},
  build: () => ({
    entries: {
      pass: {
        inputs: {
          x: t.f16({ b: B, h: H, c: C }),
          at: t.i32({ n: 4 }),
          keep: t.bool({ b: B, h: H }),
          number: t.u32({ n: 4 }),
        },
        run: ({ x, at, keep, number }) => {
          const y = dense(x!);
          return {
            both: t.concat([y, y.roll('h', 2)], 'c'),
            rows: t.gather(y.merge('b h', 'r'), at!).cast('f32'),
            kept: keep!.where(y.cast('f32'), -1),
            gone: keep!.not(),
            odd: number!.mod(2).add(number!.max(3)),
            signs: at!.sub(9).mod(4),
          };
        },
      },
      fit: {
        inputs: { x: t.f16({ b: B, h: H, c: C }), target: t.f32({ b: B, h: H, f: F }) },
        loss: 'loss',
        optimizer: t.sgd({ lr: 0.1 }),
        run: ({ x, target }) => {
          const d = dense(x!).cast('f32').rename({ c: 'f' }).sub(target!);
          return { loss: d.mul(d).mean('b h f') };
        },
      },
    },
  }),
});

const values = (name: string, n: number): Float32Array => Float32Array.from(uniform(11, name, n));
const inputs = {
  x: values('x', B * H * C).map((v) => roundToHalf(v)),
  at: Int32Array.from([14, 0, 3, 7]),
  keep: Uint8Array.from({ length: B * H }, (_, i) => ((i * 7) % 3 === 0 ? 1 : 0)),
  number: Uint32Array.from([0, 3, 4000000001, 17]),
};
const target = values('target', B * H * F);

export function dtypeChecks(test: (name: string, run: () => Promise<void>) => void, device: 'wasm' | 'webgpu'): void {
  const using = async (
    run: (s: Session, leaves: Record<string, ArrayLike<number>>) => Promise<void>,
  ): Promise<void> => {
    const built = await build(dtypes, { targets: [device], verify: true });
    const options: OpenOptions = { device, seed: 5, onNotice: () => {} };
    const session = await open(built.files, options);
    try {
      const { tensors } = readSafetensors(await session.weights());
      // torch's [out, in] becomes the stored [in, out]
      const w = toFloat32(tensors.get('dense.weight')!);
      const stored = Float32Array.from({ length: C * F }, (_, i) => w[(i % F) * C + Math.floor(i / F)]!);
      await run(session, {
        ...inputs,
        target,
        'dense.weight': stored,
        'dense.bias': toFloat32(tensors.get('dense.bias')!),
      });
    } finally {
      await session.close();
    }
  };
  const traced = trace(dtypes, {});
  const expected = (entry: string, leaves: Record<string, ArrayLike<number>>): Record<string, Float64Array> => {
    const { outputs } = traced.entries.find((e) => e.name === entry)!;
    const list = evaluate(Object.values(outputs), leaves);
    return Object.fromEntries(Object.keys(outputs).map((n, i) => [n, list[i]!]));
  };

  test('f16, i32, u32 and bool go in, are stored and come out', () =>
    using(async (s, leaves) => {
      const want = expected('pass', leaves);
      const got = await s.entries.pass!(inputs);
      assert.ok(got.both instanceof Float32Array && got.gone instanceof Uint8Array && got.odd instanceof Uint32Array);
      for (const name of ['gone', 'odd', 'signs']) assert.equal([...got[name]!], [...want[name]!], name);
      assert.ok(
        [...got.both].every((v) => v === roundToHalf(v)),
        'values that no half has',
      );
      for (const name of ['both', 'rows', 'kept']) {
        const error = relativeL2(got[name]!, want[name]!);
        assert.ok(error < 1e-4, `${name}: ${error}`);
      }
    }));

  test('gradients pass through a cast to f16 as through none', () =>
    using(async (s, leaves) => {
      const { outputs, grads } = await s.grads('fit', { x: inputs.x, target });
      const loss = expected('fit', leaves).loss![0]!;
      assert.ok(Math.abs((outputs.loss as Float32Array)[0]! - loss) < 1e-4 * loss);
      // d loss / d bias[f] = 2 / (B H F) · sum of (y - target)
      const y = (await s.entries.pass!(inputs)).both as Float32Array;
      const bias = new Float64Array(F);
      for (let i = 0; i < B * H; i++)
        for (let f = 0; f < F; f++) bias[f]! += (2 / (B * H * F)) * (y[i * 2 * F + f]! - target[i * F + f]!);
      assert.ok(relativeL2(grads['dense.bias']!, bias) < 1e-5);
    }));
}
