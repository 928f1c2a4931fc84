// Sums of products as blocked matrix multiplication: C[rows][columns] += A[rows][k] · B[k][columns], where the address of
// an element of A is base + rowTable[row] + tapTable[o] + l * sa, and B is packed in panels of 8 columns.
//
// The emitter describes a contract in words (their places are below and in kernels/wasm/contract.ts) and gives three
// functions: source of A and of B (copy a block into scratch, or point at it in place) and the epilogue.
// Each element is summed in an order that the description fixes: threads only share out rows, panels or blocks.

type Source = (p: usize, scratch: usize, mb: i32, kb: i32, b: i32) => usize;
type Store = (p: usize, c: usize, ldc: usize, mb: i32, b: i32, r0: i32, r1: i32, q0: i32, q1: i32) => void;

const MODE = 0; // 0: threads share (batch, m) blocks; 1: panels; 2: rows
const BATCH = 1;
const M_BLOCKS = 2;
const M_CUTS = 3; // blocks of the cut variable
const M_STEP = 4; // its values in a block
const M_SIZE = 5; // its size
const M_INNER = 6; // rows per value
const K_BLOCKS = 7;
const K_CUTS = 8;
const K_STEP = 9;
const K_SIZE = 10;
const K_RUN = 11; // 1: the cut variable is the run itself
const KO = 12; // runs in a block
const RUN = 13; // their length
const SA = 14; // bytes between elements of a run in A
const KB = 15; // runs of B's packing in a block
const RUN_B = 16;
const SB = 17; // bytes between elements of such a run
const COLUMNS = 18; // of the innermost n variable
const PANELS = 19; // per value of the outer n variables
const N_OUTER = 20;
const SC = 21; // bytes between columns in B
const IN_PLACE = 22; // 1: B is used as it lies, rows SB apart
const ROWS = 23; // most rows in a block
const SCRATCH = 24; // bytes per thread
const AT_B = 25;
const AT_ROWS = 26;
const AT_TAPS = 27;
const AT_BTABLE = 28;
const AT_NTABLE = 29;
const AT_PACK = 30;
const AT_C = 31;
const LISTS = 32; // then four lists: count, (size, stride in bytes) …: rows, A's runs, B's runs, outer columns

// @ts-ignore: decorator
@inline function word(d: usize, i: i32): i32 {
  return load<i32>(d + (<usize>i << 2));
}

// @ts-ignore: decorator
@inline function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Most terms that one chain of additions sums; longer sums are chains added in order. A chain's rounding error grows with the
 *  square root of its length, and gradients behind a LeakyReLU's kink feel the square root of a forward error: short chains
 *  are worth the 4 % of time that they cost (docs/testing.md). */
const CHAIN = 48;
export const TAP = 12; // bytes of an entry: offset in A, offset in B, length in B

/** C[4][8] = (add ? C : 0) + sum over n taps of runs of A · B, `group` taps to a chain. The hot loop: 4 × 8 accumulators, one
 *  k step per block. */
export function tile(
  a0: usize, a1: usize, a2: usize, a3: usize, b: usize, taps: usize, n: i32, group: i32, sa: usize, sb: usize,
  c: usize, ldc: usize, add: bool,
): void {
  const last = taps + <usize>n * TAP;
  do {
    let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    const stop = min(last, taps + <usize>group * TAP);
    do {
      const tap = load<usize>(taps);
      let x0 = a0 + tap;
      let x1 = a1 + tap;
      let x2 = a2 + tap;
      let x3 = a3 + tap;
      let q = b + load<usize>(taps, 4);
      const end = q + load<usize>(taps, 8);
      taps += TAP;
      while (q != end) {
        const b0 = v128.load(q);
        const b1 = v128.load(q, 16);
        const y0 = v128.load32_splat(x0);
        c00 = madd(y0, b0, c00);
        c01 = madd(y0, b1, c01);
        const y1 = v128.load32_splat(x1);
        c10 = madd(y1, b0, c10);
        c11 = madd(y1, b1, c11);
        const y2 = v128.load32_splat(x2);
        c20 = madd(y2, b0, c20);
        c21 = madd(y2, b1, c21);
        const y3 = v128.load32_splat(x3);
        c30 = madd(y3, b0, c30);
        c31 = madd(y3, b1, c31);
        q += sb;
        x0 += sa;
        x1 += sa;
        x2 += sa;
        x3 += sa;
      }
    } while (taps != stop);
    storeTile(c, c00, c01, add);
    storeTile(c + ldc, c10, c11, add);
    storeTile(c + 2 * ldc, c20, c21, add);
    storeTile(c + 3 * ldc, c30, c31, add);
    add = true;
  } while (taps != last);
}

