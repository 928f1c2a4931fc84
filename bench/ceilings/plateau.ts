/** The least time of runs, once three in a row are no better. */
export async function plateau(run: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let worse = 0, n = 0; worse < 3 && n < 40; n++) {
    const ms = await run();
    worse = ms < 0.99 * least ? 0 : worse + 1;
    least = Math.min(least, ms);
  }
  return least;
}
