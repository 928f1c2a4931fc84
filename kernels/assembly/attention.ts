// Window attention and its gradients, one (window, head) at a time: operands are copied into scratch, products go through
// gemm's tile, scores never leave a block of a few dozen query rows.
//
// `fetch` is the emitted function that copies one operand of window g and head h to dst (or points at it) and returns its
// address; 0 where the kernel has no such operand.
import { log1 } from './functions';
import { chain, packPanel, pieces, putTap, tile } from './gemm';
import { gradQuad, scoreQuad } from './scores';
import { addRow, expRow, maxRow, scaleRow } from './softmax';

type Fetch = (p: usize, which: i32, dst: usize, g: i32, h: i32) => usize;

const G = 0;
const H = 1;
const N = 2;
const M = 3;
const E = 4;
const SCALE = 5; // f32
const MASK = 6; // f32
const PARTS = 7;
const BLOCK = 8; // query rows
const SCRATCH = 9; // bytes per thread; then the places of:
const TAPS = 10;
const Q = 11; // [n e]
const K = 12; // [m e]
const V = 13; // [m e]
const DO = 14; // [n e]
const ACROSS = 15; // panels of K: columns are keys, steps e
const ACROSS2 = 16; // the same of V
const ALONG = 17; // panels of V (forward) or K (columns e, steps keys)
const QUERIES = 18; // panels of a block of q (columns e, steps queries)
const QUERIES2 = 19; // the same of dO
const S = 20; // [block m8]
const DP = 21; // [block m8]
const C = 22; // [block e8]
const C_K = 23; // [m e8]
const C_V = 24; // [m e8]
const BIAS = 25; // [n m]
const GQ = 26;
const GK = 27;
const LSE = 28;
const DELTA = 29;

// Bytes into the place of TAPS, which begins with zeros: a number per row of a block, then the table of a run that begins
// where it is. As in kernels/wasm/attention.ts.
const MOST_ROWS = 48;
const INVERSE = 16;
const TABLE = 16 + (MOST_ROWS << 2);
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

/** Gradients of the block's scores, into d, from their probabilities in s. */
function gradBlock(
  dO: usize, i0: i32, rows: i32, values: usize, panels: i32, e: i32, d: usize, s: usize, ld: usize, delta: usize,
): void {
  const row = <usize>e << 2;
  const last = i0 + rows - 1;
  for (let i = i0; i <= last; i += 4) {
    const i1 = min(i + 1, last), i2 = min(i + 2, last), i3 = min(i + 3, last);
    gradQuad(
      dO + <usize>i * row, dO + <usize>i1 * row, dO + <usize>i2 * row, dO + <usize>i3 * row, values, panels, e, d, s, ld,
      f32At(delta, i), f32At(delta, i1), f32At(delta, i2), f32At(delta, i3),
    );
    d += ld << 2;
    s += ld << 2;
  }
}

