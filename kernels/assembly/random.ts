// Threefry-2x32, 20 rounds (Salmon et al. 2011), one counter at a time and four.

// @ts-ignore: decorator
@inline function rotl4(x: v128, n: i32): v128 {
  return v128.or(i32x4.shl(x, n), i32x4.shr_u(x, 32 - n));
}

// @ts-ignore: decorator
@inline function parity(k0: u32, k1: u32): u32 {
  return 0x1bd11bda ^ k0 ^ k1;
}

// @ts-ignore: decorator
@inline function rotation(r: i32): i32 {
  // 13 15 26 6 17 29 16 24, a byte each
  return <i32>((<u64>0x18101d11061a0f0d >> (<u64>(r & 7) << 3)) & 31);
}

/** Uniform in [0, 1) with 24 bits from key (k0, k1) and counter (c0, c1). */
export function uniform(k0: u32, k1: u32, c0: i32, c1: u32): f32 {
  const k2 = parity(k0, k1);
  let x0: u32 = <u32>c0 + k0;
  let x1: u32 = c1 + k1;
  for (let r = 0; r < 20; r++) {
    x0 += x1;
    x1 = rotl<u32>(x1, <u32>rotation(r)) ^ x0;
    if ((r & 3) == 3) {
      const i = (r >> 2) + 1;
      const m = i % 3;
      x0 += m == 0 ? k0 : m == 1 ? k1 : k2;
      x1 += (m == 0 ? k1 : m == 1 ? k2 : k0) + <u32>i;
    }
  }
  return <f32>(x0 >> 8) * <f32>5.9604644775390625e-8;
}

/** The same for four counters. */
export function uniform4(k0: u32, k1: u32, c0: v128, c1: u32): v128 {
  const k2 = parity(k0, k1);
  let x0 = i32x4.add(c0, i32x4.splat(k0));
  let x1 = i32x4.splat(c1 + k1);
  for (let r = 0; r < 20; r++) {
    x0 = i32x4.add(x0, x1);
    x1 = v128.xor(rotl4(x1, rotation(r)), x0);
    if ((r & 3) == 3) {
      const i = (r >> 2) + 1;
      const m = i % 3;
      x0 = i32x4.add(x0, i32x4.splat(m == 0 ? k0 : m == 1 ? k1 : k2));
      x1 = i32x4.add(x1, i32x4.splat((m == 0 ? k1 : m == 1 ? k2 : k0) + <u32>i));
    }
  }
  return f32x4.mul(f32x4.convert_i32x4_u(i32x4.shr_u(x0, 8)), f32x4.splat(<f32>5.9604644775390625e-8));
}
