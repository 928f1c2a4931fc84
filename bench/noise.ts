/** In [-1, 1), from integers alone: a hash of each place (murmur3's finaliser). Sequences with less chance in them, as those of a linear
 *  congruential generator or of multiples of one number, would not do: their elements a row apart are correlated, sums of a million
 *  products cancel to nothing, and what is left is rounding. */
export function noise(n: number, seed: number, scale = 1): Float32Array {
  const out = new Float32Array(n);
  const key = Math.imul(seed, 0x9e3779b1);
  for (let i = 0; i < n; i++) {
    let x = (i ^ key) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    out[i] = scale * (((x ^ (x >>> 16)) >>> 8) / 2 ** 23 - 1);
  }
  return out;
}
