// Whole studies as an entry takes them: read, prepared by the contract, cut into tiles, a batch at a time. A study that cannot be used
// is left out by name and reason.
import { DataError, prepare, type RandomStream, stream, type Volume, voxelCount } from '../data/index.ts';
import { downsampledTile, nativeCrop, type Study, studyTiles } from '../data/study-tiles.ts';
import { pause } from './pause.ts';
import type { StudyContract } from './study-contract.ts';

/** A study, wherever it lies. */
export interface StudySource {
  readonly name: string;
  /** CT in HU. */
  load(): Promise<Volume>;
}

export interface PreparedStudy extends Study {
  readonly spacing: readonly [number, number, number];
  readonly notes: readonly string[];
}

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
    const cut = tilesOf(made, contract, stream(0, INFERENCE));
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
export function tilesOf(
  study: Study,
  { size, tiles: k, takes }: StudyContract,
  random: RandomStream,
): { tiles: Float32Array; all: number } {
  if (takes === 'whole') return studyTiles(study, size, k, random);
  const one = takes === 'small' ? downsampledTile(study, size) : nativeCrop(study, size, random).tile;
  return { tiles: one, all: 1 };
}

/** Null, and told, where a fault of the data keeps it from being read. */
export async function prepared(
  source: StudySource,
  contract: StudyContract,
  onSkip?: ReadingOptions['onSkip'],
): Promise<PreparedStudy | null> {
  try {
    const { image, dims, spacing, notes } = prepare(await source.load(), undefined, contract.preprocess);
    return { image, dims, spacing, notes };
  } catch (err) {
    const reason = reasonOf(err);
    if (reason === null || !onSkip) {
      if (err instanceof Error) err.message = `${source.name}: ${err.message}`;
      throw err;
    }
    const lines = (err as Error).message.split('\n').slice(0, 2).join(';');
    onSkip({ name: source.name, reason, detail: lines.replace(/\s+/g, ' ') });
    return null;
  }
}

/** Faults of a file are the data's; anything else is ours. */
function reasonOf(err: unknown): string | null {
  if (err instanceof DataError) return err.code;
  const { code, syscall } = err as NodeJS.ErrnoException;
  return typeof code === 'string' && typeof syscall === 'string' ? code : null;
}

/** Prepared studies, least recently used out first when `maxBytes` would be passed. */
export class StudyCache {
  readonly #contract: StudyContract;
  readonly #maxBytes: number;
  readonly #kept = new Map<StudySource, PreparedStudy>();
  #bytes = 0;

  constructor(contract: StudyContract, maxBytes: number) {
    this.#contract = contract;
    this.#maxBytes = maxBytes;
  }

  /** @throws DataError of `prepare` and of reading, the study named */
  async get(source: StudySource): Promise<PreparedStudy> {
    const known = this.#kept.get(source);
    if (known) {
      this.#kept.delete(source);
      this.#kept.set(source, known);
      return known;
    }
    const made = (await prepared(source, this.#contract))!;
    this.#kept.set(source, made);
    this.#bytes += made.image.byteLength;
    for (const [key, old] of this.#kept) {
      if (this.#bytes <= this.#maxBytes || old === made) break;
      this.#kept.delete(key);
      this.#bytes -= old.image.byteLength;
    }
    return made;
  }
}
