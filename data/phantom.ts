// The synthetic phantom: a contrast-enhanced body CT with labels, lesions and a report, made from a seed. The project's tests, demo and
// default training need no downloaded data. Same (seed, index, size, spacing, options) → same bytes, on any engine.

import { diagonalAffine } from './affine.ts';
import { DataError } from './errors.ts';
import { type Anatomy, drawAnatomy, PHANTOM_LABELS, TISSUE_NAMES, TISSUES, tissueAt } from './phantom-anatomy.ts';
import { drawLesions, type Lesion, paintLesions } from './phantom-lesions.ts';
import { type PhantomReport, type ReportOptions, writeReport } from './phantom-report.ts';
import { stream, threefryInto } from './random.ts';
import { ValueNoise } from './value-noise.ts';
import { type Dims, showDims, type Volume, voxelCount } from './volume.ts';

export { PHANTOM_LABELS } from './phantom-anatomy.ts';
export type { Lesion, LesionKind, LesionOrgan } from './phantom-lesions.ts';
export type { PhantomReport, Statement } from './phantom-report.ts';

export interface PhantomOptions extends ReportOptions {
  readonly seed: number;
  /** Number of the patient within the set. */
  readonly index: number;
  /** Voxels along d, h, w (R, A, S); at least 16 each. Default 96³. */
  readonly size?: Dims;
  /** mm. Default 384 mm / size along the first axis, isotropic. The body is drawn to fill the axial field of view. */
  readonly spacing?: readonly [number, number, number];
  /** Most lesions of one patient; their number is uniform from 0. Default 3. */
  readonly maxLesions?: number;
  /** Give lesions a label of their own, the last (`lesion`); else they carry their organ's. Default false. */
  readonly lesionClass?: boolean;
  /** `all`: PHANTOM_LABELS. `organs`: ORGAN_LABELS, in which the kidneys are one class and vessels background. Default `all`. */
  readonly classes?: 'all' | 'organs';
  /** Standard deviation of the noise, HU. Default 18. */
  readonly noise?: number;
  /** Partial-volume blur: share of a 1-2-1 filter along each axis, 0..1. Default 0.6. */
  readonly blur?: number;
}

export interface PhantomTruth {
  readonly seed: number;
  readonly index: number;
  readonly labels: readonly { readonly id: number; readonly name: string; readonly voxels: number }[];
  readonly lesions: readonly Lesion[];
  readonly report: PhantomReport;
}

export interface Phantom {
  /** HU, Int16 [d, h, w] in RAS. */
  readonly image: Volume<Int16Array>;
  /** Ids as in `phantomClasses(options)`. */
  readonly label: Volume<Uint8Array>;
  readonly truth: PhantomTruth;
}

/** Label ids with `classes: 'organs'`. */
export const ORGAN_LABELS = ['background', 'liver', 'spleen', 'kidneys', 'lungs', 'spine'] as const;
/** ORGAN_LABELS' id of each of PHANTOM_LABELS. */
const ORGAN_OF = [0, 1, 2, 3, 3, 4, 5, 0] as const;

/** Names by id of the labels that `phantom` writes. */
export function phantomClasses(options: Pick<PhantomOptions, 'lesionClass' | 'classes'> = {}): string[] {
  const names = options.classes === 'organs' ? ORGAN_LABELS : PHANTOM_LABELS;
  return options.lesionClass ? [...names, 'lesion'] : [...names];
}

