// Every variant of every kernel sample on this machine's adapter: against the float64 reference, outputs poisoned before, run
// again and run in slabs with the same bits. Variants that the adapter cannot run are counted and named at the end.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { samples } from '../../kernels/samples/index.ts';
import { checkWgsl, supports } from '../../kernels/wgsl/check.ts';
import { openDevice, type TestDevice } from '../../kernels/wgsl/device.ts';
import { emitWgsl } from '../../kernels/wgsl/index.ts';

let device: TestDevice;
const left = new Map<string, number>();

test.before(async () => {
  device = await openDevice();
});
test.after(() => {
  device.close();
  for (const [variant, n] of left) console.log(`\nnot run on this adapter: variant ${variant} (${n} samples)`);
});

for (const s of samples) {
  test(s.name, async () => {
    const { variants } = emitWgsl(s.kernel, { readOnly: new Set(), maxFold: 65535 });
    for (const v of variants) if (!supports(device, v)) left.set(v.id, (left.get(v.id) ?? 0) + 1);
    const results = await checkWgsl(device, [s]);
    assert.ok(
      results.some((r) => r.variant === variants.at(-1)!.id),
      `the portable variant ${variants.at(-1)!.id} did not run`,
    );
    assert.equal(
      results.flatMap((r) => r.problems.map((p) => `${r.variant}: ${p}`)),
      [],
    );
  });
}

test.run();
