// The series that labels were made from, as far as a segmentation repeats it: read from the headers of the files in a folder
// (Node only; needs the optional package dicom-parser).

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataSet } from 'dicom-parser';
import { type CopiedKeyword, type DicomSeries, TAGS } from './dicom-seg.ts';
import { DataError, isDataError } from './errors.ts';
import { readBytes } from './files.ts';
import { gridOnSeries, type SeriesInstance } from './series-grid.ts';
import type { Volume } from './volume.ts';

/**
 * All series of images below a folder; files that are no DICOM image with a place in the world are passed over.
 * @throws `dicom-parser-missing`, `dicom-no-images`, `dicom-charset`, `file-missing`
 */
export async function readDicomSeries(dir: string): Promise<DicomSeries[]> {
  const parse = await loadParser();
  const found = new Map<string, DicomSeries & { readonly instances: SeriesInstance[] }>();
  let files = 0;
  for (const path of await filesBelow(dir)) {
    files++;
    const image = imageOf(parse(await readBytes(path)), path);
    if (!image) continue;
    const known = found.get(image.key);
    if (known) known.instances.push(image.instance);
    else found.set(image.key, { ...image.series, instances: [image.instance] });
  }
  // The order of files in a folder must not show.
  const byUid = (a: SeriesInstance, b: SeriesInstance) => (a.sopInstanceUid < b.sopInstanceUid ? -1 : 1);
  for (const series of found.values()) series.instances.sort(byUid);
  if (found.size > 0) return [...found.values()];
  throw new DataError('dicom-no-images', 'There are no DICOM images in this folder.', {
    found: `${files} files in ${dir}, none an image with a position and an orientation`,
    expected: 'the files of a CT series, one image each',
    fix: 'name the folder that holds the series',
  });
}

/**
 * The one series that the labels lie on.
 * @throws `dicom-seg-grid` where there is none, `dicom-several-series` where there are more
 */
export function seriesUnder(labels: Omit<Volume, 'data'>, all: readonly DicomSeries[]): DicomSeries {
  let why: unknown;
  const fitting = all.filter((series) => {
    try {
      gridOnSeries(labels, series);
      return true;
    } catch (err) {
      if (!isDataError(err, 'dicom-seg-grid')) throw err;
      why ??= err;
      return false;
    }
  });
  if (fitting.length === 1) return fitting[0]!;
  if (fitting.length === 0) throw why;
  throw new DataError('dicom-several-series', 'The labels lie on more than one series.', {
    found: fitting.map((s) => `${s.seriesUid} (${s.instances.length} images)`).join(', '),
    expected: 'one series on this grid',
    fix: 'name a folder that holds only the series that was segmented',
  });
}

type Parse = (bytes: Uint8Array) => DataSet | null;

/** A parser of headers: null for what is no DICOM file. */
async function loadParser(): Promise<Parse> {
  let parser: Pick<typeof import('dicom-parser'), 'parseDicom'>;
  try {
    parser = (await import('dicom-parser')).default;
  } catch {
    throw new DataError('dicom-parser-missing', 'Reading DICOM needs the package dicom-parser.', {
      expected: 'the optional dependencies of t3dc',
      fix: 'npm install dicom-parser',
    });
  }
  return (bytes) => {
    try {
      return parser.parseDicom(bytes, { untilTag: 'x7fe00010' });
    } catch {
      return null;
    }
  };
}

async function filesBelow(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    return entries
      .filter((e) => e.isFile())
      .map((e) => join(e.parentPath ?? e.path, e.name))
      .sort();
  } catch (err) {
    throw new DataError('file-missing', 'There is no such folder.', {
      found: `${(err as NodeJS.ErrnoException).code} for ${dir}`,
      expected: 'the folder of a DICOM series',
      fix: 'check the path',
    });
  }
}

function imageOf(dataSet: DataSet | null, path: string) {
  if (!dataSet) return null;
  const text = (tag: string) => dataSet.string(tag)?.trim() ?? '';
  const numbers = (tag: string) =>
    text(tag)
      .split('\\')
      .map((n) => (n.trim() === '' ? Number.NaN : Number(n)));
  const [x, y, z] = numbers('x00200032');
  const orientation = numbers('x00200037');
  const [rows, columns] = [dataSet.uint16('x00280010'), dataSet.uint16('x00280011')];
  const [studyUid, seriesUid, frameOfReferenceUid] = [text('x0020000d'), text('x0020000e'), text('x00200052')];
  const placed = [x, y, z, ...orientation].every((n) => Number.isFinite(n)) && orientation.length === 6;
  if (!placed || !rows || !columns || !studyUid || !seriesUid || !frameOfReferenceUid) return null;
  const attributes: Partial<Record<CopiedKeyword, string>> = {};
  for (const [keyword, tag] of Object.entries(TAGS)) {
    const value = decoded(dataSet, `x${tag.toString(16).padStart(8, '0')}`, path);
    if (value !== '') attributes[keyword as CopiedKeyword] = value;
  }
  const series = { rows, columns, orientation, studyUid, seriesUid, frameOfReferenceUid, attributes };
  // Images of one series that lie otherwise (localizers, reformats) are another grid.
  const directions = orientation.map((v) => v.toFixed(4));
  return {
    key: [seriesUid, rows, columns, ...directions].join(' '),
    series,
    instance: {
      sopClassUid: text('x00080016'),
      sopInstanceUid: text('x00080018'),
      position: [x!, y!, z!] as const,
    },
  };
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
