// Pre-training against PyTorch in float64, on wasm.
import { test } from 'uvu';
import { pretrainTests } from '../pretrain-checks.ts';

pretrainTests(test, 'wasm', { threads: 2 });

test.run();
