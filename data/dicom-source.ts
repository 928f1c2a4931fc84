// The series that labels were made from, as far as a segmentation repeats it: found in a folder by the grid of the labels, and
// read from the headers of its files (Node only).

import { chooseSeries, type SeriesWishes } from './dicom/choose.ts';
import { type DataSet, parseDicom, text } from './dicom/file.ts';
import { listDicom } from './dicom/folder.ts';
import type { ScanSeries } from './dicom/series.ts';
import { type CopiedKeyword, type DicomSeries, TAGS } from './dicom-seg.ts';
import { DataError, isDataError } from './errors.ts';
import { readBytes } from './files.ts';
import { gridOnSeries, type SeriesGeometry } from './series-grid.ts';
import type { Volume } from './volume.ts';

/**
 * The series below a folder that the labels lie on: the one with most images in their planes.
 * @param wishes decide, by the rules of reading, between series of one grid (two kernels of one scan); null where the labels
 *   come from a converted scan, whose series those rules did not choose
 * @throws `dicom-seg-grid` where there is none, `dicom-several-series` where there are more, `dicom-no-images`, `dicom-charset`,
 *   `dicom-package`, `file-missing`
 */
export async function seriesUnder(
  labels: Omit<Volume, 'data'>,
  dir: string,
  wishes: SeriesWishes | null,
): Promise<DicomSeries> {
  const { series, skipped } = await listDicom(dir);
  const placed = series.flatMap((scan) => geometryOf(scan) ?? []);
  if (placed.length === 0) {
    throw new DataError('dicom-no-images', 'There are no DICOM images with a place in the patient in this folder.', {
      found: `${series.length} series and ${skipped.length} other files in ${dir}`,
      expected: 'the files of a CT series',
      fix: 'name the folder that holds the series',
    });
  }
  const wanted = placed.filter(({ scan }) => !wishes?.series || [scan.id, `${scan.number}`].includes(wishes.series));
  const covered = wanted.map((p) => ({ ...p, planes: planesOn(labels, p.geometry) }));
  const most = Math.max(0, ...covered.map((p) => p.planes));
  // Says why.
  if (most === 0) gridOnSeries(labels, (wanted[0] ?? placed[0]!).geometry);
  const fitting = covered.filter((p) => p.planes === most);
  const choices =
    wishes &&
    chooseSeries(
      fitting.map((p) => p.scan),
      { minSlices: 1, ...wishes },
    );
  const chosen = fitting.length === 1 ? fitting[0] : fitting.find((p) => p.scan === choices?.[0]?.chosen);
  if (chosen && (choices?.length ?? 1) === 1) return wholeSeries(chosen.scan, chosen.geometry);
  throw new DataError('dicom-several-series', 'The labels lie on more than one series.', {
    found: fitting.map(({ scan }) => `${scan.number ?? ''} ${scan.id} (${scan.slices.length} images)`).join(', '),
    expected: 'one series on this grid',
    fix: 'choose one by its number or UID (series), or name a folder that holds it alone',
  });
}

interface Placed {
  readonly scan: ScanSeries;
  readonly geometry: SeriesGeometry;
}

function geometryOf(scan: ScanSeries): Placed | null {
  const { orientation, pixels } = scan.slices[0]!;
  const instances = scan.slices.flatMap(({ sopClassUid, sopInstanceUid, position, frame, pixels: own }) =>
    position ? [{ sopClassUid, sopInstanceUid, position, ...(own.frames > 1 && { frame: frame + 1 }) }] : [],
  );
  if (!orientation || instances.length === 0) return null;
  // The order of files in a folder must not show.
  const name = (i: (typeof instances)[number]) => `${i.sopInstanceUid} ${String(i.frame ?? 0).padStart(6, '0')}`;
  instances.sort((a, b) => (name(a) < name(b) ? -1 : 1));
  return { scan, geometry: { rows: pixels.rows, columns: pixels.columns, orientation, instances } };
}

/** Planes of the labels in which the series has an image. */
function planesOn(labels: Omit<Volume, 'data'>, series: SeriesGeometry): number {
  try {
    return gridOnSeries(labels, series).planes.filter((p) => p.instance).length;
  } catch (err) {
    if (isDataError(err, 'dicom-seg-grid')) return 0;
    throw err;
  }
}

async function wholeSeries(scan: ScanSeries, geometry: SeriesGeometry): Promise<DicomSeries> {
  const path = scan.slices.map((s) => s.file).sort()[0]!;
  const set = await parseDicom(await readBytes(path), path, true);
  const attributes: Partial<Record<CopiedKeyword, string>> = {};
  for (const [keyword, tag] of Object.entries(TAGS)) {
    const value = decoded(set, `x${tag.toString(16).padStart(8, '0')}`, path);
    if (value !== '') attributes[keyword as CopiedKeyword] = value;
  }
  const frameOfReferenceUid = text(set, 'x00200052');
  if (!frameOfReferenceUid) {
    throw new DataError('dicom-geometry', 'The series does not name its frame of reference.', {
      found: `${path} without FrameOfReferenceUID`,
      expected: 'a UID that ties the segmentation to the place of the images',
      fix: 'write NIfTI (.nii.gz)',
    });
  }
  return { ...geometry, studyUid: scan.studyUid, seriesUid: scan.seriesUid, frameOfReferenceUid, attributes };
}

/** Encodings by DICOM's names for them. */
const CHARSETS: Readonly<Record<string, string>> = {
  '': 'latin1',
  'ISO_IR 6': 'latin1',
  'ISO_IR 100': 'latin1',
  'ISO_IR 101': 'iso-8859-2',
  'ISO_IR 109': 'iso-8859-3',
  'ISO_IR 110': 'iso-8859-4',
  'ISO_IR 144': 'iso-8859-5',
  'ISO_IR 127': 'iso-8859-6',
  'ISO_IR 126': 'iso-8859-7',
  'ISO_IR 138': 'iso-8859-8',
  'ISO_IR 148': 'windows-1254',
  'ISO_IR 13': 'shift_jis',
  'ISO_IR 166': 'windows-874',
  'ISO_IR 192': 'utf-8',
  GB18030: 'gb18030',
  GBK: 'gbk',
};

/** A text in the file's character set. A name that is read wrongly could become another patient's. */
function decoded(dataSet: DataSet, tag: string, path: string): string {
  const element = dataSet.elements[tag];
  if (!element || element.length === 0) return '';
  const bytes = dataSet.byteArray.subarray(element.dataOffset, element.dataOffset + element.length) as Uint8Array;
  const plain = bytes.every((b) => b < 0x80 && b !== 0x1b);
  // Of several, the first is what a text begins with; code extensions within it start with an escape.
  const charset = (dataSet.string('x00080005') ?? '')
    .split('\\')[0]!
    .trim()
    .replace(/^ISO 2022 IR/, 'ISO_IR');
  const encoding = plain ? 'latin1' : bytes.includes(0x1b) ? undefined : CHARSETS[charset];
  if (encoding === undefined) {
    throw new DataError('dicom-charset', 'A text of this file is in a character set that is not read.', {
      found: `${dataSet.string('x00080005')} in ${path}`,
      expected: `one of ${Object.keys(CHARSETS).filter(Boolean).join(', ')}, without code extensions`,
      fix: 'convert the series to ISO_IR 192 (UTF-8), or write NIfTI',
    });
  }
  return new TextDecoder(encoding).decode(bytes).replace(/[\0 ]+$/, '');
}
