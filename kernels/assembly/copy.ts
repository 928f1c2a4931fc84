// Zeros around a copied block.

/** n floats at d become 0. */
export function zeroF32(d: usize, n: i32): void {
  const end = d + (<usize>n << 2);
  for (; d + 16 <= end; d += 16) v128.store(d, i32x4.splat(0));
  for (; d < end; d += 4) store<f32>(d, 0);
}
