// Scans of prepared sets as trainings read them: from their chunks, crop by crop.
import { type ChunkCache, chunkCache } from '../data/ome-zarr.ts';
import type { Preprocess } from '../data/prepare.ts';
import { openPreparedScan, type PreparedScan } from '../data/prepared-scan.ts';
import { fileStore, isOmeZarr } from '../data/zarr-files.ts';

/** What a thread may keep. */
export interface ThreadCache {
  /** Of chunks, whatever scans they are of. */
  readonly chunks: ChunkCache;
  /** Of volumes that must be in memory whole, and of what is known of scans in chunks. */
  readonly volumeBytes: number;
}

/** Most of it for that which the first scan needs: sets are seldom mixed. */
export async function threadCache(bytes: number, first: string): Promise<ThreadCache> {
  const share = (await isOmeZarr(first)) ? 0.75 : 0.1;
  return { chunks: chunkCache(Math.floor(bytes * share)), volumeBytes: Math.floor(bytes * (1 - share)) };
}

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
