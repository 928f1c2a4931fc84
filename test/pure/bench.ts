// The bench's own arithmetic: references of a few elements are those of whole kernels, rates follow from times, and reports say
// what they should.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cacheCeilings, levels, link, SIZES } from '../../bench/ceilings/caches.ts';
import { conv3d } from '../../bench/kernels/cases.ts';
import { CASES } from '../../bench/kernels/list.ts';
import { sampleOutputs } from '../../bench/kernels/sampled.ts';
import { type BenchResult, type CaseResult, type Ceiling, percentiles, rate, remarks } from '../../bench/schema.ts';
import { benchPage, caseLines, compare } from '../../cli/bench-report.ts';
import { compileEntry } from '../../compiler/pipeline.ts';
import { flatten } from '../../compiler/repeats.ts';
import { trace } from '../../compiler/trace.ts';
import * as t from '../../dsl/index.ts';
import { evaluate } from '../../kernels/evaluate.ts';
import { evaluateAt } from '../../kernels/evaluate-at.ts';
import { fill, samples } from '../../kernels/samples/index.ts';

test('a few elements are those of the whole kernel', () => {
  const step = new Uint32Array(16);
  step.set([123, 456, 7, 1]);
  new Float32Array(step.buffer)[4] = 0.125;
  let checked = 0;
  for (const s of samples) {
    // Kernels in place read what they write.
    if (s.kernel.bufs.some((b) => b.access === 'readwrite') || s.kernel.bufs.reduce((n, b) => n + b.size, 0) > 4000)
      continue;
    const inputs = fill(s.kernel, 3);
    const whole = inputs.map((a) => a.slice());
    evaluate(s.kernel, whole, step);
    s.kernel.bufs.forEach((b, n) => {
      if (b.access === 'read') return;
      for (const at of new Set([0, b.size - 1, (b.size * 5) >> 3])) {
        const found = evaluateAt(s.kernel, inputs, n, at, step);
        const expected = whole[n]![at]!;
        const near = Object.is(found, expected) || Math.abs(found - expected) <= 1e-12 * (1 + Math.abs(expected));
        assert.ok(near, `${s.name}: buffer ${n} [${at}]: ${found} for ${expected}`);
        checked++;
      }
    });
  }
  assert.ok(checked > 200, `${checked}`);
});

test('references go through all kernels of a program', () => {
  const c = conv3d('weight', { ci: 3, co: 5, k: 3, size: 24 });
  const spec = t.model({
    name: 'b',
    settings: {},
    build: () => ({ entries: { c: { inputs: c.inputs, run: c.run } } }),
  });
  const model = trace(spec, {});
  const program = flatten(compileEntry(model, model.entries[0]!).forward);
  assert.ok(program.kernels.length > 1, 'the sum is split');
  const x = Float64Array.from({ length: 24 ** 3 * 3 }, (_, i) => Math.sin(i));
  const dy = Float64Array.from({ length: 24 ** 3 * 5 }, (_, i) => Math.cos(3 * i));
  const found = sampleOutputs(program, { x, dy });
  assert.ok(found.length > 20);
  for (const { at, value } of found.slice(0, 4)) {
    const [o, ci, kw, kh, kd] = [
      at % 5,
      Math.floor(at / 5) % 3,
      ...[15, 45, 135].map((n) => Math.floor(at / n) % 3),
    ] as [number, number, number, number, number];
    let sum = 0;
    for (let d = 0; d < 24; d++)
      for (let h = 0; h < 24; h++)
        for (let w = 0; w < 24; w++) {
          const [a, b, e] = [d + kd - 1, h + kh - 1, w + kw - 1];
          if (Math.min(a, b, e) < 0 || Math.max(a, b, e) > 23) continue;
          sum += x[((a * 24 + b) * 24 + e) * 3 + ci]! * dy[((d * 24 + h) * 24 + w) * 5 + o]!;
        }
    assert.ok(Math.abs(value - sum) < 1e-9 * (1 + Math.abs(sum)), `${at}: ${value} for ${sum}`);
  }
});

test('a chase visits every line of its working set once, in no order that steps evenly', () => {
  const memory = new Uint32Array(5000);
  const [base, bytes] = [256, 12 << 10];
  link(memory, base, bytes);
  const seen = new Set<number>();
  const steps = new Set<number>();
  let at = base;
  do {
    seen.add(at);
    steps.add(memory[at / 4]! - at);
    at = memory[at / 4]!;
  } while (at !== base && seen.size < 1000);
  assert.is(seen.size, bytes / 64);
  assert.ok([...seen].every((a) => a >= base && a < base + bytes && a % 64 === 0));
  assert.ok(steps.size > 50, `${steps.size}`);
});

