// The small programs of viewer/examples, as someone who copies them has them: the package in node_modules or beside the page, the
// artifact and its weights where they say. All three find the same volumes.
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readNifti, writeNifti } from '../../data/index.ts';
import { phantom } from '../../data/phantom.ts';
import { open } from '../../viewer/open.ts';
import { curveArtifact } from '../curves.ts';
import { findChromium } from '../machine.mjs';
import { serve } from './serve.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const examples = join(root, 'viewer/examples');

const test = suite('the examples', {
  dir: '',
  dist: '',
  scan: '',
  expected: [] as string[],
  browser: null as Browser | null,
});

test.before(async (c) => {
  const artifact = await curveArtifact();
  c.dir = dirname(artifact);
  c.scan = join(c.dir, 'scan.nii.gz');
  const { image } = phantom({ seed: 3, index: 0, size: [48, 44, 40], spacing: [5, 5, 5], classes: 'organs' });
  await writeFile(c.scan, writeNifti(image));
  const session = await open(artifact, { device: 'wasm', threads: 1, seed: 3 });
  await writeFile(join(c.dir, 'weights.safetensors'), await session.weights());
  const { classNames, millilitres } = await session.tasks.segment(readNifti(await readFile(c.scan)));
  c.expected = classNames.map((name, i) => `${name}: ${millilitres[i]!.toFixed(1)} mL`);
  await session.close();
  // The package as npm would unpack it.
  const { buildScripts } = await import('../../scripts/build-package.ts');
  const installed = join(c.dir, 'node_modules/t3dc');
  c.dist = join(installed, 'dist');
  await buildScripts(c.dist);
  await cp(join(root, 'package.json'), join(installed, 'package.json'));
  for (const name of ['@niivue', 'fflate', 'nifti-reader-js', '@huggingface', 'zarrita', 'csv-parse'])
    await symlink(join(root, 'node_modules', name), join(c.dir, 'node_modules', name));
  await writeFile(join(c.dir, 'package.json'), '{"type":"module"}');
  const chrome = findChromium();
  assert.ok(chrome.ok, chrome.what);
  c.browser = await chromium.launch({
    executablePath: chrome.what,
    timeout: 120_000,
    args: ['--headless=new', '--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  });
});

test.after(async (c) => {
  await c.browser?.close();
  await rm(c.dir, { recursive: true, force: true });
});

/** Copies an example into the project. */
async function copied(c: { readonly dir: string }, name: string): Promise<string> {
  const to = join(c.dir, name);
  await cp(join(examples, name), to, { recursive: true });
  return to;
}

/** What a page tells of the scan once it was chosen, line by line. */
async function told(c: { browser: Browser | null; scan: string }, site: string, place: string): Promise<string[]> {
  const server = await serve(site, {});
  const page = await c.browser!.newPage();
  const errors: string[] = [];
  page.on('pageerror', (e) => errors.push(String(e)));
  try {
    await page.goto(`${server.url}/index.html`);
    await page.waitForSelector('body[data-ready]', { timeout: 120_000 });
    await page.setInputFiles('#scan', c.scan);
    await page.waitForFunction((at) => / mL/.test(document.querySelector(at)?.textContent ?? ''), place, {
      timeout: 120_000,
    });
    const text = await page.textContent(place);
    assert.equal(errors, []);
    return [...text!.matchAll(/\w+: [\d.]+ mL/g)].map(([line]) => line);
  } finally {
    await page.close();
    await server.close();
  }
}

test('each is under 40 lines', async () => {
  for (const file of ['plain/index.html', 'plain/main.js', 'vite/index.html', 'vite/main.js', 'node/segment.js']) {
    const lines = (await readFile(join(examples, file), 'utf8')).trimEnd().split('\n').length;
    assert.ok(lines < 40, `${file} has ${lines}`);
  }
});

test('on Node', async (c) => {
  const at = await copied(c, 'node');
  const out = join(c.dir, 'labels.nii.gz');
  const words = ['segment.js', '../artifact', '../weights.safetensors', c.scan, out];
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: at, timeout: 120_000 });
  assert.equal(stdout.trim().split('\n'), c.expected);
  assert.equal(readNifti(await readFile(out)).dims, [48, 44, 40]);
});

test('a plain page', async (c) => {
  const at = await copied(c, 'plain');
  await cp(c.dist, join(at, 't3dc'), { recursive: true });
  await cp(join(c.dir, 'artifact'), join(at, 'model'), { recursive: true });
  await cp(join(c.dir, 'weights.safetensors'), join(at, 'weights.safetensors'));
  assert.equal(await told(c, at, '#volumes'), c.expected);
});

test('Vite with NiiVue', async (c) => {
  const at = await copied(c, 'vite');
  await mkdir(join(at, 'public'));
  await cp(join(c.dir, 'artifact'), join(at, 'public/model'), { recursive: true });
  await cp(join(c.dir, 'weights.safetensors'), join(at, 'public/weights.safetensors'));
  const { build } = await import('vite');
  await build({ root: at, configFile: false, logLevel: 'error', build: { target: 'es2022' } });
  assert.equal(await told(c, join(at, 'dist'), '#progress'), c.expected);
});

test.run();
