// The parity cases that every run of the tests checks, as uvu tests for one target; test/parity-matrix.ts runs all goldens.
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { OpenOptions } from '../runtime/index.ts';
import { loadGolden, type TrainingGolden } from './golden.ts';
import { buildFor, parity, trainingParity } from './parity.ts';

/** Goldens of which logits, loss and gradients are compared. */
const CASES: Readonly<Record<'wasm' | 'webgpu', readonly string[]>> = {
  wasm: ['f12-64-v1-merging-slope1', 'f12-64-v1-merging', 'f12-64-v2-legacy', 'f24-64-v1-merging'],
  // A software adapter compiles for minutes what it has not seen: one of the V1, and no training (curves.webgpu.ts has that).
  webgpu: ['f12-64-v1-merging-slope1', 'f12-64-v2-legacy', 'f24-64-v1-merging'],
};

export function parityTests(test: Test, target: 'wasm' | 'webgpu', options: Omit<OpenOptions, 'device'> = {}): void {
  for (const name of CASES[target]) {
    test(`${name}: logits, loss and all gradients`, async () => {
      const golden = loadGolden(`swinunetr/${name}`);
      const built = await buildFor(golden.config, { targets: [target], verify: true });
      const r = await parity(golden, built, { device: target, ...options });
      console.log(
        `\n${name}: logits ${r.logits.toExponential(1)}, worst gradient ${r.gradient.toExponential(1)} ${r.worst}; forward ${(r.ms.forward / 1000).toFixed(1)} s, with gradients ${(r.ms.grad / 1000).toFixed(1)} s`,
      );
      assert.equal(r.failures, []);
    });
  }
  if (target !== 'wasm') return;
  const training = 'f12-64-v1-merging-slope1-training';
  test(`${training}: five AdamW steps`, async () => {
    const r = await trainingParity(loadGolden<TrainingGolden>(`swinunetr/${training}`), { device: target, ...options });
    console.log(`\n${training}: losses within ${r.loss.toExponential(1)}`);
    assert.equal(r.failures, []);
  });
}
