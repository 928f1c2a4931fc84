// How the slices of a series lie on one another: sorted along their normal, and whether they fill a volume. Nothing is guessed:
// what is missing, doubled or uneven is named.

import type { Vec3 } from '../affine.ts';
import { DataError } from '../errors.ts';
import type { ScanSeries } from './series.ts';
import type { DicomSlice } from './slice.ts';

export interface Plane {
  /** mm along the normal. */
  readonly at: number;
  /** More than one where images lie at the same place: they must be equal. */
  readonly slices: readonly DicomSlice[];
}

export interface Stack {
  /** Rising along the normal. */
  readonly planes: readonly Plane[];
  /** Direction of rising columns, of rising rows, and of both's normal, in L, P, S. */
  readonly along: Vec3;
  readonly down: Vec3;
  readonly normal: Vec3;
  /** mm between columns, between rows, between planes (their mean where they are even). */
  readonly spacing: Vec3;
  /** From one plane to the next, mm in L, P, S; along the normal but for a tilted gantry. */
  readonly step: Vec3;
  readonly even: boolean;
  /** Degrees between step and normal. */
  readonly tilt: number;
  /** Of the first pixel of the first plane. */
  readonly origin: Vec3;
}

/** Planes nearer than this are one, mm. */
const SAME = 0.01;
/** How far a plane may be from its place: a share of the step, and mm, since some scanners round positions to 0.1 mm. */
const EVEN = { share: 0.05, mm: 0.06 };
const near = (off: number, step: number, times = 1): boolean =>
  Math.abs(off) <= times * Math.max(EVEN.share * step, EVEN.mm);
/** A drift within the planes above this share of a pixel is a tilt. */
const DRIFT = 0.25;

/** @throws `dicom-geometry`, `dicom-orientation`, `dicom-slice-missing`, `dicom-positions` */
export function stackOf(series: ScanSeries): Stack {
  const { slices } = series;
  const { orientation, spacing } = slices[0]!;
  const bare = slices.find((s) => !s.position);
  if (!orientation || !spacing || bare) {
    throw new DataError('dicom-geometry', 'The series does not say where its slices lie.', {
      found: `${series.id}: ${!orientation ? 'no ImageOrientationPatient' : !spacing ? 'no PixelSpacing' : `no ImagePositionPatient in ${bare!.file}`}`,
      expected: 'position, orientation and pixel spacing of every slice',
      fix: 'choose another series',
    });
  }
  const { along, down, normal } = axesOf(orientation, series.id);
  const planes = planesOf(slices, normal);
  const first = planes[0]!.slices[0]!.position!;
  const last = planes.at(-1)!.slices[0]!.position!;
  const gaps = planes.slice(1).map((p, n) => p.at - planes[n]!.at);
  if (gaps.length === 0) {
    const thick = slices[0]!.between ?? slices[0]!.thickness;
    if (!thick) throw oneSlice(series);
    return {
      ...{ planes, along, down, normal, even: true, tilt: 0, origin: first },
      spacing: [spacing[1], spacing[0], thick],
      step: scaled(normal, thick),
    };
  }
  const usual = median(gaps);
  checkMissing(planes, gaps, usual, series);
  const step = scaled(minus(last, first), 1 / gaps.length);
  const mean = dot(step, normal);
  const even = planes.every((p, n) => near(p.at - planes[0]!.at - n * mean, mean));
  const drift = lineOf(planes, along, down, normal, spacing, series);
  return {
    ...{ planes, along, down, normal, even, origin: first },
    spacing: [spacing[1], spacing[0], even ? mean : usual],
    step: drift ? step : scaled(normal, mean),
    tilt: drift ? (Math.acos(Math.min(1, mean / length(step))) * 180) / Math.PI : 0,
  };
}

function axesOf(orientation: readonly number[], id: string): { along: Vec3; down: Vec3; normal: Vec3 } {
  const along = [orientation[0]!, orientation[1]!, orientation[2]!] as const;
  const down = [orientation[3]!, orientation[4]!, orientation[5]!] as const;
  const off = Math.max(Math.abs(length(along) - 1), Math.abs(length(down) - 1), Math.abs(dot(along, down)));
  if (off > 1e-3) {
    throw new DataError('dicom-orientation', 'The directions of rows and columns are not perpendicular units.', {
      found: `${orientation.join('\\')} in ${id}`,
      expected: 'two perpendicular vectors of length 1',
      fix: 'choose another series, or export this one again',
    });
  }
  return { along, down, normal: unit(cross(along, down)) };
}

