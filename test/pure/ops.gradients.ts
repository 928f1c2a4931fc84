// Every primitive's gradient against finite differences in float64, and the adjoints of the linear ones to rounding.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { verify } from '../../compiler/verify.ts';
import { differentiate } from '../../dsl/differentiate.ts';
import { opNames, type Value } from '../../dsl/graph.ts';
import { numel } from '../../dsl/types.ts';
import { classes, uniform } from '../counters.ts';
import { evaluate, evaluateWithGradients, leaf } from '../evaluate-graph.ts';
import { type Sample, type SampleInput, samples } from '../op-samples.ts';

const STEP = { seedLo: 3, step: 2, lr: 0.25, t: 3 };

const count = (s: SampleInput): number => Object.values(s.axes).reduce((n, x) => n * x, 1);
const draw = (name: string, s: SampleInput): Float64Array =>
  Float64Array.from(
    s.classes !== undefined ? classes(5, name, count(s), s.classes) : uniform(5, name, count(s), s.scale, s.base),
  );
const isFloat = (s: SampleInput): boolean => (s.dtype ?? 'f32') === 'f32';
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let s = 0;
  for (let i = 0; i < a.length; i++) s += a[i]! * b[i]!;
  return s;
};
const title = (s: Sample): string => `${s.op}: ${s.name}`;

function prepare(s: Sample) {
  const tensors = Object.fromEntries(Object.entries(s.inputs).map(([n, i]) => [n, leaf(n, i.axes, i.dtype)]));
  const leaves = Object.fromEntries(Object.entries(s.inputs).map(([n, i]) => [n, draw(`${title(s)}.${n}`, i)]));
  const y = s.build(tensors);
  const cotangent = Float64Array.from(uniform(5, `${title(s)}.dy`, numel(y.type)));
  return { tensors, leaves, y, cotangent };
}

for (const s of samples) {
  test(title(s), () => {
    const { tensors, leaves, y, cotangent } = prepare(s);
    const names = Object.keys(s.inputs).filter((n) => isFloat(s.inputs[n]!));
    const wrt = names.map((n) => tensors[n]!);
    const { gradients } = evaluateWithGradients(y, wrt, leaves, cotangent, { step: STEP });
    const f = (name: string, values: Float64Array): number =>
      dot(evaluate([y.value], { ...leaves, [name]: values }, { step: STEP })[0]!, cotangent);
    names.forEach((name, at) => {
      const g = gradients[at]!;
      if (s.blocked?.includes(name)) {
        assert.ok(g === null || g.every((v) => v === 0), `${name}: a gradient where none should flow`);
        return;
      }
      assert.ok(g, `${name}: no gradient`);
      const x = leaves[name]!;
      for (let i = 0; i < x.length; i++) {
        // five-point stencil: error h⁴ f⁗′ / 30; h below the distance of any two draws, so that no max changes sides
        const h = 2e-4;
        const moved = (d: number): number => {
          const z = Float64Array.from(x);
          z[i]! += d * h;
          return f(name, z);
        };
        const numeric = (moved(-2) - 8 * moved(-1) + 8 * moved(1) - moved(2)) / (12 * h);
        const bound = 1e-8 * (1 + Math.abs(numeric));
        assert.ok(Math.abs(numeric - g![i]!) <= bound, `d/d${name}[${i}]: ${g![i]} for ${numeric}`);
      }
      // <A x, dy> = <x, Aᵀ dy>; what is constant in the input is taken away first
      if (s.linear?.includes(name)) {
        const zero = f(name, new Float64Array(x.length));
        const forward = f(name, x) - zero;
        const backward = dot(x, g!);
        assert.ok(
          Math.abs(forward - backward) <= 1e-12 * (1 + Math.abs(forward)),
          `${name}: <Ax, y> = ${forward}, <x, Aᵀy> = ${backward}`,
        );
      }
    });
  });
}

test('gradient graphs obey their own shape rules', () => {
  for (const s of samples) {
    const { tensors, y } = prepare(s);
    const wrt = Object.keys(s.inputs)
      .filter((n) => isFloat(s.inputs[n]!))
      .map((n) => tensors[n]!);
    const back = differentiate(
      y.value,
      wrt.map((t) => t.value),
    );
    verify(title(s), [y.value, ...back.filter((g): g is Value => g !== null)]);
    back.forEach((g, i) => {
      if (g)
        assert.is(
          g.node.types[g.out]!.axes.map((a) => `${a.name}${a.size}`).join(' '),
          wrt[i]!.axes.map((a) => `${a.name}${a.size}`).join(' '),
          title(s),
        );
    });
  }
});

test('every primitive has a sample', () => {
  const seen = new Set(samples.map((s) => s.op));
  // leaves of every graph; and the gradient of attention, which the samples of attention run
  for (const known of ['input', 'parameter', 'arena', 'scalar', 'slot', 'attentionGrad']) seen.add(known);
  assert.equal(
    opNames().filter((n) => !seen.has(n)),
    [],
  );
});

test.run();
