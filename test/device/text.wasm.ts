// The text tower against Hugging Face's in float64, on wasm.
import { test } from 'uvu';
import { textTests } from '../text-checks.ts';

textTests(test, 'wasm', { threads: 2 });

test.run();
