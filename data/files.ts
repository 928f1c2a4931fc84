// Volumes on disk (Node only). A file is written under another name and renamed when it is whole, so that a reader never
// sees half of one and a crash leaves the old one.

import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DataError } from './errors.ts';
import { type ReadOptions, readNifti } from './nifti.ts';
import { writeNifti } from './nifti-write.ts';
import type { Volume } from './volume.ts';

/** Reads .nii or .nii.gz. @throws `file-missing`, and all of `readNifti`, the path named */
export async function readVolume(path: string, options: ReadOptions = {}): Promise<Volume> {
  return readNifti(await readBytes(path), { name: path, ...options });
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
