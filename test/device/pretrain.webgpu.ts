// Pre-training against PyTorch in float64, on WebGPU.
import { test } from 'uvu';
import { pretrainTests } from '../pretrain-checks.ts';

pretrainTests(test, 'webgpu');

test.run();
