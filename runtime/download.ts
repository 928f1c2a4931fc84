// Files from URLs: their bytes as they come, kept in the browser's Cache API, and verified by SHA-256 whenever they are used.
// A file whose SHA-256 is known costs no request once it is kept; of any other the server is asked whether it has changed.
import { messageOf, T3dcError } from './errors.ts';
import { sha256 } from './sha256.ts';

export interface DownloadOptions {
  /** Keep files, and use what was kept. */
  readonly cache: boolean;
  readonly signal?: AbortSignal;
  readonly onNotice: (message: string) => void;
}

export interface FileOptions extends DownloadOptions {
  /** Lower-case hexadecimal. */
  readonly sha256?: string;
  /** `total` is 0 while it is not known. */
  readonly onBytes?: (done: number, total: number) => void;
}

/** Name of the Cache API's store: pages may delete it by `caches.delete('t3dc')`. */
const STORE = 't3dc';
const DIGEST = 'x-t3dc-sha256';
const VALIDATORS = ['etag', 'last-modified', 'content-length'];

/** Bytes at a URL. Those of a wrong `sha256` are fetched once more, past all caches, and given as they are then: the caller
 *  verifies. Throws T3dcError 'aborted', else what `fetch` throws. */
export async function download(url: string, options: FileOptions): Promise<Uint8Array> {
  const { signal, onBytes } = options;
  try {
    const store = options.cache && /^https?:/.test(url) ? await openStore(options) : null;
    const kept = (await store?.match(url)) ?? null;
    if (kept && (await isCurrent(kept, url, options))) {
      const data = new Uint8Array(await kept.arrayBuffer());
      if ((await sha256(data)) === (options.sha256 ?? kept.headers.get(DIGEST))) {
        onBytes?.(data.length, data.length);
        return data;
      }
      options.onNotice(`the kept copy of ${url} was damaged: it is fetched again`);
    }
    if (kept) await store!.delete(url);
    // A known file may come from HTTP's own cache; of an unknown one the server is asked.
    let { data, response } = await get(url, options.sha256 ? 'default' : 'no-cache', options);
    let digest = store || options.sha256 ? await sha256(data) : '';
    if (options.sha256 && digest !== options.sha256) {
      ({ data, response } = await get(url, 'reload', options));
      digest = await sha256(data);
    }
    if (store && (options.sha256 ?? digest) === digest) await keep(store, url, data, digest, response, options);
    return data;
  } catch (e) {
    if (signal?.aborted) throw new T3dcError('aborted', `the download of ${url} was aborted`, { cause: signal.reason });
    throw e;
  }
}

async function get(
  url: string,
  cache: RequestCache,
  { signal, onBytes }: FileOptions,
): Promise<{ data: Uint8Array; response: Response }> {
  const response = await fetch(url, { signal, cache });
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  // The length is that of the compressed body, where it is compressed.
  const length = response.headers.has('content-encoding') ? 0 : Number(response.headers.get('content-length') ?? 0);
  let data = new Uint8Array(length);
  let done = 0;
  onBytes?.(0, length);
  for (const reader = response.body!.getReader(); ; ) {
    const part = await reader.read();
    if (part.done) break;
    const end = done + part.value.length;
    if (end > data.length) {
      const larger = new Uint8Array(Math.max(2 * data.length, end));
      larger.set(data.subarray(0, done));
      data = larger;
    }
    data.set(part.value, done);
    done = end;
    onBytes?.(done, length);
  }
  if (done !== length) onBytes?.(done, done);
  return { data: done === data.length ? data : data.slice(0, done), response };
}

/** Whether a kept file is still what lies at its URL. Offline it is taken as it is. */
async function isCurrent(kept: Response, url: string, o: FileOptions): Promise<boolean> {
  if (o.sha256) return kept.headers.get(DIGEST) === o.sha256;
  let head: Response;
  try {
    head = await fetch(url, { method: 'HEAD', cache: 'no-store', signal: o.signal });
  } catch (e) {
    if (o.signal?.aborted) throw e;
    o.onNotice(`the kept copy of ${url} is used: ${messageOf(e)}`);
    return true;
  }
  const told = VALIDATORS.filter((name) => head.headers.has(name) && kept.headers.has(name));
  // A length alone tells nothing.
  const enough = told.includes('etag') || told.includes('last-modified');
  return head.ok && enough && told.every((name) => head.headers.get(name) === kept.headers.get(name));
}

async function keep(
  store: Cache,
  url: string,
  data: Uint8Array,
  digest: string,
  response: Response,
  o: DownloadOptions,
): Promise<void> {
  const headers = new Headers({ [DIGEST]: digest });
  for (const name of VALIDATORS) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  try {
    await store.put(url, new Response(data as BodyInit, { headers }));
  } catch (e) {
    o.onNotice(`${url} is not kept for the next time: ${messageOf(e)}`);
  }
}

/** Null where there is none (Node, insecure pages) or none is allowed (some private windows). */
async function openStore({ onNotice }: DownloadOptions): Promise<Cache | null> {
  if (typeof caches === 'undefined') return null;
  try {
    return await caches.open(STORE);
  } catch (e) {
    onNotice(`nothing is kept for the next time: ${messageOf(e)}`);
    return null;
  }
}
