import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { classes, eachWord, fnv1a32, threefry2x32, uniform } from '../counters.ts';
import { compareGolden, loadGolden, type ModelGolden, modelInputs, parameterValue } from '../golden.ts';

interface Sources extends ModelGolden {
  readonly words: number[];
  readonly uniform: number[];
  readonly classes: number[];
}

const sources = loadGolden<Sources>('sources');
const words = (seed: number, name: string, count: number, start = 0): number[] => {
  const out: number[] = [];
  eachWord(seed, name, count, (_, w) => out.push(w), start);
  return out;
};

test('Threefry-2x32-20 gives the known answers of Random123', () => {
  assert.equal(threefry2x32(0, 0, 0, 0), [0x6b200159, 0x99ba4efe]);
  assert.equal(threefry2x32(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), [0x1cb996fc, 0xbb002be7]);
  assert.equal(threefry2x32(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3), [0xc4923a9c, 0x483df7a0]);
});

test('the fast loop draws the same words', () => {
  const expected = Array.from({ length: 40 }, (_, i) => threefry2x32(0xdeadbeef, fnv1a32('proj'), i, 0)[0]);
  assert.equal(words(0xdeadbeef, 'proj', 40), expected);
  assert.equal(words(0xdeadbeef, 'proj', 10, 30), expected.slice(30));
});

test('values are those of the Python side', () => {
  assert.equal(words(7, 'x', 4), sources.words);
  assert.equal([...uniform(7, 'x', 4, 0.5, 1)], sources.uniform);
  assert.equal([...classes(7, 'x', 8, 14)], sources.classes);
});

for (const [name, golden] of Object.entries(sources.tensors)) {
  test(`${name} is that of the Python side, bit for bit`, () => {
    const { volume, labels } = modelInputs(sources.config);
    const values =
      name === 'volume' ? volume : name === 'labels' ? labels : parameterValue(name, golden.shape, sources.config.seed);
    // Stored to 9 digits: that tells any two floats apart in samples, and bounds the projections.
    const found = compareGolden(golden, values, { relL2: 1e-8 });
    assert.ok(found.ok, found.message);
    for (const [i, v] of golden.samples) assert.is(values[i], Math.fround(v));
  });
}

test('compareGolden estimates the error, whatever the memory order', () => {
  const golden = sources.tensors.volume;
  const { volume } = modelInputs(sources.config);
  const [d, h, w] = sources.config.size;
  const error = uniform(3, 'error', volume.length, 1e-3 * Math.sqrt(3));
  const off = volume.map((v, i) => v + error[i]);
  const expected = (1e-3 * Math.sqrt(volume.length)) / golden.norm;
  const found = compareGolden(golden, off, { relL2: 1e-4 });
  assert.not.ok(found.ok);
  assert.ok(found.relL2 > 0.4 * expected && found.relL2 < 1.8 * expected, `${found.relL2} for ${expected}`);

  const transposed = new Float32Array(volume.length);
  for (let z = 0, i = 0; z < d; z++)
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) transposed[(x * h + y) * d + z] = volume[i++];
  assert.ok(compareGolden(golden, transposed, { relL2: 1e-8, axes: 'b w h d c' }).ok);
  assert.not.ok(compareGolden(golden, transposed, { relL2: 1e-2 }).ok);
});

test('compareGolden refuses NaN, a wrong size and one wrong element', () => {
  const name = 'swinViT.layers1.0.downsample.reduction.weight';
  const golden = sources.tensors[name];
  const values = parameterValue(name, golden.shape, 1);
  assert.ok(compareGolden(golden, values, { relL2: 1e-7 }).ok);
  assert.not.ok(compareGolden(golden, values.subarray(1), { relL2: 1 }).ok);
  assert.not.ok(
    compareGolden(
      golden,
      values.map((v, i) => (i === 5 ? NaN : v)),
      { relL2: 1 },
    ).ok,
  );
  assert.not.ok(
    compareGolden(
      golden,
      values.map((v, i) => (i === 5 ? v + 0.01 : v)),
      { relL2: 1e-5 },
    ).ok,
  );
});

test.run();
