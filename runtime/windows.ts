// Sliding windows over volumes of any size, first axis outermost. How they lie along an axis is the scheduler's to say
// (runtime/scheduler/windows.ts).
import { T3dcError } from './errors.ts';

/** The scheduler's windows along one axis. */
export interface WindowAxis {
  windowCount(size: number, roi: number, overlap: number): number;
  windowStart(size: number, roi: number, overlap: number, i: number): number;
}

export interface Windows extends Iterable<readonly number[]> {
  readonly count: number;
  /** First voxel of window i along each axis. */
  start(i: number): number[];
}

/** size and roi in voxels per axis; overlap as a fraction of the roi, 0 ≤ overlap < 1, for all axes or per axis. An axis
 *  shorter than the roi has one window at 0: pad it. Throws T3dcError 'bad-option'. */
export function windows(
  axes: WindowAxis,
  size: readonly number[],
  roi: readonly number[],
  overlap: number | readonly number[],
): Windows {
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
  const counts = size.map((n, axis) => axes.windowCount(n, roi[axis]!, overlaps[axis]!) >>> 0);
  const count = counts.reduce((a, b) => a * b, 1);
  const start = (i: number): number[] => {
    const at = new Array<number>(size.length);
    for (let axis = size.length - 1; axis >= 0; axis--) {
      const k = i % counts[axis]!;
      i = Math.floor(i / counts[axis]!);
      at[axis] = axes.windowStart(size[axis]!, roi[axis]!, overlaps[axis]!, k) >>> 0;
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
