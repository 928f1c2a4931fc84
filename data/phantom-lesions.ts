// Lesions of the phantom: drawn into organs, and told in a truth table that a report can be written from.

import type { RandomStream } from './random.ts';
import { type Dims, offsetOf } from './volume.ts';

/**
 * All kinds differ from their organ by a similar amount and from one another in structure: `cyst` homogeneous, `abscess`
 * with a bright rim, `metastasis` with a bright core.
 */
export type LesionKind = 'cyst' | 'abscess' | 'metastasis';
export type LesionOrgan = 'liver' | 'spleen' | 'kidney' | 'lung';

export interface Lesion {
  readonly kind: LesionKind;
  readonly organ: LesionOrgan;
  /** The patient's side, for paired organs. */
  readonly side: 'right' | 'left' | null;
  /** Voxel [d, h, w] of the centre. */
  readonly centre: Dims;
  readonly diameterMm: number;
  /** Voxels painted; 0 before. */
  readonly voxels: number;
}

const KINDS: readonly LesionKind[] = ['cyst', 'abscess', 'metastasis'];
/** Label ids in PHANTOM_LABELS that a lesion may be in. */
const SITES: readonly { label: number; organ: LesionOrgan; side: 'right' | 'left' | null | 'by place' }[] = [
  { label: 1, organ: 'liver', side: null },
  { label: 2, organ: 'spleen', side: null },
  { label: 3, organ: 'kidney', side: 'right' },
  { label: 4, organ: 'kidney', side: 'left' },
  { label: 5, organ: 'lung', side: 'by place' },
];
/** HU of body, rim and core: dark in contrast-enhanced organs, solid in the lung. */
const VALUES = {
  organ: { body: 20, rim: 175, core: 150 },
  lung: { body: 30, rim: 130, core: 160 },
} as const;

/** Chooses up to `count` lesions; one that finds no room in 40 tries is left out. Diameters 23–46 mm of a 384 mm field. */
export function drawLesions(
  random: RandomStream,
  count: number,
  label: Uint8Array,
  dims: Dims,
  spacing: readonly [number, number, number],
): Lesion[] {
  const found: Lesion[] = [];
  const field = Math.min(dims[0] * spacing[0], dims[1] * spacing[1]);
  for (let n = 0; n < count; n++) {
    const own = random.fork(n);
    const site = SITES[own.int(SITES.length)]!;
    const kind = KINDS[own.int(KINDS.length)]!;
    const radius = own.uniform(0.03, site.label === 1 || site.label === 5 ? 0.06 : 0.042) * field;
    const voxels: number[] = [];
    for (let i = 0; i < label.length; i++) if (label[i] === site.label) voxels.push(i);
    for (let tries = 0; tries < 40 && voxels.length > 0; tries++) {
      const at = voxels[own.int(voxels.length)]!;
      const centre: Dims = [Math.floor(at / (dims[1] * dims[2])), Math.floor(at / dims[2]) % dims[1], at % dims[2]];
      if (
        !fits(centre, radius, site.label, label, dims, spacing) ||
        found.some((f) => near(f, centre, radius, spacing))
      )
        continue;
      const side = site.side === 'by place' ? (2 * centre[0] + 1 > dims[0] ? 'right' : 'left') : site.side;
      found.push({ kind, organ: site.organ, side, centre, diameterMm: Math.round(radius * 20) / 10, voxels: 0 });
      break;
    }
  }
  return found;
}

/** Paints the lesions into HU (and, where `lesionLabel` is given, the labels); returns them with their voxel counts. */
export function paintLesions(
  lesions: readonly Lesion[],
  hu: Float32Array,
  label: Uint8Array,
  dims: Dims,
  spacing: readonly [number, number, number],
  lesionLabel: number | undefined,
): Lesion[] {
  return lesions.map((lesion) => {
    const radius = lesion.diameterMm / 2;
    const values = lesion.organ === 'lung' ? VALUES.lung : VALUES.organ;
    const rim = Math.max(0.72, 1 - (1.4 * Math.max(...spacing)) / radius);
    let voxels = 0;
    forBall(lesion.centre, radius, dims, spacing, (at, r) => {
      // Outside of the organ the body wins: a lesion at the border is cut by it.
      if (label[at] === 0) return;
      const bright = lesion.kind === 'abscess' ? r > rim : lesion.kind === 'metastasis' && r < 0.5;
      hu[at] = bright ? (lesion.kind === 'abscess' ? values.rim : values.core) : values.body;
      if (lesionLabel !== undefined) label[at] = lesionLabel;
      voxels++;
    });
    return { ...lesion, voxels };
  });
}

/** Calls `visit(offset, distance in radii)` for the voxels of a ball (radius in mm), at least its centre. */
function forBall(
  centre: Dims,
  radius: number,
  dims: Dims,
  spacing: readonly [number, number, number],
  visit: (at: number, r: number) => void,
): void {
  const reach = spacing.map((s) => Math.ceil(radius / s));
  const range = (axis: number) => [
    Math.max(0, centre[axis]! - reach[axis]!),
    Math.min(dims[axis]! - 1, centre[axis]! + reach[axis]!),
  ];
  const [ri, rj, rk] = [range(0), range(1), range(2)] as [number[], number[], number[]];
  for (let i = ri[0]!; i <= ri[1]!; i++)
    for (let j = rj[0]!; j <= rj[1]!; j++)
      for (let k = rk[0]!; k <= rk[1]!; k++) {
        const x = (i - centre[0]) * spacing[0];
        const y = (j - centre[1]) * spacing[1];
        const z = (k - centre[2]) * spacing[2];
        const r = Math.sqrt(x * x + y * y + z * z) / radius;
        if (r <= 1) visit(offsetOf(dims, i, j, k), r);
      }
}

/** At least nine tenths of the ball lies in the organ. */
function fits(
  centre: Dims,
  radius: number,
  organ: number,
  label: Uint8Array,
  dims: Dims,
  spacing: readonly [number, number, number],
): boolean {
  let all = 0;
  let own = 0;
  forBall(centre, radius, dims, spacing, (at) => {
    all++;
    if (label[at] === organ) own++;
  });
  return own >= 0.9 * all;
}

function near(other: Lesion, centre: Dims, radius: number, spacing: readonly [number, number, number]): boolean {
  let square = 0;
  for (let axis = 0; axis < 3; axis++) square += ((centre[axis]! - other.centre[axis]!) * spacing[axis]!) ** 2;
  return Math.sqrt(square) < (radius + other.diameterMm / 2) * 1.3;
}
