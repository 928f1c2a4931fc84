// One study of a data set made ready on a thread of its own: read, prepared by the contract, stored in chunks, recorded last, so that
// a record says that its study is whole.

import { join } from 'node:path';
import { readChoice } from './dicom/folder.ts';
import type { DicomVolumeOptions } from './dicom/volume.ts';
import { DataError } from './errors.ts';
import { readVolume, writeFileAtomic } from './files.ts';
import type { Study, StudyLabel } from './layouts/layout.ts';
import type { SampleKey, SampleSource } from './loader-threads.ts';
import { axisCodes } from './orientation.ts';
import { type Preprocess, prepare } from './prepare.ts';
import { factFiles } from './scan-facts.ts';
import { checkSameGrid, type Dims, type Volume, type VoxelArray, volumeSpacing } from './volume.ts';
import { writeOmeZarr } from './zarr-files.ts';

export interface StudyJob extends Omit<Study, 'report'> {
  /** Name of its files. */
  readonly file: string;
}

export interface PrepareStorage {
  /** int16: whole HU; float32: as resampled. */
  readonly type: 'int16' | 'float32';
  readonly chunk: Dims;
}

export interface StudyRecord {
  readonly name: string;
  readonly image: string;
  readonly label?: string;
  readonly dims: Dims;
  readonly affine: readonly number[];
  readonly spacing: readonly number[];
  readonly source: {
    readonly image: string;
    readonly series?: string;
    readonly dims: Dims;
    readonly axes: string;
    readonly spacing: readonly number[];
  };
  /** The box of the source, turned to RAS, that was kept. */
  readonly box: { readonly start: Dims; readonly size: Dims };
  readonly bytes: number;
  readonly notes: readonly string[];
}

export interface PrepareStudyOptions {
  readonly dir: string;
  readonly jobs: readonly StudyJob[];
  readonly contract: Preprocess;
  readonly storage: PrepareStorage;
  readonly dicom: Pick<DicomVolumeOptions, 'uneven' | 'tilt'>;
}

export const recordPath = (dir: string, file: string): string => join(dir, 'studies', `${file}.json`);

/** For `startThread`: sample n is study n. */
export function open(options: PrepareStudyOptions): SampleSource<{ readonly record: string }> {
  return {
    async sample({ item }: SampleKey) {
      const record = await prepareStudy(options.jobs[item]!, options);
      return { record: JSON.stringify(record) };
    },
  };
}

/** @throws DataError where the study cannot be used, named by what reads and prepares it */
async function prepareStudy(job: StudyJob, options: PrepareStudyOptions): Promise<StudyRecord> {
  const { dir, contract, storage } = options;
  const notes: string[] = [];
  const volume = await imageOf(job, options, notes);
  const label = job.label === undefined ? undefined : await labelOf(job.label);
  const made = prepare(volume, label, contract);
  notes.push(...made.notes);
  const hu = unwindowed(made.image, contract.window, storage.type);
  const grid = { dims: made.dims, affine: made.affine };
  const image = `images/${job.file}.ome.zarr`;
  const attributes = { name: job.name, window: contract.window, spacing: made.spacing };
  const { chunk } = storage;
  const labels = made.label && { ...grid, data: made.label };
  const beside = factFiles({ ...grid, data: hu }, labels, contract, chunk);
  const { name } = job;
  let bytes = await writeOmeZarr(
    join(dir, image),
    { ...grid, data: hu },
    { chunk, attributes, name, beside: beside.image },
  );
  const map = made.label === undefined ? undefined : `labels/${job.file}.ome.zarr`;
  if (map !== undefined) bytes += await writeOmeZarr(join(dir, map), labels!, { chunk, name, beside: beside.label });
  const record: StudyRecord = {
    name: job.name,
    image,
    ...(map !== undefined && { label: map }),
    ...grid,
    spacing: made.spacing,
    source: {
      image: job.image,
      ...(job.choice?.chosen && { series: job.choice.chosen.id }),
      dims: volume.dims,
      axes: axisCodes(volume.affine),
      spacing: volumeSpacing(volume),
    },
    box: made.placement.box,
    bytes,
    notes,
  };
  await writeFileAtomic(recordPath(dir, job.file), `${JSON.stringify(record)}\n`);
  return record;
}

/** HU again, clipped to the window: what trains on it applies its own. */
function unwindowed(
  image: Float32Array,
  [low, high]: readonly [number, number],
  type: PrepareStorage['type'],
): Int16Array | Float32Array {
  const out = type === 'int16' ? new Int16Array(image.length) : new Float32Array(image.length);
  const whole = type === 'int16';
  for (let i = 0; i < image.length; i++) {
    const v = low + image[i]! * (high - low);
    out[i] = whole ? Math.round(v) : v;
  }
  return out;
}

async function imageOf(job: StudyJob, { dicom }: PrepareStudyOptions, notes: string[]): Promise<Volume> {
  const onNote = (note: string): void => void notes.push(note);
  const options = { ...dicom, onNote };
  const volume = job.choice
    ? (await readChoice(job.choice, options)).volume
    : await readVolume(job.image, { dicom: options });
  if (!job.rescale) return volume;
  const { slope, intercept } = job.rescale;
  notes.push(`stored values · ${slope} + ${intercept}`);
  return { ...volume, data: Float32Array.from(volume.data, (v) => v * slope + intercept) };
}

async function labelOf(label: StudyLabel): Promise<Volume<Uint8Array | Uint16Array>> {
  if (typeof label === 'string') {
    const volume = await readVolume(label);
    return { ...volume, data: wholeIds(volume.data, label) };
  }
  let merged: Volume<Uint8Array | Uint16Array> | undefined;
  for (const { id, path } of label.masks) {
    const mask = await readVolume(path);
    const wide = label.masks.some((m) => m.id > 255);
    merged ??= { ...mask, data: new (wide ? Uint16Array : Uint8Array)(mask.data.length) };
    checkSameGrid(merged, mask, `The masks of ${path} and of the other classes`);
    const { data } = merged;
    for (let i = 0; i < data.length; i++) if (data[i] === 0 && mask.data[i]! > 0) data[i] = id;
  }
  return merged!;
}

function wholeIds(data: VoxelArray, path: string): Uint8Array | Uint16Array {
  let most = 0;
  for (let i = 0; i < data.length; i++) {
    const v = data[i]!;
    if (!Number.isInteger(v) || v < 0 || v > 65535) {
      throw new DataError('label-values', 'A label map holds what is no label.', {
        found: `${v} at voxel ${i} of ${path}`,
        expected: 'whole numbers from 0 to 65535',
        fix: 'write the label map without interpolation, as whole numbers',
      });
    }
    if (v > most) most = v;
  }
  return most > 255 ? Uint16Array.from(data) : Uint8Array.from(data);
}
