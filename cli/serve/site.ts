// What `t3dc serve` puts behind paths: the page, the artifact's own files and no others of its folder, weights and an index.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { openArtifact } from '../../runtime/index.ts';
import type { PageConfig, SearchConfig, ServedFile } from '../../viewer/demo/config.ts';
import { checkMadeWith, pathOf, readIndex } from '../retrieval-index.ts';
import { version } from '../version.ts';
import { pageFiles } from './bundle.ts';
import type { Served } from './server.ts';

export interface SiteRequest {
  readonly artifact: string;
  readonly weights: string | undefined;
  /** Studies to be searched, as t3dc embed wrote them. */
  readonly index: string | undefined;
}

export interface Site {
  readonly files: ReadonlyMap<string, Served>;
  readonly config: PageConfig;
}

/** @throws T3dcError `bad-artifact`; CliError `no-page`, `bad-index`, `index-artifact`, `index-weights`, `index-tokenizer` */
export async function siteOf({ artifact, weights, index }: SiteRequest): Promise<Site> {
  const files = new Map<string, Served>();
  for (const [name, bytes] of await pageFiles()) files.set(`/${name}`, bytes);
  const at = await addArtifact(files, artifact, 'model');
  const config: PageConfig = {
    artifact: at,
    artifactName: basename(resolve(artifact)),
    weights: weights === undefined ? null : await addFile(files, weights, 'weights.safetensors'),
    search: index === undefined ? null : await addSearch(files, index),
    version: version(),
  };
  files.set('/config.json', new TextEncoder().encode(JSON.stringify(config)));
  return { files, config };
}

/** The manifest and the files that it names. A folder may hold others, which are nobody's business. */
async function addArtifact(files: Map<string, Served>, path: string, name: string): Promise<string> {
  const { manifest } = await openArtifact(path);
  if (!(await stat(path)).isDirectory()) {
    files.set(`/${name}.t3dc`, { file: path });
    return `${name}.t3dc`;
  }
  for (const file of ['manifest.json', ...Object.keys(manifest.files)])
    files.set(`/${name}/${file}`, { file: join(path, file) });
  return name;
}

async function addFile(files: Map<string, Served>, path: string, url: string): Promise<ServedFile> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const part of createReadStream(path)) {
    hash.update(part as Uint8Array);
    bytes += (part as Uint8Array).length;
  }
  files.set(`/${url}`, { file: path });
  return { url, name: basename(path), sha256: hash.digest('hex'), bytes };
}

/** An index with the artifact, weights and tokenizer that it was made with, each checked. */
async function addSearch(files: Map<string, Served>, path: string): Promise<SearchConfig> {
  const index = await readIndex(path);
  const artifact = pathOf(path, index.artifact);
  const { manifest } = await openArtifact(artifact);
  checkMadeWith('artifact', index.artifact, { path: artifact, hash: manifest.graphHash });
  const at = await addArtifact(files, artifact, 'search/model');
  const made = async (kind: 'weights' | 'tokenizer', url: string): Promise<ServedFile> => {
    const file = await addFile(files, pathOf(path, index[kind]), url);
    checkMadeWith(kind, index[kind], { path: pathOf(path, index[kind]), hash: file.sha256 });
    return file;
  };
  const weights = await made('weights', 'search/weights.safetensors');
  const tokenizer = await made('tokenizer', 'search/tokenizer.json');
  // A vocabulary's settings lie beside it, where it has any.
  const beside = join(dirname(pathOf(path, index.tokenizer)), 'tokenizer_config.json');
  if (await stat(beside).catch(() => null)) files.set('/search/tokenizer_config.json', { file: beside });
  else files.set('/search/tokenizer_config.json', new TextEncoder().encode('{}'));
  return { artifact: at, weights, tokenizer, index: await addFile(files, path, 'search/index.safetensors') };
}
