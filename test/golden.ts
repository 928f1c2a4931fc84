// Goldens: tensors computed by PyTorch and MONAI in float64 (test/reference/), compared with what the product computes.
//
// A large tensor is kept as its norm, 8 signed projections and 16 samples. Projection k of x is
// p_k = Σ_i s_k(i) x_i / sqrt(numel) with signs from counters.ts, so the mean over k of (p_k(y) - p_k(x))² is an unbiased
// estimate of |y - x|² / numel: its square root is right to about ±25 %, and no wrong element escapes all of them.

import { readFileSync } from 'node:fs';
import { classes, signs, uniform } from './counters.ts';

export interface TensorGolden {
  readonly shape: readonly number[];
  /** Axis names in memory order, where the tensor is not a parameter: `b c d h w`. */
  readonly axes?: string;
  /** L2 norm. */
  readonly norm: number;
  /** Largest magnitude. */
  readonly max: number;
  readonly projections: readonly number[];
  /** [element, value], elements counted in PyTorch's memory order. */
  readonly samples: readonly (readonly [number, number])[];
  /** Relative L2 error of PyTorch's own float32 against this float64 value: what rounding alone does. */
  readonly torchFloat32?: number;
}

/** A small tensor, whole, in PyTorch's memory order. */
export interface FullGolden {
  readonly shape: readonly number[];
  readonly axes?: string;
  readonly values: readonly number[];
}

export interface Config {
  readonly feature_size: number;
  /** d h w */
  readonly size: readonly [number, number, number];
  readonly use_v2: boolean;
  readonly merging: 'legacy' | 'mergingv2' | 'merging';
  readonly in_channels: number;
  readonly out_channels: number;
  readonly batch: number;
  readonly seed: number;
  readonly leaky_slope: number;
}

export interface ModelGolden {
  readonly config: Config;
  /** What the tensors were computed in. */
  readonly dtype: 'float64' | 'float32';
  readonly parameters: number;
  readonly loss: number;
  /** L2 norm over all gradients. */
  readonly gradientNorm: number;
  /** Worst relative L2 change of a gradient when every voxel whose LeakyReLU input is within 2e-6 of zero (in units of the
   *  layer's root mean square) takes the other slope; test/reference/kinks.py. */
  readonly kinkExposure: number;
  /** `logits`, `grad.NAME`, or in a layers file the layers' names in the order in which they ran. */
  readonly tensors: Readonly<Record<string, TensorGolden>>;
}

/** `…-training`: AdamW steps on one batch; `tensors` are `change.NAME`, a parameter after the last step less its start. */
export interface TrainingGolden extends Pick<ModelGolden, 'config' | 'dtype' | 'tensors'> {
  /** lr, betas, eps, weight_decay in PyTorch's names. */
  readonly optimizer: Readonly<Record<string, unknown>>;
  /** One a step, before its update. */
  readonly losses: readonly number[];
  readonly gradientNorms: readonly number[];
  readonly torchFloat32: { readonly losses: readonly number[]; readonly gradientNorms: readonly number[] };
}

export interface Comparison {
  /** |values - golden| / max(|golden|, floor), L2: exact against a whole tensor, else estimated. */
  readonly relL2: number;
  /** Largest |value - golden| over the stored values, divided by max(largest magnitude, floor / sqrt(numel)). */
  readonly relSample: number;
  readonly ok: boolean;
  /** One line for a failing test. */
  readonly message: string;
}

export interface CompareOptions {
  /** Bound on the relative L2 error. */
  readonly relL2: number;
  /**
   * L2 norm below which a tensor counts as zero but for rounding: errors are then relative to it. For gradients take
   * `gradientFloor(golden)`.
   */
  readonly floor?: number;
  /** The values' axes in memory order, where they differ from the golden's: `b d h w c` for `b c d h w`. */
  readonly axes?: string;
}

/** A golden by its path under test/golden, without `.json`: `swinunetr/f12-64-v1-merging`. */
export function loadGolden<T = ModelGolden>(path: string): T {
  return JSON.parse(readFileSync(new URL(`./golden/${path}.json`, import.meta.url), 'utf8')) as T;
}

/**
 * 1e-4 of the global gradient norm. Some gradients vanish but for rounding: those of a convolution with one input channel
 * before an InstanceNorm (encoder1's conv3), which undoes its scale, and those of a key's bias, which softmax ignores.
 */
export const gradientFloor = (golden: ModelGolden): number => 1e-4 * golden.gradientNorm;

/** Compares values with a golden; a wrong count or a NaN is never ok. Throws where `axes` cannot be permuted into the golden's. */
export function compareGolden(
  golden: TensorGolden | FullGolden,
  values: ArrayLike<number>,
  options: CompareOptions,
): Comparison {
  const numel = golden.shape.reduce((n, s) => n * s, 1);
  if (values.length !== numel) {
    const message = `${values.length} values, expected ${numel} of shape [${golden.shape.join(' ')}]`;
    return { relL2: Infinity, relSample: Infinity, ok: false, message };
  }
  const x = inGoldenOrder(golden, values, options.axes);
  const whole = 'values' in golden;
  const expected = whole ? { norm: norm(golden.values), max: largest(golden.values) } : golden;
  const error = whole ? distance(x, golden.values) : estimatedDistance(x, golden.projections);
  const floor = options.floor ?? 0;
  const relL2 = error === 0 ? 0 : error / Math.max(expected.norm, floor);
  let worst: readonly [number, number] = [0, Number.NaN];
  let difference = -1;
  for (const [i, v] of whole ? golden.values.entries() : golden.samples) {
    const d = Math.abs(x[i] - v);
    // A NaN is the worst and stays it.
    if (d > difference || (Number.isNaN(d) && !Number.isNaN(difference))) {
      difference = d;
      worst = [i, v];
    }
  }
  const relSample = difference === 0 ? 0 : difference / Math.max(expected.max, floor / Math.sqrt(numel));
  // One element may be off by more, relative to the largest, than the whole is relative to its norm.
  const ok = relL2 <= options.relL2 && relSample <= 10 * options.relL2;
  const float32 = whole || golden.torchFloat32 === undefined ? '' : `; PyTorch's own float32: ${golden.torchFloat32}`;
  const message =
    `relative L2 ${relL2.toExponential(2)} (bound ${options.relL2}), norm ${norm(x).toPrecision(6)} for ` +
    `${expected.norm.toPrecision(6)}; worst at ${worst[0]}: ${x[worst[0]]} for ${worst[1]}${float32}`;
  return { relL2, relSample, ok, message };
}

