// Whole studies as an entry takes them: read, prepared by the contract, cut into tiles, a batch at a time. A study that cannot be used
// is left out by name and reason.
import { ByteCache } from '../data/byte-cache.ts';
import {
  DataError,
  type Preprocess,
  prepare,
  type RandomStream,
  stream,
  type Volume,
  voxelCount,
} from '../data/index.ts';
import type { PreparedScan } from '../data/prepared-scan.ts';
import { downsampledTile, nativeCrop, type Study, type StudyVoxels, studyTiles } from '../data/study-tiles.ts';
import { pause } from './pause.ts';
import type { StudyContract } from './study-contract.ts';

/** A study, wherever it lies. */
export interface StudySource {
  readonly name: string;
  /** CT in HU. */
  load(): Promise<Volume>;
  /** Where the study lies in chunks on the contract's grid: those; else null. */
  open?(contract: Preprocess): Promise<PreparedScan | null>;
}

/** In memory, or in chunks that are read crop by crop. */
export type PreparedStudy = (Study | PreparedScan) & {
  readonly spacing: readonly [number, number, number];
  readonly notes: readonly string[];
};

export interface SkippedStudy {
  readonly name: string;
  /** The error's code: `volume-thick-slices`, `file-missing`. */
  readonly reason: string;
  readonly detail: string;
}

export interface ReadingOptions {
  readonly onSkip?: (left: SkippedStudy) => void;
  /** Things worth knowing about a study. */
  readonly onNote?: (note: string) => void;
  /** Studies done, those left out included. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface StudyBatch<S> {
  /** [b k 1 d h w]; places behind the last study are empty. */
  readonly tiles: Float32Array;
  readonly studies: readonly S[];
}

/** Tiles are drawn from this where a study has more than the entry takes: the same ones every time. */
const INFERENCE = 0x0201;

/** Batches of those that can be read, in their order. */
export async function* studyBatches<S extends StudySource>(
  sources: readonly S[],
  contract: StudyContract,
  { onSkip, onNote, onProgress, signal }: ReadingOptions = {},
): AsyncGenerator<StudyBatch<S>, void, void> {
  const each = contract.tiles * voxelCount(contract.size);
  let tiles = new Float32Array(contract.batch * each);
  let studies: S[] = [];
  for (const [n, source] of sources.entries()) {
    signal?.throwIfAborted();
    await pause();
    const made = await prepared(source, contract, onSkip);
    onProgress?.(n + 1, sources.length);
    if (!made) continue;
    for (const note of made.notes) onNote?.(`${source.name}: ${note}`);
    const cut = await tilesOf(made, contract, stream(0, INFERENCE));
    if (cut.all > contract.tiles && contract.takes === 'whole')
      onNote?.(`${source.name}: ${contract.tiles} of its ${cut.all} tiles are seen, drawn by what is in them`);
    tiles.set(cut.tiles, studies.length * each);
    studies.push(source);
    if (studies.length < contract.batch) continue;
    yield { tiles, studies };
    tiles = new Float32Array(contract.batch * each);
    studies = [];
  }
  if (studies.length > 0) yield { tiles, studies };
}

/** A study's k tiles, and how many would cover it. */
export async function tilesOf(
  study: Study | StudyVoxels,
  { size, tiles: k, takes }: StudyContract,
  random: RandomStream,
): Promise<{ tiles: Float32Array; all: number }> {
  if (takes === 'whole') return studyTiles(study, size, k, random);
  const one = takes === 'small' ? await downsampledTile(study, size) : (await nativeCrop(study, size, random)).tile;
  return { tiles: one, all: 1 };
}

/** Null, and told, where a fault of the data keeps it from being read. */
export async function prepared(
  source: StudySource,
  contract: StudyContract,
  onSkip?: ReadingOptions['onSkip'],
): Promise<PreparedStudy | null> {
  try {
    return await openStudy(source, contract.preprocess);
  } catch (err) {
    const reason = faultOf(err);
    if (reason === null || !onSkip) {
      if (err instanceof Error) err.message = `${source.name}: ${err.message}`;
      throw err;
    }
    const lines = (err as Error).message.split('\n').slice(0, 2).join(';');
    onSkip({ name: source.name, reason, detail: lines.replace(/\s+/g, ' ') });
    return null;
  }
}

/** What prepared volumes that do not fit cost, and what helps. */
export const FULL =
  'not all prepared volumes fit in --cache, so some are read and prepared again and again; t3dc data prepare makes chunks of them, from which crops are read';

/** From its chunks where it can be, else read whole and prepared. @throws DataError, and of the file system */
export async function openStudy(
  source: Pick<StudySource, 'load' | 'open'>,
  contract: Preprocess,
): Promise<PreparedStudy> {
  const scan = await source.open?.(contract);
  if (scan) return scan;
  const { image, dims, spacing, notes } = prepare(await source.load(), undefined, contract);
  return { image, dims, spacing, notes };
}

/** Memory that it holds, beside the cache of chunks. */
export const studyBytes = (s: PreparedStudy): number => ('image' in s ? s.image.byteLength : s.bytes);

/** Faults of a file are the data's, by their code; anything else is ours: null. */
export function faultOf(err: unknown): string | null {
  if (err instanceof DataError) return err.code;
  const { code, syscall } = err as NodeJS.ErrnoException;
  return typeof code === 'string' && typeof syscall === 'string' ? code : null;
}

/** Prepared studies, least recently used out first when `maxBytes` would be passed. */
export class StudyCache {
  readonly #contract: StudyContract;
  readonly #kept: ByteCache<StudySource, PreparedStudy>;
  readonly #onNote: (note: string) => void;

  /** @param onNote what is worth knowing about a study or the cache, more than once */
  constructor(contract: StudyContract, maxBytes: number, onNote: (note: string) => void = () => {}) {
    this.#contract = contract;
    this.#kept = new ByteCache(maxBytes, studyBytes);
    this.#onNote = onNote;
  }

  /** @throws DataError of `prepare` and of reading, the study named */
  async get(source: StudySource): Promise<PreparedStudy> {
    const known = this.#kept.get(source);
    if (known) return known;
    const made = (await prepared(source, this.#contract))!;
    for (const note of made.notes) this.#onNote(`${source.name}: ${note}`);
    if (this.#kept.set(source, made) && 'image' in made) this.#onNote(FULL);
    return made;
  }
}
