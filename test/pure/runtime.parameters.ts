import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { matchWeights } from '../../runtime/checkpoint.ts';
import { initialValues } from '../../runtime/initialise.ts';
import type { Parameter } from '../../runtime/manifest.ts';
import { toCheckpoint, toStored } from '../../runtime/parameters.ts';
import { readSafetensors, writeSafetensors } from '../../runtime/safetensors.ts';
import { fnv1a, seedWords, threefry } from '../../runtime/threefry.ts';

const parameter = (name: string, shape: number[], more: Partial<Parameter> = {}): Parameter => ({
  name,
  shape,
  permutation: shape.map((_, i) => i),
  init: { kind: 'constant', value: 0 },
  trainable: true,
  place: { arena: 0, offset: 0, bytes: 0 },
  ...more,
});

test('stored layouts are permutations of the checkpoint layout', () => {
  const p = parameter('conv', [2, 3, 4], { permutation: [2, 0, 1] });
  const checkpoint = Uint32Array.from({ length: 24 }, (_, i) => i);
  const stored = new Uint32Array(24);
  toStored(p, checkpoint, stored);
  for (let a = 0; a < 4; a++)
    for (let b = 0; b < 2; b++) for (let c = 0; c < 3; c++) assert.is(stored[a * 6 + b * 3 + c], b * 12 + c * 4 + a);
  const back = new Uint32Array(24);
  toCheckpoint(p, stored, back);
  assert.equal(back, checkpoint);
  const scalar = new Uint32Array(1);
  toStored(parameter('scale', []), Uint32Array.of(5), scalar);
  assert.is(scalar[0], 5);
});

test('threefry gives the known answers of Random123', () => {
  const out = new Uint32Array(2);
  threefry(0, 0, 0, 0, out);
  assert.equal([...out], [0x6b200159, 0x99ba4efe]);
  threefry(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3, out);
  assert.equal([...out], [0xc4923a9c, 0x483df7a0]);
  assert.equal(seedWords(2 ** 32 + 5), [5, 1]);
  assert.throws(() => seedWords(-1));
  assert.is(fnv1a('a'), 0xe40c292c);
});

test('initial values have the distribution that was asked for', () => {
  const draw = (init: Parameter['init'], seed = 3): Float32Array => {
    const out = new Float32Array(20_000);
    initialValues(init, 'w', seed, out);
    return out;
  };
  const mean = (a: Float32Array): number => a.reduce((s, v) => s + v, 0) / a.length;
  const std = (a: Float32Array): number => {
    const m = mean(a);
    return Math.sqrt(a.reduce((s, v) => s + (v - m) ** 2, 0) / a.length);
  };
  const normal = draw({ kind: 'normal', mean: 1, std: 2 });
  assert.ok(Math.abs(mean(normal) - 1) < 0.05 && Math.abs(std(normal) - 2) < 0.05);
  const uniform = draw({ kind: 'uniform', low: -1, high: 3 });
  assert.ok(uniform.every((v) => v >= -1 && v < 3) && Math.abs(mean(uniform) - 1) < 0.05);
  const cut = draw({ kind: 'truncatedNormal', std: 0.02, low: -0.03, high: 0.03 });
  assert.ok(cut.every((v) => v >= -0.03 && v <= Math.fround(0.03)) && std(cut) > 0.01);
  assert.equal(draw({ kind: 'normal', mean: 0, std: 1 }), draw({ kind: 'normal', mean: 0, std: 1 }));
  assert.not.equal(draw({ kind: 'normal', mean: 0, std: 1 }), draw({ kind: 'normal', mean: 0, std: 1 }, 4));
});

const checkpoint = (...names: [string, number[]][]) =>
  readSafetensors(
    writeSafetensors(
      names.map(([name, shape]) => ({ name, shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) })),
    ),
  );
const model = [parameter('fc.weight', [2, 3]), parameter('fc.bias', [2], { aliases: ['fc.b'] })];

test('weights match by name, prefix, alias and dialect', () => {
  const load = (file: ReturnType<typeof checkpoint>, strict = true) =>
    matchWeights(file, model, {
      strict,
      dialects: [
        { name: 'old', about: '', rewrites: [{ match: '^dense\\.', replace: 'fc.' }] },
        { name: 'older', about: '', rewrites: [{ match: '^fc\\.w$', replace: 'fc.weight' }] },
      ],
    }).report;
  assert.equal(load(checkpoint(['fc.weight', [2, 3]], ['fc.bias', [2]])).matched, ['fc.weight', 'fc.bias']);
  assert.equal(load(checkpoint(['module.fc.weight', [2, 3]], ['module.fc.b', [2]])).matched.length, 2);
  const old = load(checkpoint(['module.dense.w', [2, 3]], ['dense.bias', [2]], ['dense.scale', [1]]), false);
  assert.equal(old.dialects, [
    { name: 'data-parallel', tensors: 1 },
    { name: 'old', tensors: 2 },
    { name: 'older', tensors: 1 },
  ]);
  assert.equal(old.unexpected, ['dense.scale']);
});

test('what does not fit is reported, or refused when strict', () => {
  const file = checkpoint(['fc.weight', [3, 2]], ['fc.bias', [2]], ['head.weight', [1]]);
  const code = (run: () => unknown): string => {
    try {
      run();
    } catch (e) {
      return (e as { code: string }).code;
    }
    return 'none';
  };
  assert.is(
    code(() => matchWeights(file, model, { strict: true, dialects: [] })),
    'weights-mismatch',
  );
  const { report } = matchWeights(file, model, { strict: false, dialects: [] });
  assert.equal(report.matched, ['fc.bias']);
  assert.equal(report.shapeMismatch, [{ name: 'fc.weight', found: [3, 2], expected: [2, 3] }]);
  assert.equal(report.unexpected, ['head.weight']);
  assert.is(
    code(() => matchWeights(checkpoint(['x', [1]]), model, { strict: false, dialects: [] })),
    'weights-mismatch',
  );
  const renamed = matchWeights(checkpoint(['x.bias', [2]]), model, {
    strict: false,
    dialects: [],
    rename: (n) => n.replace('x.', 'fc.'),
  });
  assert.equal(renamed.report.missing, ['fc.weight']);
});

test.run();
