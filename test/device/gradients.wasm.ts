// Gradients of one attention in one pass: what the single kernels give, one thread and two giving the same bits.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate } from '../../kernels/evaluate.ts';
import { STEP_WORDS } from '../../kernels/expr.ts';
import type { AttentionGradKernel } from '../../kernels/ir.ts';
import { type AttentionOptions, attention } from '../../kernels/samples/attention.ts';
import { fill } from '../../kernels/samples/index.ts';
import { compileSamples, instantiate, place } from '../../kernels/wasm/check.ts';
import { emitGradients, gradientsAt } from '../../kernels/wasm/index.ts';

const SHAPES: readonly AttentionOptions[] = [
  { g: 3, h: 2, n: 27, e: 16, masked: true, parts: 2 },
  { g: 3, h: 1, n: 50, e: 8, parts: 3 },
  { g: 3, h: 2, n: 9, e: 6, masked: true },
];
const kernel = (part: 'dq' | 'dkv' | 'dbias', o: AttentionOptions): AttentionGradKernel =>
  attention(part, o).kernel as AttentionGradKernel;

const ORDERS = [
  ['dq', 'dkv', 'dbias'],
  ['dbias', 'dq', 'dkv'],
  ['dkv', 'dq'],
] as const;
const cases = SHAPES.flatMap((o) => ORDERS.map((parts) => ({ o, kernels: parts.map((p) => kernel(p, o)) })));
const joined = cases.map((c) => gradientsAt(c.kernels, 0)!);
const emitted = joined.map(emitGradients);

const known = new Map<string, Float64Array[]>();
/** The float64 reference's buffers, computed once. */
function expected(k: AttentionGradKernel, o: AttentionOptions): Float64Array[] {
  const key = `${k.part} ${JSON.stringify(o)}`;
  let values = known.get(key);
  if (!values) {
    values = fill(k, 1);
    evaluate(k, values, new Uint32Array(STEP_WORDS));
    known.set(key, values);
  }
  return values;
}

for (const target of ['release', 'relaxed'] as const) {
  // One module for all, compiled at the first test.
  let module: Promise<WebAssembly.Module> | undefined;
  cases.forEach(({ o, kernels }, i) => {
    test(`${target}: ${kernels.map((k) => k.part).join(', ')} of ${JSON.stringify(o)}`, async () => {
      assert.is(joined[i]!.kernels.length, kernels.length);
      module ??= compileSamples(emitted, target).then((c) => c.module);
      const { memory, alloc, entry } = instantiate(await module, 1 << 24);
      const whole = { name: 'joined', kernel: { ...kernels[0]!, bufs: joined[i]!.bufs }, flops: 0 };
      const step = new Uint32Array(STEP_WORDS);
      const one = place(whole, emitted[i]!, memory, alloc, step, 1);
      const two = place(whole, emitted[i]!, memory, alloc, step, 1);
      entry(i)(one.p, 0, 1);
      entry(i)(two.p, 1, 2);
      entry(i)(two.p, 0, 2);
      let out = kernels[0]!.bufs.length - kernels[0]!.outs.length;
      for (const k of kernels) {
        const values = expected(k, o);
        for (const n of k.outs) {
          const [got, other, want] = [one.views[out]!, two.views[out]!, values[n]!];
          out++;
          assert.equal(new Uint32Array(got.slice().buffer), new Uint32Array(other.slice().buffer));
          const norm = (f: (i: number) => number): number => Math.hypot(...Array.from(want, (_, e) => f(e)));
          const error = norm((e) => got[e]! - want[e]!) / norm((e) => want[e]!);
          assert.ok(error < 1e-5, `${k.part}: ${error}`);
        }
      }
    });
  });
}

test('gradients that read other tensors, or stand apart, are not joined', () => {
  const o = SHAPES[0]!;
  const [dq, dkv] = [kernel('dq', o), kernel('dkv', o)];
  const apart = { ...dkv, bufs: dkv.bufs.map((b, i) => (i === 1 ? { ...b, tensor: 99 } : b)) };
  assert.is(gradientsAt([dq, apart], 0)!.kernels.length, 1);
  assert.is(gradientsAt([dq, dq, dkv], 0)!.kernels.length, 1);
  assert.is(gradientsAt([attention('forward', o).kernel, dq], 0), null);
});

test.run();
