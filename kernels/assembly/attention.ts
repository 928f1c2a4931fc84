// Window attention and its gradients, one (window, head) at a time: operands are copied into scratch, products go through
// gemm's tile, scores never leave a block of 64 query rows.
//
// `fetch` is the emitted function that copies one operand of window g and head h to dst (or points at it) and returns its
// address; 0 where the kernel has no such operand.
import { exp1, expNear4, log1 } from './functions';
import { chain, packPanel, pieces, putTap, tile } from './gemm';
import { maxF32 } from './scalar';
import { gradQuad, scoreQuad } from './scores';

type Fetch = (p: usize, which: i32, dst: usize, g: i32, h: i32) => usize;

const G = 0;
const H = 1;
const N = 2;
const M = 3;
const E = 4;
const SCALE = 5; // f32
const MASK = 6; // f32
const PARTS = 7;
const SCRATCH = 8; // bytes per thread; then the places of:
const TAPS = 9;
const Q = 10; // [n e]
const K = 11; // [m e]
const V = 12; // [m e]
const DO = 13; // [n e]
const ACROSS = 14; // panels of K: columns are keys, steps e
const ACROSS2 = 15; // the same of V
const ALONG = 16; // panels of V or K (columns e, steps keys) or of q (columns e, steps queries)
const ALONG2 = 17; // the same of dO
const S = 18; // [64 m8]
const DP = 19; // [64 m8]
const C = 20; // [rows e8]
const C2 = 21;
const BIAS = 22; // [n m]
const GQ = 23;
const GK = 24;
const LSE = 25;
const DELTA = 26;

const ROWS = 64;
// Bytes into the place of TAPS, which begins with zeros: the table of a run that begins where it is.
const INVERSE = 16;
const TABLE = 16 + (ROWS << 2);
// Operands by number.
const OF_Q = 0;
const OF_K = 1;
const OF_V = 2;
const OF_BIAS = 3;
const OF_GQ = 4;
const OF_GK = 5;
const OF_DO = 6;
const OF_LSE = 7;
const OF_DELTA = 8;

// @ts-ignore: decorator
@inline function word(d: usize, i: i32): i32 {
  return load<i32>(d + (<usize>i << 2));
}

// @ts-ignore: decorator
@inline function share(total: i32, t: u32, nt: u32): i32 {
  return <i32>((<u64>total * <u64>t) / <u64>nt);
}

/** C[rows][8 panels] (+)= A · B; A's rows are `ra` bytes apart, its steps `sa`. */
function multiply(
  a: usize, ra: usize, sa: usize, rows: i32, b: usize, panels: i32, k: i32, taps: usize, c: usize, ldc: usize, add: bool,
): void {
  const last = rows - 1;
  const table = taps + TABLE;
  putTap(table, 0, 0, k, sa, 32);
  const n = pieces(k), group = chain(k);
  for (let q = 0; q < panels; q++) {
    for (let r = 0; r < rows; r += 4) {
      tile(
        a + <usize>r * ra, a + <usize>min(r + 1, last) * ra, a + <usize>min(r + 2, last) * ra, a + <usize>min(r + 3, last) * ra,
        b, table, n, group, sa, 32, c + <usize>r * ldc + (<usize>q << 5), ldc, add,
      );
    }
    b += <usize>k << 5;
  }
}

/** Panels of x [count][e] whose columns are its rows and steps e. */
function packAcross(dst: usize, x: usize, count: i32, e: i32, zero: usize): void {
  for (let j = 0; j < count; j += 8) {
    packPanel(dst, x + ((<usize>(j * e)) << 2), zero, 1, e, 4, <usize>e << 2, min(8, count - j));
    dst += <usize>e << 5;
  }
}

/** Panels of x [count][e] whose columns are e and steps its rows. */
function packAlong(dst: usize, x: usize, count: i32, e: i32, zero: usize): void {
  for (let c = 0; c < e; c += 8) {
    packPanel(dst, x + (<usize>c << 2), zero, 1, count, <usize>e << 2, 4, min(8, e - c));
    dst += <usize>count << 5;
  }
}

