// An opened artifact: its manifest, checked, and its other files, each verified against its SHA-256 when it is used.
import { bytes, messageOf, T3dcError } from './errors.ts';
import { FORMAT, type Manifest } from './manifest.ts';
import { type PackedManifest, unpackManifest } from './manifest-pack.ts';
import { sha256 } from './sha256.ts';
import { type ArtifactSource, checkIntegrity, openSource, type ReadOptions } from './source.ts';

export interface Artifact {
  readonly name: string;
  readonly manifest: Manifest;
  /** A file's verified bytes. Throws T3dcError 'bad-artifact'. */
  file(path: string): Promise<Uint8Array>;
  text(path: string): Promise<string>;
}

/** `integrity`: SHA-256 of the .t3dc file, or of a folder's manifest.json. Throws T3dcError 'bad-artifact' when the artifact is
 *  unreadable, incomplete or of another format. */
export async function openArtifact(from: ArtifactSource, options?: ReadOptions): Promise<Artifact> {
  const source = await openSource(from, options);
  const integrity = source.whole ? undefined : options?.integrity;
  const text = await source.read('manifest.json', integrity);
  await checkIntegrity(`${source.name}: manifest.json`, text, integrity, 'bad-artifact');
  const manifest = parse(source.name, text);
  const file = async (path: string): Promise<Uint8Array> => {
    const entry = manifest.files[path];
    if (!entry)
      throw new T3dcError('bad-artifact', `${source.name}: manifest.json lists no file ${path}`, {
        hint: 'Build the artifact again.',
      });
    const found = await source.read(path, entry.sha256);
    if (found.byteLength !== entry.bytes)
      throw new T3dcError('bad-artifact', `${source.name}: ${path} has the wrong size`, {
        found: bytes(found.byteLength),
        expected: bytes(entry.bytes),
        hint: 'The file is truncated or altered; fetch or build the artifact again.',
      });
    const digest = await sha256(found);
    if (digest !== entry.sha256)
      throw new T3dcError('bad-artifact', `${source.name}: ${path} is not the file that was built`, {
        found: `SHA-256 ${digest}`,
        expected: entry.sha256,
        hint: 'The file was altered; fetch or build the artifact again.',
      });
    return found;
  };
  return { name: source.name, manifest, file, text: async (path) => new TextDecoder().decode(await file(path)) };
}

function parse(name: string, data: Uint8Array): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  } catch (e) {
    throw new T3dcError('bad-artifact', `${name}: manifest.json is not JSON: ${messageOf(e)}`, {
      hint: 'The file is truncated or altered; build the artifact again.',
      cause: e,
    });
  }
  const m = json as Partial<PackedManifest> | null;
  if (typeof m !== 'object' || m === null || m.format !== FORMAT)
    throw new T3dcError('bad-artifact', `${name}: this runtime does not read this artifact format`, {
      found: `format ${(m as { format?: unknown } | null)?.format}`,
      expected: `format ${FORMAT}`,
      hint: 'Build the artifact with the t3dc version of this runtime.',
    });
  for (const key of ['model', 'entries', 'wasm', 'requires', 'files'] as const)
    if (typeof m[key] !== 'object' || m[key] === null) throw incomplete(name, key);
  for (const key of ['strings', 'parameters', 'arenas', 'kernels', 'dispatches'] as const)
    if (!Array.isArray(m[key])) throw incomplete(name, key);
  try {
    return unpackManifest(m as PackedManifest);
  } catch (e) {
    throw new T3dcError('bad-artifact', `${name}: manifest.json is damaged: ${messageOf(e)}`, {
      hint: 'Build the artifact again.',
      cause: e,
    });
  }
}

const incomplete = (name: string, key: string): T3dcError =>
  new T3dcError('bad-artifact', `${name}: manifest.json has no valid "${key}"`, { hint: 'Build the artifact again.' });
