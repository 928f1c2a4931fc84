// A folder over http on loopback, with or without the headers that isolate a page or forbid it scripts of other origins.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.wgsl': 'text/plain',
};
/** Headers by the path's prefix; several may follow each other: /isolated/csp/page.html. */
const PREFIXES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '/isolated': { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  '/csp': { 'content-security-policy': "script-src 'self' 'wasm-unsafe-eval'" },
};

/** `pages`: text by path, before the folder's files. `requests`: what was asked for, as `GET /page.html`. */
export async function serve(folder: string, pages: Readonly<Record<string, string>>) {
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    let path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    let headers: Record<string, string> = {};
    for (let prefix = prefixOf(path); prefix; prefix = prefixOf(path)) {
      headers = { ...headers, ...PREFIXES[prefix] };
      path = path.slice(prefix.length);
    }
    const name = normalize(path);
    requests.push(`${request.method} ${name}`);
    try {
      const body = Buffer.from(pages[name] ?? (await readFile(join(folder, name))));
      headers['content-type'] = TYPES[extname(name)] ?? 'application/octet-stream';
      headers['content-length'] = String(body.length);
      headers.etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`;
      response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

const prefixOf = (path: string): string | undefined => Object.keys(PREFIXES).find((p) => path.startsWith(`${p}/`));
