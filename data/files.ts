// Volumes on disk (Node only): NIfTI, DICOM, OME-Zarr. A file is written under another name and renamed when it is whole, so that a reader never
// sees half of one and a crash leaves the old one.

import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isDicom } from './dicom/file.ts';
import { type ReadDicomOptions, readDicom } from './dicom/folder.ts';
import { DataError } from './errors.ts';
import { type ReadOptions, readNifti } from './nifti.ts';
import { writeNifti } from './nifti-write.ts';
import { openOmeZarr } from './ome-zarr.ts';
import type { Volume } from './volume.ts';
import { fileStore, isOmeZarr } from './zarr-files.ts';

export interface ReadVolumeOptions extends ReadOptions {
  /** Which series of a DICOM study, and what becomes of uneven slices and a tilted gantry. */
  readonly dicom?: ReadDicomOptions;
}

/**
 * Reads .nii or .nii.gz; a folder of DICOM files at any depth, or one DICOM file (its frames, or the series around it); a folder
 * that `writeOmeZarr` or another writer of OME-Zarr made.
 *
 * @throws `file-missing`, and all of `readNifti`, `readDicom` and `openOmeZarr`, the path named
 */
export async function readVolume(path: string, options: ReadVolumeOptions = {}): Promise<Volume> {
  if (await isFolder(path)) {
    if (await isOmeZarr(path)) return (await openOmeZarr(fileStore(path), path)).read();
    return (await readDicom(path, options.dicom)).volume;
  }
  const bytes = await readBytes(path);
  if (isDicom(bytes)) return (await readDicom(path, options.dicom)).volume;
  return readNifti(bytes, { name: path, ...options });
}

/** Writes .nii or, where the name ends in .gz, .nii.gz. @throws `file-name`, and all of `writeNifti` */
export async function writeVolume(path: string, volume: Volume): Promise<void> {
  if (!/\.nii(\.gz)?$/.test(path)) {
    throw new DataError('file-name', 'This name does not say which format to write.', {
      found: path,
      expected: 'a name ending in .nii or .nii.gz',
      fix: 'add .nii.gz',
    });
  }
  await writeFileAtomic(path, writeNifti(volume, { gzip: path.endsWith('.gz') }));
}

/** @throws `file-missing`, `file-json` */
export async function readJson(path: string): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(path));
  try {
    return JSON.parse(text);
  } catch (err) {
    throw new DataError('file-json', 'This file is no JSON.', {
      found: `${path}: ${(err as Error).message}`,
      expected: 'valid JSON',
      fix: 'take the file anew from where it came',
    });
  }
}

/** @throws `file-missing` */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (err) {
    const code = (err as NodeJS.ErrnoException).code;
    if (code !== 'ENOENT' && code !== 'EISDIR' && code !== 'ENOTDIR') throw err;
    throw new DataError('file-missing', 'There is no such file.', {
      found: `${code} for ${path}`,
      expected: 'a readable file',
      fix: 'check the path',
    });
  }
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );

let serial = 0;

/** Writes bytes or text so that `path` holds either its old content or all of the new. Makes missing folders. */
export function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  return writeAtomically(path, (file) => file.writeFile(content));
}

/** The same for content that comes piece by piece: `path` has its new content once `write` is done. */
export async function writeAtomically(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}.${serial++}.part`);
  try {
    const file = await open(draft, 'w');
    try {
      await write(file);
      await file.sync(); // the name must not be there before the bytes are
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (err) {
    await rm(draft, { force: true });
    throw err;
  }
}
