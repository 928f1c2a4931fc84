// Pictures of a CT with label maps over it: axial, coronal and sagittal slices in radiological orientation (the patient's
// right on the left of the picture), true aspect, outlines with a translucent fill, and a legend.

import { Canvas, labelColour, type Rgb, textSize } from './canvas.ts';
import { DataError } from './errors.ts';
import { toCanonical } from './orientation.ts';
import { encodePng } from './png.ts';
import { checkSameGrid, type Dims, type Volume, volumeSpacing } from './volume.ts';

export interface PictureRow {
  /** Written at the row's left, e.g. `prediction`. */
  readonly title: string;
  /** Labels on the image's grid; none shows the CT alone. */
  readonly labels?: Volume;
}

export interface PictureOptions {
  /** HU shown black and white. Default the abdomen, −175..250. For images already in 0..1: [0, 1]. */
  readonly window?: readonly [number, number];
  /** Label names by id. */
  readonly classes: readonly string[];
  /** A figure to write behind a class's name, e.g. its Dice. */
  readonly values?: readonly (number | undefined)[];
  /** Voxel [R, A, S] through which the three planes pass. Default: where the labels are most varied. */
  readonly slices?: Dims;
  /** Pixels of the longer side of the largest panel. Default 300. */
  readonly panel?: number;
  readonly title?: string;
}

/** A PNG file: one row of three planes for each of `rows`. @throws `volume-grids`, `picture-empty` */
export function pictureOf(image: Volume, rows: readonly PictureRow[], options: PictureOptions): Uint8Array {
  const canvas = drawPicture(image, rows, options);
  return encodePng(canvas.rgb, canvas.width, canvas.height);
}

/** One plane: which voxel axes run to the right and downwards, both reversed, and the letters at its four borders. */
interface Plane {
  readonly name: string;
  readonly across: 0 | 1;
  readonly down: 1 | 2;
  readonly through: 0 | 1 | 2;
  readonly marks: readonly [left: string, right: string, top: string, bottom: string];
}

const PLANES: readonly Plane[] = [
  { name: 'axial', across: 0, down: 1, through: 2, marks: ['R', 'L', 'A', 'P'] },
  { name: 'coronal', across: 0, down: 2, through: 1, marks: ['R', 'L', 'S', 'I'] },
  { name: 'sagittal', across: 1, down: 2, through: 0, marks: ['A', 'P', 'S', 'I'] },
];

const BACKGROUND: Rgb = [18, 20, 24];
const INK: Rgb = [228, 230, 235];
const FAINT: Rgb = [150, 156, 166];
const GAP = 10;
const LINE = 22;

/** The picture as a raster. */
export function drawPicture(image: Volume, rows: readonly PictureRow[], options: PictureOptions): Canvas {
  if (rows.length === 0) {
    throw new DataError('picture-empty', 'There is nothing to draw.', {
      found: 'no rows',
      fix: 'pass at least one row',
    });
  }
  for (const row of rows) if (row.labels) checkSameGrid(image, row.labels, `Image and ${row.title}`);
  const ct = toCanonical(image).volume;
  const maps = rows.map((row) => row.labels && toCanonical({ ...row.labels, affine: image.affine }).volume);
  const spacing = volumeSpacing(ct);
  const extent = ct.dims.map((n, axis) => n * spacing[axis]!);
  const perMm = (options.panel ?? 300) / Math.max(...extent);
  const slices =
    options.slices ??
    richestSlices(
      maps.filter((m) => m !== undefined),
      ct.dims,
    );
  const sizes = PLANES.map(
    (p) => [Math.round(extent[p.across]! * perMm), Math.round(extent[p.down]! * perMm)] as const,
  );
  const rowHeight = Math.max(...sizes.map((s) => s[1]));
  const present = presentLabels(maps);
  const legend = legendLines(present, options);

  const panels = sizes.reduce((n, s) => n + s[0] + GAP, GAP);
  // As many legend columns as the rows' height asks for.
  const lines = Math.max(8, Math.floor((rows.length * (LINE + rowHeight + GAP)) / LINE) - 1);
  const column = present.length > 0 ? Math.max(...legend.map((text) => textSize(text)[0])) + 26 + GAP : 0;
  const legendWidth = column * Math.ceil(present.length / lines);
  const top = options.title ? GAP + LINE : GAP;
  const width = Math.max(panels + legendWidth, options.title ? textSize(options.title)[0] + 2 * GAP : 0);
  const rowsHeight = rows.length * (LINE + rowHeight + GAP);
  const height = top + Math.max(rowsHeight, LINE + Math.min(lines, present.length) * LINE);
  const canvas = new Canvas(width, height, BACKGROUND);
  if (options.title) canvas.text(GAP, GAP, options.title, INK);
  rows.forEach((row, r) => {
    const y = top + r * (LINE + rowHeight + GAP);
    canvas.text(GAP, y + 2, row.title, INK);
    let x = GAP;
    PLANES.forEach((plane, p) => {
      const [w, h] = sizes[p]!;
      const offset = Math.floor((rowHeight - h) / 2);
      drawPanel(canvas, x, y + LINE + offset, w, h, plane, ct, maps[r], slices, options.window ?? [-175, 250]);
      x += w + GAP;
    });
  });
  present.forEach((id, n) => {
    const x = panels + Math.floor(n / lines) * column;
    const y = top + LINE + (n % lines) * LINE;
    canvas.fill(x, y, 14, 14, labelColour(id));
    canvas.text(x + 22, y, legend[n]!, INK);
  });
  return canvas;
}

