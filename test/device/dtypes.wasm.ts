// Every dtype through a whole artifact on wasm.
import { test } from 'uvu';
import { dtypeChecks } from './dtype-checks.ts';

dtypeChecks(test, 'wasm');

test.run();
