// T3D's vision tower against MONAI's SwinUNETR in float64, on webgpu: logits to 1e-4, every gradient to 1e-3 (relative L2).
import { test } from 'uvu';
import { parityTests } from '../parity-suite.ts';

parityTests(test, 'webgpu');

test.run();
