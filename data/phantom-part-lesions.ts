// Lesions and vessels of the phantom `part`. All kinds of lesion are equally dark and differ in structure alone. Vessels have the same
// contrast, are dark or bright, and are never reported: a dark or bright spot alone tells nothing.
import type { OrganShape } from './phantom-part-organs.ts';
import type { RandomStream } from './random.ts';

/** `cyst`: homogeneous. `abscess`: a bright rim. `metastasis`: a bright core. */
export type PartKind = 'cyst' | 'abscess' | 'metastasis';
export const PART_KINDS: readonly PartKind[] = ['cyst', 'abscess', 'metastasis'];

type Triple = readonly [number, number, number];

export interface LesionShape {
  readonly kind: PartKind;
  /** Voxels [d, h, w], not whole. */
  readonly centre: Triple;
  /** Voxels. */
  readonly radius: number;
  /** Below the organ's level, as a share of the window. */
  readonly contrast: number;
}

export interface Vessel {
  /** Voxels [d, h, w], as are half its length and its radius. */
  readonly middle: Triple;
  /** Of length 1. */
  readonly direction: Triple;
  readonly half: number;
  readonly radius: number;
  /** Against the organ's level, as a share of the window; its sign says dark or bright. */
  readonly contrast: number;
}

/** How often an organ carries a lesion. */
const LESION_RATE = 0.6;
const RADIUS = [3, 4.2] as const;
const CONTRAST = [0.22, 0.3] as const;
/** Voxels. */
const RIM = 1.4;
/** Of the radius. */
const CORE = 0.55;
/** How far rim and core rise above the organ's level, as a share of the contrast. */
const BRIGHT = 1;
/** Voxels of organ around a lesion. */
const MARGIN = 0.4;
const MOST_VESSELS = 3;
/** Half of its length, and its radius, in voxels. */
const VESSEL_HALF = [3, 5] as const;
const VESSEL_RADIUS = [0.8, 1.2] as const;

export function drawLesion(random: RandomStream, organ: OrganShape): LesionShape | null {
  if (!random.chance(LESION_RATE)) return null;
  const kind = PART_KINDS[random.int(PART_KINDS.length)]!;
  const radius = random.uniform(...RADIUS);
  const contrast = random.uniform(...CONTRAST);
  const at = inUnitBall(random);
  const centre = organ.centre.map((c, axis) => c + at[axis]! * (organ.radii[axis]! - radius - MARGIN));
  return { kind, radius, contrast, centre: centre as [number, number, number] };
}

export function drawVessels(random: RandomStream, organ: OrganShape): Vessel[] {
  return Array.from({ length: 1 + random.int(MOST_VESSELS) }, () => {
    const at = inUnitBall(random);
    let direction = inUnitBall(random);
    let length = norm(direction);
    while (length < 0.1) {
      direction = inUnitBall(random);
      length = norm(direction);
    }
    return {
      middle: organ.centre.map((c, axis) => c + 0.7 * at[axis]! * organ.radii[axis]!) as [number, number, number],
      direction: direction.map((x) => x / length) as [number, number, number],
      half: random.uniform(...VESSEL_HALF),
      radius: random.uniform(...VESSEL_RADIUS),
      contrast: random.uniform(...CONTRAST) * (random.chance(0.5) ? 1 : -1),
    };
  });
}

/** What a lesion adds to its organ's level at this distance (voxels) from its centre, as a share of the window. */
export function lesionProfile(lesion: LesionShape, distance: number): number {
  const bright = BRIGHT * lesion.contrast;
  switch (lesion.kind) {
    case 'cyst':
      return -lesion.contrast;
    case 'abscess':
      return mix(bright, -lesion.contrast, coverage(lesion.radius - RIM - distance));
    case 'metastasis':
      return mix(-lesion.contrast, bright, coverage(CORE * lesion.radius - distance));
  }
}

/** Distance of a point from a vessel's axis. */
export function fromVessel(vessel: Vessel, d: number, h: number, w: number): number {
  const x = d - vessel.middle[0];
  const y = h - vessel.middle[1];
  const z = w - vessel.middle[2];
  const [u, v, t] = vessel.direction;
  const along = x * u + y * v + z * t;
  const beyond = Math.max(0, Math.abs(along) - vessel.half);
  return Math.sqrt(Math.max(0, x * x + y * y + z * z - along * along) + beyond * beyond);
}

/** Share of a voxel that is covered when a surface lies so many voxels beyond its centre. */
export const coverage = (beyond: number): number => Math.min(1, Math.max(0, beyond + 0.5));
export const mix = (a: number, b: number, share: number): number => a + share * (b - a);

const norm = (v: Triple): number => Math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);

/** Evenly in a ball of radius 1. */
function inUnitBall(random: RandomStream): Triple {
  for (;;) {
    const v = [random.uniform(-1, 1), random.uniform(-1, 1), random.uniform(-1, 1)] as const;
    if (norm(v) <= 1) return v;
  }
}
