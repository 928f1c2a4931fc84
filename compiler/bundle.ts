// index.js and index.d.ts: the runtime, and the tasks where the model declares its data, bundled with the artifact and typed for
// its entries. nifti.js stands apart: a viewer has its volume already.
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { declarations, type EntrySignature, niftiDeclarations } from './declarations.ts';

const module = (path: string): string => JSON.stringify(fileURLToPath(new URL(`../${path}`, import.meta.url)));

const PLAIN = `
import { open as openArtifact } from ${module('runtime/index.ts')};
export * from ${module('runtime/index.ts')};
export const open = (options) => openArtifact(new URL('.', import.meta.url), options);
`;

const WITH_TASKS = `
import { open as openArtifact } from ${module('runtime/index.ts')};
import { segmentationTasks } from ${module('tasks/index.ts')};
export * from ${module('runtime/index.ts')};
export { DataError } from ${module('data/index.ts')};
export const open = async (options) => {
  const session = await openArtifact(new URL('.', import.meta.url), options);
  return Object.assign(session, { tasks: segmentationTasks(session) });
};
`;

const NIFTI = `export { DataError, readNifti, writeNifti } from ${module('data/index.ts')};`;

/** `tasks`: the model declares what its data look like, so that whole scans go in. */
export async function bundleRuntime(
  entries: readonly EntrySignature[],
  tasks: boolean,
): Promise<Map<string, Uint8Array>> {
  const text = new TextEncoder();
  const files = new Map([
    ['index.js', await bundle(tasks ? WITH_TASKS : PLAIN)],
    ['index.d.ts', text.encode(declarations(entries, tasks))],
  ]);
  if (tasks) {
    files.set('nifti.js', await bundle(NIFTI));
    files.set('nifti.d.ts', text.encode(niftiDeclarations()));
  }
  return files;
}

async function bundle(contents: string): Promise<Uint8Array> {
  const result = await esbuild.build({
    stdin: { contents, resolveDir: fileURLToPath(new URL('..', import.meta.url)), loader: 'js' },
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['browser', 'import'],
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    external: ['node:*', 'webgpu', 'worker_threads'],
    write: false,
    logLevel: 'silent',
  });
  return result.outputFiles[0]!.contents;
}
