// Memory plans: an order and a recomputation change what is alive, never what is computed; a promise is kept or refused.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import { lifetimes, peakOf, profile } from '../../compiler/lifetimes.ts';
import { order } from '../../compiler/order.ts';
import { compileEntry } from '../../compiler/pipeline.ts';
import { planMemory, verifyPlan } from '../../compiler/plan.ts';
import type { Program } from '../../compiler/program.ts';
import { recompute } from '../../compiler/recompute.ts';
import { flatten } from '../../compiler/repeats.ts';
import { trace } from '../../compiler/trace.ts';
import * as t from '../../dsl/index.ts';
import { numel } from '../../dsl/types.ts';
import { unet } from '../../examples/unet.ts';
import { evaluate } from '../../kernels/evaluate.ts';
import { uniform } from '../counters.ts';

const model = t.model({
  name: 'memory',
  settings: { channels: [2, 3], classes: 3, batch: 1, side: 8 },
  build: (s) => {
    const [d, h, w] = [s.side, s.side, s.side];
    const network = (x: t.Tensor): t.Tensor =>
      unet(t.dropout(x, 0.25), { ...s, inChannels: 1, size: [d, h, w], lr: 1e-2, warmup: 1, steps: 10 });
    return {
      entries: {
        segment: {
          inputs: { volume: t.f32({ b: s.batch, c: 1, d, h, w }), label: t.i32({ b: s.batch, d, h, w }) },
          loss: 'loss',
          optimizer: t.adamW({ lr: 1e-2 }),
          run: ({ volume, label }) => ({ loss: t.diceCELoss(network(volume!), label!) }),
        },
      },
    };
  },
});

const traced = trace(model, model.settings);
const grad = flatten(compileEntry(traced, traced.entries[0]!, { verify: true }).grad!);

/** Every gradient and output, all temporaries starting as NaN. */
function run(p: Program): Map<string, Float64Array> {
  const step = new Uint32Array(16);
  step.set([5, 6, 7, 0]);
  const values = new Map<number, Float64Array>();
  for (const x of p.tensors) {
    const n = numel(x.type);
    if (x.home.kind === 'port' && x.home.name === 'label')
      values.set(
        x.id,
        Float64Array.from({ length: n }, (_, i) => i % 3),
      );
    else if (x.home.kind === 'port' || x.home.kind === 'parameter')
      values.set(x.id, Float64Array.from(uniform(3, x.label, n)));
    else values.set(x.id, new Float64Array(n).fill(Number.NaN));
  }
  for (const k of p.kernels)
    evaluate(
      k,
      k.bufs.map((b) => values.get(b.tensor)!),
      step,
    );
  return new Map(
    p.tensors.flatMap((x) =>
      x.home.kind === 'gradient' || x.label.startsWith('out:') ? [[x.label, values.get(x.id)!] as const] : [],
    ),
  );
}

test('every order and every budget gives the same bits', () => {
  const expected = run(grad);
  assert.ok(expected.size > 10 && [...expected.values()].every((v) => v.every(Number.isFinite)));
  const peak = peakOf(grad);
  const smallest = recompute(grad, {}).peak;
  assert.ok(smallest < 0.75 * peak, `${smallest} of ${peak}`);
  for (const share of [1, 0.75, 0.5, 0.25, 0]) {
    const budget = smallest + share * (peak - smallest);
    const r = recompute(grad, { budget });
    assert.ok(r.peak <= budget && r.peak === peakOf(r.program), `${r.peak} for ${budget}`);
    assert.is(r.repeats > 0, share < 1);
    const again = r.program.kernels.filter((k) => k.name.endsWith('.again'));
    assert.is(again.length, r.repeats);
    assert.is(
      again.reduce((s, k) => s + k.flops, 0),
      r.flops,
    );
    const plan = planMemory(r.program, 1 << 20);
    verifyPlan(plan);
    assert.ok(plan.arenas.reduce((a, b) => a + b, 0) >= plan.peak);
    assert.equal([...run(r.program)], [...expected], `budget ${budget}`);
  }
});

test('an order follows the data, and is only taken where it helps', () => {
  const shuffled: Program = { ...grad, kernels: order(grad).kernels };
  assert.ok(peakOf(shuffled) <= peakOf(grad));
  assert.is(peakOf(order(shuffled)), peakOf(shuffled));
  assert.equal(run(shuffled), run(grad));
  const live = lifetimes(shuffled);
  assert.is(Math.max(...profile(live, shuffled.kernels.length)), peakOf(shuffled));
});

test('a part of the work bounds what is done again', () => {
  const work = (p: Program): number => p.kernels.reduce((s, k) => s + k.flops, 0);
  const little = recompute(grad, { work: 0.02 });
  assert.ok(little.repeats > 0 && little.flops <= 0.02 * work(grad) * 4);
  assert.is(recompute(grad, { work: 0 }).repeats, 0);
});

test('a promise is kept with the bytes that a session will allocate, or refused with those that it would need', async () => {
  const set = { channels: [8, 16, 32], side: 32 };
  const free = await build(model, { set, targets: ['wasm'] });
  const { training, inference } = free.manifest.memory;
  assert.ok(inference.wasm < training.wasm && inference.webgpu < training.webgpu);
  let message = '';
  try {
    await build(model, { set, targets: ['wasm'], memory: 1 << 20 });
  } catch (e) {
    assert.is((e as { code?: string }).code, 'plan-memory');
    message = (e as Error).message;
  }
  const least = Number(message.match(/smallest plan needs (\d+) bytes/)![1]);
  assert.ok(least < Math.max(training.wasm, training.webgpu), message);
  const tight = await build(model, { set, targets: ['wasm'], memory: least });
  assert.ok(Math.max(...Object.values(tight.manifest.memory.training)) <= least);
  assert.is(tight.manifest.memory.promise, least);
});

test.run();
