// The adjoint of a strided convolution is split by parity: one dense contraction per residue class, with the taps that meet it
// alone. So the data gradient costs the products of the forward pass, and no kernel asks for a remainder per tap.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ConvCase, conv3d } from '../../bench/kernels/cases.ts';
import { compileEntry } from '../../compiler/pipeline.ts';
import { trace } from '../../compiler/trace.ts';
import * as t from '../../dsl/index.ts';
import type { ContractKernel } from '../../kernels/ir.ts';

function contracts(pass: 'forward' | 'data', o: ConvCase): ContractKernel[] {
  const { inputs, run } = conv3d(pass, o);
  const spec = t.model({ name: 'strides', settings: {}, build: () => ({ entries: { f: { inputs, run } } }) });
  const m = trace(spec, {});
  const { forward } = compileEntry(m, m.entries[0]!);
  return forward.kernels.filter((k): k is ContractKernel => k.kind === 'contract');
}
const flops = (list: readonly ContractKernel[]): number => list.reduce((s, k) => s + k.flops, 0);

const cases: readonly { readonly o: ConvCase; readonly classes: number }[] = [
  { o: { ci: 3, co: 5, k: 3, stride: 2, size: 12 }, classes: 8 },
  // Every input meets one tap: one product of matrices, without windows.
  { o: { ci: 4, co: 2, k: 2, stride: 2, size: 8 }, classes: 1 },
  { o: { ci: 2, co: 3, k: 5, stride: 3, size: 9 }, classes: 27 },
  { o: { ci: 2, co: 3, k: 3, stride: 1, size: 6 }, classes: 1 },
];
for (const { o, classes } of cases) {
  test(`kernel ${o.k}, stride ${o.stride}, ${o.size}³: the data gradient costs the forward pass`, () => {
    const data = contracts('data', o);
    assert.is(flops(data), flops(contracts('forward', o)));
    assert.is(data.length, classes);
    for (const k of data) {
      for (const a of [...k.a.axes, ...k.b.axes]) {
        // Taps are every stride-th of the weights by a view; what they and the outputs move over is dense.
        const ends = a.terms.map((x) => Math.abs(x.coef));
        assert.ok(
          ends.every((c) => c === 1),
          `${k.name}: coefficients ${ends}`,
        );
      }
    }
  });
}

test('an odd size: classes are rounded up, by less than a row each', () => {
  const o = { ci: 3, co: 5, k: 3, stride: 2, size: 13 };
  const [data, forward] = [flops(contracts('data', o)), flops(contracts('forward', o))];
  assert.ok(data >= forward && data <= forward * (14 / 13) ** 3 + 1, `${data} ${forward}`);
});

test.run();
