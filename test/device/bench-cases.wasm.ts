// The bench's cases on wasm.
import { test } from 'uvu';
import { benchCaseTests } from '../bench-cases.ts';

benchCaseTests(test, 'wasm');
test.run();
