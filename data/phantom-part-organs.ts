// The eight organs of the phantom `part`: where they lie, how large they are and how bright, all varying by study.
//
// Coordinates are voxels [d, h, w], which grow to the patient's right, anterior, superior. The study is a strip across the body, cut
// into four stations along d; each holds an organ in front and one behind it.
import type { RandomStream } from './random.ts';
import type { Dims } from './volume.ts';

export type PartOrganName =
  | 'spleen'
  | 'left kidney'
  | 'stomach'
  | 'left psoas'
  | 'pancreas'
  | 'right psoas'
  | 'liver'
  | 'right kidney';

export const PART_STATIONS = 4;
/** Voxels of a station, along every axis. */
export const PART_TILE = 28;
/** Voxels of a study. */
export const PART_SIZE: Dims = [PART_STATIONS * PART_TILE, PART_TILE, PART_TILE];

/** Two of each station, the front one first: organ n lies in station ⌊n / 2⌋. */
export const PART_ORGANS: readonly PartOrganName[] = [
  'spleen',
  'left kidney',
  'stomach',
  'left psoas',
  'pancreas',
  'right psoas',
  'liver',
  'right kidney',
];

type Triple = readonly [number, number, number];

/** An ellipsoid in voxels, and what lies in it. */
export interface OrganShape {
  readonly centre: Triple;
  readonly radii: Triple;
  /** Mean brightness, as a share of the window. */
  readonly level: number;
  /** Fat that reaches into a kidney from the midline. */
  readonly hilum: { readonly centre: Triple; readonly radii: Triple } | null;
}

interface Usual {
  /** The smallest stays large enough for the largest lesion. */
  readonly radii: Triple;
  readonly level: number;
  /** Where the midline lies, along d. */
  readonly hilum?: 1 | -1;
}

const KIDNEY: Usual = { radii: [7.5, 6, 10.5], level: 0.61 };
const PSOAS: Usual = { radii: [7, 6, 11.5], level: 0.45 };
const USUAL: Readonly<Record<PartOrganName, Usual>> = {
  spleen: { radii: [8.5, 6.1, 10], level: 0.57 },
  'left kidney': { ...KIDNEY, hilum: 1 },
  stomach: { radii: [10.5, 6.2, 8], level: 0.42 },
  'left psoas': PSOAS,
  pancreas: { radii: [11.5, 6, 7], level: 0.49 },
  'right psoas': PSOAS,
  liver: { radii: [11.5, 6.3, 11], level: 0.53 },
  'right kidney': { ...KIDNEY, hilum: -1 },
};
/** How far a study's organ may be from its usual level. */
const LEVEL_BY = 0.04;
const HILUM: Triple = [3.5, 2.2, 3.5];
const MIDDLE = (PART_TILE - 1) / 2;
const SMALLEST = 5.8;
const LARGEST_DEPTH = 6.6;

/** Place, size and brightness of every organ, in the order of PART_ORGANS. */
export function drawOrgans(random: RandomStream): OrganShape[] {
  return PART_ORGANS.map((name, n) => {
    const own = random.fork(n);
    const vary = (by: number) => own.uniform(-by, by);
    const usual = USUAL[name];
    const size = 1 + vary(0.05);
    const radii = usual.radii.map((r, axis) => {
      const most = axis === 1 ? LARGEST_DEPTH : MIDDLE - 1.5;
      return Math.min(most, Math.max(SMALLEST, r * size * (1 + vary(0.03))));
    }) as [number, number, number];
    // As far from the station's middle as the organ leaves room.
    const shift = (axis: 0 | 2) => vary(Math.max(0, Math.min(1, MIDDLE - 0.5 - radii[axis])));
    const front = n % 2 === 0;
    const station = Math.floor(n / 2);
    const centre: Triple = [
      station * PART_TILE + MIDDLE + shift(0),
      MIDDLE + (front ? 6.8 : -6.8) + vary(0.5),
      MIDDLE + shift(2),
    ];
    const { hilum } = usual;
    return {
      centre,
      radii,
      level: usual.level + vary(LEVEL_BY),
      hilum: hilum ? { centre: [centre[0] + hilum * radii[0], centre[1], centre[2]], radii: HILUM } : null,
    };
  });
}
