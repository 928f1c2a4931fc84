// The text tower against Hugging Face's in float64, on webgpu.
import { test } from 'uvu';
import { textTests } from '../text-checks.ts';

textTests(test, 'webgpu');

test.run();
