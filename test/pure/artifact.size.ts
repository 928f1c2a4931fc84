// What an artifact of the largest preset may weigh, and what it asks of an adapter.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build, zipArtifact } from '../../compiler/index.ts';
import t3d from '../../models/t3d/index.ts';

const MiB = 2 ** 20;

test('base: under 3 MB as a folder, under 1 MB as one file, inside 128 MiB bindings', async () => {
  const built = await build(t3d, { preset: 'base' });
  const folder = [...built.files.values()].reduce((n, f) => n + f.length, 0);
  assert.ok(folder < 3e6, `the folder holds ${folder} bytes`);
  const file = zipArtifact(built).length;
  assert.ok(file < 1e6, `the .t3dc file holds ${file} bytes`);
  const { maxStorageBufferBindingSize: binding } = built.manifest.requires;
  assert.ok(binding <= 128 * MiB, `a binding of ${binding} bytes`);
});

test('nano: kernels take the schedules of the shipped tables, whose ids the emitters all know', async () => {
  const lines: string[] = [];
  const log = (pass: string, more: readonly string[]) => {
    if (pass === 'webgpu: schedules') lines.push(...more);
  };
  await build(t3d, { preset: 'nano', targets: ['webgpu'], log });
  assert.match(lines.join('\n'), /^[1-9]\d* kernels with a schedule that was measured on some adapter$/);
});

test.run();
