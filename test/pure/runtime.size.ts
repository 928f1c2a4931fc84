// What a page loads before its first kernel stays small: the bundled runtime, with the tasks, as a server would send it.
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bundleRuntime } from '../../compiler/bundle.ts';

const LIMIT = 40_000;

for (const tasks of [false, true]) {
  test(`index.js ${tasks ? 'with' : 'without'} tasks: under ${LIMIT} bytes gzipped`, async () => {
    const code = (await bundleRuntime([], tasks)).get('index.js')!;
    const bytes = gzipSync(code, { level: 9 }).length;
    assert.ok(bytes > 1000, `${bytes} bytes: nothing was bundled`);
    assert.ok(bytes < LIMIT, `${bytes} bytes`);
  });
}

test.run();
