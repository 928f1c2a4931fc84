// What every device must do, on the hand-written artifact of fixture.ts.
import * as assert from 'uvu/assert';
import { type OpenOptions, open, type Session, T3dcError, type TrainStep } from '../../runtime/index.ts';
import { readSafetensors, toFloat32 } from '../../runtime/safetensors.ts';
import { batch, I, N, O, Reference, withManifest } from './fixture.ts';

export type Files = ReadonlyMap<string, Uint8Array>;
type Test = (name: string, run: () => Promise<void>) => void;

export const batches = (count: number, from = 0) => Array.from({ length: count }, (_, k) => batch(from + k));

export async function collect(steps: AsyncIterable<TrainStep>): Promise<TrainStep[]> {
  const out: TrainStep[] = [];
  for await (const s of steps) out.push(s);
  return out;
}

export async function fails(code: string, work: () => Promise<unknown>, text: RegExp = /./): Promise<void> {
  try {
    await work();
  } catch (e) {
    if (!(e instanceof T3dcError)) throw e;
    assert.is(e.code, code, e.message);
    assert.match(e.message, text);
    return;
  }
  assert.unreachable(`nothing was thrown; expected ${code}`);
}

export const near = (found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void => {
  assert.is(found.length, expected.length);
  for (let i = 0; i < found.length; i++)
    assert.ok(Math.abs(found[i]! - expected[i]!) <= tolerance, `[${i}] ${found[i]} for ${expected[i]}`);
};

export async function values(session: Session): Promise<{ w: Float32Array; b: Float32Array }> {
  const { tensors } = readSafetensors(await session.weights());
  return { w: toFloat32(tensors.get('linear.weight')!), b: toFloat32(tensors.get('linear.bias')!) };
}

/** lr factor of the fixture's schedule: warmupCosine, 2 of 20 steps. */
export const factor = (s: number): number => (s < 2 ? s / 2 : 0.5 * (1 + Math.cos((Math.PI * (s - 2)) / 18)));

export function deviceChecks(test: Test, files: () => Files, options: OpenOptions): void {
  const using = async (more: OpenOptions, run: (s: Session) => Promise<void>): Promise<void> => {
    const session = await open(files(), { ...options, onNotice: () => {}, ...more });
    try {
      await run(session);
    } finally {
      await session.close();
    }
  };
  const { x, target } = batch(0);

  test('forward gives the reference', () =>
    using({ seed: 7 }, async (s) => {
      const { w, b } = await values(s);
      assert.ok(w.every((v) => Math.abs(v) <= 0.25) && b.every((v) => v === 0.5));
      const { y } = await s.entries.linear!({ x });
      near(y!, new Reference(w, b).forward(x), 1e-5);
      assert.equal((await s.entries.linear!({ x: { data: x, shape: [N, I] } })).y, y);
    }));

  test('gradients are those of the reference, by checkpoint name and layout', () =>
    using({ seed: 7 }, async (s) => {
      const { w, b } = await values(s);
      const { loss, dw, db } = new Reference(w, b).grads({ x, target });
      const { outputs, grads } = await s.grads('fit', { x, target });
      near(outputs.loss!, [loss], 1e-5);
      near(grads['linear.weight']!, dw, 1e-5);
      near(grads['linear.bias']!, db, 1e-5);
      assert.is(s.step, 0);
    }));

  test('training follows the reference: schedule, accumulation, momentum', () =>
    using({ seed: 7 }, async (s) => {
      const { w, b } = await values(s);
      const reference = new Reference(w, b);
      const steps = await collect(s.train('fit', batches(8), { accumulation: 2, outputs: ['y'] }));
      assert.is(steps.length, 4);
      steps.forEach((step, n) => {
        assert.is(step.step, n + 1);
        assert.ok(Math.abs(step.lr - 0.1 * factor(n)) < 1e-8);
        const loss = reference.step(batches(2, 2 * n), 0.1 * factor(n));
        assert.ok(Math.abs(step.loss - loss) < 1e-4, `${step.loss} for ${loss}`);
        assert.is(step.outputs.y!.length, N * O);
      });
      const after = await values(s);
      near(after.w, reference.w, 1e-4);
      near(after.b, reference.b, 1e-4);
    }));

  test('what sections use alone shares memory, and nothing that lasts is lost as it grows', () =>
    using({ seed: 7 }, async (s) => {
      const bytes = s.allocatedBytes;
      const before = await s.entries.linear!({ x });
      const { w, b } = await values(s);
      const { dw } = new Reference(w, b).grads({ x, target });
      const forward = s.allocatedBytes;
      near((await s.grads('fit', { x, target })).grads['linear.weight']!, dw, 1e-5);
      assert.ok(bytes <= forward && forward <= s.allocatedBytes);
      assert.equal(await s.entries.linear!({ x }), before);
      const [first] = await collect(s.train('fit', batches(1)));
      await s.entries.linear!({ x });
      await s.initialise(7);
      assert.is((await collect(s.train('fit', batches(1))))[0]!.loss, first!.loss);
    }));

  test('losses may be read only now and then', () =>
    using({ seed: 7 }, async (s) => {
      const every = await collect(s.train('fit', batches(7)));
      await s.initialise(7);
      const some = await collect(s.train('fit', batches(9), { steps: 7, readEvery: 3, lr: 0.1 }));
      assert.equal(
        some.map((r) => r.step),
        [3, 6, 7],
      );
      assert.equal(
        some.map((r) => r.loss),
        [2, 5, 6].map((i) => every[i]!.loss),
      );
    }));

  test('a resumed run continues bit for bit', () =>
    using({ seed: 7 }, async (s) => {
      const whole = await collect(s.train('fit', batches(12), { accumulation: 2, lr: 0.07 }));
      const end = await s.weights();
      await s.initialise(7);
      const options = { accumulation: 2, lr: 0.07, steps: 3 };
      await collect(s.train('fit', batches(6), options));
      const file = await s.saveCheckpoint();
      await using({}, async (other) => {
        assert.equal(await other.loadCheckpoint(file), { step: 3 });
        const rest = await collect(other.train('fit', batches(6, 6)));
        assert.equal(
          rest.map((r) => [r.step, r.loss, r.lr]),
          whole.slice(3).map((r) => [r.step, r.loss, r.lr]),
        );
        assert.equal(await other.weights(), end);
      });
    }));

  test('weights survive saving and loading, under older names too', () =>
    using({ seed: 7 }, async (s) => {
      const file = await s.weights();
      const { y } = await s.entries.linear!({ x });
      await using({}, async (other) => {
        await fails('no-weights', () => other.entries.linear!({ x }), /loadWeights/);
        const report = await other.loadWeights(file);
        assert.equal(report.matched, ['linear.weight', 'linear.bias']);
        assert.equal((await other.entries.linear!({ x })).y, y);
      });
      await fails('bad-checkpoint', () => s.loadWeights(file.subarray(0, file.length - 4)));
      await fails('bad-checkpoint', () => s.loadCheckpoint(file), /loadWeights/);
    }));

  test('bad calls are refused with what was found and expected', () =>
    using({ seed: 7 }, async (s) => {
      await fails('bad-input', () => s.entries.linear!({}), /x f32\[n=64 i=16\]/);
      await fails('bad-input', () => s.entries.linear!({ x, z: x }), /no input z/);
      await fails('bad-input', () => s.entries.linear!({ x: x.subarray(1) }), /1023/);
      await fails('bad-input', () => s.entries.linear!({ x: new Int32Array(N * I) }), /Int32Array/);
      await fails('bad-input', () => s.entries.linear!({ x: { data: x, shape: [I, N] } }), /shape/);
      await fails('no-entry', () => s.grads('nothing', {}), /linear, fit/);
      await fails('not-trainable', () => s.grads('linear', { x }), /fit/);
      await fails('bad-option', () => collect(s.train('fit', batches(1), { accumulation: 0 })));
      await fails('aborted', () => s.entries.linear!({ x }, { signal: AbortSignal.abort() }));
      const { y } = await s.entries.linear!({ x });
      assert.is(y!.length, N * O);
    }));

  test('a loss that is not finite stops the training', () =>
    using({ seed: 7 }, async (s) => {
      const bad = batch(1);
      bad.target[3] = Number.NaN;
      await fails('non-finite-loss', () => collect(s.train('fit', [batch(0), bad, batch(2)])), /step 2/);
      await s.initialise(7);
      const steps = await collect(s.train('fit', [batch(0), bad], { onNonFinite: 'continue' }));
      assert.ok(Number.isNaN(steps[1]!.loss));
    }));

  test('profiles name every op', () =>
    using({ seed: 7 }, async (s) => {
      const ops = await s.profile('fit', { mode: 'grad' });
      assert.is(ops.length, 4);
      assert.ok(ops.every((o) => o.ms >= 0));
      assert.match(ops[2]!.label, /linear.?[gG]rad/);
      assert.is(s.step, 0);
    }));

  test('calls are served in order, and none after close', () =>
    using({ seed: 7 }, async (s) => {
      const [a, b] = await Promise.all([s.entries.linear!({ x }), s.entries.linear!({ x: batch(1).x })]);
      const again = await s.entries.linear!({ x });
      assert.equal(a!.y, again.y);
      assert.not.equal(b!.y, again.y);
      await s.close();
      await fails('closed', () => s.entries.linear!({ x }));
    }));

  test('altered, truncated and foreign artifacts are refused', async () => {
    const altered = new Map(files());
    const constants = new Uint8Array(altered.get('constants.bin')!);
    constants[0]! ^= 1;
    await fails(
      'bad-artifact',
      () => open(altered.set('constants.bin', constants), options),
      /constants.bin is not the file/,
    );
    await fails(
      'bad-artifact',
      () => open(new Map(altered).set('constants.bin', constants.subarray(1)), options),
      /wrong size/,
    );
    await fails(
      'bad-artifact',
      () =>
        open(
          withManifest(files(), (m) => ({ ...m, format: 99 as 2 })),
          options,
        ),
      /format 99/,
    );
    await fails('bad-artifact', () => open(new Uint8Array(100), options), /not a readable/);
    await fails('bad-artifact', () => open('no/such/folder', options), /no\/such\/folder/);
  });
}
