// Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). A draw depends on (key, counter) alone, never on what was drawn before, so every sample, epoch and voxel can be
// drawn independently and in any order.

const PARITY = 0x1bd11bda;

/**
 * threefry2x32 of key (k0, k1) and counter (c0, c1): two u32 written to `out`.
 * The same function as Random123's threefry2x32 with 20 rounds.
 */
export function threefryInto(out: Uint32Array, k0: number, k1: number, c0: number, c1: number): void {
  const k2 = PARITY ^ k0 ^ k1;
  let x = (c0 + k0) | 0;
  let y = (c1 + k1) | 0;
  // Five groups of four rounds, rotations 13 15 26 6 and 17 29 16 24 in turn; a key injection ends each group.
  x = (x + y) | 0;
  y = ((y << 13) | (y >>> 19)) ^ x;
  x = (x + y) | 0;
  y = ((y << 15) | (y >>> 17)) ^ x;
  x = (x + y) | 0;
  y = ((y << 26) | (y >>> 6)) ^ x;
  x = (x + y) | 0;
  y = ((y << 6) | (y >>> 26)) ^ x;
  x = (x + k1) | 0;
  y = (y + k2 + 1) | 0;
  x = (x + y) | 0;
  y = ((y << 17) | (y >>> 15)) ^ x;
  x = (x + y) | 0;
  y = ((y << 29) | (y >>> 3)) ^ x;
  x = (x + y) | 0;
  y = ((y << 16) | (y >>> 16)) ^ x;
  x = (x + y) | 0;
  y = ((y << 24) | (y >>> 8)) ^ x;
  x = (x + k2) | 0;
  y = (y + k0 + 2) | 0;
  x = (x + y) | 0;
  y = ((y << 13) | (y >>> 19)) ^ x;
  x = (x + y) | 0;
  y = ((y << 15) | (y >>> 17)) ^ x;
  x = (x + y) | 0;
  y = ((y << 26) | (y >>> 6)) ^ x;
  x = (x + y) | 0;
  y = ((y << 6) | (y >>> 26)) ^ x;
  x = (x + k0) | 0;
  y = (y + k1 + 3) | 0;
  x = (x + y) | 0;
  y = ((y << 17) | (y >>> 15)) ^ x;
  x = (x + y) | 0;
  y = ((y << 29) | (y >>> 3)) ^ x;
  x = (x + y) | 0;
  y = ((y << 16) | (y >>> 16)) ^ x;
  x = (x + y) | 0;
  y = ((y << 24) | (y >>> 8)) ^ x;
  x = (x + k1) | 0;
  y = (y + k2 + 4) | 0;
  x = (x + y) | 0;
  y = ((y << 13) | (y >>> 19)) ^ x;
  x = (x + y) | 0;
  y = ((y << 15) | (y >>> 17)) ^ x;
  x = (x + y) | 0;
  y = ((y << 26) | (y >>> 6)) ^ x;
  x = (x + y) | 0;
  y = ((y << 6) | (y >>> 26)) ^ x;
  out[0] = x + k2;
  out[1] = y + k0 + 5;
}

/** threefry2x32 as a pair of u32. */
export function threefry(k0: number, k1: number, c0: number, c1: number): [number, number] {
  const out = new Uint32Array(2);
  threefryInto(out, k0, k1, c0, c1);
  return [out[0]!, out[1]!];
}

/** u32 → uniform in [0, 1) from its upper 24 bits: exact in float32. */
export const uniformOf = (u32: number): number => (u32 >>> 8) * 2 ** -24;

/** Two u32 → one standard normal (Box–Muller); u₁ in (0, 1] so that the logarithm is finite. */
export function normalOf(a: number, b: number): number {
  return Math.sqrt(-2 * Math.log(((a >>> 8) + 1) * 2 ** -24)) * Math.cos(2 * Math.PI * uniformOf(b));
}

/**
 * A named sequence of draws: draw n of the stream uses counter (n, 0) under the stream's key.
 * The key of `stream(seed, a, b, …)` starts as (seed low, seed high) and absorbs each id in turn:
 * key ← threefry(key, (id, position)). Equal paths give equal draws; different paths are independent.
 */
export class RandomStream {
  readonly k0: number;
  readonly k1: number;
  private drawn = 0;
  private readonly word = new Uint32Array(2);

  constructor(k0: number, k1: number) {
    this.k0 = k0 >>> 0;
    this.k1 = k1 >>> 0;
  }

  /** A stream of its own below this one; does not advance this one. */
  fork(id: number, position = 0): RandomStream {
    const [a, b] = threefry(this.k0, this.k1, id >>> 0, (0x80000000 | position) >>> 0);
    return new RandomStream(a, b);
  }

  private next(): Uint32Array {
    threefryInto(this.word, this.k0, this.k1, this.drawn++, 0);
    return this.word;
  }

  u32(): number {
    return this.next()[0]!;
  }

  /** [0, 1), or [lo, hi). */
  uniform(lo = 0, hi = 1): number {
    return lo + (hi - lo) * uniformOf(this.next()[0]!);
  }

  /** A whole number in [0, n), n ≤ 2⁵³, from both words (bias below 2⁻¹¹ even there). */
  int(n: number): number {
    const w = this.next();
    const unit = (w[0]! * 2 ** 21 + (w[1]! >>> 11)) * 2 ** -53;
    return Math.min(n - 1, Math.floor(unit * n));
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  normal(): number {
    const w = this.next();
    return normalOf(w[0]!, w[1]!);
  }
}

/** The stream of a path of whole numbers below a seed (a safe integer): `stream(seed, epoch, index)`. */
export function stream(seed: number, ...path: number[]): RandomStream {
  let at = new RandomStream(seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0);
  path.forEach((id, position) => {
    at = at.fork(id, position);
  });
  return at;
}
