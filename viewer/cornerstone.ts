// Cornerstone3D's volumes (5.6 and later) as volumes, and labels as a segmentation of their own.
//
// A volume's voxels lie in one image a slice, and what is missing in the cache reads as 0. Each image says by itself whether
// it was scaled: `isPreScaled` of the volume is true even where there was nothing to scale with, and slope and intercept of
// an image stay what the file said after they were applied.

import { DataError } from '../data/errors.ts';
import type { Volume, VoxelArray } from '../data/index.ts';
import type { Segmentation } from '../tasks/index.ts';
import { dicomSegment, type LabelMap } from './labels.ts';
import { affineOf, forTask, forViewer, inPieces, type TaskVolume, type ViewerVolume } from './volume.ts';

export * from './labels.ts';
export type { Source, TaskVolume } from './volume.ts';

interface Image {
  readonly slope?: number;
  readonly intercept?: number;
  readonly preScale?: { readonly scaled?: boolean };
  readonly isPreScaled?: boolean;
  readonly modalityLUT?: unknown;
  /** 8: full resolution. */
  readonly imageQualityStatus?: number;
  readonly numberOfComponents?: number;
  readonly voxelManager?: { getScalarData(): unknown };
}

/** What is read of an IImageVolume. */
export interface CornerstoneVolume {
  readonly volumeId: string;
  readonly dimensions: ArrayLike<number>;
  readonly spacing: ArrayLike<number>;
  readonly origin: ArrayLike<number>;
  readonly direction: ArrayLike<number>;
  readonly imageIds: readonly string[];
  readonly metadata?: {
    readonly Modality?: string;
    readonly FrameOfReferenceUID?: string;
    readonly SeriesInstanceUID?: string;
    readonly StudyInstanceUID?: string;
  };
  readonly loadStatus?: { readonly loaded?: unknown; readonly loading?: unknown; readonly cancelled?: unknown };
  load(loaded: () => void): void;
  isDynamicVolume(): boolean;
  getCornerstoneImages(): readonly (Image | undefined)[];
}

/** `import * as core from '@cornerstonejs/core'`, as far as it is used. */
export interface CornerstoneCore {
  readonly volumeLoader: {
    createAndCacheDerivedLabelmapVolume(
      volumeId: string,
      options: { volumeId: string; targetBuffer: { type: 'Uint8Array' | 'Uint16Array' } },
    ): Pick<CornerstoneVolume, 'getCornerstoneImages'>;
  };
}

/** `import * as tools from '@cornerstonejs/tools'`, as far as it is used. */
export interface CornerstoneTools {
  readonly Enums: { readonly SegmentationRepresentations: { readonly Labelmap: unknown } };
  readonly segmentation: {
    addSegmentations(segmentations: never[]): void;
    addLabelmapRepresentationToViewport(viewportId: string, representations: never[]): void;
    readonly state: { getSegmentation(id: string): unknown };
    readonly config: {
      readonly color: { setSegmentIndexColor(viewport: string, id: string, index: number, color: never): void };
    };
    readonly triggerSegmentationEvents: { triggerSegmentationDataModified(id: string): void };
  };
}

/**
 * What `session.tasks.segment` takes, once all slices are there: loading is begun where it was not, and waited for.
 * @throws DataError `viewer-not-loaded` (cancelled, or slices failed), `viewer-modality`, `viewer-dims` (a dynamic volume,
 *   colour), `viewer-scaling`; the signal's reason
 */
