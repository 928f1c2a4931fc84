// openInWorker and open in Chromium: the same bits as Node, a page that stays free, abort, several models in one worker, the
// cache, and a security policy that allows the page's own scripts alone.
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { zipSync } from 'fflate';
import { type Browser, chromium, type Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { open } from '../../viewer/open.ts';
import { batch, curveArtifact, relativeL2 } from '../curves.ts';
import { findChromium } from '../machine.mjs';
import { serve } from './serve.ts';

const HTML = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>t3dc</title>';
/** A scan from integers alone, with spacing other than the model's and two axes turned. Plain source, so that it travels. */
const scan = () => {
  const dims = [44, 36, 40] as const;
  const data = new Int16Array(44 * 36 * 40);
  for (let i = 0; i < data.length; i++) data[i] = ((Math.imul(i, 2654435761) >>> 9) % 1200) - 600;
  return { data, dims, affine: [-4, 0, 0, 10, 0, 0, 5, -20, 0, -5, 0, 30, 0, 0, 0, 1] };
};
const PROGRAM = `
import { open, openInWorker } from './dist/index.js';
const __name = (f) => f;
const SIDE = 32;
const scan = ${scan.toString()};
const batch = ${batch.toString()};
globalThis.t3dc = { open, openInWorker, scan, batch };
const digest = async (bytes) =>
  [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map((b) => b.toString(16).padStart(2, '0')).join('');

export async function segment(from, options) {
  const progress = [];
  const notices = [];
  const long = [];
  const session = await openInWorker(from, { device: 'wasm', seed: 3, ...options, onProgress: (p) => progress.push(p), onNotice: (m) => notices.push(m) });
  const watch = new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration)));
  watch.observe({ type: 'longtask' });
  const volume = scan();
  const windows = [];
  const result = await session.tasks.segment(volume, { onProgress: (done, total) => windows.push([done, total]) });
  await new Promise((done) => setTimeout(done, 100));
  watch.disconnect();
  const out = {
    digest: await digest(result.labels.data), kept: volume.data.length, millilitres: result.millilitres, windows, long, progress, notices,
    device: session.device, isolated: crossOriginIsolated, bytes: session.allocatedBytes, names: result.classNames,
  };
  await session.close();
  return out;
}

export async function abort(from) {
  const session = await openInWorker(from, { device: 'wasm', threads: 1, seed: 3 });
  const volume = scan();
  const control = new AbortController();
  let done = 0;
  const reason = await session.tasks.segment(volume, { signal: control.signal, overlap: 0.9, onProgress: (n) => { done = n; if (n === 2) control.abort(new Error('enough')); } })
    .then(() => 'finished', (e) => e.message);
  const since = performance.now();
  // What comes next waits for what is left of the aborted work: less than a window or two.
  await session.entries.logits({ volume: new Float32Array(32 ** 3) });
  const wait = performance.now() - since;
  const again = performance.now();
  await session.entries.logits({ volume: new Float32Array(32 ** 3) });
  const one = performance.now() - again;
  const before = await session.tasks.segment(volume, { signal: AbortSignal.abort(new Error('before')) }).catch((e) => e.message);
  const opening = await openInWorker(from, { device: 'wasm', signal: AbortSignal.abort() }).catch((e) => e.code);
  await session.close();
  return { reason, done, wait, one, before, opening };
}

export async function transfer(from) {
  const session = await openInWorker(from, { device: 'wasm', threads: 1, seed: 3 });
  const mine = new Float32Array(32 ** 3), given = new Float32Array(32 ** 3);
  const a = await session.entries.logits({ volume: mine });
  const b = await session.entries.logits({ volume: given }, { transfer: true });
  // Larger than a piece, of a part of a buffer, and not what the entry takes.
  const large = new Float32Array(6 * 2 ** 20).subarray(1);
  const fault = await session.entries.logits({ volume: large }).catch((e) => ({ code: e.code, found: e.found, name: e.name, }));
  await session.close();
  const closed = await session.entries.logits({ volume: mine }).catch((e) => e.code);
  return { mine: mine.length, given: given.length, same: a.logits.every((v, i) => v === b.logits[i]), fault, closed };
}

export async function two(from) {
  const first = await openInWorker(from, { device: 'wasm', threads: 1, seed: 3 });
  const second = await openInWorker(from, { device: 'wasm', threads: 1, seed: 4, share: first });
  const { volume } = batch(0);
  const [a, b] = await Promise.all([first.entries.logits({ volume }), second.entries.logits({ volume })]);
  await first.close();
  const c = await second.entries.logits({ volume });
  globalThis.second = second;
  return { differ: a.logits.some((v, i) => v !== b.logits[i]), same: b.logits.every((v, i) => v === c.logits[i]) };
}

export async function train(from) {
  const session = await openInWorker(from, { device: 'wasm', threads: 1, seed: 7 });
  const losses = [];
  for await (const s of session.train('segment', Array.from({ length: 3 }, (_, i) => batch(i)))) losses.push(s.loss);
  const volume = scan();
  const label = { data: Uint8Array.from(volume.data, (_, i) => i % 6), dims: volume.dims, affine: volume.affine };
  const cases = [{ name: 'one', load: async () => ({ image: volume, label }) }];
  for await (const s of session.tasks.train(cases, { steps: 20, seed: 1 })) { losses.push(s.loss); if (s.step === 5) break; }
  const out = { losses, step: session.step, weights: await digest(await session.weights()) };
  await session.close();
  return out;
}

export async function cached(from, options = {}) {
  const notices = [];
  const progress = [];
  const session = await openInWorker(from, { device: 'wasm', threads: 1, ...options, onNotice: (m) => notices.push(m), onProgress: (p) => progress.push(p) });
  if (options.weights) await session.loadWeights(options.weights, { integrity: options.digest });
  await session.close();
  return { notices, progress };
}
export async function damage(part) {
  const store = await caches.open('t3dc');
  const hits = (await store.keys()).filter((r) => r.url.includes(part));
  for (const request of hits) {
    const kept = await store.match(request);
    const bytes = new Uint8Array(await kept.arrayBuffer());
    bytes[bytes.length >> 1] ^= 1;
    await store.put(request, new Response(bytes, { headers: kept.headers }));
  }
  return hits.length;
}

// In a task of its own: the policy is lifted while a debugger's call runs.
export const evaluates = () => new Promise((done) => setTimeout(() => {
  try { done(String(eval('1'))); } catch (e) { done(e.name); }
}));

export async function gpus(from) {
  const progress = [];
  const options = { device: 'webgpu', onNotice: () => {}, onProgress: (p) => progress.push(p.stage) };
  const first = await openInWorker(from, { ...options, seed: 3 });
  const second = await openInWorker(from, { ...options, seed: 3, share: first });
  const { volume } = batch(0);
  const [a, b] = await Promise.all([first.entries.logits({ volume }), second.entries.logits({ volume })]);
  await first.close();
  const c = await second.entries.logits({ volume });
  const same = a.logits.every((v, i) => v === b.logits[i] && v === c.logits[i]);
  await second.close();
  return { logits: [...a.logits], same, stages: [...new Set(progress)] };
}

export async function here(from) {
  const session = await open(from, { device: 'wasm', threads: 2, seed: 3 });
  const { labels } = await session.tasks.segment(scan());
  await session.close();
  return digest(labels.data);
}

export async function gpu(from) {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const submits = [];
  const submit = device.queue.submit.bind(device.queue);
  device.queue.submit = (list) => { submits.push(performance.now()); submit(list); };
  let others = 0;
  device.addEventListener('uncapturederror', (e) => { others++; e.preventDefault(); });
  const notices = [];
  const session = await open(from, { device, seed: 3, onNotice: (m) => notices.push(m) });
  device.createBuffer({ size: 4, usage: 0xffff }); // the page's own mistake
  const { logits } = await session.entries.logits({ volume: batch(0).volume });
  const whole = submits.length;
  await session.close();
  const small = await open(from, { device, seed: 3, frameBudgetMs: 0.2, onNotice: () => {} });
  submits.length = 0;
  const again = await small.entries.logits({ volume: batch(0).volume });
  const sliced = submits.length;
  await small.close();
  // The device is the page's, and alive.
  const buffer = device.createBuffer({ size: 4, usage: 0x1 | 0x8 });
  await buffer.mapAsync(1);
  return { logits: [...logits], same: again.logits.every((v, i) => v === logits[i]), whole, sliced, others, notices, kind: session.device.kind };
}
`;

const test = suite('a model in a page', {
  root: '',
  url: '',
  requests: [] as string[],
  close: async () => {},
  browser: null as Browser | null,
  labels: '',
  millilitres: [] as readonly number[],
  zip: '',
  weights: '',
});

const digestOf = (data: Uint8Array | Uint16Array): string => createHash('sha256').update(data).digest('hex');

test.before(async (c) => {
  const artifact = await curveArtifact();
  c.root = dirname(artifact);
  const { buildScripts } = await import('../../scripts/build-package.ts');
  await buildScripts(join(c.root, 'dist'));
  const files: Record<string, Uint8Array> = {};
  for (const f of await readdir(artifact, { recursive: true, withFileTypes: true })) {
    const path = join(f.parentPath ?? f.path, f.name);
    if (f.isFile()) files[path.slice(artifact.length + 1)] = await readFile(path);
  }
  const zip = zipSync(files);
  await writeFile(join(c.root, 'model.t3dc'), zip);
  c.zip = digestOf(zip);
  const session = await open(artifact, { device: 'wasm', threads: 1, seed: 3 });
  const found = await session.tasks.segment(scan() as never);
  c.labels = digestOf(found.labels.data);
  c.millilitres = found.millilitres;
  const weights = await session.weights();
  await writeFile(join(c.root, 'weights.safetensors'), weights);
  c.weights = digestOf(weights);
  await session.close();
  const server = await serve(c.root, { '/page.html': HTML, '/page.js': PROGRAM });
  c.url = server.url;
  c.requests = server.requests;
  c.close = server.close;
  const chrome = findChromium();
  assert.ok(chrome.ok, chrome.what);
  c.browser = await chromium.launch({
    executablePath: chrome.what,
    args: [
      '--headless=new',
      '--no-sandbox',
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
      '--disable-gpu-watchdog',
    ],
  });
});

test.after(async (c) => {
  await c.browser?.close();
  await c.close();
  await rm(c.root, { recursive: true, force: true });
});

async function withPage<T>(browser: Browser, url: string, work: (page: Page) => Promise<T>): Promise<T> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('console', (m) => m.type() === 'error' && errors.push(m.text()));
  try {
    await page.goto(url);
    const result = await work(page);
    assert.equal(errors, []);
    return result;
  } finally {
    await page.close();
  }
}

