// Volumes in chunks: OME-Zarr 0.5 (Zarr format 3), so that a crop reads the chunks it touches and nothing else, from files or
// over HTTP. Metadata and codecs are zarrita's, so what others wrote is read too; data/ome-zarr-write.ts writes.
//
// Axes are stored in order d h w and named x y z. The affine is kept whole in the attribute `t3dc`, and as scale and translation
// for other readers, which know no rotation.

import * as zarr from 'zarrita';
import { type Affine, shifted } from './affine.ts';
import { ByteCache } from './byte-cache.ts';
import { DataError } from './errors.ts';
import { type Box, cutArray, pasteArray } from './pad.ts';
import { allocateLike, type Dims, type Volume, type VoxelArray, voxelCount } from './volume.ts';

type RangeQuery = { readonly offset: number; readonly length: number } | { readonly suffixLength: number };

/** What holds the files: `fileStore` (data/node.ts), `fetchStore`, or another. */
export interface ZarrStore {
  get(key: string): Promise<Uint8Array | undefined>;
  getRange?(key: string, range: RangeQuery): Promise<Uint8Array | undefined>;
  /** Adds a file, whole or not at all. Where it is there, the store can be written to; it may yet refuse. */
  put?(key: string, content: Uint8Array): Promise<void>;
  readonly counts: { requests: number; bytes: number };
}

export interface OmeZarr {
  readonly dims: Dims;
  readonly affine: Affine;
  readonly chunk: Dims;
  /** What `writeOmeZarr` was given; for files of others, the group's own. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /**
   * The box's voxels [d, h, w] of `box.size`, `fill` where it lies outside; only chunks that it touches are read.
   * @throws `zarr-chunk`, and what the store throws
   */
  crop(box: Box, fill?: number): Promise<Volume>;
  /** All of it. */
  read(): Promise<Volume>;
}

/** Decoded chunks of one volume or of many, by `name` and place. */
export type ChunkCache = ByteCache<string, VoxelArray>;

export const chunkCache = (maxBytes: number): ChunkCache => new ByteCache(maxBytes, (values) => values.byteLength);

/** Names of element types in Zarr. */
export const TYPES = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;
type TypeName = keyof typeof TYPES;

/**
 * An OME-Zarr image of three spatial axes, or with axes before them of one element each. Written by `writeOmeZarr`, a lost chunk
 * is an error; in others it is the fill value, as Zarr says.
 *
 * @param name for errors; with `cache`, of this volume alone
 * @param cache keeps decoded chunks
 * @throws `zarr-missing`, `zarr-metadata`, `zarr-type`
 */
export async function openOmeZarr(store: ZarrStore, name: string, cache?: ChunkCache): Promise<OmeZarr> {
  // Until the volume is known to be ours and complete, what is not there is not there.
  let complete = false;
  const guarded = {
    async get(key: string): Promise<Uint8Array | undefined> {
      const bytes = await store.get(key);
      if (!bytes && complete) throw new Error('there is no such file');
      return bytes;
    },
    ...(store.getRange && { getRange: store.getRange.bind(store) }),
  };
  const { array, attributes, own, scale } = await opened(guarded as zarr.Readable, name);
  complete = own !== undefined;
  const lead = array.shape.length - 3;
  const spatial = (of: readonly number[]): Dims => [of[lead]!, of[lead + 1]!, of[lead + 2]!];
  const dims = spatial(array.shape);
  const chunk = spatial(array.chunks);
  const Type = TYPES[array.dtype as TypeName];
  const affine = own?.affine ?? scale;
  const sample = new Type(0);
  const crop = async (box: Box, fill = 0): Promise<Volume> => {
    const out = allocateLike(sample, voxelCount(box.size));
    if (fill !== 0) out.fill(fill);
    const jobs = touched(box, dims, chunk).map((at) => async () => {
      const key = `${name} ${at.join('/')}`;
      let values = cache?.get(key);
      if (!values) {
        values = await chunkValues(array, [...new Array<number>(lead).fill(0), ...at], name);
        cache?.set(key, values);
      }
      paste(out, box, values, chunk, at, dims);
    });
    await some(jobs, 8);
    return { data: out, dims: box.size, affine: shifted(affine, box.start) };
  };
  return {
    dims,
    affine,
    chunk,
    attributes,
    crop,
    read: () => crop({ start: [0, 0, 0], size: dims }),
  };
}

