// A volume as a viewer holds it, and the way from there to what a task takes, and of labels back.
//
// Viewers keep x fastest; a task's volume is [d, h, w] with w fastest. Read as d = z, h = y, w = x, with the affine's columns
// in that order, the viewer's array is such a volume as it is: nothing is turned on the page's thread, `segment` turns it to
// the patient's axes where it runs. So the labels, too, come in the viewer's order. What must be done to all voxels is done
// in pieces of a few milliseconds, that the page stays alive.

import type { Affine } from '../data/affine.ts';
import { DataError } from '../data/errors.ts';
import type { Volume, VoxelArray } from '../data/volume.ts';
import { pause } from '../tasks/pause.ts';

/** What every adapter makes of its viewer's image. */
export interface ViewerVolume {
  /** x fastest: voxel (i, j, k) lies at i + nx·(j + ny·k). */
  readonly data: VoxelArray;
  /** [nx, ny, nz] */
  readonly dims: readonly number[];
  /** Voxel (i, j, k) → world mm, 4×4, row-major. */
  readonly affine: Affine;
  /** Where world x and y point: right and anterior (NIfTI), or left and posterior (DICOM). */
  readonly space: 'RAS' | 'LPS';
  /** `stored`: HU are voxel · slope + inter. `HU`: the viewer has scaled already; slope and inter are not looked at. */
  readonly unit: 'HU' | 'stored';
  readonly slope: number;
  readonly inter: number;
  /** DICOM's, where the viewer knows it: anything but CT is refused. */
  readonly modality?: string;
  /** The last voxel, where the viewer has lost it. */
  readonly last?: number;
  readonly source?: Source;
  readonly notes?: readonly string[];
}

/** Where a volume comes from, so that its labels can say it too. */
export interface Source {
  readonly name?: string;
  readonly frameOfReferenceUid?: string;
  readonly studyUid?: string;
  readonly seriesUid?: string;
  /** One a slice, in the volume's order. */
  readonly imageIds?: readonly string[];
}

/** What `segment` takes. Its array is the viewer's own where nothing had to be scaled: never pass it with `transfer`. */
export interface TaskVolume extends Volume {
  readonly source: Source;
  /** What a user should be told. */
  readonly notes: readonly string[];
}

/** @throws DataError `viewer-modality`, `viewer-dims`, `viewer-type`, `viewer-scaling`, `viewer-affine` */
export async function forTask(volume: ViewerVolume): Promise<TaskVolume> {
  const { data, modality, source = {}, notes = [] } = volume;
  if (modality && modality !== 'CT') {
    throw new DataError('viewer-modality', 'The model was made for CT.', {
      found: modality,
      expected: 'CT in HU',
      fix: 'choose a CT series',
    });
  }
  checkDims(volume);
  if (typeof data[0] !== 'number' || !ArrayBuffer.isView(data)) {
    throw new DataError('viewer-type', 'The voxels are no typed array of numbers.', {
      found: Object.prototype.toString.call(data),
      expected: 'Int8Array to Float64Array',
      fix: 'convert 64-bit integers to a Float64Array first',
    });
  }
  const grid = taskGrid(volume);
  const hu = await scaled(volume);
  // Of DICOM the modality is known; of a NIfTI file only its values tell.
  const air = modality === 'CT' || (await holds(hu, (v) => v < 0));
  return {
    ...grid,
    data: hu,
    source,
    notes: air ? notes : [...notes, 'No voxel is below 0; CT in HU has air near -1000.'],
  };
}

/**
 * The labels of a task in the viewer's order, x fastest.
 * @throws DataError `viewer-grid` where they are not on the grid of the viewer's image
 */
export function forViewer<T extends VoxelArray>(
  labels: Volume<T>,
  image: Pick<ViewerVolume, 'dims' | 'affine' | 'space'>,
): T {
  const grid = taskGrid(image);
  const off = Math.max(...labels.affine.map((v, i) => Math.abs(v - grid.affine[i]!)));
  if (!labels.dims.every((n, axis) => n === grid.dims[axis]) || !(off < 1e-3)) {
    throw new DataError('viewer-grid', 'The labels do not lie on this image.', {
      found: `${labels.dims.join(' × ')}, an affine that differs by up to ${off}`,
      expected: `${grid.dims.join(' × ')} and the same affine`,
      fix: 'pass the image that was segmented; another may have been opened meanwhile',
    });
  }
  return labels.data;
}

