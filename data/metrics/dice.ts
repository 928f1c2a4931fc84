// Dice per class, with empty classes said and left out.

import { DataError } from '../errors.ts';
import type { VoxelArray } from '../volume.ts';

export interface DiceResult {
  /** Per class id: 2·|P∩T| / (|P| + |T|). NaN where the truth has no voxel of the class (MONAI's ignore_empty). */
  readonly dice: readonly number[];
  /** Mean over the classes from 1 up that are not NaN; NaN when all are. */
  readonly mean: number;
  /** Classes from 1 up that were left out of the mean because the truth is empty. */
  readonly empty: number;
  /** Voxels per class. */
  readonly truthVoxels: readonly number[];
  readonly predictedVoxels: readonly number[];
}

/**
 * @param predicted, truth labels of one grid, whole numbers in [0, classes)
 * @throws `dice-shape`, `label-range`
 */
export function dice(predicted: VoxelArray, truth: VoxelArray, classes: number): DiceResult {
  if (predicted.length !== truth.length) {
    throw new DataError('dice-shape', 'Prediction and truth have different numbers of voxels.', {
      found: `${predicted.length} and ${truth.length}`,
      expected: 'the same grid',
      fix: "restore the prediction to the truth's grid first",
    });
  }
  const p = new Float64Array(classes);
  const t = new Float64Array(classes);
  const both = new Float64Array(classes);
  for (let i = 0; i < truth.length; i++) {
    const a = predicted[i]!;
    const b = truth[i]!;
    if (!(a < classes && b < classes && a >= 0 && b >= 0)) {
      throw new DataError('label-range', 'A label is not a class of this comparison.', {
        found: `predicted ${a}, truth ${b} at voxel ${i}`,
        expected: `0 to ${classes - 1}`,
        fix: 'raise the number of classes, or map the label ids first',
      });
    }
    p[a]!++;
    t[b]!++;
    if (a === b) both[a]!++;
  }
  const values = Array.from(t, (n, c) => (n === 0 ? Number.NaN : (2 * both[c]!) / (p[c]! + n)));
  const { mean, empty } = meanOf(values.slice(1));
  return { dice: values, mean, empty, truthVoxels: [...t], predictedVoxels: [...p] };
}

/** Mean of the values that are not NaN, and how many were. */
export function meanOf(values: readonly number[]): { mean: number; empty: number } {
  const kept = values.filter((v) => !Number.isNaN(v));
  const mean = kept.length > 0 ? kept.reduce((a, b) => a + b, 0) / kept.length : Number.NaN;
  return { mean, empty: values.length - kept.length };
}

/** Mean per class over cases (each a `DiceResult.dice`), NaNs left out and counted: what a validation prints. */
export function dicePerClass(cases: readonly (readonly number[])[]): { mean: number; empty: number; cases: number }[] {
  const classes = cases[0]?.length ?? 0;
  return Array.from({ length: classes }, (_, c) => ({ ...meanOf(cases.map((d) => d[c]!)), cases: cases.length }));
}

/** "liver 0.953, spleen 0.91 (2 of 5 empty), mean 0.93" */
export function showDice(
  perClass: readonly { mean: number; empty: number; cases: number }[],
  names: readonly string[],
): string {
  const parts = perClass.slice(1).map((c, i) => {
    const name = names[i + 1] ?? `class ${i + 1}`;
    if (Number.isNaN(c.mean)) return `${name} – (empty in all ${c.cases})`;
    return `${name} ${c.mean.toFixed(3)}${c.empty > 0 ? ` (${c.empty} of ${c.cases} empty)` : ''}`;
  });
  const all = meanOf(perClass.slice(1).map((c) => c.mean));
  return `${parts.join(', ')}, mean ${all.mean.toFixed(3)}${all.empty > 0 ? ` over ${perClass.length - 1 - all.empty} classes` : ''}`;
}
