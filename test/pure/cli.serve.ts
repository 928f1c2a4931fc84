// The server of the demonstration page: its headers, what it serves, and whom it answers.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isLoopback, POLICY, type RunningServer, type Served, startServer } from '../../cli/serve/server.ts';
import { memoryLimit, memoryNeed } from '../../viewer/demo/scan-memory.ts';

const test = suite('serve', { dir: '', server: null as unknown as RunningServer, files: new Map<string, Served>() });

test.before(async (c) => {
  c.dir = await mkdtemp(join(tmpdir(), 't3dc-serve-'));
  await writeFile(join(c.dir, 'kernel.wgsl'), 'fn main() {}');
  await writeFile(join(c.dir, 'secret.txt'), 'nobody asked');
  c.files.set('/index.html', new TextEncoder().encode('<!doctype html>'));
  c.files.set('/model/kernel.wgsl', { file: join(c.dir, 'kernel.wgsl') });
  c.files.set('/model/gone.wasm', { file: join(c.dir, 'gone.wasm') });
  c.server = await startServer(c.files, { host: '127.0.0.1', port: 0, isolated: true });
});
test.after(async (c) => {
  await c.server.close();
  await rm(c.dir, { recursive: true, force: true });
});

test('the page: isolated, with a policy that lets it load and send nothing elsewhere', async ({ server }) => {
  const response = await fetch(server.url);
  assert.is(await response.text(), '<!doctype html>');
  const header = (name: string) => response.headers.get(name);
  assert.is(header('cross-origin-opener-policy'), 'same-origin');
  assert.is(header('cross-origin-embedder-policy'), 'require-corp');
  assert.is(header('cross-origin-resource-policy'), 'same-origin');
  assert.is(header('content-security-policy'), POLICY);
  assert.match(POLICY, /default-src 'none'; script-src 'self' 'wasm-unsafe-eval';/);
  assert.not.match(POLICY, /unsafe-inline|unsafe-eval'(?<!wasm-unsafe-eval')|\*|http/);
});

test('files by their list alone, with what a cache asks for', async ({ server }) => {
  const get = (path: string, method = 'GET') => fetch(new URL(path, server.url), { method });
  const found = await get('model/kernel.wgsl');
  assert.is(await found.text(), 'fn main() {}');
  const head = await get('model/kernel.wgsl', 'HEAD');
  assert.is(head.headers.get('content-length'), '12');
  assert.is(head.headers.get('etag'), found.headers.get('etag'));
  for (const path of ['secret.txt', 'model/secret.txt', 'model/%2e%2e/secret.txt', 'model/', 'model/gone.wasm'])
    assert.is((await get(path)).status, 404, path);
  assert.is((await get('', 'POST')).status, 405);
});

test("a name of someone else's that points here is not answered", async ({ server }) => {
  const status = await new Promise<number | undefined>((done, fail) => {
    request(server.url, { headers: { host: 'pages.example' } }, (r) => done(r.resume().statusCode))
      .on('error', fail)
      .end();
  });
  assert.is(status, 403);
  assert.equal(['localhost', '127.0.0.1', '127.1.2.3', '::1'].map(isLoopback), [true, true, true, true]);
  assert.equal(['0.0.0.0', '127.0.0.1.example', ''].map(isLoopback), [false, false, false]);
});

test('without isolation the two headers are left out', async ({ files }) => {
  const server = await startServer(files, { host: '127.0.0.1', port: 0, isolated: false });
  const { headers } = await fetch(server.url);
  await server.close();
  assert.equal([headers.has('cross-origin-opener-policy'), headers.has('content-security-policy')], [false, true]);
});

test('a port that is taken, an address that is not ours', async ({ server, files }) => {
  const start = (host: string, port: number) =>
    startServer(files, { host, port, isolated: true }).then(
      () => 'started',
      (e) => e.code,
    );
  assert.is(await start('127.0.0.1', Number(new URL(server.url).port)), 'port-taken');
  assert.is(await start('192.0.2.1', 0), 'bad-host');
});

test('what a scan needs at its peak grows with it, and tells its parts', () => {
  const model = { spacing: [1.5, 1.5, 2], classes: 14, patch: [96, 96, 96] as const, own: 2 ** 28 };
  const need = (dims: readonly [number, number, number]) =>
    memoryNeed({ dims, spacing: [0.8, 0.8, 1], voxelBytes: 2 }, model, memoryLimit(4));
  const large = need([512, 512, 800]);
  const voxels = 512 * 512 * 800;
  assert.ok(large.bytes > 18 * voxels && large.bytes < 40 * voxels, `${large.bytes}`);
  assert.ok(large.bytes > large.limit && need([512, 512, 120]).bytes < large.limit);
  assert.is(
    large.parts.reduce((n, [, bytes]) => n + bytes, 0),
    large.bytes,
  );
  assert.is(memoryLimit(undefined), 3 * 2 ** 30);
});

test.run();
