// Passes change how a graph computes, never what: every sample, with its gradients, means the same before and after each.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PASSES } from '../../compiler/pipeline.ts';
import { verify } from '../../compiler/verify.ts';
import { differentiate } from '../../dsl/differentiate.ts';
import { typeOf, type Value } from '../../dsl/graph.ts';
import { numel, show } from '../../dsl/types.ts';
import { leaves as blockLeaves, blocks } from '../block-samples.ts';
import { classes, uniform } from '../counters.ts';
import { evaluate, type Leaves, leaf } from '../evaluate-graph.ts';
import { type SampleInput, samples } from '../op-samples.ts';

const STEP = { step: { seedLo: 3, step: 2, lr: 0.25, t: 3 } };
const count = (s: SampleInput): number => Object.values(s.axes).reduce((n, x) => n * x, 1);

function check(title: string, roots: readonly Value[], leaves: Leaves): void {
  const before = evaluate(roots, leaves, STEP);
  const types = roots.map((v) => show(typeOf(v)));
  let now = [...roots];
  for (const pass of PASSES) {
    now = pass.run(now);
    verify(pass.name, now);
    assert.equal(
      now.map((v) => show(typeOf(v))),
      types,
      `${title}: types after ${pass.name}`,
    );
    evaluate(now, leaves, STEP).forEach((found, r) => {
      const expected = before[r]!;
      const largest = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
      for (let i = 0; i < found.length; i++) {
        // constants are folded in f32
        const ok = Math.abs(found[i]! - expected[i]!) <= 1e-6 * largest;
        assert.ok(ok, `${title}: root ${r} [${i}] after ${pass.name}: ${found[i]} for ${expected[i]}`);
      }
    });
  }
}

test('primitives and their gradients', () => {
  for (const s of samples) {
    const tensors = Object.fromEntries(Object.entries(s.inputs).map(([n, i]) => [n, leaf(n, i.axes, i.dtype)]));
    const title = `${s.op}: ${s.name}`;
    const y = s.build(tensors);
    const dy = leaf('dy', Object.fromEntries(y.axes.map((a) => [a.name, a.size])));
    const wrt = Object.values(tensors).filter((t) => t.dtype === 'f32');
    const back = differentiate(
      y.value,
      wrt.map((t) => t.value),
      dy.value,
    );
    const leaves: Record<string, ArrayLike<number>> = { dy: uniform(6, title, numel(y.type)) };
    for (const [n, i] of Object.entries(s.inputs)) {
      const name = `${title}.${n}`;
      leaves[n] =
        i.classes !== undefined ? classes(6, name, count(i), i.classes) : uniform(6, name, count(i), i.scale, i.base);
    }
    check(title, [y.value, ...back.filter((g): g is Value => g !== null)], leaves);
  }
});

for (const [name, block] of Object.entries(blocks)) {
  test(`block: ${name}`, () => {
    const b = block();
    const back = differentiate(b.loss, b.parameters);
    check(name, [b.loss, ...back.filter((g): g is Value => g !== null)], blockLeaves(b));
  });
}

test.run();
