// The anatomy of the synthetic body: which tissue is at a point. Geometry only; values and lesions are in phantom.ts.
//
// Coordinates. x to the patient's right, y anterior, z superior, in units of half the smaller axial field of view, origin in
// its centre at the level between liver and kidneys. Nothing here uses sin, exp or the like: those may differ in their last
// bit between JavaScript engines, and the same seed must give the same bytes everywhere.

import type { RandomStream } from './random.ts';

/** Label ids of the phantom. */
export const PHANTOM_LABELS = [
  'background',
  'liver',
  'spleen',
  'right kidney',
  'left kidney',
  'lungs',
  'spine',
  'aorta',
] as const;

interface Tissue {
  /** Mean HU, its variation between patients, and the amplitude of its texture. */
  readonly hu: number;
  readonly spread: number;
  readonly texture: number;
  readonly label: number;
}

const tissue = (hu: number, spread: number, texture: number, label = 0): Tissue => ({ hu, spread, texture, label });

/** Portal-venous contrast. */
export const TISSUES = {
  air: tissue(-1000, 0, 2),
  couch: tissue(-420, 60, 20),
  skin: tissue(5, 10, 10),
  fat: tissue(-102, 6, 12),
  muscle: tissue(55, 6, 14),
  rib: tissue(380, 60, 90),
  visceralFat: tissue(-96, 6, 14),
  bowel: tissue(38, 10, 28),
  gas: tissue(-820, 40, 40),
  stomach: tissue(20, 12, 16),
  lung: tissue(-820, 30, 60, 5),
  lungVessel: tissue(-250, 60, 140, 5),
  heart: tissue(150, 14, 10),
  mediastinum: tissue(40, 8, 30),
  liver: tissue(103, 9, 9, 1),
  liverVessel: tissue(155, 8, 8, 1),
  spleen: tissue(126, 8, 8, 2),
  rightCortex: tissue(198, 12, 10, 3),
  rightMedulla: tissue(160, 10, 12, 3),
  leftCortex: tissue(198, 12, 10, 4),
  leftMedulla: tissue(160, 10, 12, 4),
  renalSinus: tissue(-60, 10, 20),
  corticalBone: tissue(460, 60, 70, 6),
  marrow: tissue(165, 25, 35, 6),
  disc: tissue(85, 8, 10, 6),
  canal: tissue(25, 5, 6),
  aorta: tissue(215, 14, 6, 7),
  cava: tissue(135, 10, 8),
  pelvis: tissue(330, 40, 80),
} as const satisfies Record<string, Tissue>;

export type TissueName = keyof typeof TISSUES;
export const TISSUE_NAMES = Object.keys(TISSUES) as TissueName[];
const CODE = Object.fromEntries(TISSUE_NAMES.map((name, n) => [name, n])) as Record<TissueName, number>;

interface Ellipsoid {
  readonly c: readonly [number, number, number];
  readonly r: readonly [number, number, number];
}

/** One patient. */
export interface Anatomy {
  readonly halfWidth: number;
  readonly halfDepth: number;
  readonly fat: number;
  readonly muscle: number;
  /** Turn in the axial plane (cosine, sine) and shift. */
  readonly turn: readonly [number, number];
  readonly shift: readonly [number, number];
  readonly couch: boolean;
  readonly domeRight: number;
  readonly domeLeft: number;
  readonly liverRight: Ellipsoid;
  readonly liverLeft: Ellipsoid;
  readonly spleen: Ellipsoid;
  readonly rightKidney: Ellipsoid;
  readonly leftKidney: Ellipsoid;
  readonly stomach: Ellipsoid;
  readonly heart: Ellipsoid;
  readonly rightLung: Ellipsoid;
  readonly leftLung: Ellipsoid;
  readonly spineY: number;
  readonly spinePitch: number;
  readonly spinePhase: number;
  readonly aortaX: number;
  readonly aortaRadius: number;
  /** HU of every tissue in this patient, by tissue code. */
  readonly hu: readonly number[];
}

