// Loops over tiles, on wasm.
import { test } from 'uvu';
import { tilesTests } from '../tiles-checks.ts';

tilesTests(test, 'wasm', { threads: 2 });

test.run();
