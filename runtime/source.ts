// Where an artifact's files come from: a folder (a path on Node, a URL anywhere), one .t3dc zip, or bytes by name.
import { unzipSync } from 'fflate';
import { type DownloadOptions, download } from './download.ts';
import { isNode } from './environment.ts';
import { messageOf, T3dcError } from './errors.ts';
import { sha256 } from './sha256.ts';

/** A folder's path or URL; a .t3dc file's path, URL or bytes; or the files' bytes by relative path. */
export type ArtifactSource =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | ReadonlyMap<string, Uint8Array>
  | Readonly<Record<string, Uint8Array>>;

export interface Source {
  /** For messages. */
  readonly name: string;
  /** One file, whose SHA-256 is that of all in it. */
  readonly whole?: true;
  /** Bytes of a file by its path relative to the artifact's root, and its SHA-256 where it is known. Throws T3dcError
   *  'bad-artifact' when it is absent. */
  read(path: string, sha256?: string): Promise<Uint8Array>;
}

export interface ReadOptions extends DownloadOptions {
  /** SHA-256 of the .t3dc file. */
  readonly integrity?: string;
  readonly onBytes?: (done: number, total: number) => void;
}

export const NO_CACHE: DownloadOptions = { cache: false, onNotice: () => {} };

export async function openSource(from: ArtifactSource, options: ReadOptions = NO_CACHE): Promise<Source> {
  if (from instanceof ArrayBuffer || from instanceof Uint8Array) {
    const zip = from instanceof ArrayBuffer ? new Uint8Array(from) : from;
    await checkIntegrity('artifact', zip, options.integrity, 'bad-artifact');
    return zipSource(zip, 'artifact');
  }
  if (typeof from === 'string' || from instanceof URL) {
    const where = String(from);
    const isZip = new URL(where, 'file:///').pathname.endsWith('.t3dc');
    if (isZip) {
      const zip = await readLocation(from, 'bad-artifact', { ...options, sha256: options.integrity });
      await checkIntegrity(where, zip, options.integrity, 'bad-artifact');
      return zipSource(zip, where);
    }
    return {
      name: where,
      read: (path, sha256) =>
        readLocation(typeof from === 'string' && !isUrl(from) ? `${from}/${path}` : child(from, path), 'bad-artifact', {
          ...options,
          // Kernels are many and small: they count as compiling.
          onBytes: path.endsWith('.wasm') ? options.onBytes : undefined,
          sha256,
        }),
    };
  }
  const files = from instanceof Map ? (from as ReadonlyMap<string, Uint8Array>) : new Map(Object.entries(from));
  return {
    name: 'artifact',
    async read(path) {
      const found = files.get(path);
      if (!found) throw absent('artifact', path);
      return found;
    },
  };
}

/** Bytes at a path or URL. A plain string is a path on Node and a URL relative to the page in a browser. */
export async function readLocation(
  location: string | URL,
  code: 'bad-artifact' | 'bad-checkpoint',
  options: Parameters<typeof download>[1] = NO_CACHE,
): Promise<Uint8Array> {
  const text = String(location);
  const local = isNode && (text.startsWith('file:') || !isUrl(text));
  try {
    if (local) {
      const { readFile } = await import('node:fs/promises');
      return await readFile(text.startsWith('file:') ? new URL(text) : text);
    }
    return await download(absolute(text), options);
  } catch (e) {
    if (e instanceof T3dcError) throw e;
    throw new T3dcError(code, `cannot read ${text}: ${messageOf(e)}`, {
      hint: code === 'bad-artifact' ? 'Give the folder or the .t3dc file that `t3dc build` wrote.' : 'Check the path.',
      cause: e,
    });
  }
}

/** A SHA-256 as it is compared. Throws T3dcError 'bad-option'. */
export function checkDigest(integrity: string | undefined): string | undefined {
  if (integrity === undefined || /^[0-9a-f]{64}$/i.test(integrity)) return integrity?.toLowerCase();
  throw new T3dcError('bad-option', 'integrity is no SHA-256', { found: integrity, expected: '64 hexadecimal digits' });
}

/** Throws T3dcError where a file is not the one of this SHA-256. */
export async function checkIntegrity(
  name: string,
  data: Uint8Array,
  expected: string | undefined,
  code: 'bad-artifact' | 'bad-checkpoint',
): Promise<void> {
  const found = expected === undefined ? undefined : await sha256(data);
  if (found !== expected)
    throw new T3dcError(code, `${name} is not the file that was expected`, {
      found: `SHA-256 ${found}`,
      expected,
      hint: 'The file was altered or replaced: fetch it again, or give its present SHA-256 as `integrity`.',
    });
}

const absolute = (url: string): string => (typeof location === 'undefined' ? url : new URL(url, location.href).href);

const isUrl = (s: string | URL): boolean =>
  s instanceof URL || /^[a-z][a-z0-9+.-]+:\/\//i.test(s) || s.startsWith('blob:');

function child(base: string | URL, path: string): URL {
  const url = new URL(String(base), typeof location === 'undefined' ? undefined : location.href);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return new URL(path, url);
}

function zipSource(archive: Uint8Array, name: string): Source {
  const extract = (wanted: (path: string) => boolean): Record<string, Uint8Array> => {
    try {
      return unzipSync(archive, { filter: (file) => wanted(file.name) });
    } catch (e) {
      throw new T3dcError('bad-artifact', `${name} is not a readable .t3dc file: ${messageOf(e)}`, {
        hint: 'The file is truncated or altered; fetch or build it again.',
        cause: e,
      });
    }
  };
  const names: string[] = [];
  extract((path) => {
    names.push(path);
    return false;
  });
  // `zip -r` of a folder leaves the folder's name in front.
  const manifest = names
    .filter((n) => n === 'manifest.json' || n.endsWith('/manifest.json'))
    .sort((a, b) => a.length - b.length)[0];
  const root = manifest ? manifest.slice(0, -'manifest.json'.length) : '';
  return {
    name,
    whole: true,
    async read(path) {
      const found = extract((n) => n === root + path)[root + path];
      if (!found) throw absent(name, path);
      return found;
    },
  };
}

const absent = (name: string, path: string): T3dcError =>
  new T3dcError('bad-artifact', `${name} holds no file ${path}`, {
    hint: 'The artifact is incomplete; build or copy it again.',
  });
