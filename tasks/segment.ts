// Segmenting a whole scan: prepared by the artifact's contract, run in sliding windows, and given back on the scan's own grid.
import {
  type Dims,
  keepLargest,
  type Mirrors,
  type Placement,
  type Predict,
  type Prepared,
  type ProbabilitySlab,
  prepare,
  type ScanOptions,
  segmentScan,
  segmentWindows,
  type Volume,
  type WindowOptions,
  withMirrors,
} from '../data/index.ts';
import { type Session, T3dcError } from '../runtime/index.ts';
import { type LogitsEntry, logitsEntry, type SegmentationContract, segmentationContract } from './contract.ts';
import { lateralityOf } from './laterality.ts';
import { pause } from './pause.ts';

export interface SegmentOptions {
  /** Entry that gives logits. Default `logits`, else the first that fits. */
  readonly entry?: string;
  /** Part of a window shared with its neighbour, 0 ≤ overlap < 1. Default the artifact's. */
  readonly overlap?: number;
  /** `flips`: average over mirrored windows, eight times the work; four where a class has a side and no partner, as then
   *  right and left stay. Default `none`. */
  readonly tta?: 'none' | 'flips';
  /** How the scan's voxels take their logits from the prepared ones. Default `linear`. */
  readonly resample?: ScanOptions['resample'];
  /** Keep the largest connected component, on the scan's grid, of every class or of those named. Leave out classes that are
   *  two organs, such as `kidneys`. Default false. */
  readonly largestComponent?: boolean | readonly string[];
  /** The most bytes of blended logits; less than a cross-section needs costs time. Default 2 GiB. */
  readonly maxBytes?: number;
  /** Probabilities of all classes, slab by slab of the scan's canonical grid, with where it lies. */
  readonly onProbabilities?: (slab: ProbabilitySlab, placement: Placement) => void;
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
 * @throws T3dcError `bad-artifact`, `bad-option`, `no-entry`, `no-weights`; DataError of `prepare` and `segmentScan`; the signal's reason
 */
export async function segment(session: Session, volume: Volume, options: SegmentOptions = {}): Promise<Segmentation> {
  const contract = segmentationContract(session.manifest);
  const cleaned = cleanedClasses(contract, options.largestComponent);
  const prepared = prepare(volume, undefined, contract.preprocess);
  const { onProbabilities } = options;
  const { predict, windows } = windowsOf(session, contract, prepared.dims, options);
  const result = await segmentScan(prepared, predict, {
    ...windows,
    resample: options.resample,
    onProbabilities: onProbabilities && ((slab) => onProbabilities(slab, prepared.placement)),
  });
  const { labels: data, removed } = cleaned
    ? keepLargest(result.labels.data, result.labels.dims, { labels: cleaned })
    : { labels: result.labels.data, removed: 0 };
  const labels = { ...result.labels, data };
  return {
    labels,
    classNames: contract.classNames,
    millilitres: volumesOf(labels, contract.classes),
    windows: result.windows,
    notes: prepared.notes,
    removed,
  };
}

/** Classes of which the largest component is kept. @throws T3dcError `bad-option` for a name that is no class */
function cleanedClasses(
  { classes, classNames }: SegmentationContract,
  wanted: SegmentOptions['largestComponent'] = false,
): number[] | null {
  if (wanted === false) return null;
  if (wanted === true) return Array.from({ length: classes - 1 }, (_, i) => i + 1);
  return wanted.map((name) => {
    const label = classNames.indexOf(name);
    if (label > 0) return label;
    throw new T3dcError('bad-option', 'a class whose largest component is to be kept is none', {
      found: name,
      expected: classNames.slice(1).join(', '),
    });
  });
}

/** Labels [d, h, w] on the prepared grid. */
export async function segmentPrepared(
  session: Session,
  prepared: Pick<Prepared, 'image' | 'dims'>,
  options: SegmentOptions = {},
): Promise<Uint8Array | Uint16Array> {
  const contract = segmentationContract(session.manifest);
  const { predict, windows } = windowsOf(session, contract, prepared.dims, options);
  return segmentWindows(prepared.image, prepared.dims, predict, windows);
}

/** The model as a function of one window, and how windows lie over a prepared volume. */
function windowsOf(
  session: Session,
  contract: SegmentationContract,
  dims: Dims,
  options: SegmentOptions,
): { predict: Predict; windows: WindowOptions } {
  const { patch: roi, classes } = contract;
  const once = predictor(session, contract, logitsEntry(session, contract, options.entry), options.signal);
  const predict = options.tta === 'flips' ? withMirrors(once, roi, classes, mirrorsOf(contract.classNames)) : once;
  const padded = dims.map((n, axis) => Math.max(n, roi[axis]!));
  const starts = [...session.windows(padded, roi, options.overlap ?? contract.overlap)] as unknown as Dims[];
  const { maxBytes, onProgress, signal } = options;
  return { predict, windows: { roi, classes, starts, maxBytes, onProgress, signal } };
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

/** Right and left are mirrored where no class has a side, or where every class that has one has its partner to swap with. */
export function mirrorsOf(classNames: readonly string[]): Mirrors {
  const lateral = lateralityOf(classNames);
  if (lateral === 'fixed') return { axes: [1, 2] };
  return { axes: [0, 1, 2], pairs: lateral === 'free' ? [] : lateral };
}

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
