// A scan that lies in chunks on a contract's working grid, read crop by crop: the same voxels as `prepare` makes of the whole, without
// the whole. What `t3dc data prepare` writes is such a scan where it was prepared at the same spacing.

import { type LabelPlaces, labelRange } from './crops.ts';
import { DataError } from './errors.ts';
import { applyWindow } from './intensity.ts';
import { type ChunkCache, type OmeZarr, openOmeZarr, type ZarrStore } from './ome-zarr.ts';
import { type Box, pasteArray } from './pad.ts';
import { type Preprocess, workingGrid } from './prepare.ts';
import { type BodyFacts, bodyFacts, bodyIn, type LabelFacts, labelFacts } from './scan-facts.ts';
import type { StudyVoxels } from './study-tiles.ts';
import { checkSameGrid, type Dims, type VoxelArray, voxelCount } from './volume.ts';

export interface PreparedScanOptions {
  readonly contract: Preprocess;
  /** Shared by all scans of a thread. */
  readonly cache: ChunkCache;
  /** For errors, and unique in the cache. */
  readonly name: string;
  readonly label?: { readonly store: ZarrStore; readonly name: string };
}

/** Null where the scan is on another grid: it must be read whole and prepared. @throws as `openOmeZarr`, `workingGrid`, `bodyFacts` */
export async function openPreparedScan(store: ZarrStore, options: PreparedScanOptions): Promise<PreparedScan | null> {
  const { contract, cache, name } = options;
  const image = await openOmeZarr(store, name, cache);
  const grid = workingGrid(image, contract);
  if (!grid) return null;
  const body = await bodyFacts(image, store, contract);
  let label: StoredLabel | null = null;
  if (options.label) {
    const map = await openOmeZarr(options.label.store, options.label.name, cache);
    const none = new Uint8Array(0);
    checkSameGrid({ ...image, data: none }, { ...map, data: none }, 'Image and label map');
    label = { map, name: options.label.name, facts: await labelFacts(map, options.label.store, body.box) };
  }
  return new PreparedScan(image, contract, grid, body, label);
}

interface StoredLabel {
  readonly map: OmeZarr;
  readonly name: string;
  readonly facts: LabelFacts;
}

/** Ids of a label map as classes. */
export interface ClassMap {
  readonly classes: number;
  /** Other ids are background. Null: ids are classes, and others are refused. */
  readonly ids: ReadonlyMap<number, number> | null;
}

export class PreparedScan implements StudyVoxels {
  readonly dims: Dims;
  /** mm along d, h, w. */
  readonly spacing: readonly [number, number, number];
  readonly notes: readonly string[];
  readonly #image: OmeZarr;
  readonly #contract: Preprocess;
  readonly #body: BodyFacts;
  readonly #label: StoredLabel | null;

  constructor(
    image: OmeZarr,
    contract: Preprocess,
    grid: NonNullable<ReturnType<typeof workingGrid>>,
    body: BodyFacts,
    label: StoredLabel | null,
  ) {
    this.dims = body.box.size;
    this.spacing = grid.spacing;
    this.notes = grid.notes;
    this.#image = image;
    this.#contract = contract;
    this.#body = body;
    this.#label = label;
  }

  /** Held beside the chunks. */
  get bytes(): number {
    return this.#body.mask.byteLength + (this.#label?.facts.counts.byteLength ?? 0);
  }

