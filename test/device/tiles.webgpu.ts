// Loops over tiles, on WebGPU.
import { test } from 'uvu';
import { tilesTests } from '../tiles-checks.ts';

tilesTests(test, 'webgpu');

test.run();
