// What a training step of T3D base keeps at 96³, read off the plan: the figures of docs/performance.md.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { allocated, fit, fitSmallest } from '../../compiler/fit.ts';
import { compileEntry } from '../../compiler/pipeline.ts';
import { trace } from '../../compiler/trace.ts';
import t3d from '../../models/t3d/index.ts';

const OPTIONS = { maxArena: 256 * 2 ** 20 };
const GIB = 2 ** 30;

for (const [precision, easy, least] of [
  ['f32', 2.6, 1.2],
  ['f16', 1.0, 0.6],
] as const) {
  test(`${precision}: at most ${easy} GiB as built, ${least} GiB at the smallest, for half as much work again at most`, () => {
    const settings = { ...t3d.settings, featureSize: 48, size: [96, 96, 96] as const };
    const model = trace(t3d, settings, ['segment']);
    const grad = compileEntry(model, model.entries[0]!, { precision }).grad!;
    const work = grad.kernels.reduce((s, k) => s + k.flops, 0);
    const built = fit(grad, OPTIONS);
    const smallest = fitSmallest(grad, OPTIONS);
    const share = (f: typeof built): number => (f.again?.flops ?? 0) / work;
    console.log(
      `\n${precision}: ${(allocated(built.plan) / GIB).toFixed(2)} GiB for ${(1 + share(built)).toFixed(3)} × the work, ${(allocated(smallest.plan) / GIB).toFixed(2)} GiB for ${(1 + share(smallest)).toFixed(2)} ×`,
    );
    assert.ok(allocated(built.plan) <= easy * GIB && share(built) < 0.02);
    assert.ok(allocated(smallest.plan) <= least * GIB && share(smallest) < 0.5);
  });
}

test.run();
