// Random training crops. A crop is decided by (stream) alone, so epoch e of sample s is the same on every machine.

import { DataError } from './errors.ts';
import { type Box, cutArray } from './pad.ts';
import type { RandomStream } from './random.ts';
import { type Dims, showDims, type VoxelArray } from './volume.ts';

export interface CropChoice {
  /**
   * `uniform`: anywhere. `foreground`: centred on a labelled voxel with probability `positive`, else on an unlabelled one
   * (MONAI's RandCropByPosNegLabel). `classes`: first a class by `ratios`, then one of its voxels (RandCropByLabelClasses).
   */
  readonly kind: 'uniform' | 'foreground' | 'classes';
  /** Probability of a labelled centre, `foreground` only. Default 0.5. */
  readonly positive?: number;
  /** Weight per class id, `classes` only. Default: 1 for every class present, background included. */
  readonly ratios?: readonly number[];
}

/** Where each class's voxels are, as counts per slab of d: a few KiB for a volume of any size. */
export class LabelIndex {
  readonly classes: number;
  readonly dims: Dims;
  private readonly label: VoxelArray;
  /** [classes, d] */
  private readonly perSlab: Uint32Array;
  /** Voxels per class. */
  readonly counts: Float64Array;

  /** @throws `label-range` when a label is not a whole number in [0, classes) */
  constructor(label: VoxelArray, dims: Dims, classes: number) {
    this.label = label;
    this.dims = dims;
    this.classes = classes;
    this.perSlab = new Uint32Array(classes * dims[0]);
    this.counts = new Float64Array(classes);
    const slab = dims[1] * dims[2];
    for (let n = 0; n < label.length; n++) {
      const c = label[n]!;
      if (!(c >= 0 && c < classes && Number.isInteger(c))) throw labelRange(c, n, classes);
      this.perSlab[c * dims[0] + Math.floor(n / slab)]!++;
      this.counts[c]!++;
    }
  }

  /** The voxel that is the `nth` of those whose class is in `wanted`, in memory order. */
  pick(nth: number, wanted: (c: number) => boolean): Dims {
    const [d, h, w] = this.dims;
    const ids = Array.from({ length: this.classes }, (_, c) => c).filter(wanted);
    const mask = new Uint8Array(this.classes);
    for (const c of ids) mask[c] = 1;
    let left = nth;
    for (let i = 0; i < d; i++) {
      const here = ids.reduce((n, c) => n + this.perSlab[c * d + i]!, 0);
      if (left >= here) {
        left -= here;
        continue;
      }
      for (let at = i * h * w; ; at++) {
        if (mask[this.label[at]!] && left-- === 0) return [i, Math.floor(at / w) % h, at % w];
      }
    }
    throw new RangeError(`voxel ${nth} of classes ${ids.join(', ')} does not exist`);
  }
}

/** Labelled voxels that can be counted and found, wherever the label map is. */
export interface LabelPlaces {
  /** Voxels per class. */
  readonly counts: ArrayLike<number>;
  /** The voxel that is the `nth` of those whose class is in `wanted`, in memory order. */
  pick(nth: number, wanted: (c: number) => boolean): Dims | Promise<Dims>;
}

/**
 * A box of `size` inside the volume (padded evenly around it where the volume is smaller), chosen with `random`.
 * `foreground` and `classes` need `index`; where a drawn kind of voxel does not exist, the other kind is used.
 * @throws `crop-no-label`
 */
export function chooseCrop(dims: Dims, size: Dims, choice: CropChoice, random: RandomStream, index?: LabelIndex): Box {
  const drawn = drawCrop(dims, size, choice, random, index?.counts);
  return 'start' in drawn ? drawn : cropAround(dims, size, index!.pick(drawn.nth, drawn.wanted));
}

/** The same box from a label map that is not in memory. @throws `crop-no-label` */
export async function chooseCropFrom(
  dims: Dims,
  size: Dims,
  choice: CropChoice,
  random: RandomStream,
  places?: LabelPlaces,
): Promise<Box> {
  const drawn = drawCrop(dims, size, choice, random, places?.counts);
  return 'start' in drawn ? drawn : cropAround(dims, size, await places!.pick(drawn.nth, drawn.wanted));
}