/** Draws a patient: size, build, position, and place, size and shape of every organ. */
export function drawAnatomy(random: RandomStream): Anatomy {
  const vary = (mid: number, by: number) => random.uniform(mid - by, mid + by);
  const organ = (
    c: readonly [number, number, number],
    r: readonly [number, number, number],
    move: number,
    grow: number,
  ) => {
    const size = vary(1, grow);
    return {
      c: [vary(c[0], move), vary(c[1], move), vary(c[2], move)] as const,
      r: [r[0] * size * vary(1, 0.08), r[1] * size * vary(1, 0.08), r[2] * size * vary(1, 0.08)] as const,
    };
  };
  const t = vary(0, 0.05); // tan of half the angle: ±5.7°
  const halfDepth = vary(0.65, 0.05);
  const back = halfDepth - 0.65;
  return {
    halfWidth: vary(0.9, 0.05),
    halfDepth,
    fat: vary(0.065, 0.03),
    muscle: vary(0.065, 0.012),
    turn: [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)],
    shift: [vary(0, 0.04), vary(0.04, 0.04)],
    couch: random.chance(0.7),
    domeRight: vary(0.5, 0.06),
    domeLeft: vary(0.43, 0.06),
    liverRight: organ([0.42, 0.05, 0.14], [0.37, 0.42, 0.37], 0.03, 0.1),
    liverLeft: organ([0.04, 0.24, 0.2], [0.36, 0.19, 0.17], 0.04, 0.15),
    spleen: organ([-0.55, -0.16, 0.14], [0.17, 0.26, 0.24], 0.035, 0.14),
    rightKidney: organ([0.35, -0.24 - back, -0.24], [0.14, 0.155, 0.27], 0.035, 0.1),
    leftKidney: organ([-0.36, -0.25 - back, -0.17], [0.14, 0.155, 0.27], 0.035, 0.1),
    stomach: organ([-0.33, 0.2, 0.1], [0.24, 0.17, 0.24], 0.04, 0.15),
    heart: organ([-0.14, 0.13, 0.66], [0.28, 0.26, 0.26], 0.03, 0.1),
    rightLung: organ([0.42, -0.02, 0.5], [0.34, 0.5, 0.72], 0.02, 0.06),
    leftLung: organ([-0.42, -0.02, 0.5], [0.34, 0.5, 0.72], 0.02, 0.06),
    spineY: -0.4 - back,
    spinePitch: vary(0.21, 0.02),
    spinePhase: random.uniform(),
    aortaX: vary(-0.07, 0.02),
    aortaRadius: vary(0.068, 0.01),
    hu: TISSUE_NAMES.map((name) => vary(TISSUES[name].hu, TISSUES[name].spread)),
  };
}

/** Squared distance from an ellipsoid's centre in its own radii: below 1 inside. */
const inside = (e: Ellipsoid, x: number, y: number, z: number): number => {
  const a = (x - e.c[0]) / e.r[0];
  const b = (y - e.c[1]) / e.r[1];
  const c = (z - e.c[2]) / e.r[2];
  return a * a + b * b + c * c;
};

/**
 * Tissue code at (x, y, z). `bend` and `grain` are smooth noise in −1..1 at this point: the first deforms organ borders,
 * the second (finer) places bowel, vessels and gas.
 */
export function tissueAt(p: Anatomy, x: number, y: number, z: number, bend: number, grain: number): number {
  const u = x - p.shift[0];
  const v = y - p.shift[1];
  x = p.turn[0] * u - p.turn[1] * v;
  y = p.turn[1] * u + p.turn[0] * v;

  // The outline: between an ellipse and a rounded box.
  const qx = (x / p.halfWidth) ** 2;
  const qy = (y / p.halfDepth) ** 2;
  const radius = Math.sqrt(0.5 * (qx + qy) + 0.5 * Math.sqrt(qx * qx + qy * qy)) * (1 + 0.015 * bend);
  const depth = (1 - radius) * p.halfDepth;
  if (depth < 0) return p.couch && onCouch(p, x, y) ? CODE.couch : CODE.air;
  if (depth < 0.02) return CODE.skin;

  const spine = spineAt(p, x, y, z);
  if (spine >= 0 && depth > 0.05) return spine;
  const fatDepth = 0.02 + p.fat * (1 + 0.4 * (y > 0 ? qy : 0)) * (1 + 0.2 * bend);
  if (depth < fatDepth) return CODE.fat;
  const wall = depth - fatDepth;
  if (wall < p.muscle) return isRib(p, x, y, z, wall) ? CODE.rib : CODE.muscle;
  // Muscle beside the spine.
  if (((Math.abs(x) - 0.17) / 0.15) ** 2 + ((y - p.spineY + 0.09) / 0.12) ** 2 < 1) return CODE.muscle;
  if (z < -0.62 && isPelvis(x, y, z)) return CODE.pelvis;

  const vessel = vesselAt(p, x, y, z);
  if (vessel >= 0) return vessel;
  return cavityAt(p, x, y, z, bend, grain);
}

function onCouch(p: Anatomy, x: number, y: number): boolean {
  const top = -p.halfDepth - 0.05 + 0.05 * x * x;
  return y < top && y > top - 0.05 && Math.abs(x) < 0.85;
}

