// How far something is: what was done of all, and, by the pace so far, how long it will yet take.

export interface Progress {
  /** `download`: the artifact's files; `weights`: a file of weights; `compile`: kernels on WebGPU; `run`: windows of a scan. */
  readonly stage: 'download' | 'weights' | 'compile' | 'run';
  /** Bytes (download, weights), kernels or windows. */
  readonly done: number;
  /** 0 where it is not known, as when a server does not tell a file's size. */
  readonly total: number;
  /** Of this stage, 0 to 1; 0 while `total` is not known. */
  readonly fraction: number;
  /** By the pace so far; null while that cannot be told. */
  readonly secondsLeft: number | null;
}

/** Less than this was seen of a stage: its pace is not known yet. */
const FIRST_MS = 250;

/** Tells the progress of one stage, beginning now. */
export function meter(
  stage: Progress['stage'],
  report: ((progress: Progress) => void) | undefined,
): (done: number, total: number) => void {
  if (!report) return () => {};
  const since = performance.now();
  let first: number | null = null;
  return (done, total) => {
    // What was there at the first call took no time of this stage.
    first ??= done;
    const ms = performance.now() - since;
    const known = total > 0 && ms >= FIRST_MS && done > first;
    report({
      stage,
      done,
      total,
      fraction: total > 0 ? done / total : 0,
      secondsLeft: done >= total && total > 0 ? 0 : known ? (ms * (total - done)) / (done - first) / 1000 : null,
    });
  };
}
