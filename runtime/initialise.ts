// Initial values of parameters, in checkpoint layout: element i of parameter `name` depends on (seed, name, i) alone.
import type { Init } from './manifest.ts';
import { fnv1a, seedWords, threefry } from './threefry.ts';

/** key = (seedLo ^ fnv1a(name), seedHi), counter = (i, draw). Writes all of `out`. */
export function initialValues(init: Init, name: string, seed: number | bigint, out: Float32Array): void {
  if (init.kind === 'constant') {
    out.fill(init.value);
    return;
  }
  const [lo, hi] = seedWords(seed);
  const key = (lo ^ fnv1a(name)) >>> 0;
  const pair = new Uint32Array(2);
  const draw = (i: number, n: number): void => threefry(key, hi, i, n, pair);
  for (let i = 0; i < out.length; i++) {
    if (init.kind === 'uniform') {
      draw(i, 0);
      out[i] = init.low + (init.high - init.low) * unit(pair[0]!);
    } else if (init.kind === 'normal') {
      draw(i, 0);
      out[i] = init.mean + init.std * gaussian(pair);
    } else {
      // Drawn again until it falls inside: with std < 1 and bounds of ±2 the first draw nearly always does.
      for (let n = 0; ; n++) {
        draw(i, n);
        const v = init.std * gaussian(pair);
        if (v >= init.low && v <= init.high) {
          out[i] = v;
          break;
        }
        if (n === 10_000)
          throw new RangeError(`${name}: the range ${init.low} … ${init.high} is never met with std ${init.std}`);
      }
    }
  }
}

/** 24 bits in [0, 1). */
const unit = (word: number): number => (word >>> 8) * 2 ** -24;

/** Box-Muller; the first uniform is in (0, 1], so that its logarithm is finite. */
const gaussian = (pair: Uint32Array): number =>
  Math.sqrt(-2 * Math.log(unit(pair[0]!) + 2 ** -24)) * Math.cos(2 * Math.PI * unit(pair[1]!));
