// Parameter groups, freezing, the moving average and the guard on whatever WebGPU adapter is here.
import { test } from 'uvu';
import { optimGroupChecks } from './optim-groups.ts';

optimGroupChecks(test, 'webgpu', { device: 'webgpu' });
test.run();
