// The page's worker for files: reads NIfTI and DICOM, draws the sample, writes label maps. The page itself parses nothing.

import { type Affine, DataError, phantom, type Volume, volumeSpacing, writeNifti } from '../../data/index.ts';
import { readNifti, transpose } from '../../data/nifti.ts';
import type { VoxelArray } from '../../data/volume.ts';
import { sendable } from '../sent-errors.ts';
import type { ReadScan, Reply, Request, Tasks } from './files.ts';
import { readScan } from './read-scan.ts';

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(message: Reply, transfer?: Transferable[]): void;
};

scope.onmessage = async ({ data: { id, task, take } }) => {
  const onProgress = (done: number, total: number): void => scope.postMessage({ id, done, total });
  try {
    const { give, transfer } = await TASKS[task](take as never, onProgress);
    scope.postMessage({ id, give }, transfer);
  } catch (e) {
    scope.postMessage({ id, error: sendable(e) });
  }
};

type Given<K extends keyof Tasks> = Promise<{ readonly give: Tasks[K]['give']; readonly transfer: Transferable[] }>;

const TASKS: {
  [K in keyof Tasks]: (take: Tasks[K]['take'], onProgress: (done: number, total: number) => void) => Given<K>;
} = {
  async read({ files, model, limit }, onProgress) {
    const { volume, ...rest } = await readScan(files, model, limit, onProgress);
    const give = { ...rest, ...shown(volume) };
    return { give, transfer: [give.nifti] };
  },

  async sample({ classes, truth }) {
    // A patient that npm start does not train on, drawn finer than it trains.
    const made = phantom({ seed: 7, index: 1000, size: [128, 128, 64], spacing: [2.4, 2.4, 3.2], classes });
    const give: ReadScan = {
      name: 'Sample scan',
      notes: ['drawn by a program: no patient'],
      memory: { bytes: 0, limit: 0 },
      ...shown(made.image),
      ...(truth ? { truth: inOtherOrder(made.label) } : {}),
    };
    return { give, transfer: [give.nifti] };
  },

  async labels({ file, classes }) {
    const volume = readNifti(new Uint8Array(await file.arrayBuffer()), { name: file.name });
    const ids = Uint8Array.from(volume.data, (v, at) => {
      if (Number.isInteger(v) && v >= 0 && v < classes) return v;
      throw new DataError('label-range', `${file.name} is no label map of this model.`, {
        found: `${v} at voxel ${at}`,
        expected: `whole numbers from 0 to ${classes - 1}, as the list of structures has them`,
        fix: 'load a label map that was saved here, or map its numbers first',
      });
    });
    const give = inOtherOrder({ ...volume, data: ids });
    return { give, transfer: [give.data.buffer] };
  },

  async save({ labels, description }) {
    const give = writeNifti({
      ...inOtherOrder(labels),
      header: { description, formCode: 1 },
    }) as Uint8Array<ArrayBuffer>;
    return { give, transfer: [give.buffer] };
  },
};

/** As the viewer takes it. */
function shown(volume: Volume): Pick<ReadScan, 'nifti' | 'dims' | 'spacing'> {
  const data = small(volume.data);
  const nifti = writeNifti({ ...volume, data }, { gzip: false });
  return { nifti: nifti.buffer as ArrayBuffer, dims: volume.dims, spacing: volumeSpacing(volume) };
}

/** int16 where all HU are whole, else float32: graphics cards have nothing finer. */
function small(data: VoxelArray): VoxelArray {
  if (data instanceof Int16Array || data instanceof Float32Array) return data;
  const whole = data.every((v: number) => Number.isInteger(v) && v >= -32768 && v <= 32767);
  return whole ? Int16Array.from(data) : Float32Array.from(data);
}

/** From [x, y, z] to [z, y, x] and back: the same voxels at the same places. */
function inOtherOrder<T extends VoxelArray>(volume: Volume<T>): Volume<T> {
  const { data, dims, affine } = volume;
  const columns = [2, 1, 0, 3];
  return {
    data: transpose(data, dims[0], dims[1], dims[2]),
    dims: [dims[2], dims[1], dims[0]],
    affine: affine.map((_, i) => affine[(i & ~3) + columns[i & 3]!]!) as Affine,
  };
}
