// A series as a volume in HU: each slice rescaled by its own numbers, padding made air, uneven slices and a tilted gantry refused
// or resampled, and the axes turned from DICOM's world (L, P, S) to ours (R, A, S).

import type { Affine, Vec3 } from '../affine.ts';
import { DataError } from '../errors.ts';
import { transpose } from '../nifti.ts';
import type { Volume } from '../volume.ts';
import type { DataSet } from './file.ts';
import { frameValues } from './pixels.ts';
import { straightened, unevenToEven } from './regrid.ts';
import type { ScanSeries } from './series.ts';
import type { DicomSlice } from './slice.ts';
import { plus, type Stack, scaled, stackOf } from './stack.ts';

export interface DicomVolumeOptions {
  /** Slices at uneven distances. Default refuse. */
  readonly uneven?: 'refuse' | 'resample';
  /** A tilted gantry. Default resample: each slice is shifted back within its plane, which is wide enough to lose nothing. */
  readonly tilt?: 'refuse' | 'resample';
  readonly signal?: AbortSignal;
}

export interface DicomVolume {
  /** d h w = columns, rows, slices; Int16 where every HU is whole, else Float32. */
  readonly volume: Volume<Int16Array | Float32Array>;
  /** What was done to it beside reading. */
  readonly notes: readonly string[];
}

/** HU of what is outside the field of view. */
export const AIR = -1024;

/** Values in order of the file: plane, row, column. */
export interface PlaneStack {
  readonly data: Float32Array | Int16Array;
  /** Columns, rows, planes. */
  readonly size: readonly [number, number, number];
}

/**
 * @param load the whole file of a slice, parsed
 * @throws `dicom-geometry`, `dicom-orientation`, `dicom-positions`, `dicom-slice-missing`, `dicom-slices-doubled`,
 *   `dicom-spacing-uneven`, `dicom-tilt`, `dicom-rescale`, `dicom-pixels`, `dicom-truncated`, `dicom-transfer-syntax`,
 *   `dicom-package`, and what `load` throws
 */
export async function seriesVolume(
  series: ScanSeries,
  load: (file: string) => Promise<DataSet>,
  options: DicomVolumeOptions = {},
): Promise<DicomVolume> {
  const stack = stackOf(series);
  const { uneven = 'refuse', tilt = 'resample' } = options;
  if (!stack.even && uneven === 'refuse') throw unevenError(series, stack);
  if (stack.tilt > 0 && tilt === 'refuse') throw tiltError(series, stack);
  const notes: string[] = [];
  let { data, size } = await readPlanes(series, stack, load, notes, options.signal);
  let { origin, step } = stack;
  if (!stack.even) {
    const at = stack.planes.map((p) => p.at);
    const resampled = unevenToEven({ data, size }, at, stack.spacing[2]);
    const most = Math.max(...at.slice(1).map((v, n) => v - at[n]!));
    const least = Math.min(...at.slice(1).map((v, n) => v - at[n]!));
    notes.push(
      `slices ${least.toFixed(2)} to ${most.toFixed(2)} mm apart, resampled to ${stack.spacing[2].toFixed(2)} mm`,
    );
    // Along the line that the positions lie on.
    step = scaled(stack.step, stack.spacing[2] / ((at.at(-1)! - at[0]!) / (at.length - 1)));
    ({ data, size } = resampled);
  }
  if (stack.tilt > 0) {
    const upright = straightened({ data, size }, stack, step, AIR);
    notes.push(`gantry tilted by ${stack.tilt.toFixed(1)}°, slices shifted within their planes`);
    ({ data, size } = upright);
    origin = plus(origin, upright.shift);
    step = upright.step;
  }
  const [columns, rows, planes] = size;
  return {
    volume: {
      data: transpose(data, planes, rows, columns),
      dims: [columns, rows, planes],
      affine: affineOf(stack, origin, step),
      header: { description: series.description.slice(0, 79), formCode: 1 },
    },
    notes,
  };
}

function affineOf(stack: Stack, origin: Vec3, step: Vec3): Affine {
  const columns = [scaled(stack.along, stack.spacing[0]), scaled(stack.down, stack.spacing[1]), step, origin];
  const row = (r: 0 | 1 | 2): number[] => columns.map((c) => (r === 2 ? c[r] : 0 - c[r]));
  return [...row(0), ...row(1), ...row(2), 0, 0, 0, 1];
}

