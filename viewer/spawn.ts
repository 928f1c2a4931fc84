// The package's own worker, in a page: for models, or for a thread of the wasm target. Bundlers look for exactly this expression.
// The build for Node has spawn-node.ts in its place.

export const spawn = (): Worker =>
  new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 't3dc' });