/** One patient. @throws `phantom-size` */
export function phantom(options: PhantomOptions): Phantom {
  const dims: Dims = options.size ?? [96, 96, 96];
  if (!dims.every((n) => Number.isInteger(n) && n >= 16)) {
    throw new DataError('phantom-size', 'A phantom of this size cannot be drawn.', {
      found: showDims(dims),
      expected: 'at least 16 whole voxels along every axis',
      fix: 'use for example 64, 64, 64',
    });
  }
  const side = 384 / dims[0];
  const spacing = options.spacing ?? [side, side, side];
  const random = stream(options.seed, options.index);
  const anatomy = drawAnatomy(random.fork(1));
  const { hu, label } = paintBody(anatomy, dims, spacing, options);

  const lesionRandom = random.fork(2);
  const count = lesionRandom.int((options.maxLesions ?? 3) + 1);
  const lesions = drawLesions(lesionRandom, count, label, dims, spacing);
  const lesionLabel = options.lesionClass ? PHANTOM_LABELS.length : undefined;
  const painted = paintLesions(lesions, hu, label, dims, spacing, lesionLabel);
  if (options.classes === 'organs') {
    const organOf = [...ORGAN_OF, ORGAN_LABELS.length];
    for (let i = 0; i < label.length; i++) label[i] = organOf[label[i]!]!;
  }

  const key = random.fork(3);
  const noise = options.noise ?? 18;
  const blur = options.blur ?? 0.6;
  // Half of the noise is correlated by the blur, as a reconstruction kernel does; half stays white.
  addNoise(hu, noise, key.k0, key.k1, 0);
  soften(hu, dims, blur);
  addNoise(hu, noise * 0.6, key.k0, key.k1, 1);

  const origin = ([0, 1, 2] as const).map((a) => (-spacing[a] * (dims[a] - 1)) / 2) as [number, number, number];
  const affine = diagonalAffine(spacing, origin);
  const image = Int16Array.from(hu, (v) => Math.max(-1024, Math.min(3071, Math.round(v))));
  const names = phantomClasses(options);
  const voxels = new Array<number>(names.length).fill(0);
  for (const id of label) voxels[id]!++;
  return {
    image: { data: image, dims, affine },
    label: { data: label, dims, affine },
    truth: {
      seed: options.seed,
      index: options.index,
      labels: names.map((name, id) => ({ id, name, voxels: voxels[id]! })),
      lesions: painted,
      report: writeReport(random.fork(5), painted, options),
    },
  };
}

function paintBody(anatomy: Anatomy, dims: Dims, spacing: readonly [number, number, number], options: PhantomOptions) {
  const unit = Math.min(dims[0] * spacing[0], dims[1] * spacing[1]) / 2;
  const reach = dims.map((n, axis) => (n * spacing[axis]!) / 2 / unit);
  const fields = stream(options.seed, options.index).fork(4);
  const bend = new ValueNoise(fields.fork(0), reach, 0.34);
  const grain = new ValueNoise(fields.fork(1), reach, 0.13);
  const texture = new ValueNoise(fields.fork(2), reach, 0.06);
  const amplitude = TISSUE_NAMES.map((name) => TISSUES[name].texture);
  const labelOf = Uint8Array.from(TISSUE_NAMES, (name) => TISSUES[name].label);
  const hu = new Float32Array(voxelCount(dims));
  const label = new Uint8Array(hu.length);
  const place = (n: number, axis: number) => ((2 * n + 1) / dims[axis]! - 1) * reach[axis]!;
  for (let i = 0, at = 0; i < dims[0]; i++) {
    const x = place(i, 0);
    for (let j = 0; j < dims[1]; j++) {
      const y = place(j, 1);
      bend.line(x, y);
      grain.line(x, y);
      texture.line(x, y);
      for (let k = 0; k < dims[2]; k++, at++) {
        const z = place(k, 2);
        const code = tissueAt(anatomy, x, y, z, bend.at(z), grain.at(z));
        hu[at] = anatomy.hu[code]! + amplitude[code]! * texture.at(z);
        label[at] = labelOf[code]!;
      }
    }
  }
  return { hu, label };
}

/** Adds bell-shaped noise: the sum of four 16-bit uniforms (exact arithmetic, unlike a logarithm), scaled to σ. */
function addNoise(hu: Float32Array, sigma: number, k0: number, k1: number, pass: number): void {
  const word = new Uint32Array(2);
  const scale = (sigma * Math.sqrt(3)) / 65536;
  for (let i = 0; i < hu.length; i++) {
    threefryInto(word, k0, k1, i, pass);
    const a = word[0]!;
    const b = word[1]!;
    hu[i]! += ((a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16) - 131070) * scale;
  }
}

/** Mixes each voxel with its two neighbours along each axis: (1 − share) · x + share · (1 2 1)/4. Borders repeat. */
function soften(data: Float32Array, dims: Dims, share: number): void {
  if (share <= 0) return;
  const strides = [dims[1] * dims[2], dims[2], 1];
  const side = share / 4;
  for (let axis = 0; axis < 3; axis++) {
    const stride = strides[axis]!;
    const n = dims[axis]!;
    const outer = data.length / (n * stride);
    for (let o = 0; o < outer; o++)
      for (let inner = 0; inner < stride; inner++) {
        let at = o * n * stride + inner;
        let before = data[at]!;
        for (let i = 0; i < n; i++, at += stride) {
          const here = data[at]!;
          const after = i + 1 < n ? data[at + stride]! : here;
          data[at] = here + side * (before - 2 * here + after);
          before = here;
        }
      }
  }
}
