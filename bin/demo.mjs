#!/usr/bin/env node
// `npm start`: the whole way from a model to a segmented scan, on a machine with Node alone.
import { setFlagsFromString } from 'node:v8';
import { register } from 'tsx/esm/api';

setFlagsFromString('--experimental-wasm-relaxed-simd');
process.setSourceMapsEnabled(true);
// Of packages that we use, not of ours.
process.noDeprecation = true;
register();
const { demo } = await import('../cli/demo.ts');
process.exitCode = await demo(process.argv.slice(2));
setTimeout(() => process.exit(), 3000).unref();