async function readPlanes(
  series: ScanSeries,
  stack: Stack,
  load: (file: string) => Promise<DataSet>,
  notes: string[],
  signal?: AbortSignal,
): Promise<PlaneStack> {
  const { rows, columns } = series.slices[0]!.pixels;
  const area = rows * columns;
  const whole = series.slices.every((s) => Number.isInteger(s.slope) && Number.isInteger(s.intercept));
  let data: Int16Array | Float32Array = new (whole ? Int16Array : Float32Array)(area * stack.planes.length);
  let padded = 0;
  let doubled = 0;
  // An enhanced file holds many slices: the last one stays parsed.
  let open: { file: string; set: DataSet } | null = null;
  const read = async (slice: DicomSlice): Promise<{ hu: Float64Array; padded: number }> => {
    signal?.throwIfAborted();
    if (open?.file !== slice.file) open = { file: slice.file, set: await load(slice.file) };
    return huOf(slice, await frameValues(open.set, slice.pixels, slice.frame, slice.file));
  };
  for (const [n, plane] of stack.planes.entries()) {
    const { hu, padded: here } = await read(plane.slices[0]!);
    padded += here;
    for (const other of plane.slices.slice(1)) {
      const again = (await read(other)).hu;
      if (!hu.every((v, i) => v === again[i])) throw doubledError(series, plane.slices[0]!, other, plane.at);
      doubled++;
    }
    if (data instanceof Int16Array && hu.some((v) => v < -32768 || v > 32767)) data = Float32Array.from(data);
    data.set(hu, n * area);
  }
  if (doubled > 0) notes.push(`${doubled} images are there twice; one of each was taken`);
  if (padded > 0) notes.push(`${padded} padded pixels set to ${AIR} HU`);
  if (series.slices.some((s) => s.pixels.lossy)) notes.push('the pixels were compressed with loss');
  return { data, size: [columns, rows, stack.planes.length] };
}

function huOf(slice: DicomSlice, stored: ArrayLike<number>): { hu: Float64Array; padded: number } {
  const { slope, intercept, padding, rescaleType } = slice;
  const known = rescaleType === undefined || /^(HU|US)$/i.test(rescaleType);
  if (slope === undefined || intercept === undefined || slope === 0 || !known) {
    throw new DataError('dicom-rescale', 'The pixels cannot be turned into HU.', {
      found: `${slice.file}: slope ${slope ?? 'not told'}, intercept ${intercept ?? 'not told'}${known ? '' : `, type ${rescaleType}`}`,
      expected: 'RescaleSlope and RescaleIntercept of every slice, in HU',
      fix: 'choose another series',
    });
  }
  const hu = new Float64Array(stored.length);
  const [low, high] = padding ?? [1, 0];
  let padded = 0;
  for (let i = 0; i < hu.length; i++) {
    const v = stored[i]!;
    if (v >= low && v <= high) {
      hu[i] = AIR;
      padded++;
    } else hu[i] = v * slope + intercept;
  }
  return { hu, padded };
}

function doubledError(series: ScanSeries, a: DicomSlice, b: DicomSlice, at: number): DataError {
  return new DataError('dicom-slices-doubled', 'Two different images lie at one place.', {
    found: `${series.id}: ${a.file} and ${b.file} at ${at.toFixed(2)} mm`,
    expected: 'one image a place, or acquisition numbers, phases or kernels that tell the stacks apart',
    fix: 'export one reconstruction by itself',
  });
}

function unevenError(series: ScanSeries, stack: Stack): DataError {
  const gaps = stack.planes.slice(1).map((p, n) => p.at - stack.planes[n]!.at);
  return new DataError('dicom-spacing-uneven', 'The slices are not evenly spaced.', {
    found: `${series.id}: from ${Math.min(...gaps).toFixed(3)} to ${Math.max(...gaps).toFixed(3)} mm apart`,
    expected: 'one distance between all slices',
    fix: "choose another series, or resample it: uneven: 'resample' (t3dc data prepare --uneven resample)",
  });
}

function tiltError(series: ScanSeries, stack: Stack): DataError {
  return new DataError('dicom-tilt', 'The gantry was tilted.', {
    found: `${series.id}: slices ${stack.tilt.toFixed(1)}° off their normal`,
    expected: 'slices straight above one another',
    fix: "resample it: tilt: 'resample'",
  });
}
