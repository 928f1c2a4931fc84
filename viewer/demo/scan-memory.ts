// What a scan will need at its peak, told before any of it is allocated. The figure is an upper bound over the stages: reading,
// showing, and segmenting while it is shown.

import type { Dims } from '../../data/index.ts';

export interface MemoryRequest {
  readonly dims: Dims;
  /** mm */
  readonly spacing: readonly number[];
  /** Of the numbers as they are kept: 2 where HU are whole, else 4. */
  readonly voxelBytes: 2 | 4;
}

export interface ModelMemory {
  /** mm that the model works at; null: the scan's own. */
  readonly spacing: readonly number[] | null;
  readonly classes: number;
  readonly patch: Dims;
  /** Bytes that the model holds itself. */
  readonly own: number;
}

export interface MemoryNeed {
  readonly bytes: number;
  readonly limit: number;
  /** In words, the largest first. */
  readonly parts: readonly (readonly [what: string, bytes: number])[];
}

/** As much as task.segment may keep of blended logits. */
const BLENDED = 2 * 2 ** 30;

export function memoryNeed(
  { dims, spacing, voxelBytes }: MemoryRequest,
  model: ModelMemory,
  limit: number,
): MemoryNeed {
  const voxels = dims.reduce((a, b) => a * b, 1);
  const working = dims.map((n, axis) => Math.max(1, (n * spacing[axis]!) / (model.spacing ?? spacing)[axis]!));
  const prepared = working.reduce((a, b) => a * b, 1);
  // The ring of blended logits is as deep as a window and as wide as the scan.
  const ring = Math.min(BLENDED, 4 * (model.classes + 1) * model.patch[0] * Math.max(1, prepared / working[0]!));
  const parts: (readonly [string, number])[] = [
    // As read, as shown, as sent to the model, and turned to its axes.
    ['the scan and its copies', voxels * voxelBytes * 4],
    // RGBA of the scan, and of the labels over it; the labels themselves, twice.
    ['the picture', voxels * 8],
    ['the labels', voxels * 2],
    // Resampled, and one axis of it under way.
    ['the scan as the model reads it', prepared * 8],
    ['what the model says of each voxel', ring],
    ['the model', model.own],
  ];
  parts.sort((a, b) => b[1] - a[1]);
  return { bytes: parts.reduce((n, p) => n + p[1], 0), limit, parts };
}

/**
 * Bytes that the page keeps within: three quarters of what the browser says this computer has, and no more than 6 GiB, since
 * browsers tell no more than 8. Where it tells nothing, 3 GiB.
 */
export function memoryLimit(told: number | undefined): number {
  return (told ?? 4) * 0.75 * 2 ** 30;
}
