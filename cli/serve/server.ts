// The server of the demonstration page: a list of files over http, with the headers that isolate the page and forbid it to load
// from, or send to, anyone else.

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import { CliError } from '../errors.ts';

/** What a path gives: bytes, or the file that lies there when it is asked for. */
export type Served = Uint8Array | { readonly file: string };

export interface ServerOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Whether the page is to be cross-origin isolated: with it, wasm has threads. */
  readonly isolated: boolean;
}

export interface RunningServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Nothing from elsewhere, and nothing to elsewhere. NiiVue's fonts are data: URLs. */
export const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self' data: blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.wgsl': 'text/plain; charset=utf-8',
};

/** Serves `files` by path ('/index.html'); '/' is the first of them. @throws CliError `port-taken`, `bad-host` */
export async function startServer(
  files: ReadonlyMap<string, Served>,
  { host, port, isolated }: ServerOptions,
): Promise<RunningServer> {
  const server = createServer((request, response) => {
    answer(request, response, files, { isolated, host }).catch(() => response.destroy());
  });
  await listening(server, host, port);
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${isLoopback(host) ? name : host}:${address.port}/`,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

/** Whether only this computer can connect. */
export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|::1)$/.test(host);

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  files: ReadonlyMap<string, Served>,
  { isolated, host }: Pick<ServerOptions, 'isolated' | 'host'>,
): Promise<void> {
  const refuse = (status: number, text: string): void => {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'Only GET and HEAD are answered.');
  // A name of someone else's that points here must not open this computer's files to their pages.
  if (isLoopback(host) && !isLoopback(hostOf(request))) return refuse(403, 'This server answers this computer alone.');
  let path: string;
  try {
    path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  } catch {
    return refuse(400, 'This is no path.');
  }
  const name = path === '/' ? '/index.html' : path;
  const served = files.get(name);
  if (!served) return refuse(404, `There is no ${name} here.`);
  const found = served instanceof Uint8Array ? null : await stat(served.file).catch(() => null);
  if (!(served instanceof Uint8Array) && !found) return refuse(404, `${name} has gone.`);
  const length = found?.size ?? (served as Uint8Array).length;
  response.writeHead(200, {
    'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
    'content-length': length,
    // The page and a model under work change between two looks.
    'cache-control': 'no-cache',
    ...(found ? { etag: `"${found.size.toString(16)}-${found.mtimeMs.toString(16)}"` } : {}),
    'content-security-policy': POLICY,
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    ...(isolated
      ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
      : {}),
  });
  if (request.method === 'HEAD') response.end();
  else if (served instanceof Uint8Array) response.end(served);
  else
    createReadStream(served.file)
      .once('error', () => response.destroy())
      .pipe(response);
}

/** The name that the browser was asked for, without its port. */
const hostOf = ({ headers }: IncomingMessage): string =>
  (headers.host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((ready, fail) => {
    server.once('error', (e: NodeJS.ErrnoException) => {
      const taken = e.code === 'EADDRINUSE' || e.code === 'EACCES';
      fail(
        taken
          ? new CliError('port-taken', `port ${port} cannot be used`, {
              found:
                e.code === 'EACCES' ? 'the system allows it to administrators alone' : 'another program listens on it',
              expected: 'a free port',
              hint: 'Choose another: --port 8081, or --port 0 for any that is free.',
            })
          : new CliError('bad-host', `${host} cannot be listened on`, {
              found: e.code ?? e.message,
              expected: 'an address of this computer, such as 127.0.0.1 or 0.0.0.0',
            }),
      );
    });
    server.listen(port, host, () => ready());
  });
}
