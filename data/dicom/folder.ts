// DICOM on disk (Node only): what a folder holds, at any depth and under any names, and one series of it as a volume.

import type { Dirent } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DataError } from '../errors.ts';
import { chooseSeries, type SeriesVerdict, type SeriesWishes, type StudyChoice } from './choose.ts';
import { isDicom, parseDicom } from './file.ts';
import { type ScanSeries, seriesOf } from './series.ts';
import { type DicomSlice, dicomSlices } from './slice.ts';
import { type DicomVolume, type DicomVolumeOptions, seriesVolume } from './volume.ts';

export interface DicomListing {
  readonly series: readonly ScanSeries[];
  /** Files that are no DICOM image, and why. */
  readonly skipped: readonly { readonly file: string; readonly reason: string }[];
}

export interface ReadDicomOptions extends DicomVolumeOptions, SeriesWishes {
  /** Told what was chosen and why, and what was done. */
  readonly onNote?: (note: string) => void;
}

export interface ReadDicom extends DicomVolume {
  readonly series: ScanSeries;
  readonly choice: StudyChoice;
}

/** Files looked at side by side. */
const AT_ONCE = 16;
/** Headers are rarely longer; those that are cost a second read. */
const HEAD = 256 * 1024;

/** The series in a folder, at any depth. Only headers are read. @throws `dicom-package`, `file-missing` */
export async function listDicom(dir: string, signal?: AbortSignal): Promise<DicomListing> {
  return listFiles(await filesIn(dir), signal);
}

/** The first DICOM file below a folder, among the first `most` files of it; null where there is none. @throws `file-missing` */
export async function firstDicom(dir: string, most: number): Promise<string | null> {
  let left = most;
  for await (const file of walk(dir)) {
    if (left-- === 0) break;
    if (isDicom(await readHead(file, 132))) return file;
  }
  return null;
}

/**
 * One study's scan from a folder, or from a file: its frames, or the series in its folder that it belongs to.
 *
 * @throws `dicom-none`, `dicom-several-studies`, `dicom-no-series`, `dicom-not`, `file-missing`, and all of `seriesVolume`
 */
export async function readDicom(path: string, options: ReadDicomOptions = {}): Promise<ReadDicom> {
  const info = await stat(path).catch(() => null);
  if (!info) throw missing(path);
  if (info.isDirectory()) {
    const { series, skipped } = await listDicom(path, options.signal);
    return readChoice(onlyStudy(series, skipped, path, options), options);
  }
  const own = await dicomSlices(await readHead(path), path).catch((err) => wholeHead(path, err));
  if (own.length === 0) throw none(path, 'a file without an image');
  const frames = own.length > 1;
  const around = frames
    ? own
    : (await listFiles(await filesIn(dirname(path), false), options.signal)).series
        .filter((s) => s.seriesUid === own[0]!.seriesUid && s.slices.some((x) => x.file === path))
        .flatMap((s) => s.slices);
  const [choice] = chooseSeries(seriesOf(around), { minSlices: 1, ...options });
  return readChoice(choice!, options);
}

/** The volume of a choice. @throws `dicom-no-series`, and all of `seriesVolume` */
export async function readChoice(choice: StudyChoice, options: ReadDicomOptions = {}): Promise<ReadDicom> {
  const series = choice.chosen;
  if (!series) {
    throw new DataError('dicom-no-series', 'No series of the study can be taken.', {
      found: choice.verdicts.slice(0, 6).map(showVerdict).join('; '),
      expected: 'a CT series with its place in the patient',
      fix: 'choose one by its number or UID (series), or another study',
    });
  }
  for (const v of choice.verdicts) options.onNote?.(showVerdict(v));
  const made = await seriesVolume(series, async (file) => parseDicom(await whole(file), file), options);
  for (const note of made.notes) options.onNote?.(note);
  return { ...made, series, choice };
}

/** `series 3 "Abdomen venous": chosen (120 slices of 1.5 mm, …)` */
export const showVerdict = ({ series, decision, reasons }: SeriesVerdict): string =>
  `series ${series.number ?? series.id}${series.description ? ` "${series.description}"` : ''}: ${decision} (${reasons.join(', ')})`;

