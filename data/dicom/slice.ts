// The images of a DICOM file as slices, each with its own place and its own rescaling: one for a classic CT image, one a frame
// for an enhanced multi-frame CT.

import type { Vec3 } from '../affine.ts';
import { type DataSet, decimal, decimals, items, parseDicom, text, texts } from './file.ts';

export interface PixelFormat {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly photometric: string;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  readonly frames: number;
  readonly transferSyntax: string;
  readonly lossy: boolean;
}

/** What a slice tells; what a file does not say is undefined, and the series is refused where it is needed. */
export interface DicomSlice {
  /** As the caller names it. */
  readonly file: string;
  /** From 0. */
  readonly frame: number;
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly patient: string | undefined;
  readonly modality: string;
  readonly imageType: readonly string[];
  readonly seriesNumber: number | undefined;
  readonly instanceNumber: number | undefined;
  readonly acquisition: number | undefined;
  readonly temporal: number | undefined;
  readonly description: string;
  readonly contrast: string;
  readonly kernel: string;
  /** Centre of the first pixel, mm in L, P, S. */
  readonly position: Vec3 | undefined;
  /** Direction of a row (columns rising), then of a column, in L, P, S. */
  readonly orientation: readonly number[] | undefined;
  /** mm between rows, between columns. */
  readonly spacing: readonly [number, number] | undefined;
  readonly thickness: number | undefined;
  readonly between: number | undefined;
  readonly slope: number | undefined;
  readonly intercept: number | undefined;
  readonly rescaleType: string | undefined;
  /** Stored values that are no measurement, first to last. */
  readonly padding: readonly [number, number] | undefined;
  readonly pixels: PixelFormat;
}

/**
 * The slices of a file, without their pixels; none where it holds no image (reports, directories, presentation states).
 * @throws `dicom-not`, `dicom-damaged`, `dicom-package`
 */
export async function dicomSlices(bytes: Uint8Array, file: string): Promise<DicomSlice[]> {
  return slicesOf(await parseDicom(bytes, file, true), file);
}

export function slicesOf(set: DataSet, file: string): DicomSlice[] {
  const pixels = pixelFormat(set);
  if (!pixels) return [];
  const frames = items(set, 'x52009230');
  const [shared] = items(set, 'x52009229');
  const count = Math.max(1, pixels.frames);
  return Array.from({ length: count }, (_, frame) => slice(set, shared, frames[frame], file, frame, pixels));
}

function slice(
  set: DataSet,
  shared: DataSet | undefined,
  own: DataSet | undefined,
  file: string,
  frame: number,
  pixels: PixelFormat,
): DicomSlice {
  // Functional groups: the frame's own before what all share; a classic image has them at its root.
  const enhanced = shared !== undefined || own !== undefined;
  const group = (tag: string): DataSet | undefined =>
    enhanced ? (items(own, tag)[0] ?? items(shared, tag)[0]) : pixels.frames > 1 ? undefined : set;
  const measures = group('x00289110');
  const transform = group('x00289145');
  const content = enhanced ? items(own, 'x00209111')[0] : undefined;
  const frameType = enhanced ? group('x00189329') : undefined;
  const spacing = decimals(measures, 'x00280030', 2);
  const position = decimals(group('x00209113'), 'x00200032', 3);
  const imageType = frameType ? texts(frameType, 'x00089007') : texts(set, 'x00080008');
  const kernel = enhanced ? group('x00189314') : set;
  return {
    file,
    frame,
    sopClassUid: text(set, 'x00080016') ?? '',
    sopInstanceUid: text(set, 'x00080018') ?? '',
    studyUid: text(set, 'x0020000d') ?? '',
    seriesUid: text(set, 'x0020000e') ?? '',
    patient: text(set, 'x00100020'),
    modality: text(set, 'x00080060') ?? '',
    imageType: imageType.map((t) => t.toUpperCase()),
    seriesNumber: decimal(set, 'x00200011'),
    instanceNumber: decimal(set, 'x00200013'),
    acquisition: content ? content.uint16('x00209156') : decimal(set, 'x00200012'),
    temporal: content ? content.uint32('x00209128') : decimal(set, 'x00200100'),
    description: [text(set, 'x0008103e'), text(set, 'x00181030')].filter(Boolean).join(' | '),
    contrast: text(set, 'x00180010') ?? '',
    kernel: (kernel && texts(kernel, 'x00181210')[0]) ?? '',
    position: position as [number, number, number] | undefined,
    orientation: decimals(group('x00209116'), 'x00200037', 6),
    spacing: spacing && [spacing[0]!, spacing[1]!],
    thickness: decimal(measures, 'x00180050'),
    between: decimal(measures, 'x00180088'),
    slope: decimal(transform, 'x00281053'),
    intercept: decimal(transform, 'x00281052'),
    rescaleType: transform && text(transform, 'x00281054'),
    padding: paddingOf(set, pixels.signed),
    pixels,
  };
}

function pixelFormat(set: DataSet): PixelFormat | undefined {
  const [rows, columns] = [set.uint16('x00280010'), set.uint16('x00280011')];
  const bitsAllocated = set.uint16('x00280100');
  if (!rows || !columns || !bitsAllocated) return undefined;
  const bitsStored = set.uint16('x00280101') ?? bitsAllocated;
  const transferSyntax = text(set, 'x00020010') ?? '1.2.840.10008.1.2';
  return {
    rows,
    columns,
    samples: set.uint16('x00280002') ?? 1,
    photometric: text(set, 'x00280004') ?? 'MONOCHROME2',
    bitsAllocated,
    bitsStored,
    highBit: set.uint16('x00280102') ?? bitsStored - 1,
    signed: set.uint16('x00280103') === 1,
    frames: decimal(set, 'x00280008') ?? 1,
    transferSyntax,
    lossy: text(set, 'x00282110') === '01' || /\.4\.(81|91)$/.test(transferSyntax),
  };
}

function paddingOf(set: DataSet, signed: boolean): [number, number] | undefined {
  const read = (tag: string): number | undefined => (signed ? set.int16(tag) : set.uint16(tag));
  const value = read('x00280120');
  if (value === undefined) return undefined;
  const limit = read('x00280121') ?? value;
  return [Math.min(value, limit), Math.max(value, limit)];
}
