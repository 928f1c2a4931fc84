// Small pieces that emitted kernels call. No memory of their own: everything lives in locals or where the caller says.

// @ts-ignore: decorator
@inline export function floorDiv(a: i32, c: i32): i32 {
  const q = a / c;
  return q - i32(a - q * c < 0);
}

// @ts-ignore: decorator
@inline export function floorMod(a: i32, c: i32): i32 {
  const r = a % c;
  return r < 0 ? r + c : r;
}

/** First of thread t's units out of `total`. */
export function shareStart(total: i32, t: u32, nt: u32): i32 {
  return <i32>((<u64>total * <u64>t) / <u64>nt);
}

// @ts-ignore: decorator
@inline export function gather4(base: usize, index: v128): v128 {
  let r = v128.load32_splat(base + (<usize>i32x4.extract_lane(index, 0) << 2));
  r = v128.load_lane<u32>(base + (<usize>i32x4.extract_lane(index, 1) << 2), r, 1);
  r = v128.load_lane<u32>(base + (<usize>i32x4.extract_lane(index, 2) << 2), r, 2);
  return v128.load_lane<u32>(base + (<usize>i32x4.extract_lane(index, 3) << 2), r, 3);
}

// @ts-ignore: decorator
@inline export function strided4(base: usize, i: i32, stride: i32): v128 {
  const step = <usize>stride << 2;
  const q = base + <usize>i * step;
  let r = v128.load32_splat(q);
  r = v128.load_lane<u32>(q + step, r, 1);
  r = v128.load_lane<u32>(q + 2 * step, r, 2);
  return v128.load_lane<u32>(q + 3 * step, r, 3);
}

// @ts-ignore: decorator
@inline export function sumF64(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

export function maxF32(x: v128): f32 {
  const y = f32x4.max(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return max<f32>(f32x4.extract_lane(y, 0), f32x4.extract_lane(y, 1));
}

export function minF32(x: v128): f32 {
  const y = f32x4.min(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return min<f32>(f32x4.extract_lane(y, 0), f32x4.extract_lane(y, 1));
}

/** s[lo … hi) = value */
export function fillF32(s: usize, lo: i32, hi: i32, value: f32): void {
  for (let i = lo; i < hi; i++) store<f32>(s + (<usize>i << 2), value);
}

/** w[i] += s[i], f64 += f32 */
export function addToF64(w: usize, s: usize, lo: i32, hi: i32): void {
  for (let i = lo; i < hi; i++) {
    const at = w + (<usize>i << 3);
    store<f64>(at, load<f64>(at) + <f64>load<f32>(s + (<usize>i << 2)));
  }
}

export function fromF64(s: usize, w: usize, lo: i32, hi: i32): void {
  for (let i = lo; i < hi; i++) store<f32>(s + (<usize>i << 2), <f32>load<f64>(w + (<usize>i << 3)));
}
