// Tests and intervals of paired comparisons: against SciPy and statsmodels, and by their own laws.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bootstrapByPatient, holm, nestedBootstrap, quantile, signFlipTest, stream } from '../../data/index.ts';
import { uniform } from '../counters.ts';
import { loadGolden } from '../golden.ts';
import { roundHalfEven, worstDifference } from '../metrics.ts';

interface Golden {
  readonly flips: Record<string, { n: number; shift: number; step: number; mean: number; p: number }>;
  readonly holm: Record<string, { p: number[]; adjusted: number[] }>;
  readonly quantiles: Record<string, number>;
}

const golden = loadGolden<Golden>('metrics/paired');
const code = (c: string) => (err: Error & { code?: string }) => err.code === c;
const mean = (v: ArrayLike<number>) => Array.from(v).reduce((a, b) => a + b, 0) / v.length;

test('the sign-flip test is that of scipy.stats.permutation_test', () => {
  for (const [name, g] of Object.entries(golden.flips)) {
    const d = Array.from(uniform(9, name, g.n), (v) => v + g.shift).map((v) =>
      g.step ? roundHalfEven(v / g.step) : v,
    );
    const found = signFlipTest(d);
    assert.ok(Math.abs(found.p - g.p) < 1e-8, `${name}: ${found.p}, SciPy ${g.p}`);
    assert.ok(Math.abs(found.mean - g.mean) < 1e-8, name);
    assert.is(found.assignments, 2 ** g.n);
  }
});

test('six seeds that agree give 2 / 64, whatever their size and sign; five cannot reach 0.05', () => {
  assert.is(signFlipTest([0.1, 0.2, 0.3, 0.1, 0.2, 0.3]).p, 0.03125);
  assert.is(signFlipTest([-0.1, -1e-9, -3, -0.1, -0.2, -0.3]).p, 0.03125);
  assert.is(signFlipTest([1, 1, 1, 1, 1]).p, 0.0625);
  assert.is(signFlipTest([1, -1]).p, 1);
  assert.is(signFlipTest([0, 0, 0]).p, 1);
  // 0.1 + 0.2 − 0.3 is not 0 in floating point: as extreme as its mirror all the same.
  assert.is(signFlipTest([0.1, 0.2, -0.3]).p, 1);
});

test('the sign-flip test looks at a million assignments, and refuses more', () => {
  const d = Array.from({ length: 20 }, (_, i) => 1 + i / 10);
  assert.is(signFlipTest(d).p, 2 / 2 ** 20);
  assert.throws(() => signFlipTest([...d, 1]), code('sign-flip-pairs'));
  assert.throws(() => signFlipTest([]), code('sign-flip-pairs'));
  assert.throws(() => signFlipTest([1, Number.NaN]), code('metric-nan'));
});

test("Holm's adjusted p-values are those of statsmodels", () => {
  for (const [name, g] of Object.entries(golden.holm))
    assert.ok(worstDifference(holm(g.p), g.adjusted) < 1e-12, `${name}: ${holm(g.p)}`);
  assert.equal(holm([]), []);
  assert.throws(() => holm([0.5, 1.2]), code('p-value'));
  assert.throws(() => holm([Number.NaN]), code('p-value'));
});

test('quantiles are those of NumPy', () => {
  const values = uniform(2, 'quantile', 17);
  for (const [q, v] of Object.entries(golden.quantiles)) assert.ok(Math.abs(quantile(values, Number(q)) - v) < 1e-8, q);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

test('the interval of a mean has the width that theory gives, and is the same again', () => {
  const random = stream(4);
  const values = Array.from({ length: 100 }, () => random.normal());
  const patients = values.map((_, i) => i);
  const of = (seed: number) =>
    bootstrapByPatient(patients, (rows) => mean(Array.from(rows, (r) => values[r]!)), { seed });
  const found = of(1);
  const m = mean(values);
  const deviation = Math.sqrt(mean(values.map((v) => (v - m) ** 2)) / 100);
  assert.is(found.estimate, m);
  assert.ok(Math.abs((found.high - found.low) / (2 * 1.96 * deviation) - 1) < 0.08, `${found.low} … ${found.high}`);
  assert.equal(of(1), found);
  assert.not.equal(of(2), found);
  assert.is(found.resamples, 2000);
});

test('several scans of a patient come and go together', () => {
  const value = new Map([
    ['a', 0],
    ['b', 1],
    ['c', 2],
  ]);
  const patients = ['a', 'b', 'b', 'b', 'c', 'a'];
  const seen = bootstrapByPatient(patients, (rows) => {
    const counts = new Map<string, number>();
    for (const r of rows) counts.set(patients[r]!, (counts.get(patients[r]!) ?? 0) + 1);
    assert.ok((counts.get('a') ?? 0) % 2 === 0 && (counts.get('b') ?? 0) % 3 === 0);
    return mean(Array.from(rows, (r) => value.get(patients[r]!)!));
  });
  assert.ok(seen.low < seen.estimate && seen.estimate < seen.high);
});

test('resamples without a figure are left out and counted', () => {
  const found = bootstrapByPatient([0, 1], (rows) => (rows[0] === rows[1] ? Number.NaN : 1), { resamples: 400 });
  assert.is(found.resamples + found.undefinedResamples, 400);
  assert.ok(found.undefinedResamples > 150 && found.undefinedResamples < 250);
  assert.equal([found.low, found.high], [1, 1]);
});

test('the nested bootstrap is wider by what seeds vary, and draws patients once where seeds share them', () => {
  const random = stream(8);
  const bySeed = Array.from({ length: 6 }, () => random.normal());
  const byPatient = Array.from({ length: 40 }, () => random.normal());
  const run = (testSet: 'shared' | 'own', spread: number) =>
    nestedBootstrap({
      seeds: 6,
      patients: 40,
      testSet,
      statistic: (s, rows) => spread * bySeed[s]! + mean(Array.from(rows, (r) => byPatient[r]!)),
    });
  const width = (i: { low: number; high: number }) => i.high - i.low;
  const patientsAlone = run('shared', 0);
  const deviation = (v: number[]) => Math.sqrt(mean(v.map((x) => (x - mean(v)) ** 2)) / v.length);
  assert.ok(Math.abs(width(patientsAlone) / (2 * 1.96 * deviation(byPatient)) - 1) < 0.1);
  const both = run('shared', 1);
  const expected = 2 * 1.96 * Math.hypot(deviation(byPatient), deviation(bySeed));
  assert.ok(Math.abs(width(both) / expected - 1) < 0.1, `${width(both)}, expected ${expected}`);
  // Six draws of patients average to a sixth of the variance: right only where the patients are others for every seed.
  assert.ok(Math.abs(width(run('own', 0)) / width(patientsAlone) - 1 / Math.sqrt(6)) < 0.05);
  assert.equal(run('shared', 1), both);
  assert.ok(Math.abs(both.estimate - (mean(bySeed) + mean(byPatient))) < 1e-12);
});

test('nothing to resample, and options that are none, are refused', () => {
  assert.throws(() => bootstrapByPatient([], () => 0), code('bootstrap-empty'));
  assert.throws(() => nestedBootstrap({ seeds: 0, patients: 3, statistic: () => 0 }), code('bootstrap-empty'));
  assert.throws(() => bootstrapByPatient([1], () => 0, { level: 1 }), code('bootstrap-options'));
});

test.run();
