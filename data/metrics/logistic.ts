// L2-regularised logistic regression, for linear probes of frozen features: standardised features, float64, a convex problem
// solved by Newton steps, so that the answer depends on the data alone. The objective is scikit-learn's LogisticRegression's.

import { DataError } from '../errors.ts';

export interface LogisticOptions {
  /** Number of classes. Default: the largest class of `y`, and 1. */
  readonly classes?: number;
  /** Inverse strength of the penalty: the objective is c · Σ −log p(yᵢ) + ½‖W‖², biases free. Default 1. */
  readonly c?: number;
  /** Newton steps at most. Default 100; about ten are usual. */
  readonly maxIterations?: number;
  /** Largest component of the gradient, of the objective divided by c · n, at which it ends. Default 1e-8. */
  readonly tolerance?: number;
  /** Subtract each feature's mean and divide by its standard deviation over the rows (StandardScaler). Default true. */
  readonly standardize?: boolean;
}

export interface LogisticModel {
  readonly classes: number;
  readonly features: number;
  /** Per feature; 0 and 1 without standardisation, and 1 for a feature that does not vary. */
  readonly mean: Float64Array;
  readonly scale: Float64Array;
  /** [classes, features] on standardised features, and [classes]. Of classes that are absent: zeros. */
  readonly weights: Float64Array;
  readonly bias: Float64Array;
  /** Classes without a row. Nothing can be learned about them: their probability is 0. */
  readonly absent: readonly number[];
  readonly iterations: number;
  /** False where `maxIterations` came first. */
  readonly converged: boolean;
}

/**
 * @param rows a row of features per sample
 * @param y class ids, whole numbers from 0
 * @throws `logistic-rows`, `logistic-classes`, `logistic-options`
 */
export function fitLogistic(
  rows: readonly ArrayLike<number>[],
  y: ArrayLike<number>,
  options: LogisticOptions = {},
): LogisticModel {
  const { c = 1, maxIterations = 100, tolerance = 1e-8, standardize = true } = options;
  if (!(c > 0 && maxIterations >= 1 && tolerance > 0)) throw badOptions(c, maxIterations, tolerance);
  const classes = options.classes ?? Math.max(...Array.from(y), 0) + 1;
  const features = checkRows(rows, y, classes);
  const { mean, scale } = standardize ? moments(rows, features) : unscaled(features);
  const present = [...new Set(Array.from(y))].sort((a, b) => a - b);
  const absent = Array.from({ length: classes }, (_, k) => k).filter((k) => !present.includes(k));
  const model = { classes, features, mean, scale, absent };
  const weights = new Float64Array(classes * features);
  const bias = new Float64Array(classes);
  if (present.length === 1) return { ...model, weights, bias, iterations: 0, converged: true };

  // Two classes need one logit. (Two logits with a penalty on each would be a penalty half as strong on their difference.)
  const outputs = present.length === 2 ? 1 : present.length;
  const target = Int32Array.from(y, (v) => present.indexOf(v));
  const problem = new Objective(standardized(rows, mean, scale), target, features, outputs, 1 / (c * rows.length));
  const { at, iterations, converged } = minimise(problem, maxIterations, tolerance);
  for (let k = 0; k < outputs; k++) {
    const id = present[outputs === 1 ? 1 : k]!;
    const from = k * (features + 1);
    weights.set(at.subarray(from, from + features), id * features);
    bias[id] = at[from + features]!;
  }
  return { ...model, weights, bias, iterations, converged };
}

/** Probabilities [classes] per row; they add up to 1. @throws `logistic-rows` */
export function predictLogistic(model: LogisticModel, rows: readonly ArrayLike<number>[]): Float64Array[] {
  const { classes, features, mean, scale, weights, bias } = model;
  return rows.map((row, i) => {
    if (row.length !== features) throw badRow(i, `${row.length} features`, `${features}, as in the fit`);
    const logits = Float64Array.from(bias);
    for (let k = 0; k < classes; k++)
      for (let f = 0; f < features; f++) logits[k]! += weights[k * features + f]! * ((row[f]! - mean[f]!) / scale[f]!);
    for (const k of model.absent) logits[k] = Number.NEGATIVE_INFINITY;
    softmax(logits, 0, classes);
    return logits;
  });
}

/** Mean negative log-likelihood with the penalty, and its derivatives, at parameters [outputs, features + 1] (bias last). */
class Objective {
  readonly size: number;
  readonly #x: Float64Array;
  readonly #target: Int32Array;
  readonly #features: number;
  readonly #outputs: number;
  readonly #penalty: number;
  /** Probabilities [n, outputs] at the parameters last valued. */
  readonly #p: Float64Array;
  readonly #logits: Float64Array;

