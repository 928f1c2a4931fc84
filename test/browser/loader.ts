// The loader in a page: Web Workers make the same samples as Node's threads, and leave the page free.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { chromium } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Loader } from '../../data/loader.ts';
import type { TestSample } from '../loader-source.ts';
import { findChromium } from '../machine.mjs';
import { serve } from './serve.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const source = new URL('../loader-source.mjs', import.meta.url);
const options = { items: 5, epochs: 2, seed: 3, workers: 2 };
const PAGE = `
import { Loader } from './loader.js';
export async function run(source, options) {
  const loader = new Loader({ module: new URL('./source.js', location.href), options: source }, options);
  const out = [];
  for await (const { epoch, index, item, sample } of loader) out.push([epoch, index, item, [...sample.image], [...sample.part]]);
  return { out, stats: loader.stats };
}
export async function fault() {
  const loader = new Loader({ module: new URL('./nothing.js', location.href) }, { items: 1, workers: 1 });
  return loader.next().then(() => null, (e) => e.message);
}
`;

test('the same samples from Web Workers, in a page and in one that is cross-origin isolated', async () => {
  const built = await esbuild.build({
    entryPoints: [`${root}data/loader.ts`],
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    external: ['node:*'],
    write: false,
    logLevel: 'silent',
  });
  const server = await serve(root, {
    '/index.html': '<!doctype html><meta charset="utf-8">',
    '/loader.js': built.outputFiles[0]!.text,
    '/page.js': PAGE,
    '/source.js': await readFile(source, 'utf8'),
  });
  const browser = await chromium.launch({ executablePath: findChromium().what, args: ['--no-sandbox'] });
  try {
    const here: unknown[] = [];
    for await (const { epoch, index, item, sample } of new Loader<TestSample>({ module: source, options: {} }, options))
      here.push([epoch, index, item, [...sample.image], [...sample.part]]);
    for (const base of [server.url, `${server.url}/isolated`]) {
      const page = await browser.newPage();
      await page.goto(`${base}/index.html`);
      const call = (name: string, ...args: unknown[]): Promise<unknown> =>
        page.evaluate(`import('./page.js').then((m) => m.${name}(...${JSON.stringify(args)}))`);
      for (const workers of [0, 2]) {
        const found = (await call('run', { ms: 5, uneven: true }, { ...options, workers })) as {
          out: unknown[];
          stats: { delivered: number };
        };
        assert.equal(found.out, here, `${workers} workers`);
        assert.is(found.stats.delivered, 10);
      }
      const failed = (await call('run', { fails: [2] }, { ...options, errors: 'skip' })) as {
        out: unknown[];
        stats: { failed: number };
      };
      assert.equal([failed.out.length, failed.stats.failed], [8, 2]);
      assert.match(String(await call('fault')), /nothing\.js/);
      await page.close();
    }
  } finally {
    await browser.close();
    await server.close();
  }
});

test.run();
