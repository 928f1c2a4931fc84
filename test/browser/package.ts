// The package as it is published: packed, checked by publint and attw, installed into a fresh project, run by Node, and
// bundled by esbuild and by Vite into pages that segment a scan in Chromium. The labels are the same everywhere.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as esbuild from 'esbuild';
import { type Browser, chromium } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { open } from '../../viewer/open.ts';
import { curveArtifact } from '../curves.ts';
import { findChromium } from '../machine.mjs';
import { serve } from './serve.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);
const npm = (args: readonly string[], cwd: string) =>
  run('npm', [...args], {
    cwd,
    maxBuffer: 2 ** 26,
    timeout: 400_000,
    env: { ...process.env, npm_config_audit: 'false' },
  });

/** What every program below segments. */
const SCAN = `const dims = [44, 36, 40];
const data = Int16Array.from({ length: 44 * 36 * 40 }, (_, i) => ((Math.imul(i, 2654435761) >>> 9) % 1200) - 600);
const scan = { data, dims, affine: [-4, 0, 0, 10, 0, 0, 5, -20, 0, -5, 0, 30, 0, 0, 0, 1] };`;
const PAGE = `import { openInWorker } from 't3dc';
${SCAN}
const session = await openInWorker('/artifact', { device: 'wasm', seed: 3, onProgress: (p) => { document.title = p.stage; } });
const { labels, millilitres } = await session.tasks.segment(scan);
const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', labels.data));
await session.close();
document.body.dataset.digest = [...digest].map((b) => b.toString(16).padStart(2, '0')).join('');
document.body.textContent = millilitres.join(' ');
`;
const NODE = `import { createHash } from 'node:crypto';
import { open, openInWorker } from 't3dc';
import { readNifti, writeNifti } from 't3dc/nifti';
${SCAN}
const digests = [];
for (const start of [open, openInWorker]) {
  const session = await start(process.argv[2], { device: 'wasm', threads: 1, seed: 3 });
  const { labels } = await session.tasks.segment(readNifti(writeNifti(scan, { gzip: false })));
  digests.push(createHash('sha256').update(labels.data).digest('hex'));
  await session.close();
}
console.log(JSON.stringify(digests));
`;
const COMPILE = `import { build, zipArtifact } from 't3dc/compiler';
import { f32, linear, model, scope } from 't3dc/dsl';
const built = await build(model({
  name: 'one-layer', settings: {},
  build: () => ({ entries: { scores: { inputs: { x: f32({ b: 2, c: 3 }) }, run: ({ x }) => ({ scores: scope('layer', () => linear(x, 4)) }) } } }),
}));
console.log(zipArtifact(built).length);
`;

const test = suite('the package', {
  dir: '',
  tarball: '',
  project: '',
  artifact: '',
  labels: '',
  browser: null as Browser | null,
});

test.before(async (c) => {
  c.dir = await mkdtemp(join(tmpdir(), 't3dc-package-'));
  c.artifact = await curveArtifact();
  const session = await open(c.artifact, { device: 'wasm', threads: 1, seed: 3 });
  const scan = new Function(`${SCAN} return scan;`)();
  const { labels } = await session.tasks.segment(scan);
  c.labels = createHash('sha256').update(labels.data).digest('hex');
  await session.close();
  await npm(['run', 'build'], root);
  await npm(['pack', '--ignore-scripts', '--pack-destination', c.dir], root);
  c.tarball = join(c.dir, (await readdir(c.dir)).find((f) => f.endsWith('.tgz'))!);
  c.project = join(c.dir, 'project');
  await mkdir(c.project);
  await writeFile(join(c.project, 'package.json'), JSON.stringify({ name: 'fresh', private: true, type: 'module' }));
  await install(c.project, c.tarball);
  const chrome = findChromium();
  assert.ok(chrome.ok, chrome.what);
  c.browser = await chromium.launch({ executablePath: chrome.what, args: ['--no-sandbox'] });
});

test.after(async (c) => {
  await c.browser?.close();
  await rm(c.dir, { recursive: true, force: true });
  await rm(dirname(c.artifact), { recursive: true, force: true });
});

/** By npm, without any script. Where the registry cannot be reached, the tarball is unpacked beside this project's own packages. */
async function install(project: string, tarball: string): Promise<void> {
  try {
    await npm(['install', '--ignore-scripts', '--prefer-offline', '--no-fund', tarball], project);
  } catch (e) {
    const text = String((e as { stderr?: string }).stderr ?? e);
    if (!/ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|network/.test(text)) throw e;
    console.log('\nthe registry cannot be reached: the packed files are unpacked, and their packages linked');
    await rm(join(project, 'node_modules'), { recursive: true, force: true });
    await mkdir(join(project, 'node_modules'));
    await run('tar', ['-xzf', tarball, '-C', join(project, 'node_modules')]);
    await run('mv', [join(project, 'node_modules/package'), join(project, 'node_modules/t3dc')]);
    for (const name of await readdir(join(root, 'node_modules')))
      if (!name.startsWith('.')) await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name));
  }
}