// @ts-ignore: decorator
@inline function i32At(at: usize, i: i32): i32 {
  return at ? load<i32>(at + (<usize>i << 2)) : 0;
}

// @ts-ignore: decorator
@inline function f32At(at: usize, i: i32): f32 {
  return load<f32>(at + (<usize>i << 2));
}

/** Scores of query rows i0 … i0 + rows - 1 into s. */
function scoreBlock(
  q: usize, i0: i32, rows: i32, keys: usize, m: i32, e: i32, s: usize, ld: usize, scale: f32, bias: usize, gq: usize, gk: usize,
  mask: f32, taps: usize,
): void {
  const row = <usize>e << 2;
  const biasLd = <usize>m << 2;
  const last = i0 + rows - 1;
  for (let i = i0; i <= last; i += 4) {
    const i1 = min(i + 1, last), i2 = min(i + 2, last), i3 = min(i + 3, last);
    scoreQuad(
      q + <usize>i * row, q + <usize>i1 * row, q + <usize>i2 * row, q + <usize>i3 * row, keys, m, e, s, ld, scale,
      bias ? bias + <usize>i * biasLd : 0, bias ? bias + <usize>i1 * biasLd : 0,
      bias ? bias + <usize>i2 * biasLd : 0, bias ? bias + <usize>i3 * biasLd : 0, gk,
      i32At(gq, i), i32At(gq, i1), i32At(gq, i2), i32At(gq, i3), mask, taps + TABLE,
    );
    s += ld << 2;
  }
}

/** The greatest of a row. A NaN may be passed over: it comes back through exp. (pmax is one instruction, max six.) */
function maxRow(s: usize, m: i32): f32 {
  let x = f32x4.splat(-Infinity);
  let y = x;
  let j = 0;
  for (const end = m - 7; j < end; j += 8) {
    const o = s + (<usize>j << 2);
    x = f32x4.pmax(x, v128.load(o));
    y = f32x4.pmax(y, v128.load(o, 16));
  }
  let most = maxF32(f32x4.pmax(x, y));
  for (; j < m; j++) most = max<f32>(most, load<f32>(s + (<usize>j << 2)));
  return most;
}

/** s = exp(s - shift), 0 where that would be denormal (multiplying denormals is many times slower); returns the sum. */
function expRow(s: usize, m: i32, shift: f32): f32 {
  const shift4 = f32x4.splat(shift);
  const least = f32x4.splat(-87);
  const most = f32x4.splat(88);
  let sum4 = f32x4.splat(0);
  let j = 0;
  for (const end = m - 3; j < end; j += 4) {
    const o = s + (<usize>j << 2);
    const x = f32x4.sub(v128.load(o), shift4);
    const y = v128.andnot(expNear4(f32x4.pmin(f32x4.pmax(x, least), most)), f32x4.lt(x, least));
    sum4 = f32x4.add(sum4, y);
    v128.store(o, y);
  }
  let sum = f32x4.extract_lane(sum4, 0) + f32x4.extract_lane(sum4, 1) + (f32x4.extract_lane(sum4, 2) + f32x4.extract_lane(sum4, 3));
  for (; j < m; j++) {
    const o = s + (<usize>j << 2);
    const x = load<f32>(o) - shift;
    const y = x < -87 ? <f32>0 : exp1(min<f32>(x, 88));
    sum += y;
    store<f32>(o, y);
  }
  return sum;
}

/** Gradients of the block's scores, into d, from their probabilities in s. */
function gradBlock(
  dO: usize, i0: i32, rows: i32, values: usize, panels: i32, e: i32, d: usize, s: usize, ld: usize, delta: usize, factor: f32,
): void {
  const row = <usize>e << 2;
  const last = i0 + rows - 1;
  for (let i = i0; i <= last; i += 4) {
    const i1 = min(i + 1, last), i2 = min(i + 2, last), i3 = min(i + 3, last);
    gradQuad(
      dO + <usize>i * row, dO + <usize>i1 * row, dO + <usize>i2 * row, dO + <usize>i3 * row, values, panels, e, d, s, ld,
      f32At(delta, i), f32At(delta, i1), f32At(delta, i2), f32At(delta, i3), factor,
    );
    d += ld << 2;
    s += ld << 2;
  }
}