/** o [g n h e], lse [g h n]. */
export function attentionForward(d: usize, p: usize, scratch: usize, t: u32, nt: u32, fetch: Fetch, o: usize, lse: usize): void {
  const base = scratch + <usize>t * word(d, SCRATCH);
  const g = word(d, G), h = word(d, H), n = word(d, N), m = word(d, M), e = word(d, E), block = word(d, BLOCK);
  const scale = load<f32>(d + (SCALE << 2)), mask = load<f32>(d + (MASK << 2));
  const taps = base + word(d, TAPS), s = base + word(d, S), c = base + word(d, C);
  const across = base + word(d, ACROSS), along = base + word(d, ALONG);
  const mPanels = (m + 7) >> 3, ePanels = (e + 7) >> 3;
  const ld = <usize>mPanels << 5, ldc = <usize>ePanels << 5;
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
    for (let i0 = 0; i0 < n; i0 += block) {
      const rows = min(block, n - i0);
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

/** Any of dq [g n h e], dk and dv [g m h e] (both or none), dbias [parts h n m]; 0 for what is not wanted. */
export function attentionBackward(
  d: usize, p: usize, scratch: usize, t: u32, nt: u32, fetch: Fetch, dq: usize, dk: usize, dv: usize, dbias: usize,
): void {
  const base = scratch + <usize>t * word(d, SCRATCH);
  const g = word(d, G), h = word(d, H), n = word(d, N), m = word(d, M), e = word(d, E), block = word(d, BLOCK);
  const scale = load<f32>(d + (SCALE << 2)), mask = load<f32>(d + (MASK << 2));
  const taps = base + word(d, TAPS), s = base + word(d, S), dp = base + word(d, DP);
  const c = base + word(d, C), ck = base + word(d, C_K), cv = base + word(d, C_V);
  const acrossK = base + word(d, ACROSS), acrossV = base + word(d, ACROSS2), along = base + word(d, ALONG);
  const queries = base + word(d, QUERIES), queries2 = base + word(d, QUERIES2);
  const mPanels = (m + 7) >> 3, ePanels = (e + 7) >> 3;
  const ld = <usize>mPanels << 5, ldc = <usize>ePanels << 5, row = <usize>e << 2;
  store<u64>(taps, 0);
  // The bias's gradient sums windows: a part of them, with all else that their scores give, is one unit.
  const groups = dbias ? word(d, PARTS) : g;
  const perGroup = (g + groups - 1) / groups;
  let head = -1;
  let bias: usize = 0;
  for (let u = share(groups * h, t, nt), end = share(groups * h, t + 1, nt); u < end; u++) {
    const ih = u / groups, iu = u % groups;
    if (ih != head) {
      head = ih;
      bias = fetch(p, OF_BIAS, base + word(d, BIAS), 0, ih);
    }
    const target = dbias + ((<usize>(iu * h + ih) * <usize>(n * m)) << 2);
    if (dbias) memory.fill(target, 0, <usize>(n * m) << 2);
    for (let ig = iu * perGroup, last = min(g, (iu + 1) * perGroup); ig < last; ig++) {
      const gq = fetch(p, OF_GQ, base + word(d, GQ), ig, ih);
      const gk = fetch(p, OF_GK, base + word(d, GK), ig, ih);
      const q = fetch(p, OF_Q, base + word(d, Q), ig, ih);
      const k = fetch(p, OF_K, base + word(d, K), ig, ih);
      const dO = fetch(p, OF_DO, base + word(d, DO), ig, ih);
      const lse = fetch(p, OF_LSE, base + word(d, LSE), ig, ih);
      const delta = fetch(p, OF_DELTA, base + word(d, DELTA), ig, ih);
      packAcross(acrossK, k, m, e, taps);
      packAcross(acrossV, fetch(p, OF_V, base + word(d, V), ig, ih), m, e, taps);
      if (dq) packAlong(along, k, m, e, taps);
      for (let i0 = 0; i0 < n; i0 += block) {
        const rows = min(block, n - i0);
        scoreBlock(q, i0, rows, acrossK, m, e, s, ld, scale, bias, gq, gk, mask, taps);
        for (let r = 0; r < rows; r++) expRow(s + <usize>r * ld, m, f32At(lse, i0 + r));
        gradBlock(dO, i0, rows, acrossV, mPanels, e, dp, s, ld, delta);
        if (dbias) {
          for (let r = 0; r < rows; r++) addRow(target + (<usize>((i0 + r) * m) << 2), dp + <usize>r * ld, m);
        }
        if (dq) {
          multiply(dp, ld, 4, rows, along, ePanels, m, taps, c, ldc, false);
          for (let r = 0; r < rows; r++) {
            scaleRow(dq + (<usize>(((ig * n + i0 + r) * h + ih) * e) << 2), c + <usize>r * ldc, e, scale);
          }
        }
        if (dk) {
          // Rows are keys, steps the block's queries.
          packAlong(queries, q + <usize>i0 * row, rows, e, taps);
          packAlong(queries2, dO + <usize>i0 * row, rows, e, taps);
          multiply(dp, 4, ld, m, queries, ePanels, rows, taps, ck, ldc, i0 > 0);
          multiply(s, 4, ld, m, queries2, ePanels, rows, taps, cv, ldc, i0 > 0);
        }
      }
      if (dk) {
        for (let j = 0; j < m; j++) {
          const at = <usize>(((ig * m + j) * h + ih) * e) << 2;
          scaleRow(dk + at, ck + <usize>j * ldc, e, scale);
          memory.copy(dv + at, cv + <usize>j * ldc, row);
        }
      }
    }
  }
}
