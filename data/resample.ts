// Resampling between voxel grids in world space: linear for images, nearest for labels.
//
// Conventions are those of MONAI's `Spacing` (align_corners=False, padding_mode="border", diagonal=False): the first voxel's
// centre stays where it is, the new grid has round((n − 1)·old/new + 1) voxels along an axis (halves to even), coordinates
// outside the volume take the nearest border voxel, and nothing is smoothed before going to a coarser grid.

import { type Affine, invert, multiply, spacingOf, type Vec3, withSpacing } from './affine.ts';
import { allocateLike, type Dims, type Volume, type VoxelArray, voxelCount } from './volume.ts';

export interface Grid {
  readonly dims: Dims;
  readonly affine: Affine;
}

/** The grid that covers `grid` at another spacing (mm). */
export function gridAtSpacing(grid: Grid, spacing: Vec3): Grid {
  const old = spacingOf(grid.affine);
  const count = (axis: number) =>
    Math.max(1, roundHalfEven(snap(((grid.dims[axis]! - 1) * old[axis]!) / spacing[axis]!) + 1));
  return { dims: [count(0), count(1), count(2)], affine: withSpacing(grid.affine, spacing) };
}

/** An image at `spacing` (mm along d, h, w), trilinear. Float32 [d, h, w]. */
export function resampleImage(volume: Volume, spacing: Vec3): Volume<Float32Array> {
  return resampleLinear(volume, gridAtSpacing(volume, spacing));
}

/** A label map at `spacing` (mm along d, h, w), nearest neighbour; keeps its element type. */
export function resampleLabels<T extends VoxelArray>(volume: Volume<T>, spacing: Vec3): Volume<T> {
  return resampleNearest(volume, gridAtSpacing(volume, spacing));
}

/** Trilinear onto any grid. Float32 [d, h, w] of `grid`. */
export function resampleLinear(volume: Volume, grid: Grid): Volume<Float32Array> {
  const matrix = multiply(invert(volume.affine), grid.affine);
  const data = isDiagonal(matrix) ? linearSeparable(volume, grid, matrix) : linearGeneral(volume, grid, matrix);
  return { ...volume, data, dims: grid.dims, affine: grid.affine };
}

/** Nearest neighbour (halves to even, as PyTorch) onto any grid. */
export function resampleNearest<T extends VoxelArray>(volume: Volume<T>, grid: Grid): Volume<T> {
  const matrix = multiply(invert(volume.affine), grid.affine);
  const data = isDiagonal(matrix) ? nearestSeparable(volume, grid, matrix) : nearestGeneral(volume, grid, matrix);
  return { ...volume, data, dims: grid.dims, affine: grid.affine };
}

/** Rounding noise of the affines must not decide which side of a voxel's border a point is on. */
const snap = (x: number): number => Math.round(x * 2 ** 20) / 2 ** 20;

function roundHalfEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  if (rest !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

const clamp = (x: number, top: number): number => (x < 0 ? 0 : Math.min(x, top));

function isDiagonal(m: Affine): boolean {
  return [1, 2, 4, 6, 8, 9].every((i) => Math.abs(m[i]!) < 1e-7);
}

/** Per output index of one axis: the two input indices and the weight of the second. */
export interface LinearAxis {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly weight: Float64Array;
}

/** How `n` outputs lie among `inputs` voxels of one axis: output o at input o · scale + shift. */
export function linearAxis(n: number, inputs: number, scale: number, shift: number): LinearAxis {
  const low = new Int32Array(n);
  const high = new Int32Array(n);
  const weight = new Float64Array(n);
  for (let o = 0; o < n; o++) {
    const x = clamp(snap(o * scale + shift), inputs - 1);
    const i = Math.floor(x);
    low[o] = i;
    high[o] = Math.min(i + 1, inputs - 1);
    weight[o] = x - i;
  }
  return { low, high, weight };
}

/** The input nearest to each of `n` outputs. */
export function nearestAxis(n: number, inputs: number, scale: number, shift: number): Int32Array {
  return Int32Array.from({ length: n }, (_, o) => clamp(roundHalfEven(snap(o * scale + shift)), inputs - 1));
}

/** Four input rows, at offsets aa and ab of `near`, ba and bb of `far`, to one that every output of a row is taken from. */
export function mixRows(
  row: Float64Array,
  near: VoxelArray,
  aa: number,
  ab: number,
  far: VoxelArray,
  ba: number,
  bb: number,
  wj: number,
  wi: number,
): void {
  const n = row.length;
  if (wi === 0 && wj === 0) for (let k = 0; k < n; k++) row[k] = near[aa + k]!;
  else {
    for (let k = 0; k < n; k++) {
      const a = near[aa + k]! + wj * (near[ab + k]! - near[aa + k]!);
      const b = far[ba + k]! + wj * (far[bb + k]! - far[ba + k]!);
      row[k] = a + wi * (b - a);
    }
  }
}

/** One output row from the mixed one, into `out` from `to` on. */
export function sampleRow(out: Float32Array, to: number, row: Float64Array, { low, high, weight }: LinearAxis): void {
  for (let k = 0; k < low.length; k++) {
    const a = row[low[k]!]!;
    out[to + k] = a + weight[k]! * (row[high[k]!]! - a);
  }
}

function linearSeparable(volume: Volume, grid: Grid, m: Affine): Float32Array {
  const [dIn, hIn, wIn] = volume.dims;
  const [d, h, w] = grid.dims;
  const ti = linearAxis(d, dIn, m[0]!, m[3]!);
  const tj = linearAxis(h, hIn, m[5]!, m[7]!);
  const tk = linearAxis(w, wIn, m[10]!, m[11]!);
  const src = volume.data;
  const out = new Float32Array(voxelCount(grid.dims));
  const row = new Float64Array(wIn);
  const at = (i: number, j: number) => (i * hIn + j) * wIn;
  for (let i = 0; i < d; i++) {
    const [a, b] = [ti.low[i]!, ti.high[i]!];
    for (let j = 0; j < h; j++) {
      const [p, q] = [tj.low[j]!, tj.high[j]!];
      mixRows(row, src, at(a, p), at(a, q), src, at(b, p), at(b, q), tj.weight[j]!, ti.weight[i]!);
      sampleRow(out, (i * h + j) * w, row, tk);
    }
  }
  return out;
}

function nearestSeparable<T extends VoxelArray>(volume: Volume<T>, grid: Grid, m: Affine): T {
  const table = (axis: number) => nearestAxis(grid.dims[axis]!, volume.dims[axis]!, m[axis * 5]!, m[axis * 4 + 3]!);
  const [ti, tj, tk] = [table(0), table(1), table(2)];
  const [, hIn, wIn] = volume.dims;
  const [d, h, w] = grid.dims;
  const out = allocateLike(volume.data, voxelCount(grid.dims));
  for (let i = 0, to = 0; i < d; i++)
    for (let j = 0; j < h; j++) {
      const from = (ti[i]! * hIn + tj[j]!) * wIn;
      for (let k = 0; k < w; k++) out[to++] = volume.data[from + tk[k]!]!;
    }
  return out;
}

/** Calls `visit(offset, x, y, z)` with the input coordinates of every output voxel. */
function walk(grid: Grid, m: Affine, visit: (to: number, x: number, y: number, z: number) => void): void {
  const [d, h, w] = grid.dims;
  for (let i = 0, to = 0; i < d; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++, to++) {
        visit(
          to,
          snap(m[0]! * i + m[1]! * j + m[2]! * k + m[3]!),
          snap(m[4]! * i + m[5]! * j + m[6]! * k + m[7]!),
          snap(m[8]! * i + m[9]! * j + m[10]! * k + m[11]!),
        );
      }
}

function linearGeneral(volume: Volume, grid: Grid, m: Affine): Float32Array {
  const [dIn, hIn, wIn] = volume.dims;
  const src = volume.data;
  const out = new Float32Array(voxelCount(grid.dims));
  walk(grid, m, (to, x, y, z) => {
    const cx = clamp(x, dIn - 1);
    const cy = clamp(y, hIn - 1);
    const cz = clamp(z, wIn - 1);
    const i = Math.floor(cx);
    const j = Math.floor(cy);
    const k = Math.floor(cz);
    const di = i + 1 < dIn ? hIn * wIn : 0;
    const dj = j + 1 < hIn ? wIn : 0;
    const dk = k + 1 < wIn ? 1 : 0;
    const at = (i * hIn + j) * wIn + k;
    const mix = (p: number) => src[p]! + (cz - k) * (src[p + dk]! - src[p]!);
    const near = mix(at) + (cy - j) * (mix(at + dj) - mix(at));
    const far = mix(at + di) + (cy - j) * (mix(at + di + dj) - mix(at + di));
    out[to] = near + (cx - i) * (far - near);
  });
  return out;
}

function nearestGeneral<T extends VoxelArray>(volume: Volume<T>, grid: Grid, m: Affine): T {
  const [dIn, hIn, wIn] = volume.dims;
  const out = allocateLike(volume.data, voxelCount(grid.dims));
  walk(grid, m, (to, x, y, z) => {
    const i = clamp(roundHalfEven(x), dIn - 1);
    const j = clamp(roundHalfEven(y), hIn - 1);
    const k = clamp(roundHalfEven(z), wIn - 1);
    out[to] = volume.data[(i * hIn + j) * wIn + k]!;
  });
  return out;
}
