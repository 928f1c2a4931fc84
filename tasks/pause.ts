/** Lets timers, signals and input events run: work on one wasm thread may go on for minutes without leaving the event loop a
 *  turn, and then nobody could cancel it. */
export const pause = (): Promise<void> =>
  new Promise((done) => {
    if (typeof setImmediate === 'function') setImmediate(done);
    else setTimeout(done, 0);
  });
