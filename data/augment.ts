// Augmentation under the training contract: it never says something that the labels or the words deny. Left and right
// are mirrored only where nothing names a side, or where the sides' labels change places with it.

import { DataError } from './errors.ts';
import { stream } from './random.ts';
import { type Dims, showDims, type VoxelArray } from './volume.ts';

/** A crop [d, h, w] in RAS axes. */
export interface Sample<L extends VoxelArray = VoxelArray> {
  readonly image: Float32Array;
  readonly label?: L;
  readonly dims: Dims;
  /** mm along d, h, w: planes of unequal spacing are never rotated. */
  readonly spacing: readonly [number, number, number];
}

export interface AugmentOptions {
  /** Probability of mirroring, each axis by itself. */
  readonly flip: number;
  /** Probability of turning by 90°, 180° or 270° in one plane of equal size and spacing. */
  readonly rot90: number;
  /** Probability of a shift of intensity, and its greatest size in units of the 0..1 window. */
  readonly shiftChance: number;
  readonly shift: number;
  /**
   * What left and right mean here. `free`: nothing names a side. `fixed`: labels or text do, axis d is never mirrored.
   * A list of label pairs: mirroring axis d swaps them, e.g. [[3, 4]] for right and left kidney.
   */
  readonly lateral: 'free' | 'fixed' | readonly (readonly [number, number])[];
  /** The text names front, back, upper or lower: no rotation, and mirroring along axis d alone. */
  readonly directional: boolean;
}

/** flips 0.2 per axis, rot90 0.2, intensity ±0.1 half of the time (MONAI's BTCV recipe), sides respected. */
export const AUGMENT: AugmentOptions = {
  flip: 0.2,
  rot90: 0.2,
  shiftChance: 0.5,
  shift: 0.1,
  lateral: 'fixed',
  directional: false,
};

/** What was done to a sample, so that a report's words can follow. */
export interface Applied {
  readonly flips: readonly [boolean, boolean, boolean];
  /** Quarter turns in the plane of two axes (numpy's rot90). */
  readonly rot90?: { readonly plane: readonly [number, number]; readonly turns: 1 | 2 | 3 };
  readonly shift: number;
  /** Left and right changed places (labels were swapped). */
  readonly sidesSwapped: boolean;
}

/** One sample augmented, decided by (seed, epoch, index) alone. The input arrays are not changed. */
export function augment<L extends VoxelArray>(
  sample: Sample<L>,
  options: AugmentOptions,
  key: { seed: number; epoch: number; index: number },
): { sample: Sample<L>; applied: Applied } {
  const applied = drawAugmentation(sample, options, key);
  return { sample: applyAugmentation(sample, applied, options), applied };
}

/** The draws alone. Always the same number of draws in the same order, whatever the options say. */
export function drawAugmentation(
  sample: Pick<Sample, 'dims' | 'spacing'>,
  options: AugmentOptions,
  key: { seed: number; epoch: number; index: number },
): Applied {
  const random = stream(key.seed, key.epoch, key.index);
  const flips = [0, 1, 2].map(() => random.chance(options.flip)) as [boolean, boolean, boolean];
  if (options.lateral === 'fixed') flips[0] = false;
  if (options.directional) flips[1] = flips[2] = false;
  const turn = random.chance(options.rot90);
  const pick = random.uniform();
  const turns = (1 + random.int(3)) as 1 | 2 | 3;
  const planes = options.directional ? [] : rotatablePlanes(sample);
  const rot90 = turn && planes.length > 0 ? { plane: planes[Math.floor(pick * planes.length)]!, turns } : undefined;
  const shifts = random.chance(options.shiftChance);
  const amount = random.uniform(-options.shift, options.shift);
  return { flips, rot90, shift: shifts ? amount : 0, sidesSwapped: flips[0] && Array.isArray(options.lateral) };
}

/** Applies what was drawn. */
export function applyAugmentation<L extends VoxelArray>(
  sample: Sample<L>,
  applied: Applied,
  options: Pick<AugmentOptions, 'lateral'>,
): Sample<L> {
  let image = sample.image.slice();
  let label = sample.label?.slice() as L | undefined;
  for (let axis = 0; axis < 3; axis++) {
    if (!applied.flips[axis]) continue;
    mirror(image, sample.dims, axis);
    if (label) mirror(label, sample.dims, axis);
  }
  if (label && applied.sidesSwapped) swapLabels(label, options.lateral as readonly (readonly [number, number])[]);
  if (applied.rot90) {
    const { plane, turns } = applied.rot90;
    for (let t = 0; t < turns; t++) {
      image = rotate90(image, sample.dims, plane);
      if (label) label = rotate90(label, sample.dims, plane);
    }
  }
  if (applied.shift !== 0) for (let i = 0; i < image.length; i++) image[i]! += applied.shift;
  return { ...sample, image, label };
}

/** Planes whose two axes agree in size and spacing (to 0.1 %). */
export function rotatablePlanes({ dims, spacing }: Pick<Sample, 'dims' | 'spacing'>): [number, number][] {
  const planes: [number, number][] = [
    [0, 1],
    [0, 2],
    [1, 2],
  ];
  return planes.filter(([a, b]) => dims[a] === dims[b] && Math.abs(spacing[a]! - spacing[b]!) <= 1e-3 * spacing[a]!);
}

/** Reverses one axis in place. */
export function mirror(data: VoxelArray, dims: Dims, axis: number): void {
  const inner = axis === 0 ? dims[1] * dims[2] : axis === 1 ? dims[2] : 1;
  const n = dims[axis]!;
  const outer = data.length / (inner * n);
  for (let o = 0; o < outer; o++)
    for (let a = 0, b = n - 1; a < b; a++, b--) {
      const pa = (o * n + a) * inner;
      const pb = (o * n + b) * inner;
      for (let i = 0; i < inner; i++) {
        const keep = data[pa + i]!;
        data[pa + i] = data[pb + i]!;
        data[pb + i] = keep;
      }
    }
}

/** One quarter turn from the first towards the second axis of `plane` (numpy and PyTorch rot90); both sizes must agree. */
export function rotate90<T extends VoxelArray>(data: T, dims: Dims, plane: readonly [number, number]): T {
  const [a, b] = plane;
  if (dims[a] !== dims[b]) {
    throw new DataError('rot90-plane', 'A quarter turn would change the shape of the crop.', {
      found: `axes ${a} and ${b} of ${showDims(dims)}`,
      expected: 'two axes of one size',
      fix: 'use rotatablePlanes to choose the plane',
    });
  }
  const stride = [dims[1] * dims[2], dims[2], 1];
  const c = 3 - a - b;
  const out = data.slice() as T;
  const n = dims[a]!;
  for (let x = 0; x < n; x++)
    for (let y = 0; y < n; y++) {
      const to = x * stride[a]! + y * stride[b]!;
      const from = y * stride[a]! + (n - 1 - x) * stride[b]!;
      for (let z = 0; z < dims[c]!; z++) out[to + z * stride[c]!] = data[from + z * stride[c]!]!;
    }
  return out;
}

/** Exchanges label ids pairwise, in place. */
export function swapLabels(label: VoxelArray, pairs: readonly (readonly [number, number])[]): void {
  const other = new Map(pairs.flatMap(([p, q]) => [[p, q] as const, [q, p] as const]));
  for (let i = 0; i < label.length; i++) {
    const to = other.get(label[i]!);
    if (to !== undefined) label[i] = to;
  }
}
