// Labelled volumes for training: read and prepared when first needed, and kept as long as they fit.
import { DataError, type Dims, LabelIndex, prepare, type Volume } from '../data/index.ts';
import type { SegmentationContract } from './contract.ts';

/** A labelled scan, wherever it lies. */
export interface SegmentationCase {
  readonly name: string;
  /** CT in HU and class ids on its grid. */
  load(): Promise<{ readonly image: Volume; readonly label: Volume }>;
}

export interface PreparedCase {
  readonly name: string;
  /** [d, h, w], 0..1. */
  readonly image: Float32Array;
  readonly label: Uint8Array;
  readonly dims: Dims;
  /** mm. */
  readonly spacing: readonly [number, number, number];
  readonly index: LabelIndex;
  readonly notes: readonly string[];
}

/** Prepared cases, least recently used out first when `maxBytes` would be passed. */
export class CaseCache {
  readonly #contract: SegmentationContract;
  readonly #maxBytes: number;
  readonly #kept = new Map<SegmentationCase, PreparedCase>();
  #bytes = 0;

  constructor(contract: SegmentationContract, maxBytes: number) {
    this.#contract = contract;
    this.#maxBytes = maxBytes;
  }

  /** @throws DataError of `prepare` and `LabelIndex`, the case named */
  async get(from: SegmentationCase): Promise<PreparedCase> {
    const known = this.#kept.get(from);
    if (known) {
      this.#kept.delete(from);
      this.#kept.set(from, known);
      return known;
    }
    const made = await this.#prepare(from);
    this.#kept.set(from, made);
    this.#bytes += sizeOf(made);
    for (const [key, old] of this.#kept) {
      if (this.#bytes <= this.#maxBytes || old === made) break;
      this.#kept.delete(key);
      this.#bytes -= sizeOf(old);
    }
    return made;
  }

  async #prepare(from: SegmentationCase): Promise<PreparedCase> {
    const { image, label } = await from.load();
    try {
      const whole = { ...label, data: ids(label, this.#contract.classes) };
      const p = prepare(image, whole, this.#contract.preprocess);
      const index = new LabelIndex(p.label!, p.dims, this.#contract.classes);
      const { dims, spacing, notes } = p;
      return { name: from.name, image: p.image, label: p.label!, dims, spacing, index, notes };
    } catch (err) {
      if (err instanceof Error) err.message = `${from.name}: ${err.message}`;
      throw err;
    }
  }
}

const sizeOf = (c: PreparedCase): number => c.image.byteLength + c.label.byteLength;

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
