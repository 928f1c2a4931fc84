// The artifact folder in Chromium: the page imports its own index.js and trains with it, on wasm with and without
// cross-origin isolation, on WebGPU (SwiftShader), and in a worker. The curves are Node's.
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apart, batch, type Curve, curve, curveArtifact, relativeL2, SIDE, STEPS } from '../curves.ts';
import { findChromium } from '../machine.mjs';
import { serve } from './serve.ts';

const HTML = '<!doctype html><meta charset="utf-8"><title>t3dc</title>';
const PROGRAM = `
import { open } from './index.js';
const __name = (f) => f;
const SIDE = ${SIDE};
const batch = ${batch.toString()};
export async function train(device, resumeAt) {
  const notices = [];
  const quiet = { device, onNotice: (m) => notices.push(m) };
  let stages = 0;
  let session = await open({ ...quiet, seed: 7, onProgress: () => stages++ });
  const losses = [];
  const steps = async (from, to) => {
    const batches = Array.from({ length: to - from }, (_, i) => batch(from + i));
    for await (const s of session.train('segment', batches)) losses.push(s.loss);
  };
  await steps(0, resumeAt ?? ${STEPS});
  if (resumeAt !== undefined) {
    const checkpoint = await session.saveCheckpoint();
    await session.close();
    session = await open(quiet);
    await session.loadCheckpoint(checkpoint);
    await steps(resumeAt, ${STEPS});
  }
  const { logits } = await session.entries.logits({ volume: batch(0).volume });
  const info = session.device;
  const digest = async (bytes) =>
    [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const weights = await digest(await session.weights());
  await session.close();
  return { device: info, losses, weights, logits: [...logits], isolated: crossOriginIsolated, stages, notices };
}
export async function fault(device) {
  const session = await open({ device, seed: 1, onNotice: () => {} });
  try {
    await session.entries.logits({ volume: { data: new Float32Array(8), shape: [1, 1, 2, 2, 2] } });
    return null;
  } catch (e) {
    return { code: e.code, found: e.found, expected: e.expected, hint: e.hint };
  } finally {
    await session.close();
  }
}
`;
const WORKER = `
import { train } from './program.js';
onmessage = async ({ data }) => {
  try { postMessage({ result: await train(data) }); } catch (e) { postMessage({ error: String(e && e.stack || e) }); }
};
`;

interface Trained extends Omit<Curve, 'device' | 'weights' | 'logits'> {
  readonly device: {
    readonly kind: string;
    readonly description: string;
    readonly threads?: number;
    software?: boolean;
  };
  /** SHA-256 */
  readonly weights: string;
  readonly logits: readonly number[];
  readonly isolated: boolean;
  readonly stages: number;
  readonly notices: readonly string[];
}

const test = suite('artifact in Chromium', {
  artifact: '',
  close: async () => {},
  url: '',
  browser: null as Browser | null,
  node: null as Curve | null,
  isolated: null as Trained | null,
});

test.before(async (c) => {
  c.artifact = await curveArtifact();
  const server = await serve(c.artifact, { '/page.html': HTML, '/program.js': PROGRAM, '/worker.js': WORKER });
  c.url = server.url;
  c.close = server.close;
  const found = findChromium();
  assert.ok(found.ok, found.what);
  c.browser = await chromium.launch({
    executablePath: found.what,
    args: [
      '--headless=new',
      '--no-sandbox',
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
      '--disable-gpu-watchdog',
    ],
  });
  c.node = await curve(c.artifact, { device: 'wasm', threads: 2 });
});

test.after(async (c) => {
  await c.browser?.close();
  await c.close();
  await rm(dirname(c.artifact), { recursive: true, force: true });
});

async function withPage<T>(browser: Browser, url: string, work: (page: Page) => Promise<T>): Promise<T> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (e) => errors.push(String(e)));
  try {
    await page.goto(url);
    const result = await work(page);
    assert.equal(errors, []);
    return result;
  } finally {
    await page.close();
  }
}