/** y += x */
function addRow(y: usize, x: usize, n: i32): void {
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

/** o [g n h e], lse [g h n]. */
export function attentionForward(d: usize, p: usize, scratch: usize, t: u32, nt: u32, fetch: Fetch, o: usize, lse: usize): void {
  const base = scratch + <usize>t * word(d, SCRATCH);
  const g = word(d, G), h = word(d, H), n = word(d, N), m = word(d, M), e = word(d, E);
  const scale = load<f32>(d + (SCALE << 2)), mask = load<f32>(d + (MASK << 2));
  const taps = base + word(d, TAPS), s = base + word(d, S), c = base + word(d, C);
  const across = base + word(d, ACROSS), along = base + word(d, ALONG);
  const mPanels = (m + 7) >> 3, ePanels = (e + 7) >> 3;
  const ld = <usize>mPanels << 5, ldc = <usize>ePanels << 5, row = <usize>e << 2;
  const inverse = taps + INVERSE; // 1 / sum of each row of the block
  store<u64>(taps, 0);
  let head = -1;
  let bias: usize = 0;
  for (let u = share(g * h, t, nt), end = share(g * h, t + 1, nt); u < end; u++) {
    const ih = u / g, ig = u % g;
    if (ih != head) {
      head = ih;
      bias = fetch(p, OF_BIAS, base + word(d, BIAS), 0, ih);
    }
    const gq = fetch(p, OF_GQ, base + word(d, GQ), ig, ih);
    const gk = fetch(p, OF_GK, base + word(d, GK), ig, ih);
    const q = fetch(p, OF_Q, base + word(d, Q), ig, ih);
    packAcross(across, fetch(p, OF_K, base + word(d, K), ig, ih), m, e, taps);
    packAlong(along, fetch(p, OF_V, base + word(d, V), ig, ih), m, e, taps);
    for (let i0 = 0; i0 < n; i0 += ROWS) {
      const rows = min(ROWS, n - i0);
      scoreBlock(q, i0, rows, across, m, e, s, ld, scale, bias, gq, gk, mask, taps);
      for (let r = 0; r < rows; r++) {
        const i = i0 + r;
        const sr = s + <usize>r * ld;
        const most = maxRow(sr, m);
        const sum = expRow(sr, m, most);
        store<f32>(lse + (<usize>((ig * h + ih) * n + i) << 2), most + log1(sum));
        store<f32>(inverse + (<usize>r << 2), 1 / sum);
      }
      multiply(s, ld, 4, rows, along, ePanels, m, taps, c, ldc, false);
      for (let r = 0; r < rows; r++) {
        const target = o + (<usize>(((ig * n + i0 + r) * h + ih) * e) << 2);
        scaleRow(target, c + <usize>r * ldc, e, load<f32>(inverse + (<usize>r << 2)));
      }
    }
  }
}

/** y = x * factor */
function scaleRow(y: usize, x: usize, n: i32, factor: f32): void {
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

/** part 0: dq [g n h e] at out. 1: dk, dv [g m h e] at out, out2. 2: dbias [parts h n m] at out. */
export function attentionBackward(
  d: usize, p: usize, scratch: usize, t: u32, nt: u32, fetch: Fetch, part: i32, out: usize, out2: usize,
): void {
  const base = scratch + <usize>t * word(d, SCRATCH);
  const g = word(d, G), h = word(d, H), n = word(d, N), m = word(d, M), e = word(d, E);
  const scale = load<f32>(d + (SCALE << 2)), mask = load<f32>(d + (MASK << 2));
  const taps = base + word(d, TAPS), s = base + word(d, S), dp = base + word(d, DP);
  const c = base + word(d, C), c2 = base + word(d, C2);
  const acrossK = base + word(d, ACROSS), acrossV = base + word(d, ACROSS2);
  const along = base + word(d, ALONG), along2 = base + word(d, ALONG2);
  const mPanels = (m + 7) >> 3, ePanels = (e + 7) >> 3;
  const ld = <usize>mPanels << 5, ldc = <usize>ePanels << 5, row = <usize>e << 2;
  store<u64>(taps, 0);
  const parts = word(d, PARTS);
  const perPart = part == 2 ? (g + parts - 1) / parts : 1;
  const groups = part == 2 ? parts : g;
  let head = -1;
  let bias: usize = 0;
  for (let u = share(groups * h, t, nt), end = share(groups * h, t + 1, nt); u < end; u++) {
    const ih = u / groups, iu = u % groups;
    if (ih != head) {
      head = ih;
      bias = fetch(p, OF_BIAS, base + word(d, BIAS), 0, ih);
    }
    const target = out + ((<usize>(iu * h + ih) * <usize>(n * m)) << 2);
    if (part == 2) memory.fill(target, 0, <usize>(n * m) << 2);
    for (let ig = iu * perPart, last = min(g, (iu + 1) * perPart); ig < last; ig++) {
      const gq = fetch(p, OF_GQ, base + word(d, GQ), ig, ih);
      const gk = fetch(p, OF_GK, base + word(d, GK), ig, ih);
      const q = fetch(p, OF_Q, base + word(d, Q), ig, ih);
      const k = fetch(p, OF_K, base + word(d, K), ig, ih);
      const dO = fetch(p, OF_DO, base + word(d, DO), ig, ih);
      const lse = fetch(p, OF_LSE, base + word(d, LSE), ig, ih);
      const delta = fetch(p, OF_DELTA, base + word(d, DELTA), ig, ih);
      packAcross(acrossK, k, m, e, taps);
      packAcross(acrossV, fetch(p, OF_V, base + word(d, V), ig, ih), m, e, taps);
      if (part == 0) packAlong(along, k, m, e, taps);
      for (let i0 = 0; i0 < n; i0 += ROWS) {
        const rows = min(ROWS, n - i0);
        scoreBlock(q, i0, rows, acrossK, m, e, s, ld, scale, bias, gq, gk, mask, taps);
        for (let r = 0; r < rows; r++) expRow(s + <usize>r * ld, m, f32At(lse, i0 + r));
        gradBlock(dO, i0, rows, acrossV, mPanels, e, dp, s, ld, delta, part == 2 ? 1 : scale);
        if (part == 2) {
          for (let r = 0; r < rows; r++) addRow(target + (<usize>((i0 + r) * m) << 2), dp + <usize>r * ld, m);
        }
        if (part == 0) {
          multiply(dp, ld, 4, rows, along, ePanels, m, taps, c, ldc, false);
          for (let r = 0; r < rows; r++) {
            memory.copy(out + (<usize>(((ig * n + i0 + r) * h + ih) * e) << 2), c + <usize>r * ldc, row);
          }
        } else if (part == 1) {
          // Rows are keys, steps the block's queries.
          packAlong(along, q + <usize>i0 * row, rows, e, taps);
          packAlong(along2, dO + <usize>i0 * row, rows, e, taps);
          multiply(dp, 4, ld, m, along, ePanels, rows, taps, c, ldc, i0 > 0);
          multiply(s, 4, ld, m, along2, ePanels, rows, taps, c2, ldc, i0 > 0);
        }
      }
      if (part == 1) {
        for (let j = 0; j < m; j++) {
          const at = <usize>(((ig * m + j) * h + ih) * e) << 2;
          memory.copy(out + at, c + <usize>j * ldc, row);
          memory.copy(out2 + at, c2 + <usize>j * ldc, row);
        }
      }
    }
  }
}