/** Calls `work(from, to)` over `length` voxels in pieces, and lets the page draw in between. `false` ends it. */
export async function inPieces(length: number, work: (from: number, to: number) => unknown): Promise<void> {
  const piece = 2 ** 18;
  let since = performance.now();
  for (let from = 0; from < length; from += piece) {
    if (work(from, Math.min(length, from + piece)) === false) return;
    if (performance.now() - since < 8) continue;
    await pause();
    since = performance.now();
  }
}

/** Direction cosines of the three axes one after another, spacing and origin, as DICOM viewers keep them. */
export function affineOf(
  direction: ArrayLike<number>,
  spacing: ArrayLike<number>,
  origin: ArrayLike<number>,
): number[] {
  const row = (r: number) => [0, 1, 2].map((axis) => direction[axis * 3 + r]! * spacing[axis]!).concat(origin[r]!);
  return [...row(0), ...row(1), ...row(2), 0, 0, 0, 1];
}

function checkDims({ data, dims }: ViewerVolume): void {
  const [nx = 0, ny = 0, nz = 0, ...more] = dims;
  const whole = [nx, ny, nz].every((n) => Number.isInteger(n) && n > 0);
  if (whole && more.every((n) => n <= 1) && data.length === nx * ny * nz) return;
  throw new DataError('viewer-dims', 'The image is no single 3D volume of one number a voxel.', {
    found: `${data.length} values for ${dims.join(' × ') || 'colours or complex numbers'}`,
    expected: 'three sizes and a value for each voxel; no series in time (4D), no colour',
    fix: 'pass one frame as a volume of its own',
  });
}

function taskGrid({ dims, affine, space }: Pick<ViewerVolume, 'dims' | 'affine' | 'space'>): Omit<Volume, 'data'> {
  if (affine.length !== 16 || !affine.every(Number.isFinite)) {
    throw new DataError('viewer-affine', 'The image has no usable place in the world.', {
      found: affine.join(', '),
      expected: '16 finite numbers',
      fix: 'repair its spacing, origin and direction',
    });
  }
  // Left and posterior become right and anterior; 0 − v, that no zero becomes −0.
  const ras = affine.map((v, i) => (space === 'LPS' && i < 8 ? 0 - v : v));
  const columns = [2, 1, 0, 3];
  return {
    dims: [dims[2]!, dims[1]!, dims[0]!],
    affine: ras.map((_, i) => ras[(i & ~3) + columns[i & 3]!]!),
  };
}

/** In HU; the viewer's own array where it is that already. */
async function scaled({ data, unit, slope, inter, last }: ViewerVolume): Promise<VoxelArray> {
  const as = unit === 'HU' ? { slope: 1, inter: 0 } : { slope, inter };
  if (!Number.isFinite(as.slope) || as.slope === 0 || !Number.isFinite(as.inter)) {
    throw new DataError('viewer-scaling', 'Stored values cannot be made HU.', {
      found: `slope ${slope}, intercept ${inter}`,
      expected: 'finite numbers, a slope other than 0',
      fix: "repair the file's scaling, or pass unit 'HU' where the values are HU",
    });
  }
  if (as.slope === 1 && as.inter === 0 && last === undefined) return data;
  const out = data.BYTES_PER_ELEMENT < 4 ? new Float32Array(data.length) : new Float64Array(data.length);
  await inPieces(data.length, (from, to) => {
    for (let i = from; i < to; i++) out[i] = data[i]! * as.slope + as.inter;
  });
  if (last !== undefined) out[data.length - 1] = last * as.slope + as.inter;
  return out;
}

async function holds(data: VoxelArray, test: (v: number) => boolean): Promise<boolean> {
  let found = false;
  await inPieces(data.length, (from, to) => {
    for (let i = from; i < to && !found; i++) found = test(data[i]!);
    return !found;
  });
  return found;
}
