// Segmenting a whole scan: prepared by the artifact's contract, run in sliding windows, and given back on the scan's own grid.
import {
  type Dims,
  keepLargest,
  type Predict,
  type Prepared,
  prepare,
  segmentWindows,
  type Volume,
  withMirrors,
} from '../data/index.ts';
import type { Session } from '../runtime/index.ts';
import { type LogitsEntry, logitsEntry, type SegmentationContract, segmentationContract } from './contract.ts';
import { lateralityOf } from './laterality.ts';
import { pause } from './pause.ts';

export interface SegmentOptions {
  /** Entry that gives logits. Default `logits`, else the first that fits. */
  readonly entry?: string;
  /** Part of a window shared with its neighbour, 0 ≤ overlap < 1. Default the artifact's. */
  readonly overlap?: number;
  /** Average over mirrored windows: eight times the work, four where a class has a side. Default false. */
  readonly flip?: boolean;
  /** Keep the largest connected component of every class. Default false. */
  readonly largestComponent?: boolean;
  /** Windows done of all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface Segmentation {
  /** Class ids on the input's own grid, with its affine. */
  readonly labels: Volume<Uint8Array | Uint16Array>;
  readonly classNames: readonly string[];
  /** mL per class. */
  readonly millilitres: readonly number[];
  readonly windows: number;
  /** What a user should be told about the preparation. */
  readonly notes: readonly string[];
  /** Voxels that `largestComponent` took away. */
  readonly removed: number;
}

/**
 * @param volume CT in HU, any size, orientation and spacing
 * @throws T3dcError `bad-artifact`, `no-entry`, `no-weights`; DataError of `prepare` and `segmentWindows`; the signal's reason
 */
export async function segment(session: Session, volume: Volume, options: SegmentOptions = {}): Promise<Segmentation> {
  const contract = segmentationContract(session.manifest);
  const prepared = prepare(volume, undefined, contract.preprocess);
  const result = await segmentPrepared(session, prepared, options);
  const { labels: kept, removed } = options.largestComponent
    ? keepLargest(result.labels, prepared.dims)
    : { labels: result.labels, removed: 0 };
  const labels = prepared.restore(kept);
  return {
    labels,
    classNames: contract.classNames,
    millilitres: volumesOf(labels, contract.classes),
    windows: result.windows,
    notes: prepared.notes,
    removed,
  };
}

/** Labels [d, h, w] on the prepared grid. */
export async function segmentPrepared(
  session: Session,
  prepared: Pick<Prepared, 'image' | 'dims'>,
  options: SegmentOptions = {},
): Promise<{ labels: Uint8Array | Uint16Array; windows: number }> {
  const contract = segmentationContract(session.manifest);
  const entry = logitsEntry(session, contract, options.entry);
  const once = predictor(session, contract, entry, options.signal);
  const { patch: roi, classes } = contract;
  const predict = options.flip ? withMirrors(once, roi, classes, mirrorAxes(contract)) : once;
  const padded = prepared.dims.map((n, axis) => Math.max(n, roi[axis]!));
  const starts = [...session.windows(padded, roi, options.overlap ?? contract.overlap)] as unknown as Dims[];
  const labels = await segmentWindows(prepared.image, prepared.dims, predict, {
    roi,
    classes,
    starts,
    onProgress: options.onProgress,
    signal: options.signal,
  });
  return { labels, windows: starts.length };
}

/** One window's logits [class, d, h, w]. Of an artifact built for a larger batch only the first sample is used. */
function predictor(
  session: Session,
  contract: SegmentationContract,
  entry: LogitsEntry,
  signal: AbortSignal | undefined,
): Predict {
  const run = session.entries[entry.name]!;
  const voxels = contract.patch.reduce((a, b) => a * b, 1);
  const batch = entry.batch === 1 ? null : new Float32Array(entry.batch * voxels);
  return async (patch) => {
    await pause();
    batch?.set(patch);
    const outputs = await run({ [entry.volume]: batch ?? patch }, { signal });
    return (outputs[entry.logits] as Float32Array).subarray(0, contract.classes * voxels);
  };
}

/** Mirrored logits are not renamed, so where a class has a side, right and left stay. */
const mirrorAxes = (contract: SegmentationContract): number[] =>
  lateralityOf(contract.classNames) === 'free' ? [0, 1, 2] : [1, 2];

function volumesOf(labels: Volume, classes: number): number[] {
  const voxels = new Array<number>(classes).fill(0);
  for (let i = 0; i < labels.data.length; i++) voxels[labels.data[i]!]!++;
  const a = labels.affine;
  // mm³ of a voxel: the determinant of the affine's 3×3 part
  const mm3 = Math.abs(
    a[0]! * (a[5]! * a[10]! - a[6]! * a[9]!) -
      a[1]! * (a[4]! * a[10]! - a[6]! * a[8]!) +
      a[2]! * (a[4]! * a[9]! - a[5]! * a[8]!),
  );
  return voxels.map((n) => (n * mm3) / 1000);
}
