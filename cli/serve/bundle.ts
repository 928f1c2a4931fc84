// The demonstration page as files: bundled from viewer/demo by esbuild where NiiVue is installed (a checkout), else as the
// published package has it in dist/page.

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { CliError } from '../errors.ts';

/** Files by name: index.html, main.js and what it loads. */
export type PageFiles = ReadonlyMap<string, Uint8Array>;

const root = fileURLToPath(new URL('../../', import.meta.url));
const source = join(root, 'viewer/demo');
const built = join(root, 'dist/page');
/** Loaded when the first scan is shown, and the one part that is not ours. */
const NIIVUE = 'niivue.js';
const APART: readonly string[] = [NIIVUE, 'worker.js'];

/** @throws CliError `no-page` */
export async function pageFiles(): Promise<PageFiles> {
  if (niivuePath() !== null) return bundlePage();
  if (!existsSync(join(built, 'index.html')))
    throw new CliError('no-page', 'the demonstration page is not there', {
      found: 'neither @niivue/niivue nor dist/page',
      expected: 'a checkout with its development packages, or the published package',
      hint: 'In a checkout: npm install.',
    });
  const names = await readdir(built);
  return new Map(await Promise.all(names.map(async (n) => [n, await readFile(join(built, n))] as const)));
}

/** dist/page, for the published package: who installs that need not install NiiVue. */
export async function buildPage(): Promise<PageFiles> {
  const files = await bundlePage();
  await rm(built, { recursive: true, force: true });
  await mkdir(built, { recursive: true });
  for (const [name, bytes] of files) await writeFile(join(built, name), bytes);
  return files;
}

/** Bytes of the page's own scripts: all but NiiVue and the package's worker, which has a budget of its own. */
export const ownScripts = (files: PageFiles): number =>
  [...files].reduce((n, [name, bytes]) => n + (name.endsWith('.js') && !APART.includes(name) ? bytes.length : 0), 0);

async function bundlePage(): Promise<PageFiles> {
  const page = await esbuild.build({
    ...COMMON,
    entryPoints: { main: join(source, 'main.ts'), style: join(source, 'style.css') },
    splitting: true,
    chunkNames: '[name]-[hash]',
  });
  // Workers are files of their own that import nothing.
  const workers = await esbuild.build({
    ...COMMON,
    entryPoints: { worker: join(root, 'viewer/worker.ts'), 'files-worker': join(source, 'files-worker.ts') },
  });
  const niivue = await esbuild.build({ ...COMMON, plugins: [], entryPoints: { niivue: niivuePath()! } });
  const outputs = [page, workers, niivue].flatMap((b) => b.outputFiles);
  return new Map([
    ['index.html', await readFile(join(source, 'index.html'))],
    ['icon.svg', await readFile(join(source, 'icon.svg'))],
    ...outputs.map((f) => [f.path.slice(root.length), f.contents] as const),
  ]);
}

const forPages: esbuild.Plugin = {
  name: 'for pages',
  setup(build) {
    build.onResolve({ filter: /^@niivue\/niivue$/ }, () => ({ path: `./${NIIVUE}`, external: true }));
    // Packages that Node looks for when a file asks for them: a page has them with it, or not.
    build.onResolve({ filter: /\/optional\.ts$/ }, () => ({ path: join(source, 'dicom-packages.ts') }));
    build.onResolve({ filter: /^node:/ }, () => ({ path: 'absent', namespace: 'absent', sideEffects: false }));
    build.onLoad({ filter: /.*/, namespace: 'absent' }, () => ({ contents: 'export {}' }));
  },
};

const COMMON = {
  bundle: true,
  write: false,
  format: 'esm',
  target: 'es2022',
  platform: 'browser',
  absWorkingDir: root,
  outdir: root,
  minify: true,
  legalComments: 'inline',
  logLevel: 'warning',
  plugins: [forPages],
} as const satisfies esbuild.BuildOptions;

function niivuePath(): string | null {
  try {
    return fileURLToPath(import.meta.resolve('@niivue/niivue'));
  } catch {
    return null;
  }
}
