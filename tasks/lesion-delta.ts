// What a report is worth to the restoration of lesions: Δ_text on those corrupted voxels that are lesions, by the entry `restore`.
import { type Lesions, lesionMask } from '../data/lesions.ts';
import type { Session } from '../runtime/index.ts';
import type { LesionStore } from './lesion-store.ts';
import type { PretrainBatch } from './pretrain-batches.ts';
import type { PretrainContract } from './pretrain-contract.ts';

type Arrays = PretrainBatch['inputs'];

/** Sums over corrupted lesion voxels of how far the restored value is off. */
export interface LesionErrors {
  readonly voxels: number;
  readonly own: number;
  readonly swapped: number;
}

/** @param swapped the batch's inputs with other studies' reports @param signal stops it between two calls */
export async function lesionErrors(
  session: Session,
  contract: PretrainContract,
  batch: PretrainBatch,
  swapped: Arrays,
  store: LesionStore,
  signal?: AbortSignal,
): Promise<LesionErrors> {
  const { size, restored, batch: count } = contract;
  const voxels = size[0] * size[1] * size[2];
  const entry = session.manifest.entries.restore!;
  const lesions: (Lesions | null)[] = [];
  for (const { pair, dims } of batch.items) lesions.push(await store.of(pair, dims));
  const sums = { voxels: 0, own: 0, swapped: 0 };
  for (let r = 0; r < restored; r++) {
    const places: number[] = [];
    batch.items.forEach(({ restored: tiles }, b) => {
      const { origin } = tiles[r]!;
      if (!origin || !lesions[b]) return;
      const at = (b * restored + r) * voxels;
      lesionMask(lesions[b]!, origin, size).forEach((is, n) => {
        if (is && batch.inputs.corrupt_mask![at + n]) places.push(b * voxels + n);
      });
    });
    if (places.length === 0) continue;
    const volume = tilesAt(batch.inputs.tiles_corrupt as Float32Array, count, restored, r);
    const clean = tilesAt(batch.inputs.tiles_clean as Float32Array, count, restored, r);
    const error = async (inputs: Arrays): Promise<number> => {
      const given = Object.fromEntries(
        entry.inputs.flatMap(({ name }) => (name === 'volume' ? [[name, volume]] : [[name, inputs[name]!]])),
      );
      const out = (await session.entries.restore!(given, { signal })).restored as Float32Array;
      return places.reduce((sum, n) => sum + Math.abs(out[n]! - clean[n]!), 0);
    };
    sums.voxels += places.length;
    sums.own += await error(batch.inputs);
    sums.swapped += await error(swapped);
  }
  return sums;
}

/** The r-th restored tile of each study. */
function tilesAt(data: Float32Array, studies: number, restored: number, r: number): Float32Array {
  const each = data.length / (studies * restored);
  const out = new Float32Array(studies * each);
  for (let b = 0; b < studies; b++) {
    const from = (b * restored + r) * each;
    out.set(data.subarray(from, from + each), b * each);
  }
  return out;
}
