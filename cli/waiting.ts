// How much of a training's time the device waited for data.
import type { MetricRecord } from './run-folder.ts';

/** Tag of the share of a step's time. */
export const WAITED = 'train/waited';
/** Above this share the data are too slow for the device. */
export const MUCH = 0.1;

export const shareOf = (waitMs: number, ms: number): number => (ms > 0 ? Math.min(1, Math.max(0, waitMs / ms)) : 0);

/** Over the steps of a run but the first, which waits for threads to start. */
export class Waited {
  #steps = 0;
  #ms = 0;
  #waitMs = 0;

  take(ms: number, waitMs: number): void {
    if (this.#steps++ === 0) return;
    this.#ms += ms;
    this.#waitMs += Math.min(ms, waitMs);
  }

  get share(): number {
    return shareOf(this.#waitMs, this.#ms);
  }
}

/** The same from what was logged; null where nothing was. */
export function waitedIn(records: readonly MetricRecord[]): number | null {
  const steps = records.flatMap(({ values }) => {
    const [share, ms] = [values[WAITED], values['train/ms']];
    return typeof share === 'number' && typeof ms === 'number' ? [{ share, ms }] : [];
  });
  if (steps.length < 2) return null;
  const waited = new Waited();
  for (const { share, ms } of steps) waited.take(ms, share * ms);
  return waited.share;
}

export const showShare = (share: number): string => `${(100 * share).toFixed(1)} %`;

export const adviceOn = (share: number): string =>
  `the device waited for data ${showShare(share)} of the time: more --workers, a larger --cache, or a set that t3dc data prepare made help`;
