#!/usr/bin/env node
// The command line tool. TypeScript is run as it is, by tsx.
import { setFlagsFromString } from 'node:v8';
import { register } from 'tsx/esm/api';

// Node 20 has relaxed SIMD behind a flag; it must be set before any wasm is compiled, and counts for workers too.
setFlagsFromString('--experimental-wasm-relaxed-simd');
process.setSourceMapsEnabled(true);
// Of packages that we use, not of ours.
process.noDeprecation = true;
register();
// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (e) => process.exit(e.code === 'EPIPE' ? 0 : 1));
const { main } = await import('../cli/main.ts');
process.exitCode = await main(process.argv.slice(2));
// A driver's thread has been seen to keep the process alive at the end.
setTimeout(() => process.exit(), 3000).unref();
