// What drawing crops and tiles needs to know of a whole scan: its box, where the body is, how many voxels of each label lie where.
// Computed chunk by chunk, and kept in files beside the chunks, so that no scan is read whole for it twice.

import { unzlibSync, zlibSync } from 'fflate';
import { spacingOf } from './affine.ts';
import { isDataError } from './errors.ts';
import { boxAround } from './foreground.ts';
import type { OmeZarr, ZarrStore } from './ome-zarr.ts';
import { type Box, cutArray } from './pad.ts';
import type { Preprocess } from './prepare.ts';
import { FOREGROUND } from './study-tiles.ts';
import type { Dims, Volume, VoxelArray } from './volume.ts';

/** Of an image. */
export interface BodyFacts {
  /** What a contract's foreground keeps. */
  readonly box: Box;
  /** A bit a voxel of the whole grid, [d h ⌈w/8⌉], lowest first: whether it is body. */
  readonly mask: Uint8Array;
}

/** Voxels of each id in each strip of a box of a label map: a slab of d, and `rows` of h. */
export interface LabelFacts {
  readonly size: Dims;
  readonly rows: number;
  readonly ids: readonly number[];
  /** [ids d strips] */
  readonly counts: Uint32Array;
}

type BodyContract = Pick<Preprocess, 'window' | 'foreground'>;

/** From the file beside the chunks, else from the chunks, and then kept there. @throws `foreground-empty`, `zarr-chunk` */
export async function bodyFacts(scan: OmeZarr, store: ZarrStore, contract: BodyContract): Promise<BodyFacts> {
  const kept = decoded(await store.get(bodyPath(contract)), scan.dims);
  if (kept) return { box: kept.header.box as Box, mask: kept.payload };
  const counter = new BodyCounter(scan, contract);
  for (const box of chunkBoxes(scan.dims, scan.chunk)) counter.add((await scan.crop(box)).data, box);
  const facts = counter.facts();
  await keep(store, bodyPath(contract), encodedBody(facts, scan.dims));
  return facts;
}

/** The same of a label map, within a box. */
export async function labelFacts(scan: OmeZarr, store: ZarrStore, box: Box): Promise<LabelFacts> {
  const path = labelPath(box, scan.dims);
  const kept = decoded(await store.get(path), scan.dims);
  if (kept) {
    const { rows, ids } = kept.header as unknown as LabelFacts;
    return { size: box.size, rows, ids, counts: words(kept.payload) };
  }
  const counter = new LabelCounter(box.size, scan.chunk[1]);
  for (const inner of chunkBoxes(box.size, scan.chunk)) {
    const start = inner.start.map((s, axis) => s + box.start[axis]!) as unknown as Dims;
    counter.add((await scan.crop({ start, size: inner.size })).data, inner);
  }
  const facts = counter.facts();
  await keep(store, path, encodedLabels(facts, scan.dims));
  return facts;
}

/** The files that `writeOmeZarr` puts beside the chunks of an image and its label map, where their voxels are at hand. */
export function factFiles(
  image: Volume,
  label: Volume | undefined,
  contract: BodyContract,
  chunk: Dims,
): Record<'image' | 'label', Record<string, Uint8Array>> {
  const { dims } = image;
  const counter = new BodyCounter(image, contract);
  counter.add(image.data, { start: [0, 0, 0], size: dims });
  let facts: BodyFacts;
  try {
    facts = counter.facts();
  } catch (err) {
    // Whoever trains by this contract is told; one of another window may use the scan.
    if (isDataError(err, 'foreground-empty')) return { image: {}, label: {} };
    throw err;
  }
  const files = { image: { [bodyPath(contract)]: encodedBody(facts, dims) }, label: {} };
  if (!label) return files;
  const { box } = facts;
  const labels = new LabelCounter(box.size, chunk[1]);
  labels.add(cutArray(label.data, dims, box), { start: [0, 0, 0], size: box.size });
  return { ...files, label: { [labelPath(box, dims)]: encodedLabels(labels.facts(), dims) } };
}