  constructor(x: Float64Array, target: Int32Array, features: number, outputs: number, penalty: number) {
    this.#x = x;
    this.#target = target;
    this.#features = features;
    this.#outputs = outputs;
    this.#penalty = penalty;
    this.size = outputs * (features + 1);
    this.#p = new Float64Array(target.length * outputs);
    this.#logits = new Float64Array(target.length * outputs);
  }

  value(at: Float64Array): number {
    const n = this.#target.length;
    const k = this.#outputs;
    this.#forward(at, this.#logits);
    this.#p.set(this.#logits);
    let loss = 0;
    for (let i = 0; i < n; i++) {
      const t = this.#target[i]!;
      if (k === 1) {
        const z = this.#logits[i]!;
        loss += Math.max(z, 0) - t * z + Math.log1p(Math.exp(-Math.abs(z)));
        this.#p[i] = 1 / (1 + Math.exp(-z));
      } else loss += softmax(this.#p, i * k, k) - this.#logits[i * k + t]!;
    }
    let squares = 0;
    this.#eachWeight((w) => {
      squares += at[w]! ** 2;
    });
    return loss / n + (this.#penalty * squares) / 2;
  }

  /** At the parameters last valued. */
  gradient(at: Float64Array): Float64Array {
    const k = this.#outputs;
    const residual = Float64Array.from(this.#p);
    this.#target.forEach((t, i) => {
      if (k === 1) residual[i]! -= t;
      else residual[i * k + t]! -= 1;
    });
    return this.#backward(residual, at);
  }

  /** Hessian at the parameters last valued, times `v`. */
  curvature(v: Float64Array): Float64Array {
    const n = this.#target.length;
    const k = this.#outputs;
    const d = new Float64Array(n * k);
    this.#forward(v, d);
    for (let i = 0; i < n; i++) {
      if (k === 1) {
        d[i]! *= this.#p[i]! * (1 - this.#p[i]!);
        continue;
      }
      let mean = 0;
      for (let c = i * k; c < (i + 1) * k; c++) mean += this.#p[c]! * d[c]!;
      for (let c = i * k; c < (i + 1) * k; c++) d[c] = this.#p[c]! * (d[c]! - mean);
    }
    return this.#backward(d, v);
  }

  /** Logits [n, outputs]. */
  #forward(at: Float64Array, out: Float64Array): void {
    const f = this.#features;
    const k = this.#outputs;
    for (let i = 0; i < this.#target.length; i++)
      for (let c = 0; c < k; c++) {
        const w = c * (f + 1);
        let z = at[w + f]!;
        for (let j = 0; j < f; j++) z += at[w + j]! * this.#x[i * f + j]!;
        out[i * k + c] = z;
      }
  }

  /** Xᵀ d / n + penalty · weights. */
  #backward(d: Float64Array, weights: Float64Array): Float64Array {
    const f = this.#features;
    const k = this.#outputs;
    const n = this.#target.length;
    const out = new Float64Array(this.size);
    for (let i = 0; i < n; i++)
      for (let c = 0; c < k; c++) {
        const w = c * (f + 1);
        const r = d[i * k + c]! / n;
        for (let j = 0; j < f; j++) out[w + j]! += r * this.#x[i * f + j]!;
        out[w + f]! += r;
      }
    this.#eachWeight((w) => {
      out[w]! += this.#penalty * weights[w]!;
    });
    return out;
  }

  /** Indices of all parameters but the biases. */
  #eachWeight(visit: (index: number) => void): void {
    for (let i = 0; i < this.size; i++) if (i % (this.#features + 1) !== this.#features) visit(i);
  }
}

/** Newton's method, each step by conjugate gradients and halved until the value falls enough. */
function minimise(problem: Objective, maxIterations: number, tolerance: number) {
  let at: Float64Array = new Float64Array(problem.size);
  let value = problem.value(at);
  for (let iterations = 0; ; iterations++) {
    const gradient = problem.gradient(at);
    const converged = largest(gradient) <= tolerance;
    if (converged || iterations === maxIterations) return { at, iterations, converged };
    const step = newtonStep(problem, gradient);
    const slope = dot(gradient, step);
    let next = at;
    let t = 1;
    for (; t > 1e-10; t /= 2) {
      next = at.map((v, i) => v + t * step[i]!);
      const tried = problem.value(next);
      // Near the minimum the fall is below the rounding of the value itself.
      if (tried <= value + 1e-4 * t * slope + 1e-15 * Math.abs(value)) {
        value = tried;
        break;
      }
    }
    if (t <= 1e-10) {
      problem.value(at);
      return { at, iterations, converged: false };
    }
    at = next;
  }
}

