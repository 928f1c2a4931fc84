#!/usr/bin/env node
// `npm run pairs`: the whole way with reports, on a machine with Node alone.
import { setFlagsFromString } from 'node:v8';
import { register } from 'tsx/esm/api';

setFlagsFromString('--experimental-wasm-relaxed-simd');
process.setSourceMapsEnabled(true);
// Of packages that we use, not of ours.
process.noDeprecation = true;
register();
const { demoPairs } = await import('../cli/demo-pairs.ts');
process.exitCode = await demoPairs(process.argv.slice(2));
setTimeout(() => process.exit(), 3000).unref();
