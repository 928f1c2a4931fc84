// The phantom `part`: a study of four stations with eight organs, lesions whose kind is structure and not darkness, and a report. It is
// made to ask whether reports teach an encoder what a lesion's kind looks like, so most of the study is none of a sentence's business.
// Same (seed, index) → same bytes, on any engine.

import { diagonalAffine } from './affine.ts';
import type { HuWindow } from './intensity.ts';
import { paintGround, REACH } from './phantom-part-ground.ts';
import {
  coverage,
  drawLesion,
  drawVessels,
  fromVessel,
  type LesionShape,
  lesionProfile,
  mix,
  PART_KINDS,
  type Vessel,
} from './phantom-part-lesions.ts';
import {
  drawOrgans,
  type OrganShape,
  PART_ORGANS,
  PART_SIZE,
  PART_STATIONS,
  type PartOrganName,
} from './phantom-part-organs.ts';
import { type PartReport, writePartReport } from './phantom-part-report.ts';
import { type RandomStream, stream, threefryInto } from './random.ts';
import { ValueNoise } from './value-noise.ts';
import { offsetOf, type Volume, voxelCount } from './volume.ts';

export { PART_KINDS, type PartKind } from './phantom-part-lesions.ts';
export { PART_ORGANS, PART_SIZE, PART_STATIONS, PART_TILE, type PartOrganName } from './phantom-part-organs.ts';
export type { PartReport, PartStatement } from './phantom-part-report.ts';

/** HU that map to 0 and 1: the abdomen's. */
export const PART_WINDOW: HuWindow = [-175, 250];
/** mm. */
export const PART_SPACING = 6;
/** Names by id of the label map. */
export const PART_LABELS = ['background', 'lesion'] as const;

export interface PartOptions {
  readonly seed: number;
  /** Number of the study within the set. */
  readonly index: number;
}

export interface PartLesion extends LesionShape {
  /** Voxels of its mask. */
  readonly voxels: number;
}

export interface PartOrgan extends OrganShape {
  readonly organ: PartOrganName;
  readonly station: number;
  readonly lesion: PartLesion | null;
  readonly vessels: readonly Vessel[];
}

export interface PartTruth {
  readonly seed: number;
  readonly index: number;
  /** Standard deviation of the noise, as a share of the window. */
  readonly noise: number;
  /** In the order of PART_ORGANS. */
  readonly organs: readonly PartOrgan[];
}

export interface PartStudy {
  /** HU, Int16 [d, h, w] in RAS. */
  readonly image: Volume<Int16Array>;
  /** 1 in lesions. */
  readonly label: Volume<Uint8Array>;
  readonly report: PartReport;
  readonly truth: PartTruth;
}

/** One study. */
export function phantomPart(options: PartOptions): PartStudy {
  const random = stream(options.seed, options.index);
  const shapes = drawOrgans(random.fork(1));
  const drawn = shapes.map((shape, n) => ({
    shape,
    lesion: drawLesion(random.fork(n, 2), shape),
    vessels: drawVessels(random.fork(n, 3), shape),
  }));
  const noise = random.fork(4).uniform(...NOISE);

  const label = new Uint8Array(voxelCount(PART_SIZE));
  const value = paintGround(random.fork(5));
  const bend = new ValueNoise(random.fork(6), REACH, 7);
  const organs = drawn.map(({ shape, lesion, vessels }, n): PartOrgan => {
    paintOrgan(value, shape, vessels, bend);
    return {
      organ: PART_ORGANS[n]!,
      station: Math.floor(n / 2),
      ...shape,
      lesion: lesion && { ...lesion, voxels: paintLesion(value, label, shape.level, lesion) },
      vessels,
    };
  });
  const affine = diagonalAffine(
    [PART_SPACING, PART_SPACING, PART_SPACING],
    PART_SIZE.map((n) => (-PART_SPACING * (n - 1)) / 2) as [number, number, number],
  );
  return {
    image: { data: toHu(value, noise, random.fork(7)), dims: PART_SIZE, affine },
    label: { data: label, dims: PART_SIZE, affine },
    report: writePartReport(random.fork(8), organs, PART_SPACING),
    truth: { seed: options.seed, index: options.index, noise, organs },
  };
}

/**
 * What the linear probe predicts, 4 × 3 [station, kind]: 1 where either organ of the station carries a lesion of that kind. See
 * docs/phantom.md.
 */
export function partLabels(truth: PartTruth): Uint8Array {
  const out = new Uint8Array(PART_STATIONS * PART_KINDS.length);
  for (const { station, lesion } of truth.organs) {
    if (lesion) out[station * PART_KINDS.length + PART_KINDS.indexOf(lesion.kind)] = 1;
  }
  return out;
}

