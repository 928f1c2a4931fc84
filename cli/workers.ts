// `--workers`: threads that make samples ahead of the device.
import { availableParallelism } from 'node:os';

/** Option of the commands that train. */
export const WORKERS = {
  kind: 'integer',
  min: 0,
  max: 64,
  value: 'N',
  help: 'threads that read and augment ahead of the device (default: processors less one, 1 to 4); 0: none',
} as const;

/** More than that seldom read faster than one disk gives. */
const MOST = 4;

export const defaultWorkers = (): number => Math.max(1, Math.min(MOST, availableParallelism() - 1));
