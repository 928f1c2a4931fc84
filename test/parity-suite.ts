// The parity cases that every run of the tests checks, as uvu tests for one target; test/parity-matrix.ts runs all goldens.
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { OpenOptions } from '../runtime/index.ts';
import { loadGolden, type TrainingGolden } from './golden.ts';
import { buildFor, parity, trainingParity } from './parity.ts';

/** Goldens of which logits, loss and gradients are compared. */
const CASES: Readonly<Record<'wasm' | 'webgpu', readonly string[]>> = {
  wasm: ['f12-64-v1-merging-slope1', 'f12-64-v1-merging', 'f12-64-v2-legacy', 'f24-64-v1-merging'],
  // A software adapter compiles a gradient program for minutes the first time: one of those, feature size 24 forward, and no
  // training (curves.webgpu.ts has that). `npm run test:parity -- webgpu` runs all.
  webgpu: ['f12-64-v1-merging-slope1', 'f24-64-v1-merging forward'],
};

export function parityTests(test: Test, target: 'wasm' | 'webgpu', options: Omit<OpenOptions, 'device'> = {}): void {
  for (const each of CASES[target]) {
    const [name, what] = each.split(' ') as [string, 'forward' | undefined];
    const forward = what === 'forward';
    test(`${name}: logits${forward ? '' : ', loss and all gradients'}`, async () => {
      const golden = loadGolden(`swinunetr/${name}`);
      const entries = forward ? { entries: ['logits'] } : {};
      const built = await buildFor(golden.config, { targets: [target], verify: true, ...entries });
      const r = await parity(golden, built, { device: target, ...options }, forward);
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
