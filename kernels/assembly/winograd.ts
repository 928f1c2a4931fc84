// Convolutions with three taps along two axes by Winograd's F(2×2, 3×3) and, for weights, F(3×3, 2×2): kernels/wasm/
// winogradPlan.ts has what and when, kernels/wasm/winograd.ts the words. A block of A is copied to a slab and transformed to
// one of 16 smaller slabs at a time; 16 matrix products over tiles follow, whose sums are combined to the block's rows.
//
// Along one axis, with inputs d0 … d3 of a tile:
//   products   (d0 - d2) · u0, (d1 + d2) · u1, (d2 - d1) · u2, (d1 - d3) · u3
//   three taps u = g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2;  two outputs  m0 + m1 + m2, m1 - m2 - m3
//   two values u = g0, (g0 + g1) / 2, (g0 - g1) / 2, g1;            three taps   m0 + m1 + m2, m1 - m2, m1 + m2 - m3
import { chain, fillTable, packPanel, panelRows, pieces, putTap, share, TAP } from './gemm';

type Source = (p: usize, scratch: usize, mb: i32, kb: i32, b: i32) => usize;
type Store = (p: usize, c: usize, ldc: usize, mb: i32, b: i32, r0: i32, r1: i32, q0: i32, q1: i32) => void;

const BY_PANELS = 0; // 1: threads share panels, else (batch, m) blocks
const BATCH = 1;
const M_BLOCKS = 2;
const K_BLOCKS = 3;
const OUTER = 4; // the slab: [OUTER][LH][MID][LW][INNER bytes]
const LH = 5;
const MID = 6;
const LW = 7;
const INNER = 8;
const TAPS = 9; // 3: taps are summed, a tile has 2 × 2 outputs; 2: the other way round
const BH = 10; // bytes in B between neighbouring values that a tile takes, along both axes
const BW = 11;
const KO = 12;
const RUN = 13;
const SA = 14;
const KB = 15;
const RUN_B = 16;
const SB = 17;
const COLUMNS = 18;
const PANELS = 19;
const N_OUTER = 20;
const SC = 21;
const ROWS = 22; // of the products
const NATURAL = 23; // of the block
const OUT_H = 24; // rows between neighbouring outputs of a tile, along both axes
const OUT_W = 25;
const SCRATCH = 26;
const AT_B = 27;
const AT_ROWS = 28;
const AT_NATURAL = 29;
const AT_TAPS = 30;
const AT_BTABLE = 31;
const AT_NTABLE = 32;
const AT_RAW = 33;
const AT_PACK = 34;
const AT_HALF = 35;
const AT_SLAB = 36;
const AT_SUMS = 37;
const AT_C = 38;
const LISTS = 39; // rows, their places among the block's rows, A's runs, B's runs, outer columns

// @ts-ignore: decorator
@inline function at(d: usize, i: i32): i32 {
  return load<i32>(d + (<usize>i << 2));
}

/** The j-th of four values along an axis of `length`: [outer][length][inner bytes] to [outer][(length - 2) / 2][inner bytes]. */
function transform(dst: usize, src: usize, outer: i32, length: i32, inner: usize, j: i32): void {
  const first = <usize>(j == 0 ? 0 : j == 2 ? 2 : 1) * inner;
  const second = <usize>(j == 2 ? 1 : j == 3 ? 3 : 2) * inner;
  const tiles = (length - 2) >> 1;
  for (let o = 0; o < outer; o++) {
    for (let t = 0; t < tiles; t++) {
      const x = src + first;
      const y = src + second;
      if (j == 1) {
        for (let i: usize = 0; i < inner; i += 16) v128.store(dst + i, f32x4.add(v128.load(x + i), v128.load(y + i)));
      } else {
        for (let i: usize = 0; i < inner; i += 16) v128.store(dst + i, f32x4.sub(v128.load(x + i), v128.load(y + i)));
      }
      dst += inner;
      src += 2 * inner;
    }
    src += 2 * inner;
  }
}

/** Four values from the three or two that are `step` bytes apart, to places `to` bytes apart. */
// @ts-ignore: decorator
@inline function spread(dst: usize, to: usize, src: usize, step: usize, three: bool): void {
  const half = f32x4.splat(0.5);
  const g0 = v128.load(src);
  const g1 = v128.load(src + step);
  const g2 = three ? v128.load(src + 2 * step) : g1;
  const s = f32x4.mul(three ? f32x4.add(g0, g2) : g0, half);
  const t = f32x4.mul(g1, half);
  v128.store(dst, g0);
  v128.store(dst + to, f32x4.add(s, t));
  v128.store(dst + 2 * to, f32x4.sub(s, t));
  v128.store(dst + 3 * to, g2);
}

