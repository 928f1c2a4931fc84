// The work that all programs do: the same numbers in, the same convolution, gradient, network or training step.
import { type Config, modelInputs } from '../../test/golden.ts';
import { noise } from '../noise.ts';
import type { Kind } from './schema.ts';

interface Common {
  readonly id: string;
  readonly kind: Kind;
  /** On the relative L2 difference between two programs in f32. */
  readonly tolerance: number;
  /** The same where a program stores halves. */
  readonly halfTolerance: number;
  /** Timed calls of each program, if its limit allows. */
  readonly rounds: number;
  /** Milliseconds that one program may take in all. */
  readonly limit: number;
}

/** x [1 ci d h w], weight [co ci 3 3 3], dy [1 co d h w], stride 1, padding 1; PyTorch's order, which a program whose own is
 *  another changes before it is timed. */
export interface ConvCase extends Common {
  readonly op: 'conv3d';
  readonly pass: 'forward' | 'data' | 'weight';
  readonly ci: number;
  readonly co: number;
  readonly k: number;
  readonly size: number;
}

/** SwinUNETR with counter weights (test/golden.ts, test/reference/model.py): logits, or steps of AdamW on one batch. */
export interface ModelCase extends Common {
  readonly op: 'swinunetr';
  readonly pass: 'forward' | 'step';
  readonly config: Config;
}

export type PeerCase = ConvCase | ModelCase;

/** AdamW as every program runs it. */
export const ADAMW = { lr: 1e-4, weightDecay: 1e-5, betas: [0.9, 0.999], eps: 1e-8 } as const;

const SHAPES: readonly (readonly [number, number, number])[] = [
  [16, 16, 32],
  [48, 48, 32],
  [48, 48, 96],
];
/** Width and sides of a patch, as T3D's presets. */
const MODELS = { nano: [12, 64], small: [24, 64], base: [48, 96] } as const;
export type ModelName = keyof typeof MODELS;
export const MODEL_NAMES = Object.keys(MODELS) as ModelName[];

export interface Wanted {
  readonly only: readonly Kind[];
  /** Sides of the convolutions; empty: the table's own. */
  readonly sizes: readonly number[];
  readonly model: ModelName;
  readonly rounds?: number;
  /** Seconds. */
  readonly limit?: number;
}

export function casesOf({ only, sizes, model, rounds, limit }: Wanted): PeerCase[] {
  const shapes = SHAPES.filter(([, , size]) => sizes.length === 0 || sizes.includes(size));
  for (const size of sizes) if (!shapes.some((s) => s[2] === size)) shapes.push([48, 48, size]);
  const given = (r: number, seconds: number) => ({ rounds: rounds ?? r, limit: 1000 * (limit ?? seconds) });
  const list = [
    ...shapes.map((s) => conv('forward', ...s, given(7, 30))),
    ...shapes.flatMap((s) => [conv('data', ...s, given(5, 30)), conv('weight', ...s, given(5, 30))]),
    network('forward', model, given(3, 300)),
    network('step', model, given(3, 300)),
  ];
  return list.filter((c) => only.includes(c.kind));
}

type Effort = Pick<Common, 'rounds' | 'limit'>;

function conv(pass: ConvCase['pass'], ci: number, co: number, size: number, effort: Effort): ConvCase {
  const kind = pass === 'forward' ? 'conv' : 'gradients';
  const id = `conv3d.${pass} ${ci}→${co} k3 ${size}³`;
  // A weight's gradient adds up to a million products: rounding alone parts two programs more there.
  const tolerance = pass === 'weight' ? 1e-4 : 1e-5;
  return { id, kind, op: 'conv3d', pass, ci, co, k: 3, size, tolerance, halfTolerance: 5e-3, ...effort };
}

function network(pass: ModelCase['pass'], name: ModelName, effort: Effort): ModelCase {
  const [feature, n] = MODELS[name];
  const config: Config = {
    feature_size: feature,
    size: [n, n, n],
    use_v2: false,
    merging: 'merging',
    in_channels: 1,
    out_channels: 14,
    batch: 1,
    seed: 1,
    leaky_slope: 0.01,
  };
  const kind = pass === 'forward' ? 'model' : 'step';
  const id = `swinunetr.${pass} ${name}, feature size ${feature}, ${n}³`;
  return { id, kind, op: 'swinunetr', pass, config, tolerance: 1e-4, halfTolerance: 2e-2, ...effort };
}

export const convFlops = (c: ConvCase): number => 2 * c.k ** 3 * c.ci * c.co * c.size ** 3;

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** What the case takes, in PyTorch's order. The network's weights are not among it: every program draws them by name. */
export function inputsOf(c: PeerCase): Readonly<Record<string, Tensor>> {
  if (c.op === 'swinunetr') {
    const { volume, labels } = modelInputs(c.config);
    const label: Tensor = { shape: [1, 1, ...c.config.size], data: labels };
    const image: Tensor = { shape: [1, 1, ...c.config.size], data: volume };
    return c.pass === 'step' ? { volume: image, label } : { volume: image };
  }
  const { ci, co, k, size } = c;
  const x = tensor([1, ci, size, size, size], 1, 1);
  const weight = tensor([co, ci, k, k, k], 7, 0.05);
  const dy = tensor([1, co, size, size, size], 3, 1);
  return c.pass === 'forward' ? { x, weight } : c.pass === 'data' ? { weight, dy } : { x, dy };
}

function tensor(shape: readonly number[], seed: number, scale: number): Tensor {
  return {
    shape,
    data: noise(
      shape.reduce((a, b) => a * b, 1),
      seed,
      scale,
    ),
  };
}

export const outputShape = (c: ConvCase): number[] =>
  c.pass === 'weight' ? [c.co, c.ci, c.k, c.k, c.k] : [1, c.pass === 'data' ? c.ci : c.co, c.size, c.size, c.size];
