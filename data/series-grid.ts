// How a label map lies on the images of a DICOM series: which of its axes are columns, rows and frames, and which image each
// frame is on. DICOM's world is (left, posterior, superior), the volumes' (right, anterior, superior).

import { apply, spacingOf, type Vec3 } from './affine.ts';
import { DataError } from './errors.ts';
import { showDims, type Volume } from './volume.ts';

/** One image of a series. */
export interface SeriesInstance {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  /** ImagePositionPatient: centre of the first pixel, mm in L, P, S. */
  readonly position: Vec3;
  /** Of an instance of many frames, from 1. */
  readonly frame?: number;
}

export interface SeriesGeometry {
  readonly rows: number;
  readonly columns: number;
  /** ImageOrientationPatient: direction of a row (columns rising), then of a column, in L, P, S. */
  readonly orientation: readonly number[];
  readonly instances: readonly SeriesInstance[];
}

export interface FramePlane {
  /** Of the frame's first pixel, mm in L, P, S. */
  readonly position: Vec3;
  /** The image that lies in this plane; none where the labels' slices are not those of the series. */
  readonly instance: SeriesInstance | null;
}

export interface FrameGrid {
  readonly columns: number;
  readonly rows: number;
  /** In order along the normal of the images. */
  readonly planes: readonly FramePlane[];
  /** mm between rows, between columns, and between planes. */
  readonly spacing: Vec3;
  /** Voxel of (frame, row, column): origin + frame · step[0] + row · step[1] + column · step[2]. */
  readonly origin: number;
  readonly step: Vec3;
}

/** mm by which a plane may miss its image: the affine of a NIfTI file has 32 bits. */
const NEAR = 0.1;

/** @throws `dicom-seg-grid` where the labels do not lie on the pixels of the series */
export function gridOnSeries(labels: Omit<Volume, 'data'>, series: SeriesGeometry): FrameGrid {
  const { dims, affine } = labels;
  const spacing = spacingOf(affine);
  const direction = (a: number): Vec3 => [
    -affine[a]! / spacing[a]!,
    -affine[4 + a]! / spacing[a]!,
    affine[8 + a]! / spacing[a]!,
  ];
  const axes = [0, 1, 2].map(direction);
  const [rx, ry, rz, cx, cy, cz] = series.orientation as [number, number, number, number, number, number];
  const along: Vec3 = [rx, ry, rz];
  const down: Vec3 = [cx, cy, cz];
  const normal: Vec3 = [ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx];
  const parallel = (target: Vec3) => axes.findIndex((axis) => Math.abs(dot(axis, target)) > 0.9999);
  const column = parallel(along);
  const row = parallel(down);
  const frame = 3 - column - row;
  const fits = column >= 0 && row >= 0 && dims[column] === series.columns && dims[row] === series.rows;
  if (!fits) throw offGrid(labels, series, 'their axes or their sizes differ');
  const stride = [dims[1] * dims[2], dims[2], 1];
  const turned = (
    [
      [frame, normal],
      [row, down],
      [column, along],
    ] as const
  ).map(([a, target]) => ({
    a,
    flip: dot(axes[a]!, target) < 0,
  }));
  const first: [number, number, number] = [0, 0, 0];
  for (const { a, flip } of turned) if (flip) first[a] = dims[a]! - 1;
  const steps = turned.map(({ a, flip }) => (flip ? -stride[a]! : stride[a]!));
  const planes = Array.from({ length: dims[frame]! }, (_, n): FramePlane => {
    const at: [number, number, number] = [...first];
    at[frame] = turned[0]!.flip ? first[frame]! - n : n;
    const [x, y, z] = apply(affine, at);
    const instance = nearestInstance([-x, -y, z], series.instances);
    return { position: instance?.position ?? [round(-x), round(-y), round(z)], instance };
  });
  if (planes.every((p) => p.instance === null)) throw offGrid(labels, series, 'no slice is where an image is');
  return {
    columns: series.columns,
    rows: series.rows,
    planes,
    spacing: [round(spacing[row]!), round(spacing[column]!), round(spacing[frame]!)],
    origin: first[0] * stride[0]! + first[1] * stride[1]! + first[2] * stride[2]!,
    step: [steps[0]!, steps[1]!, steps[2]!],
  };
}

/** Nanometres: rounding of the affine must not show in a file. */
const round = (mm: number): number => Math.round(mm * 1e6) / 1e6;

const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

function nearestInstance(position: Vec3, instances: readonly SeriesInstance[]): SeriesInstance | null {
  let best: SeriesInstance | null = null;
  let least = NEAR;
  for (const instance of instances) {
    const [dx, dy, dz] = position.map((p, a) => p - instance.position[a]!) as [number, number, number];
    const away = Math.hypot(dx, dy, dz);
    if (away > least) continue;
    least = away;
    best = instance;
  }
  return best;
}

function offGrid(labels: Omit<Volume, 'data'>, series: SeriesGeometry, why: string): DataError {
  const at = series.instances[0]?.position.map((v) => v.toFixed(2)).join(', ');
  return new DataError('dicom-seg-grid', `The labels do not lie on the images of the series: ${why}.`, {
    found: `labels ${showDims(labels.dims)}, affine [${labels.affine.slice(0, 12).map((v) => Number(v.toFixed(3)))}]`,
    expected: `${series.columns} columns × ${series.rows} rows in directions ${series.orientation.join('\\')}, the first image at ${at} (L, P, S)`,
    fix: 'segment the series itself, or write NIfTI (.nii.gz)',
  });
}