function spineAt(p: Anatomy, x: number, y: number, z: number): number {
  const cy = p.spineY - 0.04 * z * z;
  if (Math.abs(x) > 0.3 || y > cy + 0.13 || y < cy - 0.32) return -1;
  const turns = z / p.spinePitch + p.spinePhase;
  const level = turns - Math.floor(turns);
  const body = (x / 0.145) ** 2 + ((y - cy) / 0.12) ** 2;
  if (body < 1) {
    if (level < 0.2) return CODE.disc;
    return body > 0.72 || level < 0.28 || level > 0.92 ? CODE.corticalBone : CODE.marrow;
  }
  const fromCanal = x * x + (y - cy + 0.175) ** 2;
  if (fromCanal < 0.055 ** 2) return CODE.canal;
  if (fromCanal < 0.1 ** 2) return CODE.corticalBone;
  if (level > 0.3 && level < 0.75) {
    if (Math.abs(x) < 0.035 && y < cy - 0.2) return CODE.corticalBone; // spinous process
    if (Math.abs(y - cy + 0.14) < 0.035) return CODE.corticalBone; // transverse processes
  }
  return -1;
}

function isRib(p: Anatomy, x: number, y: number, z: number, wall: number): boolean {
  if (z < -0.15 || wall < 0.2 * p.muscle || wall > 0.85 * p.muscle) return false;
  if (y > 0.3 * p.halfDepth && z < 0.2) return false; // no ribs in front of the belly
  const turns = (z - 0.45 * y) / 0.19 + p.spinePhase + (x > 0 ? 0.1 : 0);
  return turns - Math.floor(turns) < 0.42;
}

/** Two thin wings of bone. */
function isPelvis(x: number, y: number, z: number): boolean {
  const q = ((Math.abs(x) - 0.28) / 0.36) ** 2 + ((y + 0.1) / 0.36) ** 2 + ((z + 1.05) / 0.42) ** 2;
  return q > 0.8 && q < 1.1 && Math.abs(x) > 0.3;
}

function vesselAt(p: Anatomy, x: number, y: number, z: number): number {
  const cy = p.spineY - 0.04 * z * z + 0.215;
  if ((x - p.aortaX) ** 2 + (y - cy) ** 2 < p.aortaRadius ** 2) return CODE.aorta;
  if (z < p.domeRight && ((x - 0.1) / 0.075) ** 2 + ((y - cy - 0.01) / 0.06) ** 2 < 1) return CODE.cava;
  return -1;
}

function cavityAt(p: Anatomy, x: number, y: number, z: number, bend: number, grain: number): number {
  const fold = Math.abs(x) - 0.4;
  const dome = (x > 0 ? p.domeRight : p.domeLeft) - 0.9 * (fold * fold + 0.5 * y * y) + 0.02 * bend;
  if (z > dome) {
    if (inside(p.heart, x, y, z) < 1 + 0.1 * bend) return CODE.heart;
    const lung = inside(x > 0 ? p.rightLung : p.leftLung, x, y, z);
    if (lung < 1 + 0.06 * bend && Math.abs(x) > 0.12) return grain > 0.62 ? CODE.lungVessel : CODE.lung;
    return grain > 0.3 ? CODE.visceralFat : CODE.mediastinum;
  }
  const right = x > 0;
  const kidney = right ? p.rightKidney : p.leftKidney;
  const k = inside(kidney, x, y, z) * (1 + 0.14 * bend);
  if (k < 1) {
    // The hilum opens towards the midline.
    const hx = (x - kidney.c[0] + (right ? 1 : -1) * 0.85 * kidney.r[0]) / (0.75 * kidney.r[0]);
    const hy = (y - kidney.c[1] - 0.2 * kidney.r[1]) / (0.5 * kidney.r[1]);
    const hz = (z - kidney.c[2]) / (0.42 * kidney.r[2]);
    if (hx * hx + hy * hy + hz * hz < 1) return CODE.renalSinus;
    const cortex = k > 0.5 + 0.12 * grain;
    return right ? (cortex ? CODE.rightCortex : CODE.rightMedulla) : cortex ? CODE.leftCortex : CODE.leftMedulla;
  }
  const nearKidney = k < 1.25; // a rim of fat around the kidney
  if (!nearKidney && z < dome - 0.015) {
    const a = inside(p.liverRight, x, y, z);
    const b = inside(p.liverLeft, x, y, z);
    const gap = Math.max(0, 0.5 - Math.abs(a - b));
    const liver = (Math.min(a, b) - 0.4 * gap * gap) * (1 + 0.2 * bend);
    if (liver < 1) return liver < 0.75 && Math.abs(grain) < 0.035 ? CODE.liverVessel : CODE.liver;
    if (inside(p.spleen, x, y, z) * (1 + 0.22 * bend) < 1) return CODE.spleen;
    const stomach = inside(p.stomach, x, y, z) * (1 + 0.25 * bend);
    if (stomach < 1) return stomach < 0.7 && y > p.stomach.c[1] + 0.35 * p.stomach.r[1] ? CODE.gas : CODE.stomach;
  }
  if (y > p.spineY + 0.26 && z < 0.12) {
    if (grain > 0.55 && y > 0.1) return CODE.gas;
    if (grain > 0.08 || bend > 0.45) return CODE.bowel;
  }
  return CODE.visceralFat;
}
