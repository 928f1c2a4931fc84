// From a prepared scan to labels on the scan's own grid: blended logits are resampled and arg-maxed as each slab of them is
// finished. Neither the logits nor the probabilities of the whole scan are ever held; beside the ring of data/window-slabs.ts
// there are two slabs of logits, and the labels.

import { invert, multiply } from './affine.ts';
import { allocateLabels, labelLine } from './blend.ts';
import type { Box } from './pad.ts';
import type { Placement, Prepared } from './prepare.ts';
import { type LinearAxis, linearAxis, mixRows, nearestAxis, sampleRow } from './resample.ts';
import { type Volume, voxelCount } from './volume.ts';
import { type FinishedSlab, type Rows, SlidingWindows } from './window-slabs.ts';
import type { Predict, WindowOptions } from './windows.ts';

export interface ScanOptions extends WindowOptions {
  /** How a voxel of the scan takes its logits from the prepared grid. `linear` (default): trilinear, so that borders are finer
   *  than the prepared voxels. `nearest`: the labels of the prepared grid as they are. */
  readonly resample?: 'linear' | 'nearest';
  /** Probabilities, slab by slab, those that the labels are the highest of. */
  readonly onProbabilities?: (slab: ProbabilitySlab) => void;
}

export interface ProbabilitySlab {
  /** Voxels of the canonical grid (`Placement.canonical`), one thick along d. What no slab covers is background. */
  readonly box: Box;
  /** [class, h, w] of the box, each voxel's summing to 1. Valid during the call alone. */
  readonly values: Float32Array;
}

/**
 * Labels on the grid of the scan that was prepared, 0 outside the foreground box; the lowest class wins a tie. They are those
 * of blending all logits, resampling them and taking the argmax, to the bit, for any `maxBytes`.
 * @throws as `segmentWindows`
 */
export async function segmentScan(
  prepared: Pick<Prepared, 'image' | 'dims' | 'affine' | 'placement'>,
  predict: Predict,
  options: ScanOptions,
): Promise<{ labels: Volume<Uint8Array | Uint16Array>; windows: number }> {
  const { placement, dims } = prepared;
  const windows = new SlidingWindows(prepared.image, dims, predict, options);
  const data = allocateLabels(options.classes, voxelCount(placement.input.dims));
  const linear = options.resample !== 'nearest';
  const target = { classes: options.classes, put: writer(data, placement), onProbabilities: options.onProbabilities };
  const make = (rows: Rows) => (linear ? linearSlabs(prepared, rows, target) : nearestSlabs(prepared, rows, target));
  // A linear strip sees the first row of the next one too.
  const strips = windows.strips(linear ? 2 : 0, linear ? 1 : 0);
  const needed = strips.map(({ from, to }) => ({ from, to: Math.min(dims[1], to + (linear ? 1 : 0)) }));
  const total = needed.reduce((n, rows) => n + windows.through(rows).length, 0);
  let done = 0;
  for (const [n, rows] of strips.entries())
    await windows.run(needed[n]!, make(rows), () => options.onProgress?.(++done, total));
  return { labels: { ...placement.input, data }, windows: total };
}

type Labels = Uint8Array | Uint16Array;

interface Target {
  readonly classes: number;
  /** Labels of the box's row (i, j). */
  put(i: number, j: number, line: Labels): void;
  readonly onProbabilities?: (slab: ProbabilitySlab) => void;
}

type Grids = Pick<Prepared, 'dims' | 'affine' | 'placement'>;

/** Each finished slab is normalised and kept until the next one is there: an output slab lies between two. */
function linearSlabs({ dims, affine, placement }: Grids, rows: Rows, target: Target) {
  const { box } = placement;
  const m = boxToPrepared(affine, placement);
  const [ti, tj, tk] = [0, 1, 2].map((a) => linearAxis(box.size[a]!, dims[a]!, m[a * 5]!, m[a * 4 + 3]!)) as [
    LinearAxis,
    LinearAxis,
    LinearAxis,
  ];
  const mine = outputsFrom(tj.low, rows);
  const w = dims[2];
  const last = Math.min(dims[1], rows.to + 1);
  const held = [0, 1].map(() => classArrays(target.classes, (last - rows.from) * w));
  const lines = classArrays(target.classes, box.size[2]);
  const mixed = new Float64Array(w);
  const labels = allocateLabels(target.classes, box.size[2]);
  const probabilities = probabilitySlab(target, box, mine);
  let next = 0;
  const emit = (i: number) => {
    const near = held[ti.low[i]! % 2]!;
    const far = held[ti.high[i]! % 2]!;
    for (let j = mine.from; j < mine.to; j++) {
      const p = (tj.low[j]! - rows.from) * w;
      const q = (tj.high[j]! - rows.from) * w;
      for (let c = 0; c < target.classes; c++) {
        mixRows(mixed, near[c]!, p, q, far[c]!, p, q, tj.weight[j]!, ti.weight[i]!);
        sampleRow(lines[c]!, 0, mixed, tk);
      }
      labelLine(labels, 0, lines, 0, labels.length);
      target.put(i, j, labels);
      probabilities?.line(j, lines);
    }
    probabilities?.done(i);
  };
  return ({ index, sums, weights, row }: FinishedSlab): void => {
    for (let j = rows.from; j < last; j++) {
      const to = (j - rows.from) * w;
      const from = row(j);
      for (let c = 0; c < target.classes; c++) {
        const own = held[index % 2]![c]!;
        const sum = sums[c]!;
        for (let k = 0; k < w; k++) own[to + k] = sum[from + k]! / weights[from + k]!;
      }
    }
    while (next < box.size[0] && ti.high[next]! <= index) emit(next++);
  };
}

