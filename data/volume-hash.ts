// A coarse picture of a volume, to find the same scan twice: exported anew, resampled, cropped a little, with another kernel or name.
import type { Dims } from './volume.ts';

/** Cells along each axis. */
const CELLS = 8;

/** One bit for each pair of neighbouring cells along each axis: whether the mean rises. */
export interface VolumeHash {
  readonly bits: Uint32Array;
  /** Bits whose two cells differ; those of air beside air say nothing. */
  readonly known: Uint32Array;
}

/** Differences below this part of the window are none. */
const FLAT = 0.004;

/** The box of the cells leaves out this share of the intensity at either end of an axis: a table or a noisy border moves it little. */
const OUTSIDE = 0.02;

/** The hash of a prepared volume [d, h, w], 0..1. Neither spacing nor the air around the body matters. */
export function volumeHash(image: Float32Array, dims: Dims): VolumeHash {
  const mean = cellMeans(image, dims);
  const bits = new Uint32Array(WORDS);
  const known = new Uint32Array(WORDS);
  let at = 0;
  for (const stride of [CELLS * CELLS, CELLS, 1])
    for (let c = 0; c < mean.length; c++) {
      if (Math.floor(c / stride) % CELLS === CELLS - 1) continue;
      const rise = mean[c + stride]! - mean[c]!;
      if (rise > 0) bits[at >>> 5]! |= 1 << (at & 31);
      if (Math.abs(rise) > FLAT) known[at >>> 5]! |= 1 << (at & 31);
      at++;
    }
  return { bits, known };
}

/** Share of the bits known in both that agree, from −1 (all differ) over 0 (chance) to 1. 0 where too little is known to say. */
export function hashSimilarity(a: VolumeHash, b: VolumeHash): number {
  let both = 0;
  let differ = 0;
  for (let i = 0; i < WORDS; i++) {
    const k = a.known[i]! & b.known[i]!;
    both += ones(k);
    differ += ones((a.bits[i]! ^ b.bits[i]!) & k);
  }
  return both < LEAST ? 0 : 1 - (2 * differ) / both;
}

const BITS = 3 * (CELLS - 1) * CELLS * CELLS;
const WORDS = Math.ceil(BITS / 32);
const LEAST = BITS / 8;

function cellMeans(image: Float32Array, dims: Dims): Float64Array {
  const [d, h, w] = dims;
  const mass = dims.map((n) => new Float64Array(n)) as [Float64Array, Float64Array, Float64Array];
  for (let i = 0, at = 0; i < d; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++, at++) {
        const v = image[at]!;
        mass[0][i]! += v;
        mass[1][j]! += v;
        mass[2][k]! += v;
      }
  const [cd, ch, cw] = mass.map(cellOf) as [Int8Array, Int8Array, Int8Array];
  const sum = new Float64Array(CELLS ** 3);
  const count = new Float64Array(CELLS ** 3);
  for (let i = 0, at = 0; i < d; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < w; k++, at++) {
        if (cd[i]! < 0 || ch[j]! < 0 || cw[k]! < 0) continue;
        const c = (cd[i]! * CELLS + ch[j]!) * CELLS + cw[k]!;
        sum[c]! += image[at]!;
        count[c]!++;
      }
  // An axis shorter than the cells leaves some empty.
  return sum.map((s, c) => (count[c]! > 0 ? s / count[c]! : 0));
}

/** Cell of each place along an axis, −1 outside the box. */
function cellOf(mass: Float64Array): Int8Array {
  const total = mass.reduce((a, b) => a + b, 0);
  const at = (share: number): number => {
    let before = 0;
    for (let i = 0; i < mass.length; i++) {
      if (mass[i]! > 0 && before + mass[i]! >= share * total) return i + (share * total - before) / mass[i]!;
      before += mass[i]!;
    }
    return mass.length;
  };
  const [lo, hi] = total > 0 ? [at(OUTSIDE), at(1 - OUTSIDE)] : [0, mass.length];
  return Int8Array.from(mass, (_, i) => {
    const c = Math.floor(((i + 0.5 - lo) / (hi - lo)) * CELLS);
    return c >= 0 && c < CELLS ? c : -1;
  });
}

function ones(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
