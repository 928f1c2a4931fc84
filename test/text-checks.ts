// The text tower against Hugging Face's BertModel and RobertaModel in float64: test/reference/text.py wrote the goldens.
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../compiler/index.ts';
import { f32, i32, model, scope } from '../dsl/index.ts';
import { textPool, textTransformer } from '../models/t3d/text.ts';
import { type TextSettings, textSettings } from '../models/t3d/text-settings.ts';
import { type OpenOptions, open } from '../runtime/index.ts';
import { classes, uniform } from './counters.ts';
import { compareGolden, loadGolden, type TensorGolden } from './golden.ts';
import { weightsFor } from './parity.ts';

interface TextGolden {
  readonly config: Record<string, unknown>;
  readonly seed: number;
  readonly lengths: readonly number[];
  readonly tokens: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly tensors: Readonly<Record<string, TensorGolden>>;
}

/** With `node test/run.mjs --t3d text` a BERT-base too. */
const LARGE = process.env.T3DC_CURVES === 't3d';

/** Features, and a loss whose gradient by them are given cotangents. */
const spec = (s: TextSettings, b: number, t: number) =>
  model({
    name: 'text',
    settings: {},
    build: () => ({
      entries: {
        encode: {
          inputs: { input_ids: i32({ b, t }), attention_mask: i32({ b, t }) },
          run: ({ input_ids: ids, attention_mask: mask }) =>
            scope('text', () => {
              const x = textTransformer(ids!, mask!, s);
              return { last_hidden_state: x, mean: textPool(x, mask!, { ...s, pooling: 'mean' }) };
            }),
        },
        train: {
          inputs: {
            input_ids: i32({ b, t }),
            attention_mask: i32({ b, t }),
            hidden: f32({ b, t, c: s.hiddenSize }),
            pooled: f32({ b, c: s.hiddenSize }),
          },
          loss: 'loss',
          run: ({ input_ids: ids, attention_mask: mask, hidden, pooled }) =>
            scope('text', () => {
              const x = textTransformer(ids!, mask!, s);
              const p = textPool(x, mask!, { ...s, pooling: 'pooler' });
              return { pooler: p, loss: x.mul(hidden!).sum('b t c').add(p.mul(pooled!).sum('b c')) };
            }),
        },
      },
    }),
  });

export function textTests(test: Test, device: 'webgpu' | 'wasm', options: OpenOptions = {}): void {
  for (const name of ['bert', 'roberta', ...(LARGE ? ['bert-base'] : [])]) {
    test(`${name}: features to 1e-5, every gradient to 1e-4`, async () => {
      const g = loadGolden<TextGolden>(`text/${name}`);
      const s = textSettings(g.config);
      const [b, t] = [g.lengths.length, g.tokens];
      const built = await build(spec(s, b, t), { targets: [device] });
      const session = await open(built.files, { device, onNotice: () => {}, ...options });
      try {
        await session.loadWeights(weightsFor(built.manifest, g.seed));
        const drawn = classes(g.seed, 'input_ids', b * t, s.vocabSize - 2);
        const mask = Int32Array.from({ length: b * t }, (_, i) => (i % t < g.lengths[Math.floor(i / t)]! ? 1 : 0));
        const ids = Int32Array.from(drawn, (v, i) => (mask[i] ? v + 2 : s.padTokenId));
        const texts = { input_ids: ids, attention_mask: mask };
        const check = (key: string, values: ArrayLike<number>, relL2: number, floor = 0): void => {
          const c = compareGolden(g.tensors[key]!, values, { relL2, floor });
          assert.ok(c.ok, `${key}: ${c.message}`);
        };
        const out = await session.entries.encode!(texts);
        check('last_hidden_state', out.last_hidden_state as Float32Array, 1e-5);
        check('mean', out.mean as Float32Array, 1e-5);
        const foreign = session.entries.encode!({
          ...texts,
          input_ids: ids.map((v, i) => (i === 5 ? s.vocabSize : v)),
        });
        const why = await foreign.then(
          () => '',
          (e) => String(e.message),
        );
        assert.match(why, new RegExp(`${s.vocabSize} at 5[^]*0 to ${s.vocabSize - 1}[^]*tokenizer`));
        const c = s.hiddenSize;
        const { outputs, grads } = await session.grads('train', {
          ...texts,
          hidden: uniform(g.seed, 'cotangent.last_hidden_state', b * t * c, 1),
          pooled: uniform(g.seed, 'cotangent.pooler', b * c, 1),
        });
        check('pooler', outputs.pooler as Float32Array, 1e-5);
        const names = Object.keys(g.tensors).filter((n) => n.startsWith('grad.'));
        assert.equal(
          names.map((n) => n.slice(5)).sort(),
          Object.keys(grads).sort(),
          "parameters' names are Hugging Face's",
        );
        // A key's bias has no gradient but for rounding: softmax ignores what it adds to all scores of a query.
        // Where PyTorch's own float32 misses float64 by about the bound, four times that, as for training steps (parity.ts): scores of
        // a random BERT-base are large, and a saturated softmax passes on what cancellation leaves. Eight of its 199 gradients,
        // queries and keys of the last layers: PyTorch at most 1.8e-4, wasm 2.8e-4.
        for (const n of names) {
          const { norm, torchFloat32 = 0 } = g.tensors[n]!;
          const floor = 1e-4 * g.gradientNorm;
          const pyTorch = (torchFloat32 * norm) / Math.max(norm, floor);
          const bound = Math.max(1e-4, Math.min(4 * pyTorch, 1e-3));
          check(n, grads[n.slice(5)]!, bound, floor);
        }
      } finally {
        await session.close();
      }
    });
  }
}