const train = (page: Page, device: string, resumeAt?: number): Promise<Trained> =>
  page.evaluate(
    async ([d, at, program]) => (await import(new URL(program, location.href).href)).train(d, at ?? undefined),
    [device, resumeAt ?? null, './program.js'] as const,
  );

function agrees(found: Trained, node: Curve, loss: number): void {
  assert.is(found.losses.length, STEPS);
  const d = apart(found.losses, node.losses);
  assert.ok(d < loss, `losses are ${d} from Node's: ${found.losses} and ${node.losses}`);
  const l = relativeL2(found.logits, node.logits);
  assert.ok(l < 10 * loss, `logits are ${l} from Node's`);
  console.log(
    `\n${found.device.description}: losses ${d.toExponential(1)}, logits ${l.toExponential(1)} from Node's wasm`,
  );
}

test('wasm in an isolated page: threads, and the curve of Node', async (c) => {
  const r = await withPage(c.browser!, `${c.url}/isolated/page.html`, (page) => train(page, 'wasm'));
  assert.ok(r.isolated);
  assert.is(r.device.kind, 'wasm');
  agrees(r, c.node!, 1e-3);
  c.isolated = r;
});

test('wasm in a plain page: one thread, the same bits; 5 steps, a checkpoint and 5 more too', async (c) => {
  const r = await withPage(c.browser!, `${c.url}/page.html`, (page) => train(page, 'wasm', 5));
  assert.not(r.isolated);
  assert.is(r.device.threads, 1);
  assert.equal(r.losses, c.isolated!.losses);
  assert.is(r.weights, c.isolated!.weights);
});

test('auto takes no software adapter', async (c) => {
  const r = await withPage(c.browser!, `${c.url}/isolated/page.html`, (page) => train(page, 'auto'));
  assert.is(r.device.kind, 'wasm');
  assert.is(r.weights, c.isolated!.weights);
});

test('WebGPU: the curve of Node, and again bit for bit', async (c) => {
  const both = await withPage(c.browser!, `${c.url}/page.html`, async (page) => [
    await train(page, 'webgpu'),
    // Once more takes SwiftShader half an hour with T3D nano.
    ...(SIDE > 32 ? [] : [await train(page, 'webgpu')]),
  ]);
  const [first, second] = both as [Trained, Trained | undefined];
  assert.is(first.device.kind, 'webgpu');
  assert.ok(first.device.software, 'SwiftShader is told as software');
  assert.ok(
    first.notices.some((n) => n.includes('software')),
    `notices: ${first.notices}`,
  );
  assert.ok(first.stages > 10, 'progress of the kernels');
  agrees(first, c.node!, 1e-3);
  if (!second) return;
  assert.equal(second.losses, first.losses);
  assert.is(second.weights, first.weights);
});

test('in a dedicated worker: the same bits', async (c) => {
  const r = await withPage(c.browser!, `${c.url}/isolated/page.html`, (page) =>
    page.evaluate(
      () =>
        new Promise<unknown>((done, fail) => {
          const worker = new Worker(new URL('./worker.js', location.href), { type: 'module' });
          worker.onerror = (e) => fail(new Error(e.message));
          worker.onmessage = ({ data }) => (data.error ? fail(new Error(data.error)) : done(data.result));
          worker.postMessage('wasm');
        }),
    ),
  );
  assert.is((r as Trained).weights, c.isolated!.weights);
});

test('a wrong shape is a tagged error in a page too', async (c) => {
  const e = (await withPage(c.browser!, `${c.url}/page.html`, (page) =>
    page.evaluate(
      async (program) => (await import(new URL(program, location.href).href)).fault('wasm'),
      './program.js',
    ),
  )) as { code: string; found: string; expected: string; hint: string };
  assert.is(e.code, 'bad-input');
  assert.match(e.found, '1, 1, 2, 2, 2');
  assert.match(e.expected, `d=${SIDE}`);
  assert.ok(e.hint.length > 10);
});

test.run();
