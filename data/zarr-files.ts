// OME-Zarr in folders (Node only): a store that reads files and counts what it read, and writing that leaves a whole volume or
// none.

import { access, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { ZarrStore } from './ome-zarr.ts';
import { type OmeZarrOptions, omeZarrFiles } from './ome-zarr-write.ts';
import type { Volume } from './volume.ts';

/** Reads below `dir`. */
export function fileStore(dir: string): ZarrStore {
  const counts = { requests: 0, bytes: 0 };
  const counted = (bytes: Uint8Array): Uint8Array => {
    counts.requests++;
    counts.bytes += bytes.length;
    return bytes;
  };
  return {
    counts,
    async get(key) {
      try {
        return counted(new Uint8Array(await readFile(join(dir, key))));
      } catch (err) {
        return absent(err);
      }
    },
    async getRange(key, range) {
      let file: Awaited<ReturnType<typeof open>> | undefined;
      try {
        file = await open(join(dir, key));
        const { size } = await file.stat();
        const from = 'suffixLength' in range ? Math.max(0, size - range.suffixLength) : range.offset;
        const length = Math.min(size - from, 'suffixLength' in range ? range.suffixLength : range.length);
        const bytes = new Uint8Array(Math.max(0, length));
        await file.read(bytes, 0, bytes.length, from);
        return counted(bytes);
      } catch (err) {
        return absent(err);
      } finally {
        await file?.close();
      }
    },
    async put(key, content) {
      const path = join(dir, key);
      const draft = `${path}.${process.pid}.${threadId}.part`;
      try {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(draft, content);
        await rename(draft, path);
      } catch (err) {
        await rm(draft, { force: true }).catch(() => {});
        throw err;
      }
    },
  };
}

/** Whether the folder holds a Zarr group or array, of format 2 or 3. */
export async function isOmeZarr(dir: string): Promise<boolean> {
  for (const name of ['zarr.json', '.zattrs', '.zgroup'])
    if (
      await access(join(dir, name)).then(
        () => true,
        () => false,
      )
    )
      return true;
  return false;
}

/**
 * Writes DIR, usually NAME.ome.zarr, under another name and renames it when it is whole; what was there is replaced. Returns the
 * bytes written.
 *
 * @throws all of `omeZarrFiles`
 */
export async function writeOmeZarr(dir: string, volume: Volume, options: OmeZarrOptions = {}): Promise<number> {
  const draft = join(dirname(dir), `.${basename(dir)}.${process.pid}.part`);
  let bytes = 0;
  try {
    await rm(draft, { recursive: true, force: true });
    for await (const [path, content] of omeZarrFiles(volume, options)) {
      const file = join(draft, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      bytes += content.length;
    }
    await rm(dir, { recursive: true, force: true });
    await rename(draft, dir);
  } catch (err) {
    await rm(draft, { recursive: true, force: true });
    throw err;
  }
  return bytes;
}

function absent(err: unknown): undefined {
  const { code } = err as NodeJS.ErrnoException;
  if (code !== 'ENOENT' && code !== 'ENOTDIR') throw err;
  return undefined;
}