/** Calls a function of the page's program. */
const call = <T>(page: Page, name: string, ...args: readonly unknown[]): Promise<T> =>
  page.evaluate(async ([n, list]) => (await import(new URL('./page.js', location.href).href))[n](...list), [
    name,
    args,
  ] as const);

interface Segmented {
  readonly digest: string;
  readonly kept: number;
  readonly millilitres: readonly number[];
  readonly windows: readonly (readonly [number, number])[];
  readonly long: readonly number[];
  readonly progress: readonly {
    stage: string;
    fraction: number;
    secondsLeft: number | null;
    done: number;
    total: number;
  }[];
  readonly notices: readonly string[];
  readonly device: { readonly kind: string; readonly threads?: number };
  readonly isolated: boolean;
  readonly bytes: number;
}

function segmented(r: Segmented, labels: string, millilitres: readonly number[]): void {
  assert.is(r.digest, labels, 'labels are other than those of Node');
  assert.equal(r.millilitres, millilitres);
  assert.is(r.kept, 44 * 36 * 40, 'the page keeps its scan');
  const [done, total] = r.windows.at(-1)!;
  assert.ok(total > 1 && done === total && r.windows.length === total, `windows ${r.windows.join(' ')}`);
  const stages = [...new Set(r.progress.map((p) => p.stage))];
  assert.equal(stages, ['download', 'run']);
  for (const p of r.progress) assert.ok(p.fraction >= 0 && p.fraction <= 1, JSON.stringify(p));
  const last = r.progress.at(-1)!;
  assert.equal([last.fraction, last.secondsLeft], [1, 0]);
  assert.equal(
    r.long.filter((ms) => ms > 50),
    [],
    'tasks of over 50 ms while it ran',
  );
  assert.equal(r.notices, []);
}

