// Every kernel sample as compiled wasm, plain and relaxed SIMD: against the float64 reference, outputs poisoned before, one
// thread and two giving the same bits.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { samples, wideSamples } from '../../kernels/samples/index.ts';
import { type CheckResult, checkWasm } from '../../kernels/wasm/check.ts';

const all = [...samples, ...wideSamples];

for (const target of ['release', 'relaxed'] as const) {
  // One module for all samples: compiled once, at the first test.
  let results: Promise<CheckResult[]> | undefined;
  const run = (): Promise<CheckResult[]> => {
    results ??= checkWasm(all, { target });
    return results;
  };
  all.forEach((s, i) => {
    test(`${target}: ${s.name}`, async () => {
      const r = (await run())[i]!;
      assert.ok(r.threadsAgree, 'one thread and two gave other bits');
      assert.ok(r.ok, `relative L2 error ${r.error.toExponential(2)}`);
    });
  });
}

test.run();