/** Entries that a run takes: pieces of nearly equal length, none longer than a chain. */
// @ts-ignore: decorator
@inline export function pieces(run: i32): i32 {
  return (run + CHAIN - 1) / CHAIN;
}

/** Such entries in a chain. */
export function chain(run: i32): i32 {
  const n = pieces(run);
  return max(1, CHAIN / ((run + n - 1) / n));
}

/** One tap's run as entries of the table. */
export function putTap(table: usize, a: usize, b: usize, run: i32, sa: usize, sb: usize): void {
  const n = pieces(run);
  const length = (run + n - 1) / n;
  for (let i = 0; i < n; i++) {
    const l = i * length;
    store<usize>(table, a + <usize>l * sa);
    store<usize>(table, b + <usize>l * sb, 4);
    store<usize>(table, <usize>min(length, run - l) * sb, 8);
    table += TAP;
  }
}

// @ts-ignore: decorator
@inline function storeTile(c: usize, x: v128, y: v128, add: bool): void {
  if (add) {
    x = f32x4.add(x, v128.load(c));
    y = f32x4.add(y, v128.load(c, 16));
  }
  v128.store(c, x);
  v128.store(c, y, 16);
}

/** All sums of strides over the list's variables, row-major, `step` bytes apart; returns the place after the list. */
export function fillTable(table: usize, step: usize, list: usize): usize {
  const count = load<i32>(list);
  const after = list + 4 + (<usize>count << 3);
  store<i32>(table, 0);
  let n = 1;
  for (let v = count - 1; v >= 0; v--) {
    const size = load<i32>(list + 4 + (<usize>v << 3));
    const stride = load<i32>(list + 8 + (<usize>v << 3));
    for (let j = 1; j < size; j++) {
      for (let i = 0; i < n; i++) {
        store<i32>(table + <usize>(j * n + i) * step, load<i32>(table + <usize>i * step) + j * stride);
      }
    }
    n *= size;
  }
  return after;
}

/** One panel of 8 columns: dst[k][8] from runs of `run` elements sk apart at src + table[o], columns sc apart. */
export function packPanel(
  dst: usize, src: usize, table: usize, n: i32, run: i32, sk: usize, sc: usize, columns: i32,
): void {
  if (sc == 4 && columns == 8) {
    for (let o = 0; o < n; o++) {
      let s = src + load<usize>(table + (<usize>o << 2));
      for (let l = 0; l < run; l++) {
        v128.store(dst, v128.load(s));
        v128.store(dst, v128.load(s, 16), 16);
        dst += 32;
        s += sk;
      }
    }
    return;
  }
  if (sk == 4 && columns == 8) {
    for (let o = 0; o < n; o++) {
      const s = src + load<usize>(table + (<usize>o << 2));
      let l = 0;
      for (; l < run - 3; l += 4) {
        const at = s + (<usize>l << 2);
        transpose4(dst, at, sc);
        transpose4(dst + 16, at + 4 * sc, sc);
        dst += 128;
      }
      for (; l < run; l++) {
        for (let j = 0; j < 8; j++) store<f32>(dst + (<usize>j << 2), load<f32>(s + (<usize>l << 2) + <usize>j * sc));
        dst += 32;
      }
    }
    return;
  }
  for (let o = 0; o < n; o++) {
    let s = src + load<usize>(table + (<usize>o << 2));
    for (let l = 0; l < run; l++) {
      for (let j = 0; j < columns; j++) store<f32>(dst + (<usize>j << 2), load<f32>(s + <usize>j * sc));
      for (let j = columns; j < 8; j++) store<f32>(dst + (<usize>j << 2), 0);
      dst += 32;
      s += sk;
    }
  }
}

