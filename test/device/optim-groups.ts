// Parameter groups, freezing, clipping, the moving average and the guard, on a small MLP against torch.optim with parameter
// groups (test/reference/optim_groups.py): what every device must do.
import * as assert from 'uvu/assert';
import { type Built, build } from '../../compiler/index.ts';
import {
  adamW,
  type EntrySpec,
  ema,
  f32,
  gelu,
  linear,
  model,
  type ParameterGroup,
  scope,
  sgd,
  type Tensor,
} from '../../dsl/index.ts';
import {
  type Inputs,
  type OpenOptions,
  open,
  readSafetensors,
  type Session,
  toFloat32,
  writeSafetensors,
} from '../../runtime/index.ts';
import { uniform } from '../counters.ts';
import { loadGolden } from '../golden.ts';
import { collect, fails } from './runtime-checks.ts';

type Values = Readonly<Record<string, readonly number[]>>;
interface Case {
  readonly options: { readonly lr: number; readonly weight_decay: number; readonly momentum?: number };
  readonly losses: readonly number[];
  readonly parameters: Values;
  readonly average: Values;
}
export const golden = loadGolden<{ decay: number; clip: number; adamw: Case; sgd: Case }>('optim_groups');
const STEPS = golden.adamw.losses.length;

const GROUPS: readonly ParameterGroup[] = [
  { match: '^layers\\.0\\.', lr: 0 },
  { match: '^layers\\.1\\.', lr: 0.25 },
  { match: '\\.bias$', weightDecay: 0 },
  { match: '\\.weight$', weightDecay: 2 },
];
const { lr, weight_decay: weightDecay } = golden.adamw.options;
const ADAM = adamW({ lr, weightDecay });
const SGD = sgd({ ...golden.sgd.options, weightDecay: golden.sgd.options.weight_decay });

function network(x: Tensor): Tensor {
  let y = x;
  [10, 10].forEach((width, i) => {
    y = gelu(scope(`layers.${i}`, () => linear(y, width)));
  });
  return scope('head', () => linear(y, 3));
}

/** `other` trains a layer of its own, the rest the network, each in its way: one artifact, so that every entry's groups share the
 *  arenas with all the others'. */
export const mlp = model({
  name: 'mlp',
  settings: {},
  build: () => {
    const inputs = { x: f32({ b: 8, c: 6 }), y: f32({ b: 8, c: 3 }) };
    const entry = (net: (x: Tensor) => Tensor, more: Partial<EntrySpec>): EntrySpec => ({
      inputs,
      loss: 'loss',
      run: ({ x, y }) => {
        const d = net(x!).sub(y!);
        return { loss: d.mul(d).mean('b c') };
      },
      ...more,
    });
    const { decay, clip } = golden;
    const whole = { groups: GROUPS, clip };
    return {
      entries: {
        other: entry((x) => scope('other', () => linear(x, 3)), { optimizer: ADAM }),
        adamw: entry(network, { optimizer: ema(ADAM, decay), ...whole }),
        guarded: entry(network, { optimizer: ema(ADAM, decay), ...whole, guard: true }),
        unclipped: entry(network, { optimizer: ema(ADAM, decay), guard: true }),
        sgd: entry(network, { optimizer: ema(SGD, decay), ...whole }),
      },
    };
  },
});

const batch = (t: number): Inputs => ({ x: uniform(23, `x${t}`, 48), y: uniform(23, `y${t}`, 24) });
export const batches = (from = 0, to = STEPS): Inputs[] => Array.from({ length: to - from }, (_, i) => batch(from + i));
const broken = (): Inputs => ({ ...batch(0), x: new Float32Array(48).fill(Number.POSITIVE_INFINITY) });

/** The golden's starting parameters; `other` has no place there. */
export function start(s: Session): Uint8Array {
  const values = s.manifest.parameters.map((p) => ({
    name: p.name,
    shape: p.shape,
    data: uniform(
      23,
      p.name,
      p.shape.reduce((a, b) => a * b, 1),
      0.5,
    ),
  }));
  return writeSafetensors(values);
}
export const tensorsOf = (file: Uint8Array): Map<string, Float32Array> =>
  new Map(Array.from(readSafetensors(file).tensors, ([name, t]) => [name, toFloat32(t)]));

function near(what: string, found: ReadonlyMap<string, Float32Array>, expected: Values): void {
  for (const [name, values] of Object.entries(expected))
    values.forEach((v, i) => {
      const d = Math.abs(found.get(name)![i]! - v);
      assert.ok(d <= 2e-6, `${what}: ${name}[${i}] is ${found.get(name)![i]}, not ${v}`);
    });
}
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(Buffer.from(b));

