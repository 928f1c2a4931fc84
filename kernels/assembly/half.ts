// f16 in memory, f32 in locals. Halves are made by integers, to nearest, ties to even; what is too large becomes infinite, or
// (clampHalf) ±65504; NaN stays one.

/** Bits of four halves (one to a lane) as f32. */
// @ts-ignore: decorator
@inline function decode(h: v128): v128 {
  const m = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  // 2^112 moves the exponent's bias from 15 to 127, denormals included; all ones stay all ones.
  const x = f32x4.mul(m, f32x4.splat(reinterpret<f32>(0x77800000)));
  const special = v128.and(i32x4.ge_s(m, i32x4.splat(0x0f800000)), i32x4.splat(0x7f800000));
  return v128.or(v128.or(x, special), i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16));
}

/** Four f32 as bits of halves, one to a lane. */
// @ts-ignore: decorator
@inline function encode(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff));
  const a = i32x4.min_s(magnitude, i32x4.splat(0x47800000));
  // Below 2^-14 adding 0.5 leaves the half's bits at the end of the sum's.
  const tiny = i32x4.sub(f32x4.add(a, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  const odd = v128.and(i32x4.shr_u(a, 13), i32x4.splat(1));
  const usual = i32x4.sub(i32x4.shr_u(i32x4.add(i32x4.add(a, i32x4.splat(0xfff)), odd), 13), i32x4.splat(0x1c000));
  const number = v128.bitselect(tiny, usual, i32x4.lt_s(a, i32x4.splat(0x38800000)));
  const nan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000));
  const h = v128.bitselect(i32x4.splat(0x7e00), number, nan);
  return v128.or(h, v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000)));
}

export function loadHalf(at: usize): f32 {
  return f32x4.extract_lane(decode(i32x4.splat(<i32>load<u16>(at))), 0);
}

export function loadHalf4(at: usize): v128 {
  return decode(v128.load16x4_u(at));
}

export function stridedHalf4(base: usize, i: i32, stride: i32): v128 {
  const step = <usize>stride << 1;
  const q = base + <usize>i * step;
  let h = i32x4.splat(<i32>load<u16>(q));
  h = i32x4.replace_lane(h, 1, <i32>load<u16>(q + step));
  h = i32x4.replace_lane(h, 2, <i32>load<u16>(q + 2 * step));
  return decode(i32x4.replace_lane(h, 3, <i32>load<u16>(q + 3 * step)));
}

export function gatherHalf4(base: usize, index: v128): v128 {
  let h = i32x4.splat(<i32>load<u16>(base + (<usize>i32x4.extract_lane(index, 0) << 1)));
  h = i32x4.replace_lane(h, 1, <i32>load<u16>(base + (<usize>i32x4.extract_lane(index, 1) << 1)));
  h = i32x4.replace_lane(h, 2, <i32>load<u16>(base + (<usize>i32x4.extract_lane(index, 2) << 1)));
  return decode(i32x4.replace_lane(h, 3, <i32>load<u16>(base + (<usize>i32x4.extract_lane(index, 3) << 1))));
}

export function roundHalf(x: f32): f32 {
  return f32x4.extract_lane(decode(encode(f32x4.splat(x))), 0);
}

export function roundHalf4(x: v128): v128 {
  return decode(encode(x));
}

export function clampHalf(x: f32): f32 {
  return f32x4.extract_lane(clampHalf4(f32x4.splat(x)), 0);
}

export function clampHalf4(x: v128): v128 {
  const a = v128.and(x, i32x4.splat(0x7fffffff));
  const over = v128.and(i32x4.gt_s(a, i32x4.splat(0x477fe000)), i32x4.le_s(a, i32x4.splat(0x7f800000)));
  const largest = v128.or(v128.and(x, i32x4.splat(<i32>0x80000000)), i32x4.splat(0x477fe000));
  return roundHalf4(v128.bitselect(largest, x, over));
}

export function storeHalf(at: usize, x: f32): void {
  store<u16>(at, <u16>i32x4.extract_lane(encode(f32x4.splat(x)), 0));
}

export function storeHalf4(at: usize, x: v128): void {
  const h = encode(x);
  v128.store64_lane(at, i16x8.narrow_i32x4_u(h, h), 0);
}
