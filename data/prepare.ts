// The contract between a model and the volumes that it is given, as data: it is kept with the artifact (preprocess.json), and
// training and inference both go through `prepare`.

import { type Affine, spacingOf } from './affine.ts';
import { DataError } from './errors.ts';
import { foregroundBox } from './foreground.ts';
import { applyWindow } from './intensity.ts';
import { type Orientation, orientationOf, restoreOrientation, toCanonical } from './orientation.ts';
import { type Box, cut, pasteArray } from './pad.ts';
import { type Grid, gridAtSpacing, resampleLinear, resampleNearest } from './resample.ts';
import {
  allocateLike,
  checkSameGrid,
  checkVolume,
  type Dims,
  type Volume,
  type VoxelArray,
  voxelCount,
} from './volume.ts';

/** JSON-able. */
export interface Preprocess {
  readonly orientation: 'RAS';
  /** Working spacing in mm along R, A, S; null keeps the volume's own. */
  readonly spacing: readonly [number, number, number] | null;
  /** HU that become 0 and 1; clipped outside. */
  readonly window: readonly [number, number];
  /** Cut to the box of voxels above this HU, widened by `margin` mm; null keeps the air. */
  readonly foreground: { readonly above: number; readonly margin: number } | null;
  /** Slices thicker than this (mm) are refused, or kept at their own thickness and resampled in-plane only. */
  readonly thickSlices: { readonly above: number; readonly action: 'refuse' | 'in-plane' };
}

/** The abdomen recipe (BTCV): 1.5 × 1.5 × 2.0 mm, −175..250 HU, body box. */
export const ABDOMEN: Preprocess = {
  orientation: 'RAS',
  spacing: [1.5, 1.5, 2.0],
  window: [-175, 250],
  foreground: { above: -500, margin: 3 },
  thickSlices: { above: 5, action: 'refuse' },
};

/** The way from the prepared grid back to the input's: box of the canonical grid, canonical grid, the input's own. */
export interface Placement {
  /** The input's grid and header, without its voxels. */
  readonly input: Omit<Volume, 'data'>;
  /** From the input's axes to the canonical ones. */
  readonly orientation: Orientation;
  readonly canonical: Grid;
  /** The box of the canonical grid that was prepared, and its own affine. */
  readonly box: Box;
  readonly boxAffine: Affine;
}

export interface Prepared<L extends VoxelArray = VoxelArray> {
  /** [d, h, w] = [R, A, S], 0..1. */
  readonly image: Float32Array;
  readonly label?: L;
  readonly dims: Dims;
  /** Prepared voxel → world mm. */
  readonly affine: Affine;
  /** mm along d, h, w. */
  readonly spacing: readonly [number, number, number];
  /** What a user should be told, e.g. thick slices kept. */
  readonly notes: readonly string[];
  /** Where the prepared grid lies in the input. */
  readonly placement: Placement;
  /**
   * Labels [d, h, w] on the prepared grid → a label volume on the input's own grid with its own affine: each input voxel takes
   * the nearest prepared voxel, and 0 outside the foreground box.
   */
  restore<R extends VoxelArray>(labels: R): Volume<R>;
}

/**
 * @param volume CT in HU, any orientation; `label` on the same grid
 * @throws `volume-shape`, `volume-affine`, `volume-grids`, `volume-thick-slices`, `volume-nonfinite`, `foreground-empty`,
 *   `window-empty`, `preprocess-invalid`
 */
export function prepare<L extends VoxelArray>(
  volume: Volume,
  label: Volume<L> | undefined,
  contract: Preprocess,
): Prepared<L> {
  checkContract(contract);
  checkVolume(volume);
  if (label) {
    checkVolume(label);
    checkSameGrid(volume, label, 'Image and label map');
  }
  const notes: string[] = [];
  const { volume: turned, orientation } = toCanonical(volume);
  const own = spacingOf(turned.affine);
  const spacing = workingSpacing(own, contract, notes);
  const box: Box = contract.foreground
    ? foregroundBox(turned.data, turned.dims, contract.foreground.above, [
        Math.ceil(contract.foreground.margin / own[0]),
        Math.ceil(contract.foreground.margin / own[1]),
        Math.ceil(contract.foreground.margin / own[2]),
      ])
    : { start: [0, 0, 0], size: turned.dims };
  const body = cut(turned, box);
  const grid = gridAtSpacing(body, spacing);
  const image = resampleLinear(body, grid);
  const turnedLabel = label && toCanonical(withAffine(label, volume.affine)).volume;
  const placement: Placement = {
    input: { dims: volume.dims, affine: volume.affine, header: { ...volume.header, extensions: undefined } },
    orientation,
    canonical: { dims: turned.dims, affine: turned.affine },
    box,
    boxAffine: body.affine,
  };
  return {
    image: applyWindow(image.data, contract.window, image.data),
    label: turnedLabel && resampleNearest(cut(turnedLabel, box), grid).data,
    dims: grid.dims,
    affine: grid.affine,
    spacing,
    notes,
    placement,
    restore: restoring(grid, placement),
  };
}