/** Voxels of body in a box of the grid. */
export function bodyIn({ mask }: BodyFacts, dims: Dims, { start, size }: Box): number {
  const row = Math.ceil(dims[2] / 8);
  const from = start.map((s) => Math.max(0, s));
  const to = start.map((s, axis) => Math.min(dims[axis]!, s + size[axis]!));
  const [first, last] = [from[2]! >> 3, (to[2]! - 1) >> 3];
  if (to[2]! <= from[2]!) return 0;
  const firstBits = (0xff << (from[2]! & 7)) & 0xff;
  const lastBits = 0xff >> (7 - ((to[2]! - 1) & 7));
  let count = 0;
  for (let i = from[0]!; i < to[0]!; i++)
    for (let j = from[1]!; j < to[1]!; j++) {
      const at = (i * dims[1] + j) * row;
      if (first === last) {
        count += BITS[mask[at + first]! & firstBits & lastBits]!;
        continue;
      }
      count += BITS[mask[at + first]! & firstBits]! + BITS[mask[at + last]! & lastBits]!;
      for (let b = first + 1; b < last; b++) count += BITS[mask[at + b]!]!;
    }
  return count;
}

/** How many bits each byte has. */
const BITS = Uint8Array.from({ length: 256 }, (_, n) => {
  let bits = 0;
  for (let left = n; left > 0; left >>= 1) bits += left & 1;
  return bits;
});

class BodyCounter {
  readonly #dims: Dims;
  readonly #margin: Dims;
  readonly #contract: BodyContract;
  readonly #mask: Uint8Array;
  readonly #low: number[];
  readonly #high = [-1, -1, -1];
  #highest = Number.NEGATIVE_INFINITY;

  constructor({ dims, affine }: Pick<Volume, 'dims' | 'affine'>, contract: BodyContract) {
    this.#dims = dims;
    this.#contract = contract;
    this.#mask = new Uint8Array(dims[0] * dims[1] * Math.ceil(dims[2] / 8));
    this.#low = [...dims];
    const margin = contract.foreground?.margin ?? 0;
    this.#margin = spacingOf(affine).map((mm) => Math.ceil(margin / mm)) as unknown as Dims;
  }