/** The argmax is taken once per prepared voxel and copied to those that are nearest to it. */
function nearestSlabs({ dims, affine, placement }: Grids, rows: Rows, target: Target) {
  const { box } = placement;
  const m = boxToPrepared(affine, placement);
  const [ti, tj, tk] = [0, 1, 2].map((a) => nearestAxis(box.size[a]!, dims[a]!, m[a * 5]!, m[a * 4 + 3]!)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const mine = outputsFrom(tj, rows);
  const w = dims[2];
  const own = allocateLabels(target.classes, (rows.to - rows.from) * w);
  const lines = classArrays(target.classes, box.size[2]);
  const labels = allocateLabels(target.classes, box.size[2]);
  const probabilities = probabilitySlab(target, box, mine);
  let next = 0;
  return ({ index, sums, weights, row }: FinishedSlab): void => {
    if (next >= box.size[0] || ti[next]! > index) return;
    for (let j = rows.from; j < rows.to; j++) labelLine(own, (j - rows.from) * w, sums, row(j), w);
    for (; next < box.size[0] && ti[next] === index; next++) {
      for (let j = mine.from; j < mine.to; j++) {
        const from = (tj[j]! - rows.from) * w;
        for (let k = 0; k < labels.length; k++) labels[k] = own[from + tk[k]!]!;
        target.put(next, j, labels);
        if (!probabilities) continue;
        const at = row(tj[j]!);
        for (let c = 0; c < target.classes; c++)
          for (let k = 0; k < labels.length; k++) lines[c]![k] = sums[c]![at + tk[k]!]! / weights[at + tk[k]!]!;
        probabilities.line(j, lines);
      }
      probabilities?.done(next);
    }
  };
}

/** Voxels of the box → voxels of the prepared grid: the two differ in spacing alone, so this is diagonal. */
const boxToPrepared = (affine: Prepared['affine'], placement: Placement) =>
  multiply(invert(affine), placement.boxAffine);

/** The outputs whose (first) input row is one of `rows`; the table rises. */
function outputsFrom(table: Int32Array, rows: Rows): Rows {
  const first = (row: number) => {
    const at = table.findIndex((t) => t >= row);
    return at < 0 ? table.length : at;
  };
  return { from: first(rows.from), to: first(rows.to) };
}

const classArrays = (classes: number, length: number): Float32Array[] =>
  Array.from({ length: classes }, () => new Float32Array(length));

/** Collects the rows of one output slab as probabilities (softmax over the classes). */
function probabilitySlab({ classes, onProbabilities }: Target, box: Box, rows: Rows) {
  if (!onProbabilities || rows.to === rows.from) return null;
  const w = box.size[2];
  const values = new Float32Array(classes * (rows.to - rows.from) * w);
  const plane = (rows.to - rows.from) * w;
  return {
    line(j: number, logits: readonly Float32Array[]): void {
      const to = (j - rows.from) * w;
      for (let k = 0; k < w; k++) {
        let most = logits[0]![k]!;
        for (let c = 1; c < classes; c++) most = Math.max(most, logits[c]![k]!);
        let sum = 0;
        for (let c = 0; c < classes; c++) sum += Math.exp(logits[c]![k]! - most);
        for (let c = 0; c < classes; c++) values[c * plane + to + k] = Math.exp(logits[c]![k]! - most) / sum;
      }
    },
    done(i: number): void {
      const start = [box.start[0] + i, box.start[1] + rows.from, box.start[2]] as const;
      onProbabilities({ box: { start, size: [1, rows.to - rows.from, w] }, values });
    },
  };
}

/** Writes the box's rows into labels that lie in the scan's own order of axes. */
function writer(labels: Labels, { input, orientation, canonical, box }: Placement): Target['put'] {
  const own = [input.dims[1] * input.dims[2], input.dims[2], 1];
  const stride = orientation.axes.map((a, o) => (orientation.flips[o] ? -own[a]! : own[a]!));
  let base = 0;
  for (let o = 0; o < 3; o++)
    base += (orientation.flips[o] ? box.start[o]! - (canonical.dims[o]! - 1) : box.start[o]!) * stride[o]!;
  const [s0, s1, s2] = stride as [number, number, number];
  return (i, j, line) => {
    let to = base + i * s0 + j * s1;
    for (let k = 0; k < line.length; k++, to += s2) labels[to] = line[k]!;
  };
}