/** Values in the golden's memory order; the same array where it is so already. */
function inGoldenOrder(
  golden: TensorGolden | FullGolden,
  values: ArrayLike<number>,
  axes: string | undefined,
): ArrayLike<number> {
  if (axes === undefined || axes === golden.axes) return values;
  if (golden.axes === undefined)
    throw new Error(`values have axes "${axes}", the golden names none: it is in a parameter's own order`);
  return permute(values, golden.axes, golden.shape, axes);
}

/** Values whose memory order is `from`, put in the order `to`, of sizes `shape`; both are axis names: `b d h w c`. */
export function permute(values: ArrayLike<number>, to: string, shape: readonly number[], from: string): Float64Array {
  const target = to.split(' ');
  const source = from.split(' ');
  if (target.length !== shape.length || [...target].sort().join() !== [...source].sort().join())
    throw new Error(`axes "${from}" cannot be permuted into "${to}" of ${shape.length} sizes`);
  const strides = target.map((a) =>
    source.slice(source.indexOf(a) + 1).reduce((n, b) => n * shape[target.indexOf(b)], 1),
  );
  const out = new Float64Array(values.length);
  const at = shape.map(() => 0);
  for (let i = 0, j = 0; i < out.length; i++) {
    out[i] = values[j];
    for (let a = shape.length - 1; a >= 0; a--) {
      j += strides[a];
      if (++at[a] < shape[a]) break;
      j -= strides[a] * shape[a];
      at[a] = 0;
    }
  }
  return out;
}

function projections(x: ArrayLike<number>): number[] {
  const bits = signs(x.length);
  const plus = new Float64Array(8);
  let total = 0;
  for (let i = 0; i < x.length; i++) {
    const v = x[i];
    total += v;
    const b = bits[i];
    for (let k = 0; k < 8; k++) plus[k] += (b >> k) & 1 ? v : 0;
  }
  const scale = Math.sqrt(x.length);
  return Array.from(plus, (p) => (2 * p - total) / scale);
}

function estimatedDistance(x: ArrayLike<number>, expected: readonly number[]): number {
  const squared = projections(x).reduce((sum, p, k) => sum + (p - expected[k]) ** 2, 0);
  return Math.sqrt((squared / expected.length) * x.length);
}

function distance(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] - y[i]) ** 2;
  return Math.sqrt(sum);
}

const largest = (x: readonly number[]): number => x.reduce((m, v) => Math.max(m, Math.abs(v)), 0);

function norm(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}

/** A parameter's value under `seed`; the rule stands in test/reference/model.py (`parameter_value`). */
export function parameterValue(name: string, shape: readonly number[], seed: number): Float32Array {
  const count = shape.reduce((n, s) => n * s, 1);
  if (name.endsWith('relative_position_bias_table')) return uniform(seed, name, count, 0.1);
  if (shape.length >= 2) {
    const fanIn = name.includes('transp_conv') ? shape[0] : count / shape[0];
    return uniform(seed, name, count, Math.sqrt(3 / fanIn));
  }
  return name.endsWith('.weight') ? uniform(seed, name, count, 0.2, 1) : uniform(seed, name, count, 0.1);
}

const block = 16;

/** volume f32 [b c d h w] in [0, 1) and labels i32 [b d h w]; the rule stands in test/reference/model.py (`inputs`). */
export function modelInputs(config: Config): { volume: Float32Array; labels: Int32Array } {
  const [d, h, w] = config.size;
  const [bd, bh, bw] = config.size.map((n) => n / block);
  const blocks = classes(config.seed, 'labels', config.batch * bd * bh * bw, config.out_channels);
  const labels = new Int32Array(config.batch * d * h * w);
  for (let i = 0; i < labels.length; i++) {
    const x = Math.floor((i % w) / block);
    const y = Math.floor((Math.floor(i / w) % h) / block);
    const z = Math.floor((Math.floor(i / (w * h)) % d) / block);
    const b = Math.floor(i / (w * h * d));
    labels[i] = blocks[((b * bd + z) * bh + y) * bw + x];
  }
  const voxels = d * h * w;
  const volume = uniform(config.seed, 'volume', config.batch * config.in_channels * voxels, 0.5, 0.5);
  for (let i = 0; i < volume.length; i++) {
    const b = Math.floor(i / (voxels * config.in_channels));
    volume[i] = 0.5 * volume[i] + (0.5 * labels[b * voxels + (i % voxels)]) / config.out_channels;
  }
  return { volume, labels };
}
