// NiiVue's images as volumes, and labels over them: 0.69 (WebGL2) and 1.0 (WebGPU), told apart by their shapes.
//
// An NVImage has the file's own numbers (`img`, x fastest), and scaling and affine in its header. NiiVue 0.69 turns int32,
// uint32 and int64 files into a Float64Array by a loop that stops one voxel early: the last one stays 0, which in HU is
// water in the midst of air. Here it takes the value of the voxel before it, and that is noted. 1.0 has no such loss.

import { DataError } from '../data/errors.ts';
import type { Volume } from '../data/index.ts';
import type { Segmentation } from '../tasks/index.ts';
import type { LabelMap } from './labels.ts';
import { forTask, forViewer, type TaskVolume, type ViewerVolume } from './volume.ts';

export * from './labels.ts';
export type { Source, TaskVolume } from './volume.ts';

/** What is read of an NVImage. */
export interface NiivueImage {
  readonly name?: string;
  readonly img?: Volume['data'] | null;
  readonly hdr: {
    readonly dims: readonly number[];
    readonly affine: readonly (readonly number[])[];
    readonly scl_slope: number;
    readonly scl_inter: number;
    readonly datatypeCode: number;
    readonly numBitsPerVoxel: number;
    readonly xyzt_units?: number;
  } | null;
}

interface LabelColours {
  R: number[];
  G: number[];
  B: number[];
  A: number[];
  I: number[];
  labels: string[];
}

/** 0.69: the image's class loads a file, the image takes its colours, and the viewer the image. */
export interface Niivue069<I extends NiivueImage = NiivueImage> {
  readonly volumes: readonly I[];
  addVolume(image: I): void;
}
/** 1.0: the viewer does it all. */
export interface Niivue1<I extends NiivueImage = NiivueImage> {
  readonly volumes: readonly I[];
  addVolume(from: { url: File; name: string; opacity: number }): Promise<unknown>;
  setColormapLabel(index: number, colours: LabelColours): Promise<void>;
}

/**
 * What `session.tasks.segment` takes; the image stays as it is.
 * @throws DataError `viewer-not-loaded`, `viewer-dims` (4D, colour, complex), `viewer-affine`
 */
export const volumeOf = async (image: NiivueImage): Promise<TaskVolume> => forTask(viewed(image));

/**
 * Adds the labels as an overlay of their own, with names and colours; drawings and other overlays stay as they are.
 * To edit them, `nv.loadDrawing(overlay)` (0.69), where no drawing is open.
 * @param image that was segmented
 * @returns the overlay; its `t3dc` is the label map's description
 */
export async function labelsTo<I extends NiivueImage>(
  nv: Niivue069<I> | Niivue1<I>,
  image: NiivueImage,
  segmentation: Pick<Segmentation, 'labels'>,
  map: LabelMap,
  { opacity = 0.5 }: { readonly opacity?: number } = {},
): Promise<I & { readonly t3dc: LabelMap }> {
  const file = new File([niftiOf(image, segmentation.labels, map)], `${map.title}.nii`);
  const colours = coloursOf(map);
  const marks = { name: map.title, opacity, t3dc: map };
  if ('setColormapLabel' in nv) {
    await nv.addVolume({ url: file, name: map.title, opacity });
    const at = nv.volumes.length - 1;
    await nv.setColormapLabel(at, colours);
    return Object.assign(nv.volumes[at]!, marks);
  }
  const { loadFromFile } = image.constructor as unknown as { loadFromFile(from: { file: File }): Promise<I> };
  const overlay = await loadFromFile.call(image.constructor, { file });
  (overlay as unknown as { setColormapLabel(colours: LabelColours): void }).setColormapLabel(colours);
  nv.addVolume(Object.assign(overlay, marks));
  return overlay as I & { readonly t3dc: LabelMap };
}

