// An asymmetric phantom for the viewers' adapters: three blobs of different size and HU, off every axis of symmetry, on grids
// of any orientation, and where they lie in the patient.
import { type Affine, apply, invert } from '../data/affine.ts';
import type { Dims, Volume, VoxelArray } from '../data/index.ts';
import type { Segmentation } from '../tasks/index.ts';

/** [nx, ny, nz] */
export const SIZE = [24, 20, 16] as const;
export const CLASS_NAMES = ['background', 'liver', 'left kidney', 'bright spot'];
/** World mm (R, A, S) of each blob's centre, its radius in mm and its HU. */
const BLOBS = [
  { centre: [14, -9, 5], radius: 7, hu: 60 },
  { centre: [-12, 6, -8], radius: 5, hu: 160 },
  { centre: [3, 11, 10], radius: 3.5, hu: 900 },
] as const;

/** Where voxel (i, j, k) lies, R A S in mm, for grids whose centre is near the world's. */
export const AFFINES: Readonly<Record<string, Affine>> = {
  straight: grid([2, 0, 0], [0, 2.5, 0], [0, 0, 2.4]),
  'flipped, as DICOM': grid([-2, 0, 0], [0, -2.5, 0], [0, 0, 2.4]),
  'all flipped': grid([-2, 0, 0], [0, -2.5, 0], [0, 0, -2.4]),
  'rotated, sagittal': grid([0, 2.2, 0], [0, 0, -2.3], [-3, 0, 0]),
  'rotated, coronal': grid([-2.1, 0, 0], [0, 0, 2.2], [0, 3, 0]),
  oblique: grid(...rotated([2, 0, 0], [0, -2.4, 0], [0, 0, 2.6])),
};

/** HU in the viewers' order, x fastest. */
export function huOf(affine: Affine): Float64Array {
  const [nx, ny, nz] = SIZE;
  const out = new Float64Array(nx * ny * nz).fill(-1000);
  let at = 0;
  for (let k = 0; k < nz; k++)
    for (let j = 0; j < ny; j++)
      for (let i = 0; i < nx; i++, at++) {
        const label = labelAt(apply(affine, [i, j, k]));
        if (label > 0) out[at] = BLOBS[label - 1]!.hu;
      }
  return out;
}

/** Which blob a point of the world lies in. */
export function labelAt(world: readonly number[]): number {
  return BLOBS.findIndex(({ centre, radius }) => Math.hypot(...centre.map((c, a) => world[a]! - c)) < radius) + 1;
}

/** Perfect labels by the HU alone: what a model would give for the volume, on its own grid. */
export function segmented(volume: Volume): Segmentation {
  const data = Uint8Array.from(volume.data, (v) => BLOBS.findIndex(({ hu }) => Math.abs(v - hu) < 1) + 1);
  const labels = { data, dims: volume.dims, affine: volume.affine };
  return { labels, classNames: CLASS_NAMES, millilitres: [], windows: 1, notes: [], removed: 0 };
}

/**
 * The worst distance between a label and its place: every voxel of a label image must say what the world has there. `read`
 * gives the label at a point of the world (R, A, S), or −1 outside.
 */
export function misplaced(affine: Affine, read: (world: readonly [number, number, number]) => number): number {
  const [nx, ny, nz] = SIZE;
  let wrong = 0;
  for (let k = 0; k < nz; k++)
    for (let j = 0; j < ny; j++)
      for (let i = 0; i < nx; i++) {
        const world = apply(affine, [i, j, k]);
        if (read(world) !== labelAt(world)) wrong++;
      }
  return wrong;
}

/** Of an array [d, h, w] with an affine of its own: the voxel at a point of the world. */
export function reading(data: VoxelArray, dims: Dims, affine: Affine): (world: readonly number[]) => number {
  const inverse = invert(affine);
  return (world) => {
    const at = apply(inverse, world as [number, number, number]).map(Math.round);
    if (at.some((v, axis) => v < 0 || v >= dims[axis]!)) return -1;
    return data[(at[0]! * dims[1] + at[1]!) * dims[2] + at[2]!]!;
  };
}

/** R and A become L and P, or back. */
export const lps = (affine: Affine): number[] => affine.map((v, i) => (i < 8 ? 0 - v : v));

/** Direction (axis by axis), spacing and origin, as DICOM viewers keep them. */
export function parts(affine: Affine) {
  const columns = [0, 1, 2].map((c) => [affine[c]!, affine[4 + c]!, affine[8 + c]!]);
  const spacing = columns.map((v) => Math.hypot(...v)) as [number, number, number];
  const direction = columns.flatMap((v, c) => v.map((x) => x / spacing[c]!));
  return { direction, spacing, origin: [affine[3]!, affine[7]!, affine[11]!] as [number, number, number] };
}

/** The middle of the grid lies near the middle of the world, but not on it. */
function grid(x: number[], y: number[], z: number[]): Affine {
  const origin = [0, 1, 2].map((r) => 1.3 - (x[r]! * SIZE[0] + y[r]! * SIZE[1] + z[r]! * SIZE[2]) / 2);
  return [0, 1, 2].flatMap((r) => [x[r]!, y[r]!, z[r]!, origin[r]!]).concat([0, 0, 0, 1]);
}

/** Turned by 20° about z and then by 15° about x. */
function rotated(...axes: [number[], number[], number[]]): [number[], number[], number[]] {
  const [a, b] = [(20 * Math.PI) / 180, (15 * Math.PI) / 180];
  return axes.map(([x = 0, y = 0, z = 0]) => {
    const [p, q] = [x * Math.cos(a) - y * Math.sin(a), x * Math.sin(a) + y * Math.cos(a)];
    return [p, q * Math.cos(b) - z * Math.sin(b), q * Math.sin(b) + z * Math.cos(b)];
  }) as [number[], number[], number[]];
}