export function optimGroupChecks(
  test: { (name: string, run: () => Promise<void>): void; before(run: () => Promise<void>): void },
  target: 'wasm' | 'webgpu',
  options: OpenOptions,
): void {
  let built: Built;
  test.before(async () => {
    built = await build(mlp, { targets: [target], verify: true });
  });
  const using = async <T>(work: (s: Session) => Promise<T>): Promise<T> => {
    const s = await open(built.files, { onNotice: () => {}, ...options });
    try {
      await s.loadWeights(start(s));
      return await work(s);
    } finally {
      await s.close();
    }
  };

  for (const [entry, expected] of [
    ['adamw', golden.adamw],
    ['guarded', golden.adamw],
    ['sgd', golden.sgd],
  ] as const)
    test(`${entry}: groups, a frozen layer, clipping and the moving average are PyTorch's`, () =>
      using(async (s) => {
        const before = tensorsOf(await s.weights());
        await fails('no-weights', () => s.weights({ average: true }), /before the first step/);
        const steps = await collect(s.train(entry, batches()));
        steps.forEach((step, i) => {
          assert.ok(Math.abs(step.loss - expected.losses[i]!) < 1e-6, `loss ${i}: ${step.loss}`);
          assert.equal(step.scale, entry === 'guarded' ? { lossScale: 1, skipped: 0 } : step.scale);
        });
        const after = tensorsOf(await s.weights());
        near('parameters', after, expected.parameters);
        const average = tensorsOf(await s.weights({ average: true }));
        near('average', average, expected.average);
        for (const p of ['layers.0.weight', 'layers.0.bias', 'other.weight', 'other.bias']) {
          assert.equal(after.get(p), before.get(p), `${p} is not read, or frozen`);
          assert.equal(average.get(p), before.get(p), `${p}'s average`);
        }
      }));

  test('an older gradient and state of another entry move nothing that this entry does not read', () =>
    using(async (s) => {
      await collect(s.train('other', batches(0, 2), { lr: 0.1 }));
      const before = tensorsOf(await s.saveCheckpoint());
      await collect(s.train('adamw', batches(0, 2)));
      const after = tensorsOf(await s.saveCheckpoint());
      for (const name of before.keys())
        if (/other\.|layers\.0\./.test(name) && !name.startsWith('optimizer.ema.'))
          assert.equal(after.get(name), before.get(name), name);
      assert.not.equal(after.get('head.weight'), before.get('head.weight'));
    }));

  test('what is frozen has no gradient, and none is computed; those of the rest are what they are without groups', () =>
    using(async (s) => {
      const { grads } = await s.grads('adamw', batch(0));
      const { grads: all } = await s.grads('unclipped', batch(0));
      assert.equal(
        Object.keys(grads),
        Object.keys(all).filter((name) => !name.startsWith('layers.0.')),
      );
      for (const [name, g] of Object.entries(grads)) assert.equal(g, all[name], name);
      const work = (name: string): number => s.manifest.entries[name]!.flops.grad;
      // 2 · 8 · 6 · 10 of layers.0's weight.
      assert.ok(work('unclipped') - work('adamw') >= 960, `${work('unclipped')} and ${work('adamw')} FLOPs`);
    }));

  for (const entry of ['guarded', 'unclipped'])
    test(`${entry}: gradients that are not finite change nothing, are counted, and are no step of Adam`, async () => {
      const plain = await using(async (s) => {
        await collect(s.train(entry, batches()));
        return [await s.weights(), await s.weights({ average: true })];
      });
      await using(async (s) => {
        const initial = await s.weights();
        const [first] = await collect(s.train(entry, [broken()]));
        assert.not(Number.isFinite(first!.loss));
        assert.equal(first!.scale, { lossScale: 1, skipped: 1 });
        assert.ok(same(await s.weights(), initial), 'weights before the first good step');
        assert.ok(same(await s.weights({ average: true }), initial), 'average before the first good step');
        await collect(s.train(entry, batches(0, 2)));
        const [third] = await collect(s.train(entry, [broken()]));
        assert.is(third!.scale?.skipped, 2);
        await collect(s.train(entry, batches(2)));
        assert.ok(same(await s.weights(), plain[0]!), 'weights');
        assert.ok(same(await s.weights({ average: true }), plain[1]!), 'average');
      });
      await using((s) =>
        fails('non-finite-loss', () => collect(s.train(entry, Array.from({ length: 12 }, broken))), /step 10 /),
      );
    });

  test('without the guard the first loss that is not finite rejects', () =>
    using((s) => fails('non-finite-loss', () => collect(s.train('adamw', [broken()])), /step 1 /)));

  test('2 steps, a checkpoint and 2 more are 4 steps, bit for bit, the average and the count of skipped steps too', async () => {
    const order = [batch(0), broken(), batch(1), batch(2)];
    const saved = (parts: readonly Inputs[], from?: Uint8Array): Promise<Uint8Array> =>
      using(async (s) => {
        if (from) await s.loadCheckpoint(from);
        await collect(s.train('guarded', parts));
        return s.saveCheckpoint();
      });
    assert.ok(same(await saved(order.slice(2), await saved(order.slice(0, 2))), await saved(order)));
    // A run that skipped nothing and so counted nothing: its steps are Adam's.
    const { tensors, metadata } = readSafetensors(await saved(batches(0, 2)));
    const others = [...tensors].filter(([name]) => !name.startsWith('arena.'));
    const bare = others.map(([name, t]) => ({ name, shape: t.shape, data: toFloat32(t) }));
    assert.ok(same(await saved(batches(2), writeSafetensors(bare, metadata)), await saved(batches())));
  });
}
