// Calibration and operating points against scikit-learn; retrieval by its own laws.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { brier, calibration, chooseThreshold, operatingPoint, retrieval, stream } from '../../data/index.ts';
import { uniform } from '../counters.ts';
import { loadGolden } from '../golden.ts';
import { roundHalfEven, worstDifference } from '../metrics.ts';

interface Case {
  readonly n: number;
  readonly step: number;
  readonly brier: number;
  readonly observed: readonly number[];
  readonly predicted: readonly number[];
  readonly youden: number;
  readonly at90: number;
}

const golden = loadGolden<{ cases: Record<string, Case> }>('metrics/classification').cases;
const code = (c: string) => (err: Error & { code?: string }) => err.code === c;

function inputOf(name: string, c: Case): { p: number[]; y: boolean[] } {
  const raw = Array.from(uniform(3, `${name}.p`, c.n, 0.5, 0.5));
  const y = Array.from(uniform(3, `${name}.u`, c.n, 0.5, 0.5), (u, i) => u < 0.2 + 0.6 * raw[i]!);
  return { p: c.step ? raw.map((v) => roundHalfEven(v / c.step) * c.step) : raw, y };
}

test("Brier score, reliability bins and thresholds are scikit-learn's", () => {
  for (const [name, c] of Object.entries(golden)) {
    const { p, y } = inputOf(name, c);
    assert.ok(Math.abs(brier(p, y) - c.brier) < 1e-8, name);
    const { bins, ece } = calibration(p, y);
    const filled = bins.filter((b) => b.count > 0);
    assert.ok(
      worstDifference(
        filled.map((b) => b.observed),
        c.observed,
      ) < 1e-8,
      name,
    );
    assert.ok(
      worstDifference(
        filled.map((b) => b.predicted),
        c.predicted,
      ) < 1e-8,
      name,
    );
    const expected = filled.reduce((e, b) => e + (b.count / c.n) * Math.abs(b.predicted - b.observed), 0);
    assert.ok(Math.abs(ece - expected) < 1e-12 && bins.reduce((n, b) => n + b.count, 0) === c.n);
    assert.ok(Math.abs(chooseThreshold(p, y) - c.youden) < 1e-8, `${name}: ${chooseThreshold(p, y)}`);
    assert.ok(Math.abs(chooseThreshold(p, y, { sensitivity: 0.9 }) - c.at90) < 1e-8, name);
  }
});

test('probabilities that tell the truth have no calibration error', () => {
  const p = [0.25, 0.25, 0.25, 0.25, 1, 0];
  assert.is(calibration(p, [1, 0, 0, 0, 1, 0]).ece, 0);
  assert.is(calibration([0.95, 0.95], [0, 0]).ece, 0.95);
  assert.throws(() => calibration([1.2], [1]), code('calibration-range'));
  assert.throws(() => brier([Number.NaN], [1]), code('calibration-range'));
  assert.throws(() => brier([0.5], []), code('metric-length'));
});

test('an operating point counts what its threshold does', () => {
  const scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
  const truth = [1, 1, 0, 1, 0, 0];
  const at = operatingPoint(scores, truth, 0.7);
  assert.equal(at, {
    threshold: 0.7,
    truePositives: 2,
    falsePositives: 1,
    trueNegatives: 2,
    falseNegatives: 1,
    sensitivity: 2 / 3,
    specificity: 2 / 3,
    ppv: 2 / 3,
    npv: 2 / 3,
  });
  // 0.8 and 0.6 do equally well by Youden: the higher is taken.
  assert.is(chooseThreshold(scores, truth), 0.8);
  assert.is(chooseThreshold(scores, truth, { sensitivity: 1 }), 0.6);
  assert.is(chooseThreshold(scores, truth, { sensitivity: 2 / 3 }), 0.8);
  // Equal scores stand or fall together.
  assert.is(chooseThreshold([1, 1, 0], [1, 0, 0], { sensitivity: 1 }), 1);
  assert.ok(Number.isNaN(operatingPoint([0.1], [0], 0.5).ppv));
});

test('no threshold is chosen where there is nothing to choose by', () => {
  assert.throws(() => chooseThreshold([1, 2], [1, 1]), code('operating-point'));
  assert.throws(() => chooseThreshold([1, 2], [0, 0], { sensitivity: 0.9 }), code('operating-point'));
  assert.throws(() => chooseThreshold([1, 2], [0, 1], { sensitivity: 0 }), code('operating-point'));
  assert.throws(() => chooseThreshold([1, Number.NaN], [0, 1]), code('metric-nan'));
});

test('retrieval ranks the right candidate, both ways', () => {
  const { rows, columns } = retrieval([
    [0.9, 0.1, 0.2],
    [0.8, 0.5, 0.6],
    [0.1, 0.2, 0.3],
  ]);
  assert.equal([...rows.ranks], [1, 3, 1]);
  assert.equal([...columns.ranks], [1, 1, 2]);
  assert.equal([rows.recall[0], rows.recall[1], rows.medianRank], [2 / 3, 1, 1]);
  assert.equal([rows.queries, rows.candidates, rows.withoutAnswer], [3, 3, 0]);
});

test('every candidate of the group is right, and does not stand in the way of another', () => {
  const { rows, columns } = retrieval(
    [
      [0.5, 0.9, 0.8],
      [0.5, 0.1, 0.2],
    ],
    { rowGroups: ['a', 'b'], columnGroups: ['b', 'a', 'a'] },
  );
  assert.equal([...rows.ranks], [1, 1]);
  assert.equal([...columns.ranks], [2, 1, 1]);
  // Of two right candidates among three one comes first with chance 2/3.
  assert.ok(Math.abs(rows.chance[0]! - (2 / 3 + 1 / 3) / 2) < 1e-12 && rows.chance[1] === 1);
  const lonely = retrieval([[1, 2]], { rowGroups: ['x'], columnGroups: ['y', 'z'] });
  assert.ok(Number.isNaN(lonely.rows.ranks[0]) && Number.isNaN(lonely.rows.medianRank));
  assert.is(lonely.columns.withoutAnswer, 2);
});

test('equal similarities earn nothing, and chance is chance', () => {
  const flat = Array.from({ length: 20 }, () => new Float32Array(20));
  assert.equal(retrieval(flat).rows.recall, [0, 0, 0]);
  const random = stream(3);
  const noise = Array.from({ length: 400 }, () => Float64Array.from({ length: 400 }, () => random.uniform()));
  const { rows } = retrieval(noise);
  assert.ok(Math.abs(rows.chance[0]! - 1 / 400) < 1e-12 && Math.abs(rows.chance[2]! - 10 / 400) < 1e-12);
  assert.ok(Math.abs(rows.medianRank - 200) < 25 && Math.abs(rows.recall[2]! - 0.025) < 0.02, `${rows.medianRank}`);
});

test('matrices that are none are refused', () => {
  assert.throws(() => retrieval([[1, 2], [1]]), code('retrieval-shape'));
  assert.throws(() => retrieval([[1, 2]]), code('retrieval-shape'));
  assert.throws(() => retrieval([[1]], { rowGroups: ['a', 'b'] }), code('retrieval-shape'));
  assert.throws(() => retrieval([[Number.NaN]]), code('metric-nan'));
});

test.run();
