// The package's worker: a page's models, or one thread of the wasm target. Its first message says which.
import { isThreadStart, runThread } from '../runtime/wasm-thread.ts';
import { serve } from './worker-host.ts';

/** The global of a worker; the DOM's types say it is a window. */
const scope = self as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
  readonly location: { readonly href: string };
};

let take: ((message: unknown) => void) | null = null;
scope.onmessage = ({ data }) => {
  if (take) take(data);
  else if (isThreadStart(data))
    void runThread(
      data,
      (m) => scope.postMessage(m),
      (on) => {
        take = on;
      },
    );
  else {
    take = serve({
      post: (message, transfer) => scope.postMessage(message, transfer),
      // This script again, wherever a bundler has put it: no Blob, which a page's security policy may forbid.
      threadWorker: () => new Worker(scope.location.href, { type: 'module', name: 't3dc thread' }),
    }) as (message: unknown) => void;
    take(data);
  }
};
