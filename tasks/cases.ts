// Labelled volumes for training: read and prepared when first needed, and kept as long as they fit.
import { ByteCache } from '../data/byte-cache.ts';
import { cropPair, LabelIndex, type LabelPlaces } from '../data/crops.ts';
import { DataError } from '../data/errors.ts';
import type { Box } from '../data/pad.ts';
import { prepare } from '../data/prepare.ts';
import type { ClassMap, PreparedScan } from '../data/prepared-scan.ts';
import type { Dims, Volume } from '../data/volume.ts';
import type { SegmentationContract } from './contract.ts';
import { FULL } from './study-input.ts';

/** A labelled scan, wherever it lies. */
export interface SegmentationCase {
  readonly name: string;
  /** CT in HU and class ids on its grid. */
  load(): Promise<{ readonly image: Volume; readonly label: Volume }>;
  /** Where image and label map lie in chunks on the contract's grid: those; else null. */
  open?(contract: SegmentationContract): Promise<OpenedCase | null>;
}

export interface OpenedCase {
  readonly scan: PreparedScan;
  /** Ids of its label map as classes. */
  readonly to: ClassMap;
}

export interface PreparedCase {
  readonly name: string;
  /** [d, h, w], 0..1. */
  readonly image: Float32Array;
  readonly label: Uint8Array;
  readonly dims: Dims;
  /** mm. */
  readonly spacing: readonly [number, number, number];
  readonly places: LabelPlaces;
  readonly notes: readonly string[];
}

/** A case that is read crop by crop. */
export interface ChunkedCase extends OpenedCase, Omit<PreparedCase, 'image' | 'label'> {}

/** Prepared cases, least recently used out first when `maxBytes` would be passed. */
export class CaseCache {
  readonly #contract: SegmentationContract;
  readonly #kept: ByteCache<SegmentationCase, PreparedCase | ChunkedCase>;
  readonly #onNote: (note: string) => void;

  /** @param onNote what is worth knowing about a case or the cache, more than once */
  constructor(contract: SegmentationContract, maxBytes: number, onNote: (note: string) => void = () => {}) {
    this.#contract = contract;
    this.#kept = new ByteCache(maxBytes, sizeOf);
    this.#onNote = onNote;
  }

  /** Whole, in memory. @throws DataError of `prepare` and `LabelIndex`, the case named */
  async get(from: SegmentationCase): Promise<PreparedCase> {
    const known = this.#kept.get(from);
    if (known && 'image' in known) return known;
    const made = await this.#prepare(from);
    this.#keep(from, made);
    return made;
  }

  /** From its chunks where it can be. @throws also of `PreparedScan` */
  async open(from: SegmentationCase): Promise<PreparedCase | ChunkedCase> {
    const known = this.#kept.get(from);
    if (known) return known;
    const opened = await this.#named(from, async () => {
      const { scan, to } = (await from.open?.(this.#contract)) ?? { scan: null, to: null };
      if (!scan) return null;
      const { dims, spacing, notes } = scan;
      return { name: from.name, scan, to, dims, spacing, notes, places: scan.places(to) };
    });
    if (!opened) return this.get(from);
    this.#keep(from, opened);
    return opened;
  }

  #keep(from: SegmentationCase, made: PreparedCase | ChunkedCase): void {
    for (const note of made.notes) this.#onNote(`${made.name}: ${note}`);
    if (this.#kept.set(from, made) && 'image' in made) this.#onNote(FULL);
  }

  async #prepare(from: SegmentationCase): Promise<PreparedCase> {
    const { image, label } = await from.load();
    return this.#named(from, async () => {
      const whole = { ...label, data: ids(label, this.#contract.classes) };
      const p = prepare(image, whole, this.#contract.preprocess);
      const places = new LabelIndex(p.label!, p.dims, this.#contract.classes);
      const { dims, spacing, notes } = p;
      return { name: from.name, image: p.image, label: p.label!, dims, spacing, places, notes };
    });
  }

  async #named<T>(from: SegmentationCase, make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (err) {
      if (err instanceof Error) err.message = `${from.name}: ${err.message}`;
      throw err;
    }
  }
}

/** The box's image, 0..1, and labels; outside the case both are 0. */
export async function cutCase(
  c: PreparedCase | ChunkedCase,
  box: Box,
): Promise<{ image: Float32Array; label: Uint8Array }> {
  if ('scan' in c) return { image: await c.scan.cut(box), label: await c.scan.cutLabel(box, c.to) };
  const { image, label } = cropPair(c.image, c.label, c.dims, box);
  return { image, label: label! };
}

const sizeOf = (c: PreparedCase | ChunkedCase): number =>
  'scan' in c ? c.scan.bytes : c.image.byteLength + c.label.byteLength;

/** Label files come in any number type. @throws DataError `label-range` */
function ids(label: Volume, classes: number): Uint8Array {
  if (label.data instanceof Uint8Array) return label.data;
  const out = new Uint8Array(label.data.length);
  for (let i = 0; i < out.length; i++) {
    const v = label.data[i]!;
    out[i] = v;
    if (out[i] !== v)
      throw new DataError('label-range', 'A label is not a class id.', {
        found: `${v} at voxel ${i}`,
        expected: `whole numbers from 0 to ${Math.min(255, classes - 1)}`,
        fix: 'map the label ids to classes first',
      });
  }
  return out;
}