/** Reads below `url` with fetch. */
export function fetchStore(url: string | URL, fetcher: typeof fetch = (...a) => fetch(...a)): ZarrStore {
  const counts = { requests: 0, bytes: 0 };
  const count = (bytes: Uint8Array | undefined): Uint8Array | undefined => {
    counts.requests++;
    counts.bytes += bytes?.length ?? 0;
    return bytes;
  };
  const inner = new zarr.FetchStore(String(url), { fetch: (request) => fetcher(request) });
  return {
    counts,
    get: async (key) => count(await inner.get(key as `/${string}`)),
    getRange: async (key, range) => count(await inner.getRange(key as `/${string}`, range)),
  };
}

interface OwnAttributes extends Readonly<Record<string, unknown>> {
  readonly affine: Affine;
  readonly format: number;
}

interface Opened {
  readonly array: zarr.Array<zarr.DataType, zarr.Readable>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly own: OwnAttributes | undefined;
  readonly scale: Affine;
}

interface Multiscale {
  readonly axes?: readonly { readonly name?: string; readonly unit?: string }[];
  readonly datasets?: readonly {
    readonly path?: string;
    readonly coordinateTransformations?: readonly { readonly scale?: number[]; readonly translation?: number[] }[];
  }[];
}

async function opened(store: zarr.Readable, name: string): Promise<Opened> {
  let group: zarr.Group<zarr.Readable>;
  try {
    group = await either((open) => open(store, { kind: 'group' }));
  } catch (err) {
    throw unopened(err, name, 'a Zarr group');
  }
  const attributes = group.attrs as Record<string, unknown>;
  const ome = (attributes.ome ?? attributes) as { multiscales?: readonly Multiscale[] };
  const multiscale = ome.multiscales?.[0];
  const dataset = multiscale?.datasets?.[0];
  if (!dataset?.path) throw metadataError(name, 'no multiscales with datasets', 'OME-Zarr 0.4 or 0.5');
  let array: Opened['array'];
  try {
    const at = group.resolve(dataset.path);
    array = await either((open) => open(at, { kind: 'array' }));
  } catch (err) {
    throw unopened(err, name, `an array ${dataset.path}`);
  }
  const lead = array.shape.length - 3;
  if (lead < 0 || array.shape.slice(0, lead).some((n) => n !== 1))
    throw metadataError(name, `shape ${array.shape.join(' × ')}`, 'three axes, or more of one element before them');
  if (!(array.dtype in TYPES)) {
    throw new DataError('zarr-type', 'This element type is not read.', {
      found: `${array.dtype} in ${name}`,
      expected: Object.keys(TYPES).join(', '),
      fix: 'convert the array',
    });
  }
  const own = attributes.t3dc as OwnAttributes | undefined;
  const kept = own?.affine;
  if (own && !(Array.isArray(kept) && kept.length === 16 && kept.every(Number.isFinite)))
    throw metadataError(name, 'an attribute t3dc without an affine', '16 numbers');
  const { affine: _, format: __, ...rest } = own ?? {};
  return {
    array,
    attributes: own ? rest : attributes,
    own,
    scale: scaleAffine(multiscale!, dataset, array.shape, name),
  };
}

/** Format 3, else format 2: asked in this order, ours needs one request. */
async function either<T>(ask: (open: typeof zarr.open.v3) => Promise<T>): Promise<T> {
  try {
    return await ask(zarr.open.v3);
  } catch (err) {
    if (!zarr.isZarritaError(err, 'NotFoundError')) throw err;
    return ask(zarr.open.v2);
  }
}

const MILLIMETRES: Readonly<Record<string, number>> = { micrometer: 1e-3, millimeter: 1, centimeter: 10, meter: 1000 };

