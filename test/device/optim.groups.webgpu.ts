// Parameter groups, freezing, the moving average and the guard on whatever WebGPU adapter is here; and in f16, where the loss is
// scaled.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import { open } from '../../runtime/index.ts';
import { batches, golden, mlp, optimGroupChecks, start, tensorsOf } from './optim-groups.ts';
import { collect } from './runtime-checks.ts';

optimGroupChecks(test, 'webgpu', { device: 'webgpu' });

test('f16: the same groups and averages, near PyTorch in float64; what is frozen is left to the bit', async () => {
  const built = await build(mlp, { entries: ['other', 'adamw'], targets: ['webgpu'], precision: 'f16', verify: true });
  // the step block counts as a storage buffer, and WebGPU's default is 8
  for (const k of built.manifest.kernels) assert.ok(k.bindings.length + (k.usesStep ? 1 : 0) <= 8, k.name);
  const s = await open(built.files, { device: 'webgpu', onNotice: () => {} });
  try {
    await s.loadWeights(start(s));
    const before = tensorsOf(await s.weights());
    const steps = await collect(s.train('adamw', batches()));
    steps.forEach((step, i) => {
      const d = Math.abs(step.loss - golden.adamw.losses[i]!);
      assert.ok(d < 5e-3, `loss ${i}: ${step.loss}`);
      assert.equal(step.scale, { lossScale: 2 ** 16, skipped: 0 });
    });
    const found = { parameters: tensorsOf(await s.weights()), average: tensorsOf(await s.weights({ average: true })) };
    for (const what of ['parameters', 'average'] as const)
      for (const [name, values] of Object.entries(golden.adamw[what])) {
        const d = Math.hypot(...values.map((v, i) => found[what].get(name)![i]! - v)) / Math.hypot(...values);
        assert.ok(d < 0.02, `${what}: ${name} is off by ${d}`);
        if (name.startsWith('layers.0.')) assert.equal(found[what].get(name), before.get(name), `${what}: ${name}`);
      }
  } finally {
    await s.close();
  }
});

test.run();
