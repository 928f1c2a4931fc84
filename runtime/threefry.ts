// Threefry-2x32, 20 rounds: the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011). The kernels draw from the same function.

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/** Writes the two u32 words of threefry2x32(key, counter) to out[0], out[1]. */
export function threefry(key0: number, key1: number, counter0: number, counter1: number, out: Uint32Array): void {
  const keys = [key0 | 0, key1 | 0, key0 ^ key1 ^ PARITY];
  let a = (counter0 + key0) | 0;
  let b = (counter1 + key1) | 0;
  for (let round = 0; round < 20; round++) {
    a = (a + b) | 0;
    const r = ROTATIONS[round & 7]!;
    b = ((b << r) | (b >>> (32 - r))) ^ a;
    if ((round & 3) === 3) {
      const i = (round + 1) >> 2;
      a = (a + keys[i % 3]!) | 0;
      b = (b + keys[(i + 1) % 3]! + i) | 0;
    }
  }
  out[0] = a;
  out[1] = b;
}

/** A seed's two words. Throws RangeError when it is not a whole number from 0 to 2^64-1. */
export function seedWords(seed: number | bigint): readonly [lo: number, hi: number] {
  if (typeof seed === 'number' && !Number.isSafeInteger(seed))
    throw new RangeError(`seed ${seed} is not a whole number`);
  const s = BigInt(seed);
  if (s < 0n || s >= 1n << 64n) throw new RangeError(`seed ${seed} is not in 0 … 2^64-1`);
  return [Number(s & 0xffffffffn), Number(s >> 32n)];
}

/** FNV-1a over UTF-8, u32. */
export function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193);
  return h >>> 0;
}