/** The same by organ, 8 × 3 [organ, kind]. */
export function partOrganLabels(truth: PartTruth): Uint8Array {
  const out = new Uint8Array(PART_ORGANS.length * PART_KINDS.length);
  truth.organs.forEach(({ lesion }, n) => {
    if (lesion) out[n * PART_KINDS.length + PART_KINDS.indexOf(lesion.kind)] = 1;
  });
  return out;
}

/** Shares of the window. */
const NOISE = [0.03, 0.05] as const;
/** Organs' borders: how far they leave the ellipsoid, as a share of its radius. */
const BEND = 0.02;

/** First and last voxel of an interval along an axis. */
const span = (axis: number, centre: number, radius: number): readonly [number, number] => [
  Math.max(0, Math.floor(centre - radius)),
  Math.min(PART_SIZE[axis]! - 1, Math.ceil(centre + radius)),
];

function paintOrgan(value: Float32Array, organ: OrganShape, vessels: readonly Vessel[], bend: ValueNoise): void {
  const { centre, radii } = organ;
  const least = Math.min(...radii);
  const [di, dj, dk] = [0, 1, 2].map((a) => span(a, centre[a]!, radii[a]! * (1 + BEND) + 1)) as [
    readonly [number, number],
    readonly [number, number],
    readonly [number, number],
  ];
  for (let i = di[0]; i <= di[1]; i++)
    for (let j = dj[0]; j <= dj[1]; j++) {
      bend.line(i - REACH[0], j - REACH[1]);
      const x = (i - centre[0]) / radii[0];
      const y = (j - centre[1]) / radii[1];
      for (let k = dk[0]; k <= dk[1]; k++) {
        const z = (k - centre[2]) / radii[2];
        const r = Math.sqrt(x * x + y * y + z * z);
        const share = coverage((1 + BEND * bend.at(k - REACH[2]) - r) * least);
        if (share === 0) continue;
        let inside = organ.level;
        for (const vessel of vessels) {
          const own = coverage(vessel.radius - fromVessel(vessel, i, j, k));
          if (own > 0) inside = mix(inside, organ.level + vessel.contrast, own);
        }
        const at = offsetOf(PART_SIZE, i, j, k);
        value[at] = mix(value[at]!, inside, share * (1 - inHilum(organ, i, j, k)));
      }
    }
}

/** Share of a voxel that lies in the organ's hilum. */
function inHilum({ hilum }: OrganShape, i: number, j: number, k: number): number {
  if (!hilum) return 0;
  const x = (i - hilum.centre[0]) / hilum.radii[0];
  const y = (j - hilum.centre[1]) / hilum.radii[1];
  const z = (k - hilum.centre[2]) / hilum.radii[2];
  return coverage((1 - Math.sqrt(x * x + y * y + z * z)) * hilum.radii[1]);
}

/** Returns the voxels of its mask. */
function paintLesion(value: Float32Array, label: Uint8Array, level: number, lesion: LesionShape): number {
  const { centre, radius } = lesion;
  const [di, dj, dk] = [0, 1, 2].map((a) => span(a, centre[a]!, radius + 1)) as [
    readonly [number, number],
    readonly [number, number],
    readonly [number, number],
  ];
  let voxels = 0;
  for (let i = di[0]; i <= di[1]; i++)
    for (let j = dj[0]; j <= dj[1]; j++)
      for (let k = dk[0]; k <= dk[1]; k++) {
        const x = i - centre[0];
        const y = j - centre[1];
        const z = k - centre[2];
        const r = Math.sqrt(x * x + y * y + z * z);
        const share = coverage(radius - r);
        if (share === 0) continue;
        const at = offsetOf(PART_SIZE, i, j, k);
        value[at] = mix(value[at]!, level + lesionProfile(lesion, r), share);
        if (r > radius) continue;
        label[at] = 1;
        voxels++;
      }
  return voxels;
}

/**
 * Shares of the window → HU, with bell-shaped noise: the sum of four bytes (exact arithmetic, unlike a logarithm), scaled to σ. A draw
 * serves two voxels.
 */
function toHu(value: Float32Array, sigma: number, random: RandomStream): Int16Array {
  const [lo, hi] = PART_WINDOW;
  const word = new Uint32Array(2);
  // The variance of a byte is (256² − 1) / 12.
  const scale = sigma / Math.sqrt((4 * (256 * 256 - 1)) / 12);
  const noise = (u: number) => ((u & 255) + ((u >>> 8) & 255) + ((u >>> 16) & 255) + (u >>> 24) - 510) * scale;
  const out = new Int16Array(value.length);
  for (let i = 0; i < value.length; i += 2) {
    threefryInto(word, random.k0, random.k1, i, 0);
    out[i] = Math.round(lo + (hi - lo) * (value[i]! + noise(word[0]!)));
    out[i + 1] = Math.round(lo + (hi - lo) * (value[i + 1]! + noise(word[1]!)));
  }
  return out;
}
