// Where an artifact's files come from: a folder (a path on Node, a URL anywhere), one .t3dc zip, or bytes by name.
import { unzipSync } from 'fflate';
import { isNode } from './environment.ts';
import { messageOf, T3dcError } from './errors.ts';

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
  /** Bytes of a file by its path relative to the artifact's root. Throws T3dcError 'bad-artifact' when it is absent. */
  read(path: string): Promise<Uint8Array>;
}

export async function openSource(from: ArtifactSource): Promise<Source> {
  if (from instanceof ArrayBuffer) return zipSource(new Uint8Array(from), 'artifact');
  if (from instanceof Uint8Array) return zipSource(from, 'artifact');
  if (typeof from === 'string' || from instanceof URL) {
    const where = String(from);
    const isZip = new URL(where, 'file:///').pathname.endsWith('.t3dc');
    if (isZip) return zipSource(await readLocation(from, 'bad-artifact'), where);
    return {
      name: where,
      read: (path) =>
        readLocation(typeof from === 'string' && !isUrl(from) ? `${from}/${path}` : child(from, path), 'bad-artifact'),
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
): Promise<Uint8Array> {
  const text = String(location);
  const local = isNode && (text.startsWith('file:') || !isUrl(text));
  try {
    if (local) {
      const { readFile } = await import('node:fs/promises');
      return await readFile(text.startsWith('file:') ? new URL(text) : text);
    }
    const response = await fetch(text);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (e) {
    throw new T3dcError(code, `cannot read ${text}: ${messageOf(e)}`, {
      hint: code === 'bad-artifact' ? 'Give the folder or the .t3dc file that `t3dc build` wrote.' : 'Check the path.',
      cause: e,
    });
  }
}

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