/** 16 panels, `to` bytes apart, from 3 × 3 or 2 × 2 ones that lie together. */
function spreadPanels(dst: usize, to: usize, raw: usize, bytes: usize, taps: i32): void {
  // Along w to vectors behind the raw panels, then along h.
  const mid = raw + <usize>(taps * taps) * bytes;
  const three = taps == 3;
  for (let i: usize = 0; i < bytes; i += 16) {
    for (let h = 0; h < taps; h++) spread(mid + <usize>h * 64, 16, raw + i + <usize>(h * taps) * bytes, bytes, three);
    for (let w = 0; w < 4; w++) spread(dst + i + <usize>w * to, 4 * to, mid + <usize>w * 16, 64, three);
  }
}

/** Rows of the block from the sums of its products, sums[16][rows][ldc bytes], of which `bytes` count. */
function combine(
  c: usize, sums: usize, ldc: usize, bytes: usize, rows: i32, product: usize, natural: usize, outH: usize, outW: usize,
  taps: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const to = c + <usize>load<i32>(natural + (<usize>r << 2)) * ldc;
    const from = sums + <usize>r * ldc;
    for (let i: usize = 0; i < bytes; i += 16) {
      let m = from + i;
      const m00 = v128.load(m), m01 = v128.load(m + product), m02 = v128.load(m + 2 * product), m03 = v128.load(m + 3 * product);
      m += 4 * product;
      const m10 = v128.load(m), m11 = v128.load(m + product), m12 = v128.load(m + 2 * product), m13 = v128.load(m + 3 * product);
      m += 4 * product;
      const m20 = v128.load(m), m21 = v128.load(m + product), m22 = v128.load(m + 2 * product), m23 = v128.load(m + 3 * product);
      m += 4 * product;
      const m30 = v128.load(m), m31 = v128.load(m + product), m32 = v128.load(m + 2 * product), m33 = v128.load(m + 3 * product);
      // Along h, for each of the four values along w; then along w.
      const s0 = f32x4.add(m10, m20), s1 = f32x4.add(m11, m21), s2 = f32x4.add(m12, m22), s3 = f32x4.add(m13, m23);
      const t0 = f32x4.sub(m10, m20), t1 = f32x4.sub(m11, m21), t2 = f32x4.sub(m12, m22), t3 = f32x4.sub(m13, m23);
      const y = to + i;
      if (taps == 3) {
        put2(y, outW, f32x4.add(m00, s0), f32x4.add(m01, s1), f32x4.add(m02, s2), f32x4.add(m03, s3));
        put2(y + outH, outW, f32x4.sub(t0, m30), f32x4.sub(t1, m31), f32x4.sub(t2, m32), f32x4.sub(t3, m33));
      } else {
        put3(y, outW, f32x4.add(m00, s0), f32x4.add(m01, s1), f32x4.add(m02, s2), f32x4.add(m03, s3));
        put3(y + outH, outW, t0, t1, t2, t3);
        put3(y + 2 * outH, outW, f32x4.sub(s0, m30), f32x4.sub(s1, m31), f32x4.sub(s2, m32), f32x4.sub(s3, m33));
      }
    }
  }
}

// @ts-ignore: decorator
@inline function put2(y: usize, step: usize, m0: v128, m1: v128, m2: v128, m3: v128): void {
  v128.store(y, f32x4.add(m0, f32x4.add(m1, m2)));
  v128.store(y + step, f32x4.sub(f32x4.sub(m1, m2), m3));
}

// @ts-ignore: decorator
@inline function put3(y: usize, step: usize, m0: v128, m1: v128, m2: v128, m3: v128): void {
  const s = f32x4.add(m1, m2);
  v128.store(y, f32x4.add(m0, s));
  v128.store(y + step, f32x4.sub(m1, m2));
  v128.store(y + 2 * step, f32x4.sub(s, m3));
}

