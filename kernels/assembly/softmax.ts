// Rows of scores: their greatest, their exponentials, sums and multiples of rows.
import { maxF32 } from './scalar';

// @ts-ignore: decorator
@inline function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Lanes below `rest`. */
// @ts-ignore: decorator
@inline function lanes(rest: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(rest));
}

/** The greatest of m floats, of which 8 (padded) may be read beyond. A NaN may be passed over: it comes back through exp.
 *  (pmax is one instruction, max six.) */
export function maxRow(s: usize, m: i32): f32 {
  const low = f32x4.splat(-Infinity);
  let x = low;
  let y = x;
  const end = s + (<usize>(m & ~7) << 2);
  for (; s < end; s += 32) {
    x = f32x4.pmax(x, v128.load(s));
    y = f32x4.pmax(y, v128.load(s, 16));
  }
  x = f32x4.pmax(x, v128.bitselect(v128.load(s), low, lanes(m & 7)));
  y = f32x4.pmax(y, v128.bitselect(v128.load(s, 16), low, lanes((m & 7) - 4)));
  return maxF32(f32x4.pmax(x, y));
}

/** e^x of x <= 88, 0 below -87, where it would be denormal (multiplying denormals is many times slower). As `expNear` of
 *  kernels/math.ts, but rounding by the addition of 1.5 · 2^23, whose last bits then hold the whole number. */
// @ts-ignore: decorator
@inline function expBelow(x: v128): v128 {
  const magic = f32x4.splat(12582912);
  const t = madd(x, f32x4.splat(1.44269504088896341), magic);
  const n = f32x4.sub(t, magic);
  const r = madd(n, f32x4.splat(-1.4286068203094173e-6), madd(n, f32x4.splat(-0.693145751953125), x));
  let p = madd(f32x4.splat(0.001395080704241991), r, f32x4.splat(0.008369073271751404));
  p = madd(p, r, f32x4.splat(0.04166620224714279));
  p = madd(p, r, f32x4.splat(0.16666516661643982));
  p = madd(p, r, f32x4.splat(0.5));
  const e = f32x4.add(madd(p, f32x4.mul(r, r), r), f32x4.splat(1));
  const power = i32x4.add(i32x4.shl(t, 23), i32x4.splat(0x3f800000));
  return v128.andnot(f32x4.mul(e, power), f32x4.lt(x, f32x4.splat(-87)));
}

/** s = exp(s - shift) over m floats (what pads the last vector becomes 0); returns their sum. */
export function expRow(s: usize, m: i32, shift: f32): f32 {
  const shift4 = f32x4.splat(shift);
  let sum4 = f32x4.splat(0);
  const end = s + (<usize>(m & ~3) << 2);
  for (; s < end; s += 16) {
    const y = expBelow(f32x4.sub(v128.load(s), shift4));
    sum4 = f32x4.add(sum4, y);
    v128.store(s, y);
  }
  if (m & 3) {
    const y = v128.and(expBelow(f32x4.sub(v128.load(s), shift4)), lanes(m & 3));
    sum4 = f32x4.add(sum4, y);
    v128.store(s, y);
  }
  return f32x4.extract_lane(sum4, 0) + f32x4.extract_lane(sum4, 1) + (f32x4.extract_lane(sum4, 2) + f32x4.extract_lane(sum4, 3));
}

/** y += x */
export function addRow(y: usize, x: usize, n: i32): void {
  let i = 0;
  for (const end = n - 3; i < end; i += 4) {
    const o = <usize>i << 2;
    v128.store(y + o, f32x4.add(v128.load(y + o), v128.load(x + o)));
  }
  for (; i < n; i++) {
    const o = <usize>i << 2;
    store<f32>(y + o, load<f32>(y + o) + load<f32>(x + o));
  }
}

/** y = x * factor */
export function scaleRow(y: usize, x: usize, n: i32, factor: f32): void {
  const factor4 = f32x4.splat(factor);
  let i = 0;
  for (const end = n - 3; i < end; i += 4) {
    const o = <usize>i << 2;
    v128.store(y + o, f32x4.mul(v128.load(x + o), factor4));
  }
  for (; i < n; i++) {
    const o = <usize>i << 2;
    store<f32>(y + o, load<f32>(x + o) * factor);
  }
}