/** A function of its own, so that what it keeps alive is grids and not the voxels of the steps before. */
const restoring =
  (grid: Grid, { input, orientation, canonical, box, boxAffine }: Placement) =>
  <R extends VoxelArray>(labels: R): Volume<R> => {
    if (labels.length !== voxelCount(grid.dims)) {
      throw new DataError('volume-shape', 'These labels are not on the prepared grid.', {
        found: `${labels.length} voxels`,
        expected: `${grid.dims.join(' × ')} = ${voxelCount(grid.dims)}`,
        fix: 'pass labels of the size of `dims`',
      });
    }
    const prepared = { data: labels, dims: grid.dims, affine: grid.affine };
    const back = resampleNearest(prepared, { dims: box.size, affine: boxAffine });
    const full = allocateLike(labels, voxelCount(canonical.dims));
    pasteArray(full, canonical.dims, back.data, box);
    return { ...input, data: restoreOrientation({ ...canonical, data: full }, orientation).data };
  };

/**
 * Where a volume lies on the contract's axes and spacing already, so that preparing it moves no voxel: the spacing and what a user
 * should be told; else null.
 * @throws `preprocess-invalid`, `volume-thick-slices`
 */
export function workingGrid(
  { dims, affine }: Grid,
  contract: Preprocess,
): { readonly spacing: [number, number, number]; readonly notes: readonly string[] } | null {
  checkContract(contract);
  const { axes, flips } = orientationOf(affine);
  if (axes.some((a, o) => a !== o) || flips.includes(true)) return null;
  const notes: string[] = [];
  const own = spacingOf(affine);
  const spacing = workingSpacing(own, contract, notes);
  // Half of what resampling rounds its coordinates to, over the whole axis.
  const same = dims.every((n, axis) => n * Math.abs(spacing[axis]! / own[axis]! - 1) < 2 ** -21);
  return same ? { spacing, notes } : null;
}

/** Reads a contract from parsed JSON. @throws `preprocess-invalid` */
export function preprocessFrom(json: unknown): Preprocess {
  checkContract(json as Preprocess);
  return json as Preprocess;
}

/** Ids given new numbers (those not in the map become 0): e.g. a 104-class map to the five organs of a task. */
export function remapLabels(labels: VoxelArray, map: ReadonlyMap<number, number>): Uint8Array {
  const out = new Uint8Array(labels.length);
  for (let i = 0; i < labels.length; i++) out[i] = map.get(labels[i]!) ?? 0;
  return out;
}

const withAffine = <T extends VoxelArray>(volume: Volume<T>, affine: Affine): Volume<T> => ({ ...volume, affine });

function workingSpacing(own: readonly number[], contract: Preprocess, notes: string[]): [number, number, number] {
  const wanted = contract.spacing ?? own;
  const spacing: [number, number, number] = [wanted[0]!, wanted[1]!, wanted[2]!];
  const { above, action } = contract.thickSlices;
  for (let axis = 0; axis < 3; axis++) {
    const thick = own[axis]!;
    if (thick <= above) continue;
    if (action === 'refuse') {
      throw new DataError('volume-thick-slices', 'The slices are too thick for this working spacing.', {
        found: `${thick.toFixed(2)} mm along axis ${'RAS'[axis]}`,
        expected: `at most ${above} mm`,
        fix: "use a thinner reconstruction, or set thickSlices.action to 'in-plane' to keep the slices as they are",
      });
    }
    spacing[axis] = thick;
    notes.push(`slices of ${thick.toFixed(2)} mm along ${'RAS'[axis]} kept; resampled in-plane only`);
  }
  return spacing;
}

function checkContract(c: Preprocess): void {
  const triple = (v: unknown): boolean =>
    Array.isArray(v) && v.length === 3 && v.every((n) => Number.isFinite(n) && n > 0);
  const problem =
    typeof c !== 'object' || c === null
      ? 'not an object'
      : c.orientation !== 'RAS'
        ? `orientation ${JSON.stringify(c.orientation)} (RAS is the only one)`
        : c.spacing !== null && !triple(c.spacing)
          ? `spacing ${JSON.stringify(c.spacing)} (three positive mm, or null)`
          : !(Array.isArray(c.window) && c.window.length === 2 && c.window[0]! < c.window[1]!)
            ? `window ${JSON.stringify(c.window)} (two HU, rising)`
            : c.foreground !== null && !(Number.isFinite(c.foreground?.above) && c.foreground.margin >= 0)
              ? `foreground ${JSON.stringify(c.foreground)} ({above, margin} or null)`
              : !(c.thickSlices?.above > 0 && ['refuse', 'in-plane'].includes(c.thickSlices.action))
                ? `thickSlices ${JSON.stringify(c.thickSlices)} ({above, action})`
                : undefined;
  if (problem) {
    throw new DataError('preprocess-invalid', 'The preprocessing contract is not valid.', {
      found: problem,
      expected: '{orientation, spacing, window, foreground, thickSlices}',
      fix: 'start from ABDOMEN and change its fields',
    });
  }
}