export async function volumeOf(
  volume: CornerstoneVolume,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<TaskVolume> {
  if (volume.loadStatus && !volume.loadStatus.loaded && !volume.loadStatus.loading) volume.load(() => {});
  // load() hears of no callback while another load runs, and cancelling forgets those that it has: so it is asked for.
  while (volume.loadStatus?.loading && !volume.loadStatus.loaded) {
    await new Promise((done) => setTimeout(done, 50));
    signal?.throwIfAborted();
  }
  const images = volume.getCornerstoneImages();
  const there = images.filter((i) => i?.voxelManager && (i.imageQualityStatus ?? 8) >= 8) as Image[];
  if (there.length < images.length || (volume.loadStatus && !volume.loadStatus.loaded)) {
    throw new DataError('viewer-not-loaded', 'The volume is not loaded; missing slices would read as 0.', {
      found: `${there.length} of ${images.length} slices${volume.loadStatus?.cancelled ? ', loading was cancelled' : ''}`,
      expected: 'every slice at full resolution',
      fix: 'load it again; slices that failed are told by the event IMAGE_LOAD_ERROR',
    });
  }
  return forTask(await viewed(volume, there));
}

/**
 * Adds the labels as a new segmentation, editable, beside those that are there, and shows it in viewports.
 * Its segments have the codes; `cachedStats.dicom` of each is its item for Cornerstone's SEG adapter.
 * @returns the new segmentation's id
 */
export async function labelsTo(
  { core, tools }: { readonly core: CornerstoneCore; readonly tools: CornerstoneTools },
  volume: CornerstoneVolume,
  segmentation: Pick<Segmentation, 'labels'>,
  map: LabelMap,
  { viewportIds = [] }: { readonly viewportIds?: readonly string[] } = {},
): Promise<string> {
  const { segmentation: state, Enums } = tools;
  const values = forViewer(segmentation.labels, gridOf(volume));
  let n = 1;
  while (state.state.getSegmentation(`t3dc-${n}`)) n++;
  const segmentationId = `t3dc-${n}`;
  const overlay = core.volumeLoader.createAndCacheDerivedLabelmapVolume(volume.volumeId, {
    volumeId: segmentationId,
    targetBuffer: { type: values.BYTES_PER_ELEMENT === 1 ? 'Uint8Array' : 'Uint16Array' },
  });
  await setSlices(overlay.getCornerstoneImages(), values);
  const type = Enums.SegmentationRepresentations.Labelmap;
  const data = { volumeId: segmentationId, referencedVolumeId: volume.volumeId };
  const config = { label: map.title, segments: segmentsOf(map), cachedStats: { t3dc: map } };
  state.addSegmentations([{ segmentationId, representation: { type, data }, config } as never]);
  for (const viewport of viewportIds) {
    state.addLabelmapRepresentationToViewport(viewport, [{ segmentationId, type } as never]);
    for (const { id, colour } of map.labels)
      state.config.color.setSegmentIndexColor(viewport, segmentationId, id, [...colour, 255] as never);
  }
  state.triggerSegmentationEvents.triggerSegmentationDataModified(segmentationId);
  return segmentationId;
}

/** Segments as Cornerstone and OHIF keep them. */
export const segmentsOf = ({ labels }: LabelMap): Record<number, Record<string, unknown>> =>
  Object.fromEntries(
    labels.map((label) => {
      const dicom = dicomSegment(label);
      const { SegmentAlgorithmType: algorithmType, SegmentAlgorithmName: algorithmName } = dicom;
      // OHIF's export reads algorithmType and algorithmName, its panel those of cachedStats.
      const stats = { category: label.category.meaning, type: label.type.meaning, algorithmType, algorithmName, dicom };
      const { id: segmentIndex, name } = label;
      const state = { segmentIndex, label: name, locked: false, active: segmentIndex === 1 };
      return [segmentIndex, { ...state, algorithmType, algorithmName, cachedStats: stats }];
    }),
  );

/** Writes labels into the images of a labelmap, given in the volume's order. */
export async function setSlices(images: readonly (Image | undefined)[], values: VoxelArray): Promise<void> {
  const size = values.length / images.length;
  await inPieces(values.length, (from, to) => {
    for (let k = Math.ceil(from / size); k * size < to; k++) {
      const slice = images[k]!.voxelManager!.getScalarData() as VoxelArray;
      slice.set(values.subarray(k * size, (k + 1) * size));
    }
  });
}

export const gridOf = (volume: CornerstoneVolume): Pick<ViewerVolume, 'dims' | 'affine' | 'space'> => ({
  dims: Array.from(volume.dimensions),
  affine: affineOf(volume.direction, volume.spacing, volume.origin),
  space: 'LPS',
});

async function viewed(volume: CornerstoneVolume, images: readonly Image[]): Promise<ViewerVolume> {
  const grid = gridOf(volume);
  const { Modality, FrameOfReferenceUID, SeriesInstanceUID, StudyInstanceUID } = volume.metadata ?? {};
  const slices = images.map((i) => i.voxelManager!.getScalarData() as Volume['data']);
  const size = grid.dims[0]! * grid.dims[1]!;
  const one = !volume.isDynamicVolume() && slices.every((s) => s.length === size);
  const scales = images.map((i) => {
    if (i.preScale?.scaled ?? i.isPreScaled) return { slope: 1, inter: 0 };
    // A table in place of slope and intercept has to be applied by Cornerstone: NaN is refused by forTask.
    return { slope: i.modalityLUT ? Number.NaN : (i.slope ?? 1), inter: i.intercept ?? 0 };
  });
  // One that cannot be applied speaks for all.
  const first = scales.find((s) => !s.slope) ?? scales[0]!;
  const even = !first.slope || scales.every((s) => s.slope === first.slope && s.inter === first.inter);
  // getCompleteScalarDataArray() has the first slice's type for all, and would round the others' fractions.
  const whole = even && slices.every((s) => s.constructor === slices[0]!.constructor);
  const Type = whole ? (slices[0]!.constructor as Float32ArrayConstructor) : Float32Array;
  const data = new Type(one ? size * slices.length : 0);
  if (one) {
    await inPieces(data.length, (from, to) => {
      for (let k = Math.ceil(from / size); k * size < to; k++) {
        const { slope, inter } = whole ? { slope: 1, inter: 0 } : scales[k]!;
        const slice = slices[k]!;
        if (slope === 1 && inter === 0) data.set(slice, k * size);
        else for (let p = 0, at = k * size; p < size; p++) data[at++] = slice[p]! * slope + inter;
      }
    });
  }
  return {
    ...grid,
    data,
    dims: one ? grid.dims : [],
    unit: whole ? 'stored' : 'HU',
    slope: whole ? first.slope : 1,
    inter: whole ? first.inter : 0,
    modality: Modality,
    source: {
      frameOfReferenceUid: FrameOfReferenceUID,
      studyUid: StudyInstanceUID,
      seriesUid: SeriesInstanceUID,
      imageIds: volume.imageIds,
    },
  };
}