test('publint has nothing to say', async (c) => {
  const { publint } = await import('publint');
  const { formatMessage } = await import('publint/utils');
  const pkg = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const { messages } = await publint({ pkgDir: join(c.project, 'node_modules/t3dc'), pack: false, strict: true });
  assert.equal(
    messages.map((m) => formatMessage(m, pkg)),
    [],
  );
});

test('attw: every door has its types, for Node and for bundlers', async (c) => {
  const tool = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
  const args = [tool, c.tarball, '--profile', 'esm-only', '--no-color', '--no-emoji', '--format', 'ascii'];
  const found = await run(process.execPath, args, { cwd: c.dir }).catch((e) => e);
  assert.not.ok(found instanceof Error, `${found.stdout}${found.stderr}`);
  assert.match(found.stdout, /"t3dc\/ohif"/, 'it has looked at every door');
});

test('what is installed: a type checker knows the API, and Node runs it, here and in a worker', async (c) => {
  await writeFile(join(c.project, 'node.js'), NODE);
  const { stdout } = await run(process.execPath, ['--experimental-wasm-relaxed-simd', 'node.js', c.artifact], {
    cwd: c.project,
  });
  assert.equal(JSON.parse(stdout), [c.labels, c.labels]);
});

test('the compiler and its language, in plain JavaScript on Node; the command line', async (c) => {
  await writeFile(join(c.project, 'compile.js'), COMPILE);
  const { stdout } = await run(process.execPath, ['compile.js'], { cwd: c.project });
  assert.ok(Number(stdout) > 1000, stdout);
  const tool = join(c.project, 'node_modules/t3dc/bin/t3dc.mjs');
  const { stdout: inspected } = await run(process.execPath, [tool, 'inspect', c.artifact], { cwd: c.project });
  assert.match(inspected, /cli-unet/);
});

test('esbuild: the bundle with worker.js beside it; nothing of the compiler, no bare import', async (c) => {
  await writeFile(join(c.project, 'page.js'), PAGE);
  const out = join(c.project, 'esbuild');
  const { metafile } = await esbuild.build({
    absWorkingDir: c.project,
    entryPoints: ['page.js'],
    bundle: true,
    minify: true,
    format: 'esm',
    outdir: out,
    metafile: true,
    logLevel: 'silent',
  });
  const inputs = Object.keys(metafile.inputs);
  assert.equal(
    inputs.filter((f) => !/^page\.js$|t3dc\/dist\/(index|shared)/.test(f)),
    [],
  );
  const imports = Object.values(metafile.outputs).flatMap((o) => o.imports.filter((i) => i.external));
  assert.equal(imports, []);
  await cp(join(c.project, 'node_modules/t3dc/dist/worker.js'), join(out, 'worker.js'));
  await writeFile(join(out, 'index.html'), html('./page.js'));
  assert.is(await digestOf(c.browser!, out, c.artifact), c.labels);
});

test('Vite: found, bundled and run as it is', async (c) => {
  const { build } = await import('vite');
  const site = join(c.project, 'vite');
  await mkdir(site);
  await writeFile(join(site, 'index.html'), html('./page.js'));
  await writeFile(join(site, 'page.js'), PAGE);
  const warnings: string[] = [];
  const quiet = () => {};
  await build({
    root: site,
    configFile: false,
    build: { outDir: join(site, 'dist'), target: 'es2022' },
    customLogger: {
      info: quiet,
      warn: (m) => void warnings.push(m),
      warnOnce: (m) => void warnings.push(m),
      error: (m) => void warnings.push(m),
      clearScreen: quiet,
      hasErrorLogged: () => false,
      hasWarned: false,
    },
  });
  // How long plugins took on a busy machine is no fault of what they read.
  assert.equal(
    warnings.filter((w) => !w.includes('PLUGIN_TIMINGS')),
    [],
  );
  assert.is(await digestOf(c.browser!, join(site, 'dist'), c.artifact), c.labels);
});

const html = (script: string): string =>
  `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>t3dc</title><body><script type="module" src="${script}"></script>`;

/** Opens a site, the artifact beside its files, and waits for its labels. */
async function digestOf(browser: Browser, site: string, artifact: string): Promise<string> {
  await cp(artifact, join(site, 'artifact'), { recursive: true });
  const server = await serve(site, {});
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (e) => errors.push(String(e)));
  try {
    await page.goto(`${server.url}/index.html`);
    const done = page.waitForFunction(() => document.body.dataset.digest, undefined, { timeout: 120_000 });
    const found = await Promise.race([
      done.then((h) => h.jsonValue()),
      new Promise<string>((_, fail) => page.on('pageerror', (e) => fail(e))),
    ]);
    assert.equal(errors, []);
    return String(found);
  } finally {
    await page.close();
    await server.close();
  }
}

test.run();
