// Lesions of a label map on a study's working grid: where the voxels of each are, kept sparsely, and how much of them a tile shows.
import { connectedComponents } from './components.ts';
import { type Dims, type VoxelArray, voxelCount } from './volume.ts';

export interface Lesions {
  readonly dims: Dims;
  /** Voxels of each. */
  readonly sizes: readonly number[];
  /** Places [d h w] of the voxels of all of them, and which lesion each is of. */
  readonly places: Uint32Array;
  readonly of: Uint16Array;
}

/** A lesion is inside where at least this part of its voxels is. */
export const INSIDE = 0.5;

/** Lesions of a label map [d h w]: parts that hang together of those ids, whichever of them. */
export function lesionsOf(labels: VoxelArray, dims: Dims, ids: ReadonlySet<number>): Lesions {
  const one = new Uint8Array(voxelCount(dims));
  let voxels = 0;
  for (let n = 0; n < one.length; n++)
    if (ids.has(labels[n]!)) {
      one[n] = 1;
      voxels++;
    }
  const { id, components } = connectedComponents(one, dims);
  const places = new Uint32Array(voxels);
  const of = new Uint16Array(voxels);
  let at = 0;
  for (let n = 0; n < one.length; n++)
    if (one[n]) {
      places[at] = n;
      of[at++] = id[n]! - 1;
    }
  return { dims, sizes: components.map((c) => c.voxels), places, of };
}

/** Of each lesion the part of its voxels that at least one of these boxes of one size shows. */
export function shownParts(lesions: Lesions, origins: readonly Dims[], size: Dims): number[] {
  const shown = new Float64Array(lesions.sizes.length);
  eachPlace(lesions, (n, at) => {
    if (origins.some((o) => at.every((v, axis) => v >= o[axis]! && v < o[axis]! + size[axis]!)))
      shown[lesions.of[n]!]!++;
  });
  return lesions.sizes.map((voxels, n) => shown[n]! / voxels);
}

/** Voxels of lesions within a box: [d h w] of the box, 1 there. */
export function lesionMask(lesions: Lesions, origin: Dims, size: Dims): Uint8Array {
  const mask = new Uint8Array(voxelCount(size));
  eachPlace(lesions, (_, at) => {
    const own = at.map((v, axis) => v - origin[axis]!);
    if (own.every((v, axis) => v >= 0 && v < size[axis]!)) mask[(own[0]! * size[1] + own[1]!) * size[2] + own[2]!] = 1;
  });
  return mask;
}

function eachPlace({ places, dims }: Lesions, visit: (n: number, at: Dims) => void): void {
  const [, h, w] = dims;
  for (const [n, p] of places.entries()) visit(n, [Math.floor(p / (h * w)), Math.floor(p / w) % h, p % w]);
}
