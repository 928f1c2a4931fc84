// Stacks of planes that are no grid yet: uneven ones interpolated to even distances, tilted ones shifted upright. Linear.

import type { Vec3 } from '../affine.ts';
import { dot, minus, plus, type Stack, scaled } from './stack.ts';
import type { PlaneStack } from './volume.ts';

/** Planes every `spacing` mm from the first on, each between its two neighbours. @param at mm of each plane, rising */
export function unevenToEven({ data, size }: PlaneStack, at: readonly number[], spacing: number): PlaneStack {
  const [columns, rows] = size;
  const area = columns * rows;
  // The last plane may lie a rounding beyond.
  const planes = Math.floor((at.at(-1)! - at[0]!) / spacing + 1e-3) + 1;
  const out = new Float32Array(area * planes);
  for (let n = 0, low = 0; n < planes; n++) {
    const z = Math.min(at[0]! + n * spacing, at.at(-1)!);
    while (low + 2 < at.length && at[low + 1]! <= z) low++;
    const t = (z - at[low]!) / (at[low + 1]! - at[low]!);
    const [a, b] = [low * area, (low + 1) * area];
    for (let i = 0; i < area; i++) out[n * area + i] = data[a + i]! + t * (data[b + i]! - data[a + i]!);
  }
  return { data: out, size: [columns, rows, planes] };
}

export interface Upright extends PlaneStack {
  /** By which the first pixel moved, mm. */
  readonly shift: Vec3;
  readonly step: Vec3;
}

/** Slices that drift by `step` shifted within their planes, so that they lie along the normal, on planes that hold all of them. */
export function straightened({ data, size }: PlaneStack, stack: Stack, step: Vec3, fill: number): Upright {
  const [columns, rows, planes] = size;
  const { along, down, normal, spacing } = stack;
  const upright = scaled(normal, dot(step, normal));
  const drift = minus(step, upright);
  const [dx, dy] = [dot(drift, along) / spacing[0], dot(drift, down) / spacing[1]];
  const reach = (d: number): [number, number] => {
    const end = d * (planes - 1);
    return [Math.floor(Math.min(0, end)), Math.ceil(Math.max(0, end))];
  };
  const [[x0, x1], [y0, y1]] = [reach(dx), reach(dy)];
  const [wide, high] = [columns + x1 - x0, rows + y1 - y0];
  const out = new Float32Array(wide * high * planes);
  for (let n = 0; n < planes; n++) {
    const plane = data.subarray(n * columns * rows, (n + 1) * columns * rows);
    const value = (x: number, y: number): number =>
      x < 0 || y < 0 || x >= columns || y >= rows ? fill : plane[y * columns + x]!;
    for (let j = 0; j < high; j++)
      for (let i = 0; i < wide; i++) {
        const [x, y] = [i + x0 - n * dx, j + y0 - n * dy];
        const [ix, iy] = [Math.floor(x), Math.floor(y)];
        const [fx, fy] = [x - ix, y - iy];
        const top = value(ix, iy) + fx * (value(ix + 1, iy) - value(ix, iy));
        const low = value(ix, iy + 1) + fx * (value(ix + 1, iy + 1) - value(ix, iy + 1));
        out[(n * high + j) * wide + i] = top + fy * (low - top);
      }
  }
  const shift = plus(scaled(along, x0 * spacing[0]), scaled(down, y0 * spacing[1]));
  return { data: out, size: [wide, high, planes], shift, step: upright };
}
