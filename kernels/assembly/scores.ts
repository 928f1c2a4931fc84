// The two products of attention whose steps are few (the head's channels) and whose results are scores: four query rows
// against all keys in one call, with what follows done while the tile is in registers.
import { chain, pieces, putTap, tile } from './gemm';

// @ts-ignore: decorator
@inline function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Two vectors of scores at s: x * scale + bias (+ mask where the key's group is another). */
// @ts-ignore: decorator
@inline function putScores(s: usize, x: v128, y: v128, scale: v128, bias: usize, gk: usize, group: i32, mask: v128): void {
  x = f32x4.mul(x, scale);
  y = f32x4.mul(y, scale);
  if (bias) {
    x = f32x4.add(x, v128.load(bias));
    y = f32x4.add(y, v128.load(bias, 16));
  }
  if (gk) {
    const g = i32x4.splat(group);
    x = f32x4.add(x, v128.and(mask, i32x4.ne(v128.load(gk), g)));
    y = f32x4.add(y, v128.and(mask, i32x4.ne(v128.load(gk, 16), g)));
  }
  v128.store(s, x);
  v128.store(s, y, 16);
}

/** Scores of four queries (at a0 … a3, e floats each) against m keys in panels b; row r goes to s + r * ld, its bias lies at
 *  bias0 … bias3 (all 0 where there is none). */
export function scoreQuad(
  a0: usize, a1: usize, a2: usize, a3: usize, b: usize, m: i32, e: i32, s: usize, ld: usize, scale: f32,
  bias0: usize, bias1: usize, bias2: usize, bias3: usize, gk: usize, g0: i32, g1: i32, g2: i32, g3: i32, mask: f32, table: usize,
): void {
  const scale4 = f32x4.splat(scale);
  const mask4 = f32x4.splat(mask);
  const length = <usize>e << 5;
  for (let j = m >> 3; j > 0; j--) {
    let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    const end = b + length;
    let o: usize = 0;
    while (b != end) {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
      const y0 = v128.load32_splat(a0 + o);
      c00 = madd(y0, b0, c00);
      c01 = madd(y0, b1, c01);
      const y1 = v128.load32_splat(a1 + o);
      c10 = madd(y1, b0, c10);
      c11 = madd(y1, b1, c11);
      const y2 = v128.load32_splat(a2 + o);
      c20 = madd(y2, b0, c20);
      c21 = madd(y2, b1, c21);
      const y3 = v128.load32_splat(a3 + o);
      c30 = madd(y3, b0, c30);
      c31 = madd(y3, b1, c31);
      b += 32;
      o += 4;
    }
    putScores(s, c00, c01, scale4, bias0, gk, g0, mask4);
    putScores(s + ld, c10, c11, scale4, bias1, gk, g1, mask4);
    putScores(s + 2 * ld, c20, c21, scale4, bias2, gk, g2, mask4);
    putScores(s + 3 * ld, c30, c31, scale4, bias3, gk, g3, mask4);
    s += 32;
    if (bias0) {
      bias0 += 32;
      bias1 += 32;
      bias2 += 32;
      bias3 += 32;
    }
    if (gk) gk += 32;
  }
  const rest = m & 7;
  if (rest == 0) return;
  // The last keys one at a time: bias and groups end with them.
  putTap(table, 0, 0, e, 4, 32);
  tile(a0, a1, a2, a3, b, table, pieces(e), chain(e), 4, 32, s, ld, false);
  for (let r = 0; r < 4; r++) {
    const group = r == 0 ? g0 : r == 1 ? g1 : r == 2 ? g2 : g3;
    const bias = r == 0 ? bias0 : r == 1 ? bias1 : r == 2 ? bias2 : bias3;
    for (let j = 0; j < rest; j++) {
      const o = <usize>j << 2;
      let x = load<f32>(s + o) * scale;
      if (bias) x += load<f32>(bias + o);
      if (gk && load<i32>(gk + o) != group) x += mask;
      store<f32>(s + o, x);
    }
    s += ld;
  }
}

/** (x - delta) * p of eight scores. */
// @ts-ignore: decorator
@inline function putGradients(d: usize, p: usize, x: v128, y: v128, delta: f32): void {
  const shift = f32x4.splat(delta);
  v128.store(d, f32x4.mul(f32x4.sub(x, shift), v128.load(p)));
  v128.store(d, f32x4.mul(f32x4.sub(y, shift), v128.load(p, 16)), 16);
}

/** Gradients of the scores of four queries: (dO · v - delta) * p; rows of d and p are ld apart, padded to 8. */
export function gradQuad(
  a0: usize, a1: usize, a2: usize, a3: usize, b: usize, panels: i32, e: i32, d: usize, p: usize, ld: usize,
  d0: f32, d1: f32, d2: f32, d3: f32,
): void {
  const length = <usize>e << 5;
  for (let j = panels; j > 0; j--) {
    let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    const end = b + length;
    let o: usize = 0;
    while (b != end) {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
      const y0 = v128.load32_splat(a0 + o);
      c00 = madd(y0, b0, c00);
      c01 = madd(y0, b1, c01);
      const y1 = v128.load32_splat(a1 + o);
      c10 = madd(y1, b0, c10);
      c11 = madd(y1, b1, c11);
      const y2 = v128.load32_splat(a2 + o);
      c20 = madd(y2, b0, c20);
      c21 = madd(y2, b1, c21);
      const y3 = v128.load32_splat(a3 + o);
      c30 = madd(y3, b0, c30);
      c31 = madd(y3, b1, c31);
      b += 32;
      o += 4;
    }
    putGradients(d, p, c00, c01, d0);
    putGradients(d + ld, p + ld, c10, c11, d1);
    putGradients(d + 2 * ld, p + 2 * ld, c20, c21, d2);
    putGradients(d + 3 * ld, p + 3 * ld, c30, c31, d3);
    d += 32;
    p += 32;
  }
}