/** Which voxel is the centre. */
interface Centre {
  readonly nth: number;
  readonly wanted: (c: number) => boolean;
}

function drawCrop(
  dims: Dims,
  size: Dims,
  choice: CropChoice,
  random: RandomStream,
  counts?: ArrayLike<number>,
): Box | Centre {
  if (choice.kind === 'uniform') {
    const start = (axis: number) => {
      const room = dims[axis]! - size[axis]!;
      return room >= 0 ? random.int(room + 1) : Math.ceil(room / 2);
    };
    return { start: [start(0), start(1), start(2)], size };
  }
  if (!counts) {
    throw new DataError('crop-no-label', `A ${choice.kind} crop needs labels.`, {
      found: `a volume of ${showDims(dims)} without labels`,
      expected: 'a LabelIndex of its label map',
      fix: "pass labels, or choose kind 'uniform'",
    });
  }
  return choice.kind === 'foreground' ? posNegCentre(choice, random, counts) : classCentre(choice, random, counts);
}

function cropAround(dims: Dims, size: Dims, centre: Dims): Box {
  const start = (axis: number) => {
    const room = dims[axis]! - size[axis]!;
    if (room < 0) return Math.ceil(room / 2);
    return Math.min(room, Math.max(0, centre[axis]! - Math.floor(size[axis]! / 2)));
  };
  return { start: [start(0), start(1), start(2)], size };
}

/** The crop's image and label arrays [d, h, w]; outside the volume the image is `fill` and the label 0. */
export function cropPair<L extends VoxelArray>(
  image: Float32Array,
  label: L | undefined,
  dims: Dims,
  box: Box,
  fill = 0,
): { image: Float32Array; label?: L } {
  return { image: cutArray(image, dims, box, fill), label: label && cutArray(label, dims, box) };
}

function posNegCentre(choice: CropChoice, random: RandomStream, counts: ArrayLike<number>): Centre {
  const labelled = Array.from(counts).reduce((n, c, id) => (id === 0 ? n : n + c), 0);
  let positive = random.chance(choice.positive ?? 0.5);
  if (labelled === 0) positive = false;
  else if (counts[0] === 0) positive = true;
  const nth = random.int(positive ? labelled : counts[0]!);
  return { nth, wanted: positive ? (c) => c !== 0 : (c) => c === 0 };
}

function classCentre(choice: CropChoice, random: RandomStream, counts: ArrayLike<number>): Centre {
  const weight = Array.from(counts, (n, c) => (n > 0 ? (choice.ratios ? (choice.ratios[c] ?? 0) : 1) : 0));
  const total = weight.reduce((a, b) => a + b, 0);
  if (!(total > 0)) {
    throw new DataError('crop-no-label', 'No class with a positive ratio occurs in this label map.', {
      found: `voxels per class ${Array.from(counts).join(', ')}; ratios ${choice.ratios?.join(', ')}`,
      expected: 'one present class with a ratio above 0',
      fix: 'give the background a small ratio',
    });
  }
  let left = random.uniform() * total;
  let chosen = weight.findLastIndex((v) => v > 0);
  for (let c = 0; c < weight.length; c++) {
    if (left < weight[c]!) {
      chosen = c;
      break;
    }
    left -= weight[c]!;
  }
  return { nth: random.int(counts[chosen]!), wanted: (c) => c === chosen };
}

export function labelRange(value: number, where: number | string, classes: number): DataError {
  return new DataError('label-range', 'A label is not a class of this task.', {
    found: typeof where === 'number' ? `${value} at voxel ${where}` : `${value} in ${where}`,
    expected: `whole numbers from 0 to ${classes - 1}`,
    fix: 'raise the number of classes, or choose classes from the ids (t3dc train --labels; remapLabels in code)',
  });
}
