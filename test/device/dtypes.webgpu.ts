// Every dtype through a whole artifact on webgpu.
import { test } from 'uvu';
import { dtypeChecks } from './dtype-checks.ts';

dtypeChecks(test, 'webgpu');

test.run();
