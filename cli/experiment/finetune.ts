// Lesions segmented after pre-training: fine-tuned on the masks of a few studies, judged on studies that no arm has seen.
import {
  dice,
  lesionScores,
  matchLesions,
  meanOf,
  PART_SIZE,
  PART_SPACING,
  type RandomStream,
  stream,
  surfaceDistances,
} from '../../data/index.ts';
import type { Inputs } from '../../runtime/index.ts';
import { pause } from '../../tasks/pause.ts';
import { shuffled } from './arms.ts';
import type { Declaration } from './declaration.ts';
import { opened, type RunOptions } from './opened.ts';
import { STATIONS, type Studies, type Study, TILE, TILE_VOXELS } from './studies.ts';

export interface LesionResult {
  readonly fraction: number;
  /** Mean over the judged studies that have a lesion. */
  readonly dice: number;
  /** At one voxel. */
  readonly nsd: number;
  readonly f1: number;
}

const SPACING = [PART_SPACING, PART_SPACING, PART_SPACING] as const;

export async function segmentLesions(
  weights: Uint8Array | null,
  seed: number,
  fraction: number,
  studies: Studies,
  d: Declaration,
  o: RunOptions,
): Promise<LesionResult> {
  const { crops, steps, lr, weight } = d.segmentation;
  const set = {
    batch: crops,
    lr,
    steps,
    warmup: d.warmup,
    weightDecay: d.weightDecay,
    weightCE: [1, weight],
    diceBackground: false,
    diceBatch: true,
  };
  const session = await opened('segment', ['segment', 'predict'], set, seed, o);
  try {
    if (weights) await session.loadWeights(weights, { strict: false });
    const masked = studies.train.slice(0, d.studies.masks);
    const chosen = shuffled(masked.length, stream(seed, 21)).slice(0, Math.round(fraction * masked.length));
    const labelled = chosen.map((n) => masked[n]!);
    const batches = (function* () {
      for (let step = 0; step < steps; step++) yield batch(labelled, stream(seed, 22, step), crops, d);
    })();
    for await (const _ of session.train('segment', batches, { steps, seed, readEvery: 10, signal: o.signal }))
      await pause();
    const found: Uint8Array[] = [];
    const tiles = studies.judged.length * STATIONS;
    const all = new Uint8Array(tiles * TILE_VOXELS);
    for (let from = 0; from < tiles; from += crops) {
      const volume = new Float32Array(crops * TILE_VOXELS);
      const count = Math.min(crops, tiles - from);
      for (let i = 0; i < count; i++) {
        const [study, station] = [Math.floor((from + i) / STATIONS), (from + i) % STATIONS];
        volume.set(tileOf(studies.judged[study]!.volume, station * TILE), i * TILE_VOXELS);
      }
      const { labels } = await session.entries.predict!({ volume });
      all.set((labels as Int32Array).subarray(0, count * TILE_VOXELS), from * TILE_VOXELS);
    }
    studies.judged.forEach((_, n) => {
      found.push(all.subarray(n * STATIONS * TILE_VOXELS, (n + 1) * STATIONS * TILE_VOXELS));
    });
    return { fraction, ...judge(found, studies.judged) };
  } finally {
    await session.close();
  }
}

function judge(found: readonly Uint8Array[], judged: readonly Study[]): Omit<LesionResult, 'fraction'> {
  const sick = judged.flatMap((s, n) => (s.lesions.includes(1) ? [n] : []));
  const mean = (f: (n: number) => number): number => meanOf(sick.map(f)).mean;
  return {
    dice: mean((n) => dice(found[n]!, judged[n]!.lesions, 2).dice[1]!),
    nsd: mean(
      (n) => surfaceDistances(found[n]!, judged[n]!.lesions, PART_SIZE, SPACING, { tolerance: PART_SPACING }).nsd,
    ),
    f1: lesionScores(judged.map((s, n) => matchLesions(found[n]!, s.lesions, PART_SIZE, SPACING))).all.f1,
  };
}

/** Crops, every second one around a lesion where the study has any. */
function batch(studies: readonly Study[], random: RandomStream, crops: number, d: Declaration): Inputs {
  const volume = new Float32Array(crops * TILE_VOXELS);
  const label = new Int32Array(crops * TILE_VOXELS);
  for (let i = 0; i < crops; i++) {
    const own = random.fork(i);
    const s = studies[own.int(studies.length)]!;
    const lesions = s.truth.organs.flatMap((x) => (x.lesion ? [x.lesion] : []));
    const last = (STATIONS - 1) * TILE;
    const centred = i % 2 === 0 && lesions.length > 0 ? lesions[own.int(lesions.length)]!.centre[0]! - TILE / 2 : null;
    const at = Math.min(last, Math.max(0, Math.round(centred ?? own.int(last + 1))));
    const gain = 1 + own.uniform(-d.gain, d.gain);
    const shift = d.shift * own.normal();
    const tile = tileOf(s.volume, at);
    for (let v = 0; v < TILE_VOXELS; v++) volume[i * TILE_VOXELS + v] = tile[v]! * gain + shift;
    label.set(s.lesions.subarray(at * TILE * TILE, at * TILE * TILE + TILE_VOXELS), i * TILE_VOXELS);
  }
  return { volume, label };
}

const tileOf = (volume: Float32Array, at: number): Float32Array =>
  volume.subarray(at * TILE * TILE, at * TILE * TILE + TILE_VOXELS);
