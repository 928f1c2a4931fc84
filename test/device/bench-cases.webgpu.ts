// The bench's cases on WebGPU.
import { test } from 'uvu';
import { benchCaseTests } from '../bench-cases.ts';

benchCaseTests(test, 'webgpu');
test.run();
