// Sliding windows over volumes of any size, laid as MONAI's dense_patch_slices lays them (the scheduler has the same, for
// programs that run without a host). First axis outermost.
import { T3dcError } from './errors.ts';

export interface Windows extends Iterable<readonly number[]> {
  readonly count: number;
  /** First voxel of window i along each axis. */
  start(i: number): number[];
}

/** size and roi in voxels per axis; overlap as a fraction of the roi, 0 ≤ overlap < 1, for all axes or per axis. An axis
 *  shorter than the roi has one window at 0: pad it. Throws T3dcError 'bad-option'. */
export function windows(size: readonly number[], roi: readonly number[], overlap: number | readonly number[]): Windows {
  const overlaps = typeof overlap === 'number' ? size.map(() => overlap) : overlap;
  if (roi.length !== size.length || overlaps.length !== size.length)
    throw new T3dcError('bad-option', 'size, roi and overlap differ in their number of axes', {
      found: `${size.length}, ${roi.length}, ${overlaps.length}`,
    });
  for (const o of overlaps)
    if (!(o >= 0 && o < 1))
      throw new T3dcError('bad-option', 'overlap is out of range', { found: o, expected: '0 ≤ overlap < 1' });
  for (const n of [...size, ...roi])
    if (!(Number.isInteger(n) && n >= 1))
      throw new T3dcError('bad-option', 'sizes are whole numbers above 0', { found: n });
  const intervals = size.map((n, i) => (n === roi[i] ? n : Math.max(1, Math.trunc(roi[i]! * (1 - overlaps[i]!)))));
  const counts = size.map((n, i) => (n <= roi[i]! ? 1 : Math.ceil((n - roi[i]!) / intervals[i]!) + 1));
  const count = counts.reduce((a, b) => a * b, 1);
  const start = (i: number): number[] => {
    const at = new Array<number>(size.length);
    for (let axis = size.length - 1; axis >= 0; axis--) {
      const k = i % counts[axis]!;
      i = Math.floor(i / counts[axis]!);
      at[axis] = Math.max(0, Math.min(k * intervals[axis]!, size[axis]! - roi[axis]!));
    }
    return at;
  };
  return {
    count,
    start,
    *[Symbol.iterator]() {
      for (let i = 0; i < count; i++) yield start(i);
    },
  };
}
