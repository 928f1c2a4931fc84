// A volume in chunks read in a page over HTTP: the crop's voxels, and no other chunk asked for.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { chromium } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cut, diagonalAffine, type Volume } from '../../data/index.ts';
import { writeOmeZarr } from '../../data/zarr-files.ts';
import { findChromium } from '../machine.mjs';
import { serve } from './serve.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = `
import { fetchStore, openOmeZarr } from './ome-zarr.js';
export async function run(url, box) {
  const store = fetchStore(new URL(url, location.href));
  const z = await openOmeZarr(store, url);
  const volume = await z.crop(box, -1024);
  const fault = await z.crop({ start: [0, 0, 0], size: [30, 1, 1] }).then(() => null, (e) => e.code);
  return { data: [...volume.data], type: volume.data.constructor.name, affine: volume.affine, fault, counts: store.counts };
}
`;

test('a crop in a page', async () => {
  const built = await esbuild.build({
    entryPoints: [`${root}data/ome-zarr.ts`],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    logLevel: 'silent',
  });
  const dir = await mkdtemp(join(tmpdir(), 't3dc-zarr-'));
  const dims = [30, 20, 20] as const;
  const data = Int16Array.from({ length: 30 * 20 * 20 }, (_, i) => ((i * 37) % 4001) - 1000);
  const volume: Volume = { data, dims, affine: diagonalAffine([1.5, 1.5, 2], [-10, 20, 30]) };
  await writeOmeZarr(join(dir, 'v.ome.zarr'), volume, { chunk: [10, 10, 10] });
  await rm(join(dir, 'v.ome.zarr', '0', 'c', '2', '0', '0'));
  const server = await serve(dir, {
    '/index.html': '<!doctype html><meta charset="utf-8">',
    '/ome-zarr.js': built.outputFiles[0]!.text,
    '/page.js': PAGE,
  });
  const browser = await chromium.launch({ executablePath: findChromium().what, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    const asked: string[] = [];
    page.on('request', (r) => void asked.push(new URL(r.url()).pathname));
    await page.goto(`${server.url}/index.html`);
    const box = { start: [12, 8, -2], size: [5, 4, 6] } as const;
    const found = (await page.evaluate(
      `import('./page.js').then((m) => m.run('./v.ome.zarr', ${JSON.stringify(box)}))`,
    )) as { data: number[]; type: string; affine: number[]; fault: string };
    const expected = cut(volume, box, -1024);
    assert.is(found.type, 'Int16Array');
    assert.equal(found.data, [...expected.data]);
    assert.equal(found.affine, expected.affine);
    assert.is(found.fault, 'zarr-chunk');
    const chunks = asked.filter((p) => p.includes('/c/')).map((p) => p.split('/c/')[1]);
    // The crop's two, then the row of the fault.
    assert.equal(chunks.slice(0, 2).sort(), ['1/0/0', '1/1/0']);
    assert.is(chunks.length, 5);
  } finally {
    await browser.close();
    await server.close();
    await rm(dir, { recursive: true });
  }
});

test.run();
