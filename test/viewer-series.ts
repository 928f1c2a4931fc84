// The phantom as a CT series that Cornerstone3D itself loads, slice by slice: an image loader and a metadata provider for
// imageIds `phantom:NAME:SLICE`, with slices that come late, fail, or are scaled by themselves.

// Cornerstone asks which platform it is on, which Node 20 cannot tell.
if (!globalThis.navigator) Object.assign(globalThis, { navigator: { platform: 'node', userAgent: 'node' } });
// Another release than package.json's can be tested: T3DC_CORNERSTONE is a folder where it is installed.
const folder = process.env.T3DC_CORNERSTONE;
const release = (name: string) => import(folder ? `${folder}/node_modules/${name}/dist/esm/index.js` : name);
export const core: typeof import('@cornerstonejs/core') = await release('@cornerstonejs/core');
export const tools: typeof import('@cornerstonejs/tools') = await release('@cornerstonejs/tools');

import { huOf, lps, parts, SIZE } from './viewer-phantom.ts';

export interface SeriesOptions {
  readonly affine: readonly number[];
  /** `scaled`: the loader gives HU, as Cornerstone's own does. `stored`: raw values with a slope of each slice. `none`: the
   *  file has HU, so nothing is scaled. `mixed`: every other slice is scaled. */
  readonly pixels?: 'scaled' | 'stored' | 'none' | 'mixed';
  readonly modality?: string;
  /** Milliseconds until slice k is there. */
  readonly late?: (k: number) => number;
  /** A slice that cannot be loaded. */
  readonly broken?: number;
  readonly reversed?: boolean;
}

// Cornerstone tells of a failed slice by an event, and leaves the promise in its cache without a listener besides.
process.on('unhandledRejection', (err) => {
  if ((err as Error | undefined)?.message !== BROKEN) throw err;
});
const BROKEN = 'no such slice';

const series = new Map<string, SeriesOptions>();
const PIXELS = SIZE[0] * SIZE[1];

/** Slope and intercept of each slice: such that stored values are whole. */
export const rescaleOf = (k: number) => ({ slope: [1, 2, 4][k % 3]!, intercept: -1000 });

core.metaData.addProvider((type: string, imageId: string) => {
  const [scheme, name = '', slice] = String(imageId).split(':');
  const one = series.get(name);
  if (scheme !== 'phantom' || !one) return undefined;
  const { direction, spacing, origin } = parts(lps(one.affine));
  const k = Number(slice);
  return {
    imagePlaneModule: {
      frameOfReferenceUID: '1.2.3',
      rows: SIZE[1],
      columns: SIZE[0],
      imageOrientationPatient: direction.slice(0, 6),
      rowCosines: direction.slice(0, 3),
      columnCosines: direction.slice(3, 6),
      imagePositionPatient: origin.map((o, r) => o + k * spacing[2] * direction[6 + r]!),
      pixelSpacing: [spacing[1], spacing[0]],
      rowPixelSpacing: spacing[1],
      columnPixelSpacing: spacing[0],
      sliceThickness: spacing[2],
    },
    imagePixelModule: {
      samplesPerPixel: 1,
      photometricInterpretation: 'MONOCHROME2',
      rows: SIZE[1],
      columns: SIZE[0],
      bitsAllocated: 16,
      bitsStored: 16,
      highBit: 15,
      pixelRepresentation: 1,
    },
    generalSeriesModule: { modality: one.modality ?? 'CT', seriesInstanceUID: '1.2.4', studyInstanceUID: '1.2.5' },
    voiLutModule: { windowWidth: [400], windowCenter: [40] },
    modalityLutModule: { rescaleSlope: 1, rescaleIntercept: -1000 },
  }[type];
}, 1000);

core.imageLoader.registerImageLoader('phantom', (imageId: string) => {
  const [, name, slice] = imageId.split(':');
  const one = series.get(name!)!;
  const k = Number(slice);
  const load = async () => {
    await new Promise((done) => setTimeout(done, one.late?.(k) ?? 0));
    if (k === one.broken) throw new Error(BROKEN);
    return imageOf(imageId, one, k);
  };
  return { promise: load() } as never;
});
core.volumeLoader.registerVolumeLoader(
  'cornerstoneStreamingImageVolume',
  core.cornerstoneStreamingImageVolumeLoader as never,
);

/** Makes a series known, and gives its imageIds in the order of slices. */
export function addSeries(name: string, options: SeriesOptions): string[] {
  series.set(name, options);
  const ids = Array.from({ length: SIZE[2] }, (_, k) => `phantom:${name}:${k}`);
  return options.reversed ? ids.reverse() : ids;
}

/** Cornerstone's own streaming volume of a series, not loaded yet. */
export async function volumeOfSeries(name: string, options: SeriesOptions) {
  const imageIds = addSeries(name, options);
  return core.volumeLoader.createAndCacheVolume(`cornerstoneStreamingImageVolume:${name}`, { imageIds });
}

/** The label at a point of the world (R, A, S), by Cornerstone's own geometry. */
export function placedIn(volume: Awaited<ReturnType<typeof volumeOfSeries>>) {
  return ([x, y, z]: readonly [number, number, number]): number => {
    const at = (volume.imageData!.worldToIndex([-x, -y, z]) as number[]).map(Math.round) as [number, number, number];
    if (at.some((v, axis) => v < 0 || v >= volume.dimensions[axis]!)) return -1;
    return volume.voxelManager!.getAtIJK(...at) as number;
  };
}

function imageOf(imageId: string, { affine, pixels = 'scaled' }: SeriesOptions, k: number) {
  const hu = huOf(affine as number[]).subarray(k * PIXELS, (k + 1) * PIXELS);
  const stored = pixels === 'stored' || (pixels === 'mixed' && k % 2 === 1);
  const { slope, intercept } = pixels === 'none' ? { slope: 1, intercept: 0 } : rescaleOf(k);
  const Type: Float32ArrayConstructor | Int16ArrayConstructor =
    pixels === 'stored' || pixels === 'none' ? Int16Array : Float32Array;
  const data = (Type as Float32ArrayConstructor).from(hu, (v) => (stored ? (v - intercept) / slope : v));
  return {
    imageId,
    slope,
    intercept,
    ...(!stored && pixels !== 'none' && { preScale: { enabled: true, scaled: true } }),
    rows: SIZE[1],
    columns: SIZE[0],
    height: SIZE[1],
    width: SIZE[0],
    minPixelValue: -1000,
    maxPixelValue: 900,
    windowCenter: 40,
    windowWidth: 400,
    getPixelData: () => data,
    dataType: data.constructor.name,
    sizeInBytes: data.byteLength,
    numberOfComponents: 1,
    color: false,
    voxelManager: core.utilities.VoxelManager.createImageVoxelManager({
      scalarData: data,
      width: SIZE[0],
      height: SIZE[1],
      numberOfComponents: 1,
    }),
  };
}
