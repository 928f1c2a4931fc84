// The package's own worker, in a page. Bundlers look for exactly this expression. The build for Node has spawn-node.ts in its place.
import type { WorkerLike } from './connection.ts';

export const spawn = (): WorkerLike | Promise<WorkerLike> =>
  new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 't3dc' });