/** Scale and translation, for files of others: along x to the left and y to the back, as OME-Zarr of DICOM has them. */
function scaleAffine(
  { axes }: Multiscale,
  { coordinateTransformations = [] }: NonNullable<Multiscale['datasets']>[number],
  shape: readonly number[],
  name: string,
): Affine {
  const lead = shape.length - 3;
  const names = axes?.slice(lead).map((a) => a.name ?? '') ?? ['z', 'y', 'x'];
  const scale = coordinateTransformations.find((t) => t.scale)?.scale ?? shape.map(() => 1);
  const translation = coordinateTransformations.find((t) => t.translation)?.translation ?? shape.map(() => 0);
  const affine = new Array<number>(16).fill(0);
  affine[15] = 1;
  for (let axis = 0; axis < 3; axis++) {
    const world = 'xyz'.indexOf(names[axis] ?? '?');
    const unit = axes?.[lead + axis]?.unit ?? 'millimeter';
    const mm = MILLIMETRES[unit];
    if (world < 0 || !((scale[lead + axis] ?? 0) > 0) || mm === undefined)
      throw metadataError(
        name,
        `axes ${names.join(', ')}, scale ${scale.join(', ')}, unit ${unit}`,
        'x, y and z with positive scales in millimetres',
      );
    const sign = (world === 2 ? 1 : -1) * mm;
    affine[world * 4 + axis] = sign * scale[lead + axis]!;
    affine[world * 4 + 3] = sign * (translation[lead + axis] ?? 0);
  }
  return affine;
}

async function chunkValues(array: Opened['array'], at: number[], name: string): Promise<VoxelArray> {
  const key = at.join('/');
  let values: VoxelArray;
  try {
    values = (await array.getChunk(at)).data as unknown as VoxelArray;
  } catch (err) {
    throw chunkError(name, key, err instanceof Error ? causes(err) : String(err));
  }
  const expected = array.chunks.reduce((a, b) => a * b, 1);
  if (values.length !== expected) throw chunkError(name, key, `${values.length} voxels instead of ${expected}`);
  return values;
}

const causes = (err: Error): string =>
  err.cause instanceof Error && err.cause.message ? `${err.message}: ${err.cause.message}` : err.message;

/** The chunks that a box lies on, by their number along each axis. */
function touched({ start, size }: Box, dims: Dims, chunk: Dims): Dims[] {
  const range = (axis: 0 | 1 | 2): number[] => {
    const from = Math.max(0, start[axis]);
    const to = Math.min(dims[axis], start[axis] + size[axis]);
    if (to <= from) return [];
    const first = Math.floor(from / chunk[axis]);
    return Array.from({ length: Math.floor((to - 1) / chunk[axis]) - first + 1 }, (_, n) => first + n);
  };
  return range(0).flatMap((i) => range(1).flatMap((j) => range(2).map((k): Dims => [i, j, k])));
}

/** The part of a chunk that lies in the box, and in the volume: chunks at its end are padded. */
function paste(out: VoxelArray, box: Box, values: VoxelArray, chunk: Dims, at: Dims, dims: Dims): void {
  const start = (axis: 0 | 1 | 2) => at[axis] * chunk[axis];
  const filled = (axis: 0 | 1 | 2) => Math.min(chunk[axis], dims[axis] - start(axis));
  const size: Dims = [filled(0), filled(1), filled(2)];
  const whole = size.every((n, axis) => n === chunk[axis]);
  const own = whole ? values : cutArray(values, chunk, { start: [0, 0, 0], size });
  const place: Dims = [start(0) - box.start[0], start(1) - box.start[1], start(2) - box.start[2]];
  pasteArray(out, box.size, own, { start: place, size });
}

async function some(jobs: readonly (() => Promise<void>)[], width: number): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < jobs.length) await jobs[next++]!();
  };
  await Promise.all(Array.from({ length: Math.min(width, jobs.length) }, work));
}

function unopened(err: unknown, name: string, what: string): DataError {
  if (zarr.isZarritaError(err, 'NotFoundError')) {
    return new DataError('zarr-missing', 'There is no volume in chunks.', {
      found: `${name} without ${what}`,
      expected: 'a folder that writeOmeZarr or another writer of OME-Zarr made',
      fix: 'check the path or address',
    });
  }
  if (!zarr.isZarritaError(err) && !(err instanceof SyntaxError)) throw err;
  return metadataError(name, err.message, what);
}

function metadataError(name: string, found: string, expected: string): DataError {
  return new DataError('zarr-metadata', 'The metadata of a volume in chunks cannot be used.', {
    found: `${name}: ${found}`,
    expected,
    fix: 'write the volume again',
  });
}

function chunkError(name: string, key: string, found: string): DataError {
  return new DataError('zarr-chunk', 'A chunk of the volume cannot be read.', {
    found: `chunk ${key} of ${name}: ${found}`,
    expected: 'a whole chunk with its checksum',
    fix: 'copy or prepare the volume again',
  });
}
