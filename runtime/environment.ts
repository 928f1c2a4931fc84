// Where the runtime runs, and the few things that differ there.

export const isNode: boolean = typeof process !== 'undefined' && process.versions?.node !== undefined;

/** A page's main thread: it may not block in atomic.wait, and should not be kept busy. */
export const isPage: boolean = !isNode && typeof document !== 'undefined';

export const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Logical processors. */
export const concurrency = (): number => (typeof navigator !== 'undefined' && navigator.hardwareConcurrency) || 1;
