// The bench's own cases over small and odd shapes, built, run and compared with float64 as the bench compares them. As uvu tests for
// one target.
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { SMALL } from '../bench/kernels/list.ts';
import { compiled, inputsOf, largestError, modelOf } from '../bench/kernels/measure.ts';
import { sampleOutputs } from '../bench/kernels/sampled.ts';
import { build } from '../compiler/index.ts';
import { open, type Session } from '../runtime/index.ts';

/** In units of an output's largest element. */
const BOUND = 1e-5;
/** Elements of an output that are compared. */
const SAMPLES = 512;

export function benchCaseTests(test: Test, target: 'wasm' | 'webgpu'): void {
  const spec = modelOf(SMALL);
  let session: Session;
  test.before(async () => {
    const { files } = await build(spec, { targets: [target], verify: true });
    session = await open(files, { device: target, seed: 0, threads: 2, onNotice: () => {} });
  });
  test.after(() => session?.close());

  for (const [i, c] of SMALL.entries()) {
    test(c.id, async () => {
      const inputs = inputsOf(c);
      const outputs = await session.entries[`case${i}`]!(inputs);
      const samples = sampleOutputs(compiled(spec, `case${i}`), inputs, SAMPLES);
      for (const name of Object.keys(outputs))
        assert.ok(
          samples.some((s) => s.output === name && s.value !== 0),
          `${name} has an element other than 0`,
        );
      const error = largestError(samples, outputs as Record<string, Float32Array>);
      assert.ok(error <= BOUND, `largest error ${error.toExponential(2)}, bound ${BOUND}`);
    });
  }
}
