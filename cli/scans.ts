// Scans of prepared sets as trainings read them: from their chunks, crop by crop.
import { type ChunkCache, chunkCache } from '../data/ome-zarr.ts';
import type { Preprocess } from '../data/prepare.ts';
import { openPreparedScan, type PreparedScan } from '../data/prepared-scan.ts';
import { fileStore, isOmeZarr } from '../data/zarr-files.ts';

/** Of what a thread may keep, for decoded chunks; the rest is for volumes that must be in memory whole. */
export const CHUNK_SHARE = 0.5;

/** What a thread keeps of chunks, whatever scans they are of. */
export const chunksFor = (cacheBytes: number): ChunkCache => chunkCache(Math.floor(cacheBytes * CHUNK_SHARE));

/** Null where the scan or its label map is no OME-Zarr, or not on the contract's grid: it is read whole. */
export async function scanAt(
  image: string,
  label: string | null,
  contract: Preprocess,
  cache: ChunkCache,
): Promise<PreparedScan | null> {
  if (!(await isOmeZarr(image)) || (label !== null && !(await isOmeZarr(label)))) return null;
  return openPreparedScan(fileStore(image), {
    contract,
    cache,
    name: image,
    ...(label !== null && { label: { store: fileStore(label), name: label } }),
  });
}