test('a plain page: one thread in the worker, the bits of Node, and no long task in the page', async (c) => {
  const r = await withPage(c.browser!, `${c.url}/page.html`, (page) => call<Segmented>(page, 'segment', 'artifact'));
  assert.not(r.isolated);
  assert.is(r.device.threads, 1);
  assert.ok(r.bytes > 1e6);
  segmented(r, c.labels, c.millilitres);
});

test("under script-src 'self' 'wasm-unsafe-eval', isolated or not: no eval, no blob, the same bits", async (c) => {
  for (const [where, threads] of [
    ['csp', 1],
    ['isolated/csp', 2],
  ] as const) {
    const r = await withPage(c.browser!, `${c.url}/${where}/page.html`, async (page) => {
      const refused = await call<string>(page, 'evaluates');
      assert.is(refused, 'EvalError', 'the policy holds');
      return call<Segmented>(page, 'segment', 'model.t3dc', { threads });
    });
    assert.is(r.isolated, threads === 2);
    assert.is(r.device.threads, threads);
    segmented(r, c.labels, c.millilitres);
  }
});

test('abort ends the work within a window, and the session goes on', async (c) => {
  const r = await withPage(c.browser!, `${c.url}/page.html`, (page) =>
    call<{ reason: string; done: number; wait: number; one: number; before: string; opening: string }>(
      page,
      'abort',
      'artifact',
    ),
  );
  assert.is(r.reason, 'enough');
  assert.ok(r.done < 10, `${r.done} windows were told after the second`);
  assert.ok(r.wait < 10 * r.one + 1000, `${r.wait} ms until the next call, which takes ${r.one}`);
  assert.equal([r.before, r.opening], ['before', 'aborted']);
});

