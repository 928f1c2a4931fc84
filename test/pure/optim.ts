// Optimisers and gradient clipping, step by step, against PyTorch in float64 (test/golden/ops/).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { adamW, type Optimizer, sgd } from '../../dsl/index.ts';
import { adamStep, clipFactor, learningRate } from '../../dsl/optim.ts';
import { evaluate, leaf } from '../evaluate-graph.ts';
import { type FullGolden, loadGolden } from '../golden.ts';
import { trainingInput } from '../op-golden.ts';

interface OptimizerCase {
  readonly options: {
    readonly lr: number;
    readonly betas?: [number, number];
    readonly eps?: number;
    readonly weight_decay?: number;
    readonly momentum?: number;
    readonly nesterov?: boolean;
  };
  readonly parameters: readonly (readonly number[])[];
  readonly state: Readonly<Record<string, FullGolden>>;
}

/** Nine digits in the goldens; the bias correction of AdamW is a series with an error below 1e-8. */
function close(what: string, found: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.is(found.length, expected.length, what);
  for (let i = 0; i < found.length; i++) {
    const d = Math.abs(found[i]! - expected[i]!);
    assert.ok(d <= 2e-8 * Math.max(1e-2, Math.abs(expected[i]!)), `${what}[${i}]: ${found[i]} for ${expected[i]}`);
  }
}

function check(name: string, golden: OptimizerCase, optimizer: Optimizer): void {
  const n = 16;
  const states = Object.fromEntries(optimizer.states.map((s) => [s, leaf(s, { n })]));
  const next = optimizer.update(leaf('p', { n }), leaf('g', { n }), states, { lr: learningRate(), t: adamStep() });
  assert.equal(Object.keys(next.states), [...optimizer.states]);
  const roots = [next.p.value, ...optimizer.states.map((s) => next.states[s]!.value)];
  let values: Record<string, ArrayLike<number>> = {
    p: trainingInput(name, 'p'),
    ...Object.fromEntries(optimizer.states.map((s) => [s, new Float64Array(n)])),
  };
  golden.parameters.forEach((expected, step) => {
    const g = trainingInput(name, `g${step}`);
    const [p, ...after] = evaluate(roots, { ...values, g }, { step: { lr: golden.options.lr, t: step + 1 } });
    close(`parameters after step ${step + 1}`, p!, expected);
    values = { p: p!, ...Object.fromEntries(optimizer.states.map((s, i) => [s, after[i]!])) };
  });
  for (const s of optimizer.states) close(s, values[s]!, golden.state[s]!.values);
}

const cases = <T>(op: string): [string, T][] =>
  Object.entries(loadGolden<{ cases: Record<string, T> }>(`ops/${op}`).cases);

for (const [name, golden] of cases<OptimizerCase>('adamw')) {
  const { lr, betas, eps, weight_decay: weightDecay } = golden.options;
  test(name, () => check(name, golden, adamW({ lr, betas, eps, weightDecay })));
}
for (const [name, golden] of cases<OptimizerCase>('sgd')) {
  const { lr, momentum, nesterov, weight_decay: weightDecay } = golden.options;
  test(name, () => check(name, golden, sgd({ lr, momentum, nesterov, weightDecay })));
}

interface ClipCase {
  readonly options: { readonly max: number; readonly scale: number };
  readonly norm: number;
  readonly gradients: readonly (readonly number[])[];
}
for (const [name, golden] of cases<ClipCase>('clip_grad_norm')) {
  test(name, () => {
    const n = 16;
    const parts = [0, 1].map((i) => trainingInput(name, `g${i}`).map((v) => Math.fround(v) * golden.options.scale));
    const all = leaf('g', { n: 2 * n });
    const clipped = all.mul(clipFactor(all.mul(all).sum('n'), golden.options.max));
    const [found] = evaluate([clipped.value], { g: [...parts[0]!, ...parts[1]!] });
    close('gradients', found!, golden.gradients.flat());
  });
}

test.run();