  /** [d h w], 0..1; 0 outside the scan. @throws `zarr-chunk`, `volume-nonfinite` */
  async cut(box: Box): Promise<Float32Array> {
    return this.#inside(box, new Float32Array(voxelCount(box.size)), async (own) => {
      const { data } = await this.#image.crop(own);
      return applyWindow(data instanceof Float64Array ? Float32Array.from(data) : data, this.#contract.window);
    });
  }

  foregroundIn(box: Box): number {
    const clipped = clip(box, this.dims);
    return clipped ? bodyIn(this.#body, this.#image.dims, this.#placed(clipped)) : 0;
  }

  /** [d h w] classes; 0 outside the scan. @throws `zarr-chunk`, `label-range` */
  async cutLabel(box: Box, to: ClassMap): Promise<Uint8Array> {
    return this.#inside(box, new Uint8Array(voxelCount(box.size)), async (own) => {
      const { data } = await this.#labelled.map.crop(own);
      return classesOf(data, to, this.#labelled.name);
    });
  }

  /** Where the voxels of each class are. @throws `label-range` */
  places(to: ClassMap): LabelPlaces {
    const { facts, map, name } = this.#labelled;
    const classes = classesOf(facts.ids, to, name);
    const each = facts.counts.length / Math.max(1, facts.ids.length);
    const counts = new Float64Array(to.classes);
    facts.counts.forEach((n, at) => {
      counts[classes[Math.floor(at / each)]!]! += n;
    });
    return {
      counts,
      pick: async (nth, wanted) => {
        const ids = [...classes.keys()].filter((n) => wanted(classes[n]!));
        const { strip, left } = stripOf(facts, ids, nth);
        const strips = Math.ceil(facts.size[1] / facts.rows);
        const [i, j] = [Math.floor(strip / strips), (strip % strips) * facts.rows];
        const size: Dims = [1, Math.min(facts.rows, facts.size[1] - j), facts.size[2]];
        const { data } = await map.crop(this.#placed({ start: [i, j, 0], size }));
        const kinds = new Set(ids.map((n) => facts.ids[n]!));
        let rest = left;
        for (let at = 0; at < data.length; at++)
          if (kinds.has(data[at]!) && rest-- === 0) return [i, j + Math.floor(at / size[2]), at % size[2]];
        throw new DataError('scan-changed', 'A label map is not what was counted of it.', {
          found: `${data.length} voxels of ${name} at slab ${i} with fewer of their labels than before`,
          expected: 'label maps that do not change while they are used',
          fix: 'remove the folder t3dc in it, so that it is counted again',
        });
      },
    };
  }

  get #labelled(): StoredLabel {
    if (!this.#label) throw new Error('the scan was opened without its label map');
    return this.#label;
  }

  /** From the prepared grid to the stored one. */
  #placed({ start, size }: Box): Box {
    const [d, h, w] = this.#body.box.start;
    return { start: [start[0] + d, start[1] + h, start[2] + w], size };
  }

  async #inside<T extends VoxelArray>(box: Box, out: T, read: (own: Box) => Promise<T>): Promise<T> {
    const inner = clip(box, this.dims);
    if (!inner) return out;
    const values = await read(this.#placed(inner));
    if (inner.size.every((n, axis) => n === box.size[axis])) return values;
    const start = inner.start.map((s, axis) => s - box.start[axis]!) as unknown as Dims;
    pasteArray(out, box.size, values, { start, size: inner.size });
    return out;
  }
}

/** Which strip holds the nth voxel of some ids, and which of that strip's it is. */
function stripOf({ counts, ids }: LabelFacts, of: readonly number[], nth: number): { strip: number; left: number } {
  const each = counts.length / Math.max(1, ids.length);
  let left = nth;
  for (let strip = 0; strip < each; strip++) {
    let here = 0;
    for (const n of of) here += counts[n * each + strip]!;
    if (left < here) return { strip, left };
    left -= here;
  }
  throw new RangeError(`voxel ${nth} of ids ${of.map((n) => ids[n]).join(', ')} does not exist`);
}

function classesOf(ids: ArrayLike<number>, { classes, ids: map }: ClassMap, name: string): Uint8Array {
  const out = new Uint8Array(ids.length);
  for (let n = 0; n < out.length; n++) {
    const id = ids[n]!;
    const c = map ? (map.get(id) ?? 0) : id;
    if (!(c >= 0 && c < classes && Number.isInteger(c))) throw labelRange(id, name, classes);
    out[n] = c;
  }
  return out;
}

function clip({ start, size }: Box, dims: Dims): Box | null {
  const from = start.map((s) => Math.max(0, s));
  const to = start.map((s, axis) => Math.min(dims[axis]!, s + size[axis]!));
  const inner = from.map((f, axis) => to[axis]! - f);
  return inner.some((n) => n <= 0) ? null : { start: from as unknown as Dims, size: inner as unknown as Dims };
}