/** dst rows 32 bytes apart = the transpose of 4 × 4 floats whose rows lie `stride` bytes apart. */
// @ts-ignore: decorator
@inline function transpose4(dst: usize, src: usize, stride: usize): void {
  const r0 = v128.load(src);
  const r1 = v128.load(src + stride);
  const r2 = v128.load(src + 2 * stride);
  const r3 = v128.load(src + 3 * stride);
  const t0 = i32x4.shuffle(r0, r1, 0, 4, 1, 5);
  const t1 = i32x4.shuffle(r2, r3, 0, 4, 1, 5);
  const t2 = i32x4.shuffle(r0, r1, 2, 6, 3, 7);
  const t3 = i32x4.shuffle(r2, r3, 2, 6, 3, 7);
  v128.store(dst, i32x4.shuffle(t0, t1, 0, 1, 4, 5));
  v128.store(dst, i32x4.shuffle(t0, t1, 2, 3, 6, 7), 32);
  v128.store(dst, i32x4.shuffle(t2, t3, 0, 1, 4, 5), 64);
  v128.store(dst, i32x4.shuffle(t2, t3, 2, 3, 6, 7), 96);
}

/** Row tiles r0 … r1 of one panel. */
export function panelRows(
  a: usize, rows: usize, r0: i32, r1: i32, b: usize, taps: usize, n: i32, group: i32, sa: usize, sb: usize,
  c: usize, ldc: usize, add: bool,
): void {
  const last = r1 - 1;
  for (let r = r0; r < r1; r += 4) {
    tile(
      a + load<usize>(rows + (<usize>r << 2)),
      a + load<usize>(rows + (<usize>min(r + 1, last) << 2)),
      a + load<usize>(rows + (<usize>min(r + 2, last) << 2)),
      a + load<usize>(rows + (<usize>min(r + 3, last) << 2)),
      b, taps, n, group, sa, sb, c + <usize>r * ldc, ldc, add,
    );
  }
}