test('inputs are copied unless they are given; errors keep their class, code and parts; a closed session says so', async (c) => {
  const r = await withPage(c.browser!, `${c.url}/page.html`, (page) =>
    call<Record<string, unknown>>(page, 'transfer', 'artifact'),
  );
  assert.equal([r.mine, r.given, r.same, r.closed], [32 ** 3, 0, true, 'closed']);
  assert.equal(r.fault, { code: 'bad-input', found: 6 * 2 ** 20 - 1, name: 'T3dcError' });
});

test('two models in one worker; the worker ends with the last', async (c) => {
  await withPage(c.browser!, `${c.url}/page.html`, async (page) => {
    const r = await call<{ differ: boolean; same: boolean }>(page, 'two', 'artifact');
    assert.equal(r, { differ: true, same: true });
    assert.is(page.workers().length, 1);
    await page.evaluate(() => (globalThis as unknown as { second: { close(): Promise<void> } }).second.close());
    for (let i = 0; i < 50 && page.workers().length > 0; i++) await new Promise((done) => setTimeout(done, 100));
    assert.is(page.workers().length, 0);
  });
});

test('training in the worker, on batches and on cases of the page: the bits of Node', async (c) => {
  const r = await withPage(c.browser!, `${c.url}/page.html`, (page) =>
    call<{ losses: number[]; step: number; weights: string }>(page, 'train', 'artifact'),
  );
  const session = await open(join(c.root, 'artifact'), { device: 'wasm', threads: 1, seed: 7 });
  const losses: number[] = [];
  for await (const s of session.train(
    'segment',
    [0, 1, 2].map((i) => batch(i)),
  ))
    losses.push(s.loss);
  const image = scan() as never as Parameters<typeof session.tasks.segment>[0];
  const label = { ...image, data: Uint8Array.from(image.data, (_, i) => i % 6) };
  for await (const s of session.tasks.train([{ name: 'one', load: async () => ({ image, label }) }], {
    steps: 20,
    seed: 1,
  })) {
    losses.push(s.loss);
    if (s.step === 5) break;
  }
  assert.equal(r.losses, losses);
  assert.is(r.step, 5);
  assert.is(r.weights, digestOf(await session.weights()));
  await session.close();
});

