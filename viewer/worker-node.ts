// The package's worker on Node: a program's models. Threads of the wasm target are the runtime's own there.
import type { ToWorker } from './messages.ts';
import { serve } from './worker-host.ts';

const { parentPort } = await import('node:worker_threads');
const take = serve({ post: (message, transfer) => parentPort!.postMessage(message, transfer as never) });
parentPort!.on('message', (message: ToWorker) => take(message));
