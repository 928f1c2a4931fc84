// The FROC curve: share of lesions found against false positives per scan, where every candidate has a score.

import { connectedComponents } from '../components.ts';
import type { Dims, VoxelArray } from '../volume.ts';
import { checkLesionShape, type LesionOptions, lesionMask } from './lesions.ts';

/** Candidates of one scan, each with a score and the lesion of the truth that it hits, or −1. */
export interface FrocScan {
  readonly lesions: number;
  readonly candidates: readonly { readonly score: number; readonly lesion: number }[];
}

/** False positives per scan at which a FROC curve is read: 1/8, 1/4, 1/2, 1, 2, 4, 8. */
export const FROC_RATES: readonly number[] = [0.125, 0.25, 0.5, 1, 2, 4, 8];

export interface Froc {
  /** By falling threshold: false positives per scan and share of lesions found, with candidates of at least the threshold. */
  readonly curve: readonly {
    readonly threshold: number;
    readonly falsePositives: number;
    readonly sensitivity: number;
  }[];
  /** Sensitivity at each of `rates`, linear between the curve's points (as numpy.interp), flat beyond its end. */
  readonly at: readonly number[];
  /** Their mean: the FROC score. NaN without a lesion. */
  readonly average: number;
}

/** A lesion that several candidates hit counts once, by the best of them; none of them is a false positive. */
export function froc(scans: readonly FrocScan[], rates: readonly number[] = FROC_RATES): Froc {
  const lesions = scans.reduce((n, s) => n + s.lesions, 0);
  const events: { score: number; found: boolean }[] = [];
  for (const scan of scans) {
    const best = new Map<number, number>();
    for (const { score, lesion } of scan.candidates)
      if (lesion < 0) events.push({ score, found: false });
      else best.set(lesion, Math.max(score, best.get(lesion) ?? Number.NEGATIVE_INFINITY));
    for (const score of best.values()) events.push({ score, found: true });
  }
  events.sort((a, b) => b.score - a.score);
  const curve = [{ threshold: Number.POSITIVE_INFINITY, falsePositives: 0, sensitivity: lesions > 0 ? 0 : Number.NaN }];
  let wrong = 0;
  let found = 0;
  events.forEach((e, i) => {
    if (e.found) found++;
    else wrong++;
    if (events[i + 1]?.score === e.score) return;
    curve.push({ threshold: e.score, falsePositives: wrong / scans.length, sensitivity: found / lesions });
  });
  const at = rates.map((rate) => sensitivityAt(curve, rate));
  return { curve, at, average: at.reduce((a, b) => a + b, 0) / at.length };
}

/**
 * Candidates of one scan from a probability map: components of voxels of at least `threshold`, each scored by its highest
 * probability, and given to the lesion with which it shares most voxels.
 * @throws `lesion-shape`
 */
export function frocScan(
  probability: VoxelArray,
  truth: VoxelArray,
  dims: Dims,
  { label = 1, connectivity = 26, threshold = 0.1 }: LesionOptions & { readonly threshold?: number } = {},
): FrocScan {
  checkLesionShape(probability, truth, dims);
  const lesions = connectedComponents(
    lesionMask(truth, (v) => v === label),
    dims,
    connectivity,
  );
  const found = connectedComponents(
    lesionMask(probability, (v) => v >= threshold),
    dims,
    connectivity,
  );
  const score = new Float64Array(found.components.length);
  const shared = found.components.map(() => new Map<number, number>());
  for (let i = 0; i < found.id.length; i++) {
    const c = found.id[i]! - 1;
    if (c < 0) continue;
    score[c] = Math.max(score[c]!, probability[i]!);
    const lesion = lesions.id[i]! - 1;
    if (lesion >= 0) shared[c]!.set(lesion, (shared[c]!.get(lesion) ?? 0) + 1);
  }
  const candidates = shared.map((overlaps, c) => {
    let lesion = -1;
    let most = 0;
    for (const [l, n] of overlaps)
      if (n > most) {
        most = n;
        lesion = l;
      }
    return { score: score[c]!, lesion };
  });
  return { lesions: lesions.components.length, candidates };
}

function sensitivityAt(curve: Froc['curve'], rate: number): number {
  // Of points with equally many false positives the last has found most.
  const below = curve.findLast((p) => p.falsePositives <= rate)!;
  const above = curve.find((p) => p.falsePositives > rate);
  if (!above) return below.sensitivity;
  const part = (rate - below.falsePositives) / (above.falsePositives - below.falsePositives);
  return below.sensitivity + part * (above.sensitivity - below.sensitivity);
}