function onlyStudy(
  series: readonly ScanSeries[],
  skipped: DicomListing['skipped'],
  path: string,
  wishes: SeriesWishes,
): StudyChoice {
  const choices = chooseSeries(series, wishes);
  if (choices.length === 1) return choices[0]!;
  if (choices.length === 0)
    throw none(
      path,
      skipped[0] ? `${skipped.length} files, the first ${skipped[0].file}: ${skipped[0].reason}` : 'no file',
    );
  throw new DataError('dicom-several-studies', 'The folder holds several studies.', {
    found: `${choices.length} in ${path}: ${choices
      .slice(0, 3)
      .map((c) => c.studyUid)
      .join(', ')}`,
    expected: 'one study a folder',
    fix: 'name the folder of one, or prepare all of them: t3dc data prepare',
  });
}

async function listFiles(files: readonly string[], signal?: AbortSignal): Promise<DicomListing> {
  const slices: DicomSlice[] = [];
  const skipped: { file: string; reason: string }[] = [];
  for (let from = 0; from < files.length; from += AT_ONCE) {
    signal?.throwIfAborted();
    await Promise.all(
      files.slice(from, from + AT_ONCE).map(async (file) => {
        const found = await slicesIn(file);
        if (typeof found === 'string') skipped.push({ file, reason: found });
        else slices.push(...found);
      }),
    );
  }
  skipped.sort((a, b) => (a.file < b.file ? -1 : 1));
  return { series: seriesOf(slices), skipped };
}

/** Its slices, or why there are none. */
async function slicesIn(file: string): Promise<DicomSlice[] | string> {
  const head = await readHead(file);
  if (!isDicom(head)) return 'no DICOM file';
  try {
    const found = await dicomSlices(head, file).catch((err) => wholeHead(file, err));
    return found.length > 0 ? found : 'no image';
  } catch (err) {
    if (err instanceof DataError && err.code === 'dicom-damaged') return err.message.split('\n')[1]!.trim();
    throw err;
  }
}

/** A header that did not end within the bytes read: the whole file. */
async function wholeHead(file: string, err: unknown): Promise<DicomSlice[]> {
  if (!(err instanceof DataError && err.code === 'dicom-damaged') || (await stat(file)).size <= HEAD) throw err;
  return dicomSlices(await whole(file), file);
}

async function readHead(file: string, length = HEAD): Promise<Uint8Array> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    const bytes = new Uint8Array(length);
    const { bytesRead } = await handle.read(bytes, 0, length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle?.close();
  }
}

async function whole(file: string): Promise<Uint8Array> {
  const handle = await open(file);
  try {
    const bytes = await handle.readFile();
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  } finally {
    await handle.close();
  }
}

async function filesIn(dir: string, deep = true): Promise<string[]> {
  const out: string[] = [];
  for await (const file of walk(dir, deep)) out.push(file);
  return out;
}

/** Every file of a folder but hidden ones, in order of their paths. Links to files count, links to folders are not followed. */
async function* walk(dir: string, deep = true): AsyncGenerator<string> {
  let entries: Dirent[];
  try {
    entries = await readdir(dir, { withFileTypes: true });
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') throw missing(dir);
    throw err;
  }
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue;
    const path = join(dir, entry.name);
    const info = entry.isSymbolicLink() ? await stat(path).catch(() => null) : entry;
    if (info?.isDirectory()) {
      if (deep && !entry.isSymbolicLink()) yield* walk(path);
    } else if (info?.isFile()) yield path;
  }
}

function missing(path: string): DataError {
  return new DataError('file-missing', 'There is no such file.', {
    found: path,
    expected: 'a DICOM file or a folder of them',
    fix: 'check the path',
  });
}

function none(path: string, found: string): DataError {
  return new DataError('dicom-none', 'There are no DICOM images.', {
    found: `${found} in ${path}`,
    expected: 'DICOM images',
    fix: 'check the path',
  });
}