function drawPanel(
  canvas: Canvas,
  x0: number,
  y0: number,
  w: number,
  h: number,
  plane: Plane,
  ct: Volume,
  labels: Volume | undefined,
  slices: Dims,
  [lo, hi]: readonly [number, number],
): void {
  const stride = [ct.dims[1] * ct.dims[2], ct.dims[2], 1];
  const base = slices[plane.through]! * stride[plane.through]!;
  const na = ct.dims[plane.across]!;
  const nd = ct.dims[plane.down]!;
  const sa = stride[plane.across]!;
  const sd = stride[plane.down]!;
  // Both axes run against the picture's: R → left, A and S → top.
  const place = (pixel: number, pixels: number, n: number) =>
    Math.min(n - 1, Math.max(0, n - 1 - (((pixel + 0.5) / pixels) * n - 0.5)));
  const label = new Int32Array(w * h);
  for (let y = 0; y < h; y++) {
    const v = place(y, h, nd);
    const v0 = Math.min(nd - 1, Math.floor(v));
    const v1 = Math.min(nd - 1, v0 + 1);
    for (let x = 0; x < w; x++) {
      const u = place(x, w, na);
      const u0 = Math.floor(u);
      const u1 = Math.min(na - 1, u0 + 1);
      const at = (a: number, d: number) => ct.data[base + a * sa + d * sd]!;
      const upper = at(u0, v0) + (u - u0) * (at(u1, v0) - at(u0, v0));
      const lower = at(u0, v1) + (u - u0) * (at(u1, v1) - at(u0, v1));
      const value = upper + (v - v0) * (lower - upper);
      const grey = Math.round(255 * Math.min(1, Math.max(0, (value - lo) / (hi - lo))));
      canvas.blend(x0 + x, y0 + y, [grey, grey, grey]);
      if (labels) label[y * w + x] = labels.data[base + Math.round(u) * sa + Math.round(v) * sd]!;
    }
  }
  if (labels) {
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) {
        const id = label[y * w + x]!;
        if (id === 0) continue;
        const edge =
          (x > 0 && label[y * w + x - 1] !== id) ||
          (x + 1 < w && label[y * w + x + 1] !== id) ||
          (y > 0 && label[(y - 1) * w + x] !== id) ||
          (y + 1 < h && label[(y + 1) * w + x] !== id);
        canvas.blend(x0 + x, y0 + y, labelColour(id), edge ? 0.95 : 0.3);
      }
  }
  const [left, right, upper, lower] = plane.marks;
  const mid = Math.floor(h / 2) - 7;
  canvas.text(x0 + 4, y0 + mid, left, FAINT, 2, true);
  canvas.text(x0 + w - 14, y0 + mid, right, FAINT, 2, true);
  canvas.text(x0 + Math.floor(w / 2) - 5, y0 + 4, upper, FAINT, 2, true);
  canvas.text(x0 + Math.floor(w / 2) - 5, y0 + h - 18, lower, FAINT, 2, true);
  canvas.text(x0 + 4, y0 + h - 11, `${plane.name} ${slices[plane.through]}`, FAINT, 1, true);
}

/** Per axis the slice that shows the most label area, every class counting by the square root of its area. */
function richestSlices(maps: readonly Volume[], dims: Dims): Dims {
  const best: [number, number, number] = [dims[0] >> 1, dims[1] >> 1, dims[2] >> 1];
  const map = maps.at(-1);
  if (!map) return best;
  let classes = 1;
  for (let i = 0; i < map.data.length; i++) classes = Math.max(classes, map.data[i]! + 1);
  const area = [0, 1, 2].map((axis) => new Float64Array(dims[axis]! * classes));
  for (let i = 0, at = 0; i < dims[0]; i++)
    for (let j = 0; j < dims[1]; j++)
      for (let k = 0; k < dims[2]; k++, at++) {
        const id = map.data[at]!;
        if (id === 0) continue;
        area[0]![i * classes + id]!++;
        area[1]![j * classes + id]!++;
        area[2]![k * classes + id]!++;
      }
  for (let axis = 0; axis < 3; axis++) {
    let most = 0;
    for (let n = 0; n < dims[axis]!; n++) {
      let score = 0;
      for (let c = 1; c < classes; c++) score += Math.sqrt(area[axis]![n * classes + c]!);
      if (score > most) {
        most = score;
        best[axis] = n;
      }
    }
  }
  return best;
}

function presentLabels(maps: readonly (Volume | undefined)[]): number[] {
  const found = new Set<number>();
  for (const map of maps) if (map) for (let i = 0; i < map.data.length; i++) found.add(map.data[i]!);
  found.delete(0);
  return [...found].sort((a, b) => a - b);
}

function legendLines(present: readonly number[], options: PictureOptions): string[] {
  return present.map((id) => {
    const value = options.values?.[id];
    const name = options.classes[id] ?? `label ${id}`;
    return value === undefined ? name : `${name} ${Number.isNaN(value) ? '–' : value.toFixed(3)}`;
  });
}
