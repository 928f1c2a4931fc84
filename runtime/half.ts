// f16 by its bits: Node 20 and current browsers have no Float16Array.

export function fromHalf(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const fraction = h & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** To nearest, ties to even, clamped to ±65504; NaN stays one. As a cast in a kernel, bit by bit (kernels/assembly/half.ts). */
export function toHalf(x: number): number {
  float[0] = x;
  const bits = word[0]!;
  const magnitude = bits & 0x7fffffff;
  const sign = (bits >>> 16) & 0x8000;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  const a = Math.min(magnitude, 0x477fe000);
  if (a >= 0x38800000) return sign | (((a + 0xfff + ((a >>> 13) & 1)) >>> 13) - 0x1c000);
  word[0] = a;
  float[0] = float[0]! + 0.5;
  return sign | (word[0]! - 0x3f000000);
}
