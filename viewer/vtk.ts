// VTK.js image data as volumes, and labels as image data.
//
// vtk.js keeps the direction as gl-matrix does, column by column: the first three numbers are where i points. Voxel indices
// count from the extent's start, and `origin` is where index 0 lies, whether the extent begins there or not.

import { DataError } from '../data/errors.ts';
import type { Volume } from '../data/index.ts';
import type { Segmentation } from '../tasks/index.ts';
import type { LabelMap } from './labels.ts';
import { affineOf, forTask, forViewer, type Source, type TaskVolume, type ViewerVolume } from './volume.ts';

export * from './labels.ts';
export type { Source, TaskVolume } from './volume.ts';

interface VtkArray {
  getData(): unknown;
  getNumberOfComponents(): number;
}

/** What is read of a vtkImageData. */
export interface VtkImage {
  getDimensions(): ArrayLike<number>;
  getExtent(): ArrayLike<number>;
  getSpacing(): ArrayLike<number>;
  getOrigin(): ArrayLike<number>;
  getDirection(): ArrayLike<number>;
  getPointData(): { getScalars(): VtkArray | null };
}

/** The two classes that labels are made of: `vtkImageData` and `vtkDataArray` of @kitware/vtk.js. */
export interface Vtk<I, A> {
  readonly vtkImageData: { newInstance(): I };
  readonly vtkDataArray: {
    newInstance(from: { name: string; values: Uint8Array | Uint16Array; numberOfComponents: number }): A;
  };
}

/** vtkImageData's setters, which take their numbers one by one. */
interface Settable {
  setExtent(...extent: number[]): unknown;
  setSpacing(...spacing: number[]): unknown;
  setOrigin(...origin: number[]): unknown;
  setDirection(...direction: number[]): unknown;
  getPointData(): { setScalars(array: VtkArray): unknown };
}

export interface VtkOptions {
  /** How the world lies, which vtk.js does not say. `LPS` (default): DICOM's, and itk.js readers'; `RAS`: NIfTI's. */
  readonly space?: 'RAS' | 'LPS';
  /** Of stored values, where they are no HU: HU = value · slope + inter. */
  readonly slope?: number;
  readonly inter?: number;
  readonly modality?: string;
  readonly source?: Source;
}

/** What `session.tasks.segment` takes. @throws DataError `viewer-not-loaded`, `viewer-dims`, `viewer-modality`, `viewer-scaling` */
export const volumeOf = async (image: VtkImage, options: VtkOptions = {}): Promise<TaskVolume> =>
  forTask(viewed(image, options));

/**
 * A new image on the grid of `image`, with the class ids as scalars named by the label map's title. The image itself stays as
 * it is. Show it with nearest-neighbour interpolation and `colour`.
 */
export function labelsTo<A extends VtkArray, I extends VtkImage>(
  { vtkImageData, vtkDataArray }: Vtk<I, A>,
  image: VtkImage,
  segmentation: Pick<Segmentation, 'labels'>,
  map: LabelMap,
  { space = 'LPS' }: Pick<VtkOptions, 'space'> = {},
): I {
  const values = forViewer(segmentation.labels, { ...gridOf(image), space });
  const overlay = vtkImageData.newInstance();
  const made = overlay as unknown as Settable;
  made.setExtent(...Array.from(image.getExtent()));
  made.setSpacing(...Array.from(image.getSpacing()));
  made.setOrigin(...Array.from(image.getOrigin()));
  made.setDirection(...Array.from(image.getDirection()));
  made.getPointData().setScalars(vtkDataArray.newInstance({ name: map.title, values, numberOfComponents: 1 }));
  return overlay;
}

/** Sets colours and opacities of the labels on a vtkColorTransferFunction and a vtkPiecewiseFunction. */
export function colour(
  colours: { addRGBPoint(x: number, r: number, g: number, b: number): unknown },
  opacities: { addPoint(x: number, y: number): unknown },
  { labels }: LabelMap,
  opacity = 0.5,
): void {
  colours.addRGBPoint(0, 0, 0, 0);
  opacities.addPoint(0, 0);
  for (const { id, colour: rgb } of labels) {
    colours.addRGBPoint(id, rgb[0] / 255, rgb[1] / 255, rgb[2] / 255);
    opacities.addPoint(id, opacity);
  }
}

function viewed(image: VtkImage, options: VtkOptions): ViewerVolume {
  const { space = 'LPS', slope = 1, inter = 0, modality, source } = options;
  const scalars = image.getPointData().getScalars();
  if (!scalars) {
    throw new DataError('viewer-not-loaded', 'The image data has no scalars.', {
      expected: 'a voxel array in getPointData().getScalars()',
      fix: 'wait for the reader',
    });
  }
  const grid = gridOf(image);
  return {
    data: scalars.getData() as Volume['data'],
    ...grid,
    dims: scalars.getNumberOfComponents() === 1 ? grid.dims : [],
    space,
    unit: slope === 1 && inter === 0 ? 'HU' : 'stored',
    slope,
    inter,
    modality,
    source,
  };
}

function gridOf(image: VtkImage): Pick<ViewerVolume, 'dims' | 'affine'> {
  const affine = affineOf(image.getDirection(), image.getSpacing(), image.getOrigin());
  const extent = image.getExtent();
  for (const r of [0, 4, 8]) {
    affine[r + 3]! += affine[r]! * extent[0]! + affine[r + 1]! * extent[2]! + affine[r + 2]! * extent[4]!;
  }
  return { dims: Array.from(image.getDimensions()), affine };
}
