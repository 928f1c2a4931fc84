// AUROC and average precision against scikit-learn, ties included, and logistic regression against its LogisticRegression.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  auroc,
  averagePrecision,
  fitLogistic,
  macroAuroc,
  macroAveragePrecision,
  oneVsRest,
  predictLogistic,
} from '../../data/index.ts';
import { loadGolden } from '../golden.ts';
import { labelledInput, type RankingCase, rankingInput, worstDifference } from '../metrics.ts';

interface LogisticCase {
  readonly n: number;
  readonly features: number;
  readonly classes: number;
  readonly c: number;
  readonly coefficients: readonly number[];
  readonly intercept: readonly number[];
  readonly probabilities: readonly number[];
}

const ranking = loadGolden<{ cases: Record<string, RankingCase> }>('metrics/ranking').cases;
const logistic = loadGolden<{ cases: Record<string, LogisticCase> }>('metrics/logistic').cases;
const code = (c: string) => (err: Error & { code?: string }) => err.code === c;

test('AUROC and average precision, per class and macro, are those of scikit-learn, ties included', () => {
  for (const [name, c] of Object.entries(ranking)) {
    const { scores, y } = rankingInput(name, c);
    const roc = macroAuroc(scores, y);
    const ap = macroAveragePrecision(scores, y);
    assert.ok(worstDifference(roc.perClass, c.auroc) < 1e-8, `${name}: AUROC ${roc.perClass}`);
    assert.ok(worstDifference(ap.perClass, c.ap) < 1e-8, `${name}: AP ${ap.perClass}`);
    assert.ok(Math.abs(roc.macro - c.macroAuroc) < 1e-8 && Math.abs(ap.macro - c.macroAp) < 1e-8, name);
    // The same truth as 1 or 0 per class.
    const hot = Array.from(y, (t) => Array.from({ length: c.classes }, (_, k) => (t === k ? 1 : 0)));
    assert.equal(macroAuroc(scores, hot), roc);
  }
});

test('AUROC of known orders', () => {
  assert.is(auroc([1, 2, 3, 4], [0, 0, 1, 1]), 1);
  assert.is(auroc([4, 3, 2, 1], [0, 0, 1, 1]), 0);
  assert.is(auroc([1, 1, 1], [1, 0, 0]), 0.5);
  assert.is(auroc([Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY], [false, true, true]), 1);
  assert.is(averagePrecision([1, 1, 1, 1], [1, 0, 0, 0]), 0.25);
});

test('a class without a positive or a negative has no figure, and is left out of the mean and counted', () => {
  assert.ok(Number.isNaN(auroc([1, 2], [1, 1])) && Number.isNaN(auroc([1, 2], [0, 0])) && Number.isNaN(auroc([], [])));
  assert.is(averagePrecision([1, 2], [1, 1]), 1);
  assert.ok(Number.isNaN(averagePrecision([1, 2], [0, 0])));
  const r = oneVsRest(
    auroc,
    [
      [0.9, 0.1, 0],
      [0.2, 0.8, 0],
    ],
    [0, 1],
  );
  assert.equal([r.perClass[0], r.perClass[1], r.macro, r.undefinedClasses], [1, 1, 1, 1]);
});

test('scores that are NaN, lengths and classes that do not fit are refused', () => {
  assert.throws(() => auroc([1, Number.NaN], [0, 1]), code('metric-nan'));
  assert.throws(() => auroc([1, 2, 3], [0, 1]), code('metric-length'));
  assert.throws(() => macroAuroc([[1, 2]], [2]), code('metric-class'));
  assert.throws(() => macroAuroc([[1, 2], [1]], [0, 1]), code('metric-length'));
});

test('logistic regression: probabilities and coefficients of scikit-learn', () => {
  for (const [name, c] of Object.entries(logistic)) {
    const { rows, y } = labelledInput(name, c.n, c.features, c.classes, 0.8);
    const model = fitLogistic(rows, y, { classes: c.classes, c: c.c });
    assert.ok(model.converged, `${name}: ${model.iterations} iterations`);
    assert.ok(model.iterations < 20, `${name}: ${model.iterations} iterations`);
    const found = predictLogistic(model, labelledInput(`${name}.test`, 12, c.features, c.classes, 0.8).rows);
    const worst = worstDifference(
      found.flatMap((p) => [...p]),
      c.probabilities,
    );
    assert.ok(worst < 1e-5, `${name}: probabilities differ by ${worst}`);
    const weights = c.classes === 2 ? model.weights.subarray(c.features) : model.weights;
    assert.ok(worstDifference(weights, c.coefficients) < 1e-4, `${name}: coefficients`);
    assert.equal(fitLogistic(rows, y, { classes: c.classes, c: c.c }), model, `${name}: the same again`);
  }
});

test('logistic regression: classes without a row get no probability, features without variation no weight', () => {
  const rows = [
    [0, 5, 1],
    [1, 5, 0],
    [2, 5, 1],
    [3, 5, 0],
  ];
  const three = fitLogistic(rows, [0, 0, 2, 2], { classes: 4 });
  assert.equal(three.absent, [1, 3]);
  const [p] = predictLogistic(three, [[0, 5, 1]]);
  assert.ok(p![0]! > 0.5 && p![1] === 0 && p![3] === 0 && Math.abs(p![0]! + p![2]! - 1) < 1e-12);
  assert.is(three.weights[2 * 3 + 1], 0);
  const one = fitLogistic(rows, [1, 1, 1, 1], { classes: 2 });
  assert.equal([...predictLogistic(one, rows)[3]!], [0, 1]);
});

test('logistic regression: rows and classes that do not fit are refused, and an end before convergence is told', () => {
  assert.throws(() => fitLogistic([[1], [1, 2]], [0, 1]), code('logistic-rows'));
  assert.throws(() => fitLogistic([], []), code('logistic-rows'));
  assert.throws(() => fitLogistic([[Number.NaN]], [0]), code('logistic-rows'));
  assert.throws(() => fitLogistic([[1], [2]], [0, 2], { classes: 2 }), code('logistic-classes'));
  assert.throws(() => fitLogistic([[1], [2]], [0, 1], { c: 0 }), code('logistic-options'));
  const c = logistic.weak!;
  const { rows, y } = labelledInput('weak', c.n, c.features, c.classes, 0.8);
  assert.is(fitLogistic(rows, y, { maxIterations: 1 }).converged, false);
  assert.throws(() => predictLogistic(fitLogistic(rows, y), [[1]]), code('logistic-rows'));
});

test.run();