test('the cache: nothing is fetched twice, a damaged copy is, and a wrong file is refused', async (c) => {
  await withPage(c.browser!, `${c.url}/page.html`, async (page) => {
    type Result = { notices: string[]; progress: { stage: string; fraction: number }[] };
    const since = async <T>(work: () => Promise<T>): Promise<[T, string[]]> => {
      const from = c.requests.length;
      const result = await work();
      return [result, c.requests.slice(from).filter((r) => !/page\.|dist/.test(r))];
    };
    const opened = (from: string, options: object) => since(() => call<Result>(page, 'cached', from, options));
    const weights = { weights: `${c.url}/weights.safetensors`, digest: c.weights };
    const [, first] = await opened('model.t3dc', { integrity: c.zip, ...weights });
    assert.equal(first, ['GET /model.t3dc', 'GET /weights.safetensors']);
    const [again, second] = await opened('model.t3dc', { integrity: c.zip, ...weights });
    assert.equal(second, [], 'no request for what is kept');
    assert.equal([...new Set(again.progress.map((p) => `${p.stage} ${p.fraction}`))], ['download 1', 'weights 1']);
    // Without a digest the server is asked, and no more.
    const [, asked] = await opened('model.t3dc', {});
    assert.equal(asked, ['HEAD /model.t3dc']);
    const [, off] = await opened('model.t3dc', { cache: false });
    assert.equal(off, ['GET /model.t3dc']);
    assert.is(await call<number>(page, 'damage', 'model.t3dc'), 1);
    const [damaged, third] = await opened('model.t3dc', { integrity: c.zip });
    assert.equal(third, ['GET /model.t3dc']);
    assert.match(damaged.notices.join(), /damaged/);
    const wrong = await call(page, 'cached', 'model.t3dc', { integrity: '0'.repeat(64) }).then(
      () => 'opened',
      (e: Error) => e.message,
    );
    assert.match(wrong, /not the file that was expected/);
    // A folder: its files by the manifest's digests.
    await opened('artifact', {});
    const [, folder] = await opened('artifact', {});
    assert.equal(folder, ['HEAD /artifact/manifest.json']);
    // Another artifact at the same place.
    const old = await readFile(join(c.root, 'model.t3dc'));
    await writeFile(join(c.root, 'model.t3dc'), zipSync({ 'manifest.json': new Uint8Array(2) }));
    const changed = await call(page, 'cached', 'model.t3dc', {}).then(
      () => 'opened',
      (e: Error) => e.message,
    );
    await writeFile(join(c.root, 'model.t3dc'), old);
    assert.match(changed, /manifest\.json is not JSON/);
  });
});

test("open in an isolated page under the same policy: threads of the package's own file", async (c) => {
  const labels = await withPage(c.browser!, `${c.url}/isolated/csp/page.html`, (page) =>
    call<string>(page, 'here', 'artifact'),
  );
  assert.is(labels, c.labels);
});

test('WebGPU in a worker: two models on one device, which outlives the first', async (c) => {
  const session = await open(join(c.root, 'artifact'), { device: 'wasm', threads: 1, seed: 3 });
  const expected = (await session.entries.logits!({ volume: batch(0).volume })).logits as Float32Array;
  await session.close();
  type Result = { logits: number[]; same: boolean; stages: string[] };
  const r = await withPage(c.browser!, `${c.url}/page.html`, (page) => call<Result>(page, 'gpus', 'artifact'));
  const d = relativeL2(r.logits, expected);
  assert.ok(d < 1e-4, `logits are ${d} from wasm's`);
  assert.ok(r.same);
  assert.ok(r.stages.includes('compile'));
});

test("open on a page's own GPUDevice: slices, the page's errors are its own, and the device stays its", async (c) => {
  const session = await open(join(c.root, 'artifact'), { device: 'wasm', threads: 1, seed: 3 });
  const expected = (await session.entries.logits!({ volume: batch(0).volume })).logits as Float32Array;
  await session.close();
  type Result = {
    logits: number[];
    same: boolean;
    whole: number;
    sliced: number;
    others: number;
    notices: string[];
    kind: string;
  };
  const r = await withPage(c.browser!, `${c.url}/page.html`, (page) => call<Result>(page, 'gpu', 'artifact'));
  assert.is(r.kind, 'webgpu');
  const d = relativeL2(r.logits, expected);
  assert.ok(d < 1e-4, `logits are ${d} from wasm's`);
  assert.ok(r.sliced > r.whole + 3, `${r.sliced} submits of 0.2 ms, ${r.whole} of 8 ms`);
  assert.ok(r.same, 'slices change no bit');
  assert.is(r.others, 1);
  assert.match(r.notices.join(), /software adapter/);
});

test.run();
