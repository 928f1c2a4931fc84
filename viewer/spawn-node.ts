// The package's own worker, on Node: spawn.ts of the build for Node.
import type { WorkerLike } from './connection.ts';

export async function spawn(): Promise<WorkerLike> {
  const { Worker: NodeWorker } = await import('node:worker_threads');
  const worker = new NodeWorker(new URL('./worker.node.js', import.meta.url), { name: 't3dc' });
  const like: WorkerLike = {
    postMessage: (message, transfer) => worker.postMessage(message, transfer as never),
    terminate: () => void worker.terminate(),
    onmessage: null,
    onerror: null,
  };
  worker.on('message', (data) => like.onmessage?.({ data } as MessageEvent));
  worker.on('error', (e) => like.onerror?.({ message: e.message } as ErrorEvent));
  return like;
}
