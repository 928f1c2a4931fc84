// The same artifact folder on wasm and on WebGPU: one loss curve; repeated, and interrupted, it is the same bit for bit.
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apart, type Curve, curve, curveArtifact, relativeL2 } from '../curves.ts';

const test = suite('curves', { artifact: '', wasm: null as Curve | null, webgpu: null as Curve | null });

test.before(async (c) => {
  c.artifact = await curveArtifact();
});
test.after(async (c) => {
  await rm(dirname(c.artifact), { recursive: true, force: true });
});

for (const device of ['wasm', 'webgpu'] as const) {
  test(`${device}: repeated, the curve and the weights are the same bits`, async (c) => {
    const first = await curve(c.artifact, { device });
    c[device] = first;
    const again = await curve(c.artifact, { device, ...(device === 'wasm' ? { threads: 1 } : {}) });
    assert.equal(again.losses, first.losses);
    assert.ok(Buffer.from(again.weights).equals(Buffer.from(first.weights)), 'the weights differ');
    assert.ok(first.losses.at(-1)! < first.losses[0]!, `no learning: ${first.losses}`);
  });

  test(`${device}: 5 steps, a checkpoint, a new session and 5 more are the same bits`, async (c) => {
    const resumed = await curve(c.artifact, { device }, 5);
    assert.equal(resumed.losses, c[device]!.losses);
    assert.ok(Buffer.from(resumed.weights).equals(Buffer.from(c[device]!.weights)), 'the weights differ');
  });
}

test('the first 10 steps agree within 1e-3, the logits after them within 1e-2', (c) => {
  const [wasm, webgpu] = [c.wasm!, c.webgpu!];
  const loss = apart(webgpu.losses, wasm.losses);
  const logits = relativeL2(webgpu.logits, wasm.logits);
  console.log(
    `\n${webgpu.device} and ${wasm.device}: losses ${loss.toExponential(1)}, logits ${logits.toExponential(1)}`,
  );
  assert.ok(loss < 1e-3, `losses are ${loss} apart`);
  assert.ok(logits < 1e-2, `logits are ${logits} apart`);
});

test.run();
