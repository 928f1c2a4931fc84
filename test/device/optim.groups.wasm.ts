// Parameter groups, freezing, the moving average and the guard on wasm.
import { test } from 'uvu';
import { optimGroupChecks } from './optim-groups.ts';

optimGroupChecks(test, 'wasm', { device: 'wasm', threads: 1 });
test.run();
