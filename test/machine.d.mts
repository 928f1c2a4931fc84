export interface Found {
  readonly ok: boolean;
  /** What was found, or what is missing. */
  readonly what: string;
  /** What to do about it. */
  readonly hint: string;
}
/** A Chromium; `what` is its path. Set up as root on Debian where there is none. */
export function findChromium(): Found;
/** A WebGPU adapter for Node. */
export function findWebGpu(): Found;
