// 4×4 affine matrices, row-major, that take voxel indices (i, j, k, 1) to world millimetres (R, A, S).

import { DataError } from './errors.ts';

/** Row-major 4×4, last row 0 0 0 1. */
export type Affine = readonly number[];
export type Vec3 = readonly [number, number, number];

export const IDENTITY: Affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

/** Axis-aligned affine of the given spacing (mm) whose voxel (0,0,0) lies at `origin` (mm). */
export function diagonalAffine(spacing: Vec3, origin: Vec3 = [0, 0, 0]): number[] {
  const [a, b, c] = spacing;
  return [a, 0, 0, origin[0], 0, b, 0, origin[1], 0, 0, c, origin[2], 0, 0, 0, 1];
}

/** a · b. */
export function multiply(a: Affine, b: Affine): number[] {
  const out = new Array<number>(16).fill(0);
  for (let r = 0; r < 4; r++)
    for (let c = 0; c < 4; c++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += a[r * 4 + k]! * b[k * 4 + c]!;
      out[r * 4 + c] = sum;
    }
  return out;
}

export function apply(a: Affine, p: Vec3): [number, number, number] {
  const [x, y, z] = p;
  return [
    a[0]! * x + a[1]! * y + a[2]! * z + a[3]!,
    a[4]! * x + a[5]! * y + a[6]! * z + a[7]!,
    a[8]! * x + a[9]! * y + a[10]! * z + a[11]!,
  ];
}

export function determinant3(a: Affine): number {
  return (
    a[0]! * (a[5]! * a[10]! - a[6]! * a[9]!) -
    a[1]! * (a[4]! * a[10]! - a[6]! * a[8]!) +
    a[2]! * (a[4]! * a[9]! - a[5]! * a[8]!)
  );
}

/** @throws `affine-singular` */
export function invert(a: Affine): number[] {
  const det = determinant3(a);
  if (!(Math.abs(det) > 1e-12)) {
    throw new DataError('affine-singular', 'The affine cannot be inverted.', {
      found: `determinant ${det} of [${a.slice(0, 12).join(', ')}]`,
      expected: 'three linearly independent voxel axes',
      fix: "repair the file's sform/qform and spacing",
    });
  }
  const m = [
    a[5]! * a[10]! - a[6]! * a[9]!,
    a[2]! * a[9]! - a[1]! * a[10]!,
    a[1]! * a[6]! - a[2]! * a[5]!,
    a[6]! * a[8]! - a[4]! * a[10]!,
    a[0]! * a[10]! - a[2]! * a[8]!,
    a[2]! * a[4]! - a[0]! * a[6]!,
    a[4]! * a[9]! - a[5]! * a[8]!,
    a[1]! * a[8]! - a[0]! * a[9]!,
    a[0]! * a[5]! - a[1]! * a[4]!,
  ].map((v) => v / det);
  const out = new Array<number>(16).fill(0);
  for (let r = 0; r < 3; r++) {
    for (let c = 0; c < 3; c++) out[r * 4 + c] = m[r * 3 + c]!;
    out[r * 4 + 3] = -(m[r * 3]! * a[3]! + m[r * 3 + 1]! * a[7]! + m[r * 3 + 2]! * a[11]!);
  }
  out[15] = 1;
  return out;
}

/** Distance between neighbouring voxel centres along each voxel axis, mm. */
export function spacingOf(a: Affine): [number, number, number] {
  const column = (c: number) => Math.sqrt(a[c]! ** 2 + a[4 + c]! ** 2 + a[8 + c]! ** 2);
  return [column(0), column(1), column(2)];
}

/** The affine of a grid whose voxel (0,0,0) is voxel `start` of the grid that `a` describes. */
export function shifted(a: Affine, start: Vec3): number[] {
  const origin = apply(a, start);
  const out = [...a];
  out[3] = origin[0];
  out[7] = origin[1];
  out[11] = origin[2];
  return out;
}

/** The same directions and origin with other spacing (mm). */
export function withSpacing(a: Affine, spacing: Vec3): number[] {
  const old = spacingOf(a);
  const out = [...a];
  for (let r = 0; r < 3; r++) for (let c = 0; c < 3; c++) out[r * 4 + c] = (a[r * 4 + c]! / old[c]!) * spacing[c]!;
  return out;
}

/** Largest absolute difference of the entries, for tests of equality. */
export function distance(a: Affine, b: Affine): number {
  let worst = 0;
  for (let i = 0; i < 16; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}