test('caches end where the time of a load steps up', () => {
  const latency = (bytes: number): number => {
    if (bytes <= 48 << 10) return 1;
    if (bytes <= 768 << 10) return 3.2 + bytes / (4 << 20);
    // Both levels answer.
    if (bytes <= 1 << 20) return 6;
    if (bytes <= 8 << 20) return 11 + bytes / (8 << 20);
    return Math.min(100, 12 + (bytes - (8 << 20)) / (128 << 10));
  };
  const sets = SIZES.map((bytes) => ({ bytes, latency: latency(bytes), rate: 1e3 / latency(bytes) }));
  assert.equal(
    levels(sets).map((l) => l.bytes >> 10),
    [48, 768, 8192, 65536],
  );
  const named = cacheCeilings(sets);
  assert.equal(
    named.map((c) => [c.name, c.value, c.unit]),
    [
      ['L1', 48, 'KiB'],
      ['L2', 768, 'KiB'],
      ['L3', 8192, 'KiB'],
      ['memory', 65536, 'KiB'],
    ],
  );
  assert.match(named[0]!.how, /1\.0 ns, reading 1000 GB\/s/);
});

const ceilings: Ceiling[] = [
  { name: 'f32 FMA', unit: 'GFLOP/s', value: 100, how: '' },
  { name: 'copy', unit: 'GB/s', value: 10, how: '' },
];
const result = (id: string, flops: number, bytes: number, times: number[]): CaseResult => {
  const ms = percentiles(times);
  return {
    id,
    op: 'op',
    pass: 'forward',
    shape: '',
    dtype: 'f32',
    schedule: 'conv',
    ms,
    runs: times.length,
    flops,
    bytes,
    ...rate(ceilings, { flops, bytes }, ms.p50),
    maxError: 1e-7,
  };
};
const bench = (cases: CaseResult[]): BenchResult => ({
  t3dc: '0',
  device: { kind: 'wasm', description: 'wasm', processor: 'x', node: '20' },
  date: '2026-01-01',
  ceilings,
  cases,
});

test('rates follow from the median, and the ceiling from operations per byte', () => {
  const heavy = result('heavy', 1e9, 1e7, [30, 10, 20, 25, 15]);
  assert.equal(heavy.ms, { p20: 15, p50: 20, p80: 30 });
  assert.is(heavy.gflops, 50);
  assert.equal([heavy.ceiling.by, heavy.percent], ['compute', 50]);
  const light = result('light', 1e7, 1e7, [2]);
  assert.equal([light.ceiling.by, light.gbps, light.percent], ['copy', 5, 50]);
  assert.equal(remarks([heavy, light]), []);
  const unit: Ceiling = { name: 'subgroup matrix f16→f32 16×16×16', unit: 'GFLOP/s', value: 800, how: '' };
  const by = (schedule: string) => rate([...ceilings, unit], { flops: 1e9, bytes: 1e6 }, 10, schedule);
  const { ceiling, percent } = by('conv (matrix-f16-16x16x16)');
  assert.equal([ceiling.by, percent], ['matrix', 12.5]);
  assert.is(by('conv (matrix-f16-16x8x16)').percent, 100, 'no such ceiling was measured');
  assert.is(by('conv (tiles-f16)').percent, 100);
  const odd = result('odd', 0, 1e9, [50]);
  assert.match(remarks([odd]).join(), /odd: 200 % of the copy ceiling/);
});

test('reports hold every case, and compare by name', () => {
  const [a, b] = [result('a <1>', 1e9, 1e7, [20]), result('b', 0, 1e9, [200])];
  const text = caseLines([a, b]).join('\n');
  assert.match(text, /a <1>.*50 % FMA/);
  assert.match(text, /b .*50 % copy/);
  const list = compare(bench([result('a <1>', 1e9, 1e7, [40])]), bench([a, b]));
  assert.equal(list, [{ id: 'a <1>', before: 40, after: 20 }]);
  const page = benchPage(bench([a, b]), list);
  assert.match(page, /<svg.*a &lt;1&gt;.*<\/svg>/s);
  assert.match(page, /2\.00×/);
  assert.not.match(page, /NaN|undefined|https?:\/\/(?!www\.w3)/);
});

test('cases have names of their own', () => {
  assert.is(new Set(CASES.map((c) => c.id)).size, CASES.length);
  for (const op of ['conv3d', 'matmul', 'attention', 'instanceNorm', 'adamW', 'sum', 'convTranspose3d'])
    assert.ok(
      CASES.some((c) => c.op === op),
      op,
    );
});

test.run();
