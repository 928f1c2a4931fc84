// Near-duplicate reports and volumes of a list. Reports: MinHash over shingles of words finds candidates (Broder, "On the resemblance
// and containment of documents", 1997), their Jaccard similarity decides. Volumes: every two hashes are compared.
import { stream } from './random.ts';
import { hashSimilarity, type VolumeHash } from './volume-hash.ts';

export interface DuplicateOptions {
  /** Reports at least so similar are duplicates, 0 to 1; Infinity compares none. Default 0.9. */
  readonly reports?: number;
  /** Volumes likewise (`hashSimilarity`). Default 0.8. */
  readonly volumes?: number;
  /** Of the hash functions. Default 0. */
  readonly seed?: number;
}

export interface Duplicate {
  readonly kind: 'reports' | 'volumes';
  /** Places in the list, a < b. */
  readonly a: number;
  readonly b: number;
  readonly similarity: number;
}

/** Words of a shingle. */
const SHINGLE = 3;
/** Reports of fewer shingles are too short to tell a copy from a habit of speech. */
export const LEAST_SHINGLES = 12;
/** 48 bands of 3 rows: two reports of similarity 0.7 are compared with probability 1 − 2·10⁻⁹, of 0.5 with 0.998. */
const BANDS = 48;
const ROWS = 3;

/** Pairs of near-duplicate reports, by place. `short`: how many were too short to be compared. */
export function duplicateReports(
  texts: readonly string[],
  options: DuplicateOptions = {},
): { readonly pairs: Duplicate[]; readonly short: number } {
  const least = options.reports ?? 0.9;
  const sets = texts.map(shingles);
  const short = sets.filter((s) => s.size < LEAST_SHINGLES).length;
  if (least > 1) return { pairs: [], short };
  const random = stream(options.seed ?? 0, 0x4d48);
  const keys = Uint32Array.from({ length: BANDS * ROWS }, () => random.u32());
  const buckets = new Map<string, number[]>();
  const compared = new Set<number>();
  const pairs: Duplicate[] = [];
  sets.forEach((set, b) => {
    if (set.size < LEAST_SHINGLES) return;
    const signature = minHash(set, keys);
    for (let band = 0; band < BANDS; band++) {
      const key = `${band}:${signature.subarray(band * ROWS, (band + 1) * ROWS).join(',')}`;
      const others = buckets.get(key) ?? [];
      for (const a of others) {
        const known = a * texts.length + b;
        if (compared.has(known)) continue;
        compared.add(known);
        const similarity = jaccard(sets[a]!, set);
        if (similarity >= least) pairs.push({ kind: 'reports', a, b, similarity });
      }
      // Verbatim copies are all linked to the first of them.
      if (!others.some((a) => same(sets[a]!, set))) buckets.set(key, [...others, b]);
    }
  });
  return { pairs: pairs.sort((p, q) => p.a - q.a || p.b - q.b), short };
}

/** Pairs of near-duplicate volumes, by place; null where there is no hash. */
export function duplicateVolumes(hashes: readonly (VolumeHash | null)[], options: DuplicateOptions = {}): Duplicate[] {
  const least = options.volumes ?? 0.8;
  const pairs: Duplicate[] = [];
  hashes.forEach((hash, b) => {
    if (!hash) return;
    for (let a = 0; a < b; a++) {
      const other = hashes[a];
      if (!other) continue;
      const similarity = hashSimilarity(other, hash);
      if (similarity >= least) pairs.push({ kind: 'volumes', a, b, similarity });
    }
  });
  return pairs.sort((p, q) => p.a - q.a || p.b - q.b);
}

/** Shared shingles over all shingles of two texts, 0 to 1. */
export const reportSimilarity = (a: string, b: string): number => jaccard(shingles(a), shingles(b));

/** Hashes of every run of three words; case, punctuation and line ends aside. */
function shingles(text: string): Set<number> {
  const words = text.toLowerCase().match(/[\p{L}\d]+(?:[.,]\d+)*/gu) ?? [];
  const out = new Set<number>();
  for (let i = 0; i + SHINGLE <= words.length; i++) out.add(fnv(words.slice(i, i + SHINGLE).join(' ')));
  return out;
}

/** FNV-1a, 32 bits. */
function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** The least of each hash function over the set. */
function minHash(set: ReadonlySet<number>, keys: Uint32Array): Uint32Array {
  const least = new Uint32Array(keys.length).fill(0xffffffff);
  for (const shingle of set)
    for (let n = 0; n < keys.length; n++) {
      // The finaliser of MurmurHash3: a permutation of 32 bits, another one for each key.
      let h = shingle ^ keys[n]!;
      h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
      h = (h ^ (h >>> 16)) >>> 0;
      if (h < least[n]!) least[n] = h;
    }
  return least;
}

function jaccard(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  let shared = 0;
  for (const s of a) if (b.has(s)) shared++;
  const all = a.size + b.size - shared;
  return all === 0 ? 0 : shared / all;
}

function same(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  if (a.size !== b.size) return false;
  for (const s of a) if (!b.has(s)) return false;
  return true;
}