function planesOf(slices: readonly DicomSlice[], normal: Vec3): Plane[] {
  const placed = slices.map((slice) => ({ slice, at: dot(slice.position!, normal) }));
  placed.sort((a, b) => a.at - b.at);
  const planes: { at: number; slices: DicomSlice[] }[] = [];
  for (const { slice, at } of placed) {
    const before = planes.at(-1);
    if (before && at - before.at < SAME) before.slices.push(slice);
    else planes.push({ at, slices: [slice] });
  }
  return planes;
}

/** A gap of two or more steps between even ones is a lost slice, not another spacing. */
function checkMissing(planes: readonly Plane[], gaps: readonly number[], usual: number, series: ScanSeries): void {
  const holes = gaps.flatMap((gap, n) => {
    const steps = gap / usual;
    const whole = Math.round(steps);
    return whole >= 2 && Math.abs(steps - whole) < 0.1 ? [{ n, lost: whole - 1 }] : [];
  });
  const regular = gaps.filter((gap) => near(gap - usual, usual, 2)).length;
  if (holes.length === 0 || holes.length + regular < gaps.length) return;
  // As many holes as steps: the spacing changes along the scan, and it is not said that anything was lost.
  if (holes.length > gaps.length / 4) return;
  const told = holes.slice(0, 4).map(({ n, lost }) => {
    const [a, b] = [planes[n]!, planes[n + 1]!];
    const number = (p: Plane) => p.slices[0]!.instanceNumber ?? p.slices[0]!.file;
    return `${lost} between images ${number(a)} and ${number(b)} (${a.at.toFixed(2)} and ${b.at.toFixed(2)} mm)`;
  });
  throw new DataError('dicom-slice-missing', 'Slices of the series are missing.', {
    found: `${series.id}: ${told.join('; ')}${holes.length > 4 ? `; ${holes.length - 4} more gaps` : ''}`,
    expected: `a slice every ${usual.toFixed(3)} mm`,
    fix: 'export the series again, or choose another',
  });
}

/** Whether the planes drift sideways; they must do so along a line. @throws `dicom-positions` */
function lineOf(
  planes: readonly Plane[],
  along: Vec3,
  down: Vec3,
  normal: Vec3,
  spacing: readonly [number, number],
  series: ScanSeries,
): boolean {
  const first = planes[0]!;
  const height = planes.at(-1)!.at - first.at;
  const sideways = (p: Plane): readonly [number, number] => {
    const d = minus(p.slices[0]!.position!, first.slices[0]!.position!);
    return [dot(d, along) / spacing[1], dot(d, down) / spacing[0]];
  };
  const end = sideways(planes.at(-1)!);
  let most = 0;
  let at = first;
  for (const p of planes) {
    const share = (p.at - first.at) / height;
    const [x, y] = sideways(p);
    const off = Math.hypot(x - share * end[0], y - share * end[1]);
    if (off > most) {
      most = off;
      at = p;
    }
  }
  if (most > DRIFT) {
    throw new DataError('dicom-positions', 'The slices of the series do not lie along a line.', {
      found: `${series.id}: ${at.slices[0]!.file} lies ${most.toFixed(2)} pixels beside it (normal ${normal.map((v) => v.toFixed(3)).join(', ')})`,
      expected: 'slices above one another, or a steady tilt',
      fix: 'choose another series: this one is radial, curved, or of several stacks',
    });
  }
  return Math.hypot(...end) > DRIFT;
}

function oneSlice(series: ScanSeries): DataError {
  return new DataError('dicom-geometry', 'A single slice does not say how thick it is.', {
    found: `${series.id} with one slice and no SliceThickness`,
    expected: 'a series of slices',
    fix: 'give the folder of the whole series',
  });
}

export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const scaled = (a: Vec3, s: number): Vec3 => [a[0] * s, a[1] * s, a[2] * s];
export const minus = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const plus = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
const length = (a: Vec3): number => Math.sqrt(dot(a, a));
const unit = (a: Vec3): Vec3 => scaled(a, 1 / length(a));

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}