  /** The voxels of a box in HU. */
  add(hu: VoxelArray, { start, size }: Box): void {
    const { window, foreground } = this.#contract;
    const above = foreground?.above ?? Number.NEGATIVE_INFINITY;
    const scale = 1 / (window[1] - window[0]);
    const row = Math.ceil(this.#dims[2] / 8);
    let at = 0;
    for (let i = start[0]; i < start[0] + size[0]; i++)
      for (let j = start[1]; j < start[1] + size[1]; j++) {
        const bits = (i * this.#dims[1] + j) * row;
        for (let k = start[2]; k < start[2] + size[2]; k++) {
          const v = hu[at++]!;
          if (v > this.#highest) this.#highest = v;
          if (v > above) this.#extend(i, j, k);
          // As `applyWindow` has it, to the last bit.
          const shade = Math.fround(Math.min(1, Math.max(0, (Math.fround(v) - window[0]) * scale)));
          if (shade > FOREGROUND) this.#mask[bits + (k >> 3)]! |= 1 << (k & 7);
        }
      }
  }

  facts(): BodyFacts {
    const { foreground } = this.#contract;
    const box: Box = foreground
      ? boxAround(
          { low: this.#low, high: this.#high, highest: this.#highest },
          this.#dims,
          foreground.above,
          this.#margin,
        )
      : { start: [0, 0, 0], size: this.#dims };
    return { box, mask: this.#mask };
  }

  #extend(...at: number[]): void {
    for (let axis = 0; axis < 3; axis++) {
      if (at[axis]! < this.#low[axis]!) this.#low[axis] = at[axis]!;
      if (at[axis]! > this.#high[axis]!) this.#high[axis] = at[axis]!;
    }
  }
}

class LabelCounter {
  readonly #size: Dims;
  readonly #rows: number;
  readonly #strips: number;
  readonly #counts = new Map<number, Uint32Array>();

  constructor(size: Dims, rows: number) {
    this.#size = size;
    this.#rows = rows;
    this.#strips = Math.ceil(size[1] / rows);
  }

  add(labels: VoxelArray, { start, size }: Box): void {
    let at = 0;
    let id = Number.NaN;
    let counts = new Uint32Array(0);
    for (let i = start[0]; i < start[0] + size[0]; i++)
      for (let j = start[1]; j < start[1] + size[1]; j++) {
        const strip = i * this.#strips + Math.floor(j / this.#rows);
        for (let k = 0; k < size[2]; k++) {
          const v = labels[at++]!;
          if (v !== id) {
            id = v;
            counts = this.#of(v);
          }
          counts[strip]!++;
        }
      }
  }

  facts(): LabelFacts {
    const ids = [...this.#counts.keys()].sort((a, b) => a - b);
    const each = this.#size[0] * this.#strips;
    const counts = new Uint32Array(ids.length * each);
    ids.forEach((id, n) => {
      counts.set(this.#counts.get(id)!, n * each);
    });
    return { size: this.#size, rows: this.#rows, ids, counts };
  }

  #of(id: number): Uint32Array<ArrayBuffer> {
    let counts = this.#counts.get(id) as Uint32Array<ArrayBuffer> | undefined;
    if (!counts) this.#counts.set(id, (counts = new Uint32Array(this.#size[0] * this.#strips)));
    return counts;
  }
}

function* chunkBoxes(dims: Dims, chunk: Dims): Generator<Box, void, void> {
  for (let i = 0; i < dims[0]; i += chunk[0])
    for (let j = 0; j < dims[1]; j += chunk[1])
      for (let k = 0; k < dims[2]; k += chunk[2]) {
        const size = [i, j, k].map((s, axis) => Math.min(chunk[axis]!, dims[axis]! - s)) as unknown as Dims;
        yield { start: [i, j, k], size };
      }
}

const FORMAT = 1;
const FOLDER = 't3dc';

const bodyPath = ({ window, foreground }: BodyContract): string =>
  `${FOLDER}/body_${window.join('_')}_${foreground ? `${foreground.above}_${foreground.margin}` : 'all'}.bin`;

const labelPath = ({ start, size }: Box, dims: Dims): string =>
  size.every((n, axis) => n === dims[axis])
    ? `${FOLDER}/labels.bin`
    : `${FOLDER}/labels_${start.join('-')}_${size.join('-')}.bin`;

const encodedBody = ({ box, mask }: BodyFacts, dims: Dims): Uint8Array => encoded({ dims, box }, mask);

const encodedLabels = ({ rows, ids, counts }: LabelFacts, dims: Dims): Uint8Array => {
  const payload = new DataView(new ArrayBuffer(counts.length * 4));
  counts.forEach((n, i) => {
    payload.setUint32(4 * i, n, true);
  });
  return encoded({ dims, rows, ids }, new Uint8Array(payload.buffer));
};

function words(payload: Uint8Array): Uint32Array {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return Uint32Array.from({ length: payload.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/** zlib, which carries a checksum, of: bytes of the header (u32, little-endian), the header as JSON, the payload. */
function encoded(header: object, payload: Uint8Array): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify({ format: FORMAT, ...header }));
  const all = new Uint8Array(4 + json.length + payload.length);
  new DataView(all.buffer).setUint32(0, json.length, true);
  all.set(json, 4);
  all.set(payload, 4 + json.length);
  return zlibSync(all);
}

interface Decoded {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Uint8Array;
}

/** Null where there is no such file, or one of another grid or format, or a damaged one: it is computed anew. */
function decoded(bytes: Uint8Array | undefined, dims: Dims): Decoded | null {
  if (!bytes) return null;
  try {
    const all = unzlibSync(bytes);
    const length = new DataView(all.buffer, all.byteOffset).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(all.subarray(4, 4 + length)));
    if (header.format !== FORMAT || String(header.dims) !== String(dims)) return null;
    return { header, payload: all.slice(4 + length) };
  } catch {
    return null;
  }
}

/** A set that cannot be written to is counted again by the next run. */
async function keep(store: ZarrStore, path: string, content: Uint8Array): Promise<void> {
  try {
    await store.put?.(path, content);
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException;
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'].includes(String(code))) throw err;
  }
}