function viewed(image: NiivueImage): ViewerVolume {
  const { hdr, img, name } = image;
  if (!hdr || !img) {
    throw new DataError('viewer-not-loaded', 'The image has no voxels.', {
      expected: 'an NVImage with hdr and img',
      fix: 'wait for loadVolumes',
    });
  }
  // Of complex numbers 0.69 shows the real parts; RGB and RGBA have 3 and 4 bytes a voxel.
  const plain = !('imaginary' in image && image.imaginary) && ![32, 128, 1792, 2304].includes(hdr.datatypeCode);
  return {
    data: img,
    dims: plain ? hdr.dims.slice(1, 1 + Math.max(3, hdr.dims[0]!)) : [],
    affine: inMillimetres(hdr),
    space: 'RAS',
    unit: 'stored',
    slope: hdr.scl_slope || 1,
    inter: hdr.scl_inter || 0,
    source: { name },
    ...lastVoxel(image, img),
  };
}

function lastVoxel(image: NiivueImage, img: Volume['data']): Pick<ViewerVolume, 'last' | 'notes'> {
  const n = img.length;
  const before = img[n - 2]!;
  // int32 and uint32 are told by the header, which keeps 32 bits a voxel beside the code of float64; int64 looks like float64.
  const widened = image.hdr!.datatypeCode === 64 && img instanceof Float64Array && 'calculateRAS' in image;
  const lost = widened && img[n - 1] === 0 && before !== 0 && Number.isInteger(before);
  return lost
    ? { last: before, notes: [`NiiVue 0.69 has lost the last voxel; it is taken to be ${before}, as the one before.`] }
    : {};
}

/** NiiVue shows the header's numbers as they are; models take millimetres. */
function inMillimetres({ affine, xyzt_units = 0 }: NonNullable<NiivueImage['hdr']>): number[] {
  const scale = { 1: 1000, 3: 0.001 }[xyzt_units & 7] ?? 1;
  return affine.flat().map((v, i) => (i < 12 ? v * scale : v));
}

const coloursOf = ({ labels }: LabelMap): LabelColours => ({
  R: [0, ...labels.map((l) => l.colour[0])],
  G: [0, ...labels.map((l) => l.colour[1])],
  B: [0, ...labels.map((l) => l.colour[2])],
  A: [0, ...labels.map(() => 255)],
  I: [0, ...labels.map((l) => l.id)],
  labels: ['background', ...labels.map((l) => l.name)],
});

/** The labels as a NIfTI-1 file in the image's own axes and units: NiiVue's loaders do the rest, the same in both versions. */
function niftiOf(image: NiivueImage, labels: Segmentation['labels'], map: LabelMap): ArrayBuffer {
  const { hdr } = image;
  const dims = hdr!.dims.slice(1, 4);
  const data = forViewer(labels, { dims, affine: inMillimetres(hdr!), space: 'RAS' });
  const bytes = new ArrayBuffer(352 + data.byteLength);
  const view = new DataView(bytes);
  const int16 = (at: number, values: readonly number[]) =>
    values.forEach((v, i) => {
      view.setInt16(at + 2 * i, v, true);
    });
  const float32 = (at: number, values: readonly number[]) =>
    values.forEach((v, i) => {
      view.setFloat32(at + 4 * i, v, true);
    });
  const ascii = (at: number, text: string) => new TextEncoder().encodeInto(text, new Uint8Array(bytes, at, 79));
  const rows = hdr!.affine.slice(0, 3);
  const bits = data.BYTES_PER_ELEMENT * 8;
  view.setInt32(0, 348, true);
  int16(40, [3, ...dims, 1, 1, 1, 1]);
  int16(68, [1002, bits === 8 ? 2 : 512, bits]);
  float32(76, [1, ...[0, 1, 2].map((c) => Math.hypot(...rows.map((r) => r[c]!)))]);
  float32(108, [352, 1, 0]);
  view.setUint8(123, hdr!.xyzt_units ?? 2);
  ascii(148, `${map.notice}; ${map.labels[0]?.algorithmName} ${map.labels[0]?.algorithmVersion}`);
  int16(252, [0, 1]);
  float32(280, rows.flat());
  ascii(344, 'n+1');
  new Uint8Array(bytes, 352).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return bytes;
}