export function winograd(
  d: usize, p: usize, scratch: usize, t: u32, nt: u32, sourceA: Source, sourceB: Source, store_: Store,
): void {
  const base = scratch + <usize>t * at(d, SCRATCH);
  const slabB = base + at(d, AT_B);
  const rowTable = base + at(d, AT_ROWS);
  const natural = base + at(d, AT_NATURAL);
  const taps = base + at(d, AT_TAPS);
  const bTable = base + at(d, AT_BTABLE);
  const nTable = base + at(d, AT_NTABLE);
  const raw = base + at(d, AT_RAW);
  const pack = base + at(d, AT_PACK);
  const half = base + at(d, AT_HALF);
  const slab = base + at(d, AT_SLAB);
  const sums = base + at(d, AT_SUMS);
  const c = base + at(d, AT_C);
  const ko = at(d, KO);
  const run = at(d, RUN);
  const sa = <usize>at(d, SA);
  const sbRun = <usize>at(d, SB);
  const sc = <usize>at(d, SC);
  const perOuter = at(d, PANELS);
  const panels = perOuter * at(d, N_OUTER);
  const mBlocks = at(d, M_BLOCKS);
  const kBlocks = at(d, K_BLOCKS);
  const rows = at(d, ROWS);
  const outer = at(d, OUTER);
  const lh = at(d, LH);
  const mid = at(d, MID);
  const lw = at(d, LW);
  const inner = <usize>at(d, INNER);
  const taken = at(d, TAPS);

  const units = mBlocks * at(d, BATCH);
  const byPanels = at(d, BY_PANELS) != 0;
  const u0 = byPanels ? 0 : share(units, t, nt);
  const u1 = byPanels ? units : share(units, t + 1, nt);
  const q0 = byPanels ? share(panels, t, nt) : 0;
  const q1 = byPanels ? share(panels, t + 1, nt) : panels;
  if (u0 == u1 || q0 == q1) return;
  let list = d + (LISTS << 2);
  list = fillTable(rowTable, 4, list);
  list = fillTable(natural, 4, list);
  list = fillTable(taps, TAP, list);
  list = fillTable(bTable, 4, list);
  fillTable(nTable, 4, list);
  const each = pieces(run);
  const group = chain(run);
  for (let o = ko - 1; o >= 0; o--) {
    putTap(taps + <usize>(o * each) * TAP, load<usize>(taps + <usize>o * TAP), <usize>(o * run) << 5, run, sa, 32);
  }
  const panelBytes = <usize>(ko * run) << 5;
  const ldc = <usize>panels << 5;
  const product = <usize>(rows + 3) * ldc;
  const between = <usize>panels * panelBytes;

  let packed = -1;
  for (let u = u0; u < u1; u++) {
    const b = u / mBlocks;
    const mb = u % mBlocks;
    for (let kb = 0; kb < kBlocks; kb++) {
      sourceA(p, base, mb, kb, b);
      if (packed != b * kBlocks + kb) {
        packed = b * kBlocks + kb;
        const src = sourceB(p, slabB, mb, kb, b);
        for (let q = q0; q < q1; q++) {
          const first = (q % perOuter) << 3;
          const from = src + load<usize>(nTable + (<usize>(q / perOuter) << 2)) + <usize>first * sc;
          for (let h = 0; h < taken; h++) {
            for (let w = 0; w < taken; w++) {
              packPanel(
                raw + <usize>(h * taken + w) * panelBytes,
                from + <usize>(h * at(d, BH) + w * at(d, BW)),
                bTable, at(d, KB), at(d, RUN_B), sbRun, sc, min(8, at(d, COLUMNS) - first),
              );
            }
          }
          spreadPanels(pack + <usize>q * panelBytes, between, raw, panelBytes, taken);
        }
      }
      for (let h = 0; h < 4; h++) {
        transform(half, base, outer, lh, <usize>(mid * lw) * inner, h);
        for (let w = 0; w < 4; w++) {
          transform(slab, half, outer * ((lh - 2) >> 1) * mid, lw, inner, w);
          const j = <usize>(h * 4 + w);
          for (let q = q0; q < q1; q++) {
            panelRows(
              slab, rowTable, 0, rows, pack + j * between + <usize>q * panelBytes, taps, ko * each, group, sa, 32,
              sums + j * product + (<usize>q << 5), ldc, kb > 0,
            );
          }
        }
      }
    }
    const first = <usize>q0 << 5;
    const bytes = <usize>(q1 - q0) << 5;
    combine(
      c + first, sums + first, ldc, bytes, rows, product, natural, <usize>at(d, OUT_H) * ldc, <usize>at(d, OUT_W) * ldc, taken,
    );
    store_(p, c + first, ldc, mb, b, 0, at(d, NATURAL), q0, q1);
  }
}