export function gemm(d: usize, p: usize, scratch: usize, t: u32, nt: u32, sourceA: Source, sourceB: Source, store_: Store): void {
  const base = scratch + <usize>t * word(d, SCRATCH);
  const slabB = base + word(d, AT_B);
  const rowTable = base + word(d, AT_ROWS);
  const taps = base + word(d, AT_TAPS);
  const bTable = base + word(d, AT_BTABLE);
  const nTable = base + word(d, AT_NTABLE);
  const pack = base + word(d, AT_PACK);
  const c = base + word(d, AT_C);
  const ko = word(d, KO);
  const run = word(d, RUN);
  const sa = <usize>word(d, SA);
  const sbRun = <usize>word(d, SB);
  const inPlace = word(d, IN_PLACE) != 0;
  const perOuter = word(d, PANELS);
  const panels = perOuter * word(d, N_OUTER);
  const mBlocks = word(d, M_BLOCKS);
  const kBlocks = word(d, K_BLOCKS);
  const mode = word(d, MODE);

  let list = d + (LISTS << 2);
  list = fillTable(rowTable, 4, list);
  list = fillTable(taps, TAP, list);
  list = fillTable(bTable, 4, list);
  fillTable(nTable, 4, list);
  const kPerOuter = word(d, KB) / ko; // B's runs per A's run
  const sb: usize = inPlace ? sbRun : 32;
  const each = pieces(run);
  const group = chain(run);
  // From the last to the first: an entry lies at or before the place where its pieces go.
  for (let o = ko - 1; o >= 0; o--) {
    const from = inPlace ? load<usize>(bTable + (<usize>(o * kPerOuter) << 2)) : <usize>(o * run) << 5;
    putTap(taps + <usize>(o * each) * TAP, load<usize>(taps + <usize>o * TAP), from, run, sa, sb);
  }

  const units = mBlocks * word(d, BATCH);
  const u0 = mode == 0 ? share(units, t, nt) : 0;
  const u1 = mode == 0 ? share(units, t + 1, nt) : units;
  const q0 = mode == 1 ? share(panels, t, nt) : 0;
  const q1 = mode == 1 ? share(panels, t + 1, nt) : panels;
  if (q0 == q1) return;
  const panelBytes = (<usize>(ko * run)) << 5;
  let packed = -1;
  for (let u = u0; u < u1; u++) {
    const b = u / mBlocks;
    const mb = u % mBlocks;
    const rows = min(word(d, M_STEP), word(d, M_SIZE) - (mb % word(d, M_CUTS)) * word(d, M_STEP)) * word(d, M_INNER);
    const tiles = (rows + 3) >> 2;
    const r0 = mode == 2 ? share(tiles, t, nt) << 2 : 0;
    const r1 = mode == 2 ? min(rows, share(tiles, t + 1, nt) << 2) : rows;
    if (r0 >= r1) continue;
    if (mode == 1) {
      // Few rows: each panel is packed, multiplied and stored before the next.
      const a = sourceA(p, base, mb, 0, b);
      const src = sourceB(p, slabB, mb, 0, b);
      for (let q = q0; q < q1; q++) {
        const first = (q % perOuter) << 3;
        const from = src + load<usize>(nTable + (<usize>(q / perOuter) << 2)) + <usize>first * <usize>word(d, SC);
        if (!inPlace) {
          packPanel(pack, from, bTable, word(d, KB), word(d, RUN_B), sbRun, word(d, SC), min(8, word(d, COLUMNS) - first));
        }
        panelRows(a, rowTable, r0, r1, inPlace ? from : pack, taps, ko * each, group, sa, sb, c, 32, false);
        store_(p, c, 32, mb, b, r0, r1, q, q + 1);
      }
      continue;
    }
    const ldc = <usize>panels << 5;
    for (let kb = 0; kb < kBlocks; kb++) {
      const a = sourceA(p, base, mb, kb, b);
      const values = min(word(d, K_STEP), word(d, K_SIZE) - (kb % word(d, K_CUTS)) * word(d, K_STEP));
      const cutRun = word(d, K_RUN) != 0;
      const koNow = cutRun ? ko : (ko / word(d, K_STEP)) * values;
      let taken = koNow * each;
      if (cutRun) {
        putTap(taps, 0, 0, values, sa, sb);
        taken = pieces(values);
      }
      let src: usize = 0;
      if (packed != b * kBlocks + kb) {
        packed = b * kBlocks + kb;
        src = sourceB(p, slabB, mb, kb, b);
        if (!inPlace) {
          for (let q = 0; q < panels; q++) {
            const first = (q % perOuter) << 3;
            packPanel(
              pack + <usize>q * panelBytes,
              src + load<usize>(nTable + (<usize>(q / perOuter) << 2)) + <usize>first * <usize>word(d, SC),
              bTable, koNow * kPerOuter, cutRun ? values : word(d, RUN_B), sbRun, word(d, SC),
              min(8, word(d, COLUMNS) - first),
            );
          }
        }
      }
      for (let q = 0; q < panels; q++) {
        panelRows(
          a, rowTable, r0, r1, pack + <usize>q * panelBytes, taps, taken, group, sa, sb,
          c + (<usize>q << 5), ldc, kb > 0,
        );
      }
    }
    store_(p, c, ldc, mb, b, r0, r1, 0, panels);
  }
}

// @ts-ignore: decorator
@inline export function share(total: i32, t: u32, nt: u32): i32 {
  return <i32>((<u64>total * <u64>t) / <u64>nt);
}
