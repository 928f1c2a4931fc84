// Threefry-2x32, 20 rounds: the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011). The kernels draw from the same function.

const PARITY = 0x1bd11bda;

/** Writes the two u32 words of threefry2x32(key, counter) to out[0], out[1]. */
export function threefry(key0: number, key1: number, counter0: number, counter1: number, out: Uint32Array): void {
  const key2 = key0 ^ key1 ^ PARITY;
  let a = (counter0 + key0) | 0;
  let b = (counter1 + key1) | 0;
  // Five groups of four rounds; the rotations alternate between two sets, the keys go round.
  for (let group = 1; group <= 5; group++) {
    const odd = (group & 1) === 1;
    a = (a + b) | 0;
    b = odd ? ((b << 13) | (b >>> 19)) ^ a : ((b << 17) | (b >>> 15)) ^ a;
    a = (a + b) | 0;
    b = odd ? ((b << 15) | (b >>> 17)) ^ a : ((b << 29) | (b >>> 3)) ^ a;
    a = (a + b) | 0;
    b = odd ? ((b << 26) | (b >>> 6)) ^ a : ((b << 16) | (b >>> 16)) ^ a;
    a = (a + b) | 0;
    b = odd ? ((b << 6) | (b >>> 26)) ^ a : ((b << 24) | (b >>> 8)) ^ a;
    const i = group % 3;
    a = (a + (i === 0 ? key0 : i === 1 ? key1 : key2)) | 0;
    b = (b + (i === 0 ? key1 : i === 1 ? key2 : key0) + group) | 0;
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