/** Solves H s = −g to a residual that shrinks with the gradient, which makes the steps converge quadratically. */
function newtonStep(problem: Objective, gradient: Float64Array): Float64Array {
  const step = new Float64Array(problem.size);
  const residual = gradient.map((v) => -v);
  let direction = Float64Array.from(residual);
  let rr = dot(residual, residual);
  const enough = rr * Math.min(0.25, Math.sqrt(rr)) ** 2;
  for (let i = 0; i < 2 * problem.size + 20 && rr > enough; i++) {
    const h = problem.curvature(direction);
    const curvature = dot(direction, h);
    if (!(curvature > 0)) break; // only along biases that shift all logits alike, which changes nothing
    const alpha = rr / curvature;
    for (let j = 0; j < step.length; j++) {
      step[j]! += alpha * direction[j]!;
      residual[j]! -= alpha * h[j]!;
    }
    const next = dot(residual, residual);
    const beta = next / rr;
    direction = direction.map((d, j) => residual[j]! + beta * d);
    rr = next;
  }
  return step;
}

/** In place; returns the log of the sum of exponentials. */
function softmax(z: Float64Array, from: number, length: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = from; i < from + length; i++) most = Math.max(most, z[i]!);
  let total = 0;
  for (let i = from; i < from + length; i++) total += z[i] = Math.exp(z[i]! - most);
  for (let i = from; i < from + length; i++) z[i]! /= total;
  return most + Math.log(total);
}

function moments(rows: readonly ArrayLike<number>[], features: number) {
  const mean = new Float64Array(features);
  const scale = new Float64Array(features);
  for (let f = 0; f < features; f++) {
    let total = 0;
    for (const row of rows) total += row[f]!;
    mean[f] = total / rows.length;
    let squares = 0;
    for (const row of rows) squares += (row[f]! - mean[f]!) ** 2;
    const deviation = Math.sqrt(squares / rows.length);
    // A feature that varies by rounding alone does not vary.
    scale[f] = deviation > 10 * Number.EPSILON * Math.abs(mean[f]!) ? deviation : 1;
  }
  return { mean, scale };
}

const unscaled = (features: number) => ({
  mean: new Float64Array(features),
  scale: new Float64Array(features).fill(1),
});

/** [n, features] */
function standardized(rows: readonly ArrayLike<number>[], mean: Float64Array, scale: Float64Array): Float64Array {
  const f = mean.length;
  const out = new Float64Array(rows.length * f);
  rows.forEach((row, i) => {
    for (let j = 0; j < f; j++) out[i * f + j] = (row[j]! - mean[j]!) / scale[j]!;
  });
  return out;
}

/** Number of features. */
function checkRows(rows: readonly ArrayLike<number>[], y: ArrayLike<number>, classes: number): number {
  if (rows.length === 0 || rows.length !== y.length)
    throw badRow(0, `${rows.length} rows, ${y.length} classes`, 'at least one row, and a class for each');
  const features = rows[0]!.length;
  rows.forEach((row, i) => {
    if (row.length !== features) throw badRow(i, `${row.length} features`, `${features}, as in row 0`);
    for (let f = 0; f < features; f++)
      if (!Number.isFinite(row[f]!)) throw badRow(i, `feature ${f} is ${row[f]}`, 'finite numbers');
    if (!(Number.isInteger(y[i]!) && y[i]! >= 0 && y[i]! < classes))
      throw new DataError('logistic-classes', `The class of row ${i} is none.`, {
        found: `${y[i]}`,
        expected: `a whole number from 0 to ${classes - 1}`,
        fix: 'number the classes from 0, or raise `classes`',
      });
  });
  return features;
}

const badRow = (i: number, found: string, expected: string) =>
  new DataError('logistic-rows', `Row ${i} cannot be used.`, {
    found,
    expected,
    fix: 'pass the features as the encoder gave them, a row per sample',
  });

const badOptions = (c: number, maxIterations: number, tolerance: number) =>
  new DataError('logistic-options', 'These are no options of a logistic regression.', {
    found: `c ${c}, maxIterations ${maxIterations}, tolerance ${tolerance}`,
    expected: 'c > 0, maxIterations of at least 1, tolerance > 0',
    fix: 'take the defaults: c 1, 100 iterations, 1e-8',
  });

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((s, v, i) => s + v * b[i]!, 0);
const largest = (a: Float64Array): number => a.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
