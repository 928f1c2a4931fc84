// The types that an artifact ships: what a program may write against its index.d.ts, and what tsc must refuse.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { declarations, niftiDeclarations } from '../../compiler/declarations.ts';
import type { DType, TensorType } from '../../dsl/types.ts';

const type = (dtype: DType, axes: Record<string, number>): TensorType => ({
  dtype,
  axes: Object.entries(axes).map(([name, size]) => ({ name, size })),
});
const volume = { name: 'volume', type: type('f32', { b: 1, c: 1, d: 8, h: 8, w: 8 }) };
const label = { name: 'label', type: type('i32', { b: 1, c: 1, d: 8, h: 8, w: 8 }) };
const entries = [
  { name: 'logits', inputs: [volume], outputs: [{ name: 'logits', type: type('f32', { b: 1, k: 2 }) }], loss: null },
  { name: 'segment', inputs: [volume, label], outputs: [{ name: 'loss', type: type('f32', {}) }], loss: 'loss' },
];

const USE = `
import { open, T3dcError } from './index.js';
import { readNifti, writeNifti } from './nifti.js';
export async function use(bytes: Uint8Array): Promise<Uint8Array> {
  const session = await open({ device: 'auto', seed: 1n, onProgress: ({ done, total }) => void (done / total) });
  const volume = new Float32Array(512);
  const { logits } = await session.entries.logits({ volume });
  const first: number = logits[0]!;
  await session.entries.segment({ volume: { data: volume, shape: [1, 1, 8, 8, 8] }, label: new Int32Array(512) });
  for await (const step of session.train('segment', [{ volume, label: new Int32Array(512) }], { lr: first })) void step.loss;
  const found = await session.tasks.segment(readNifti(bytes), { onProgress: (done: number) => void done });
  const report = await session.loadWeights(bytes, { strict: false });
  if (report.missing.length) throw new T3dcError('x');
  // @ts-expect-error no such entry
  await session.entries.classify({ volume });
  // @ts-expect-error a label is i32
  await session.entries.segment({ volume, label: volume });
  // @ts-expect-error the label is missing
  await session.entries.segment({ volume });
  // @ts-expect-error logits has no loss
  session.train('logits', []);
  // @ts-expect-error no such device
  await open({ device: 'cuda' });
  await session.close();
  return writeNifti(found.labels);
}
`;

test('a program against index.d.ts compiles, and only a right one', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-types-'));
  try {
    await writeFile(join(dir, 'index.d.ts'), declarations(entries, true));
    await writeFile(join(dir, 'nifti.d.ts'), niftiDeclarations());
    await writeFile(join(dir, 'package.json'), '{"type":"module"}');
    await writeFile(join(dir, 'use.ts'), USE);
    const tsc = fileURLToPath(new URL('../../node_modules/typescript/lib/tsc.js', import.meta.url));
    const flags = ['--noEmit', '--ignoreConfig', '--strict', '--skipLibCheck', 'false', '--target', 'es2022'];
    const more = ['--module', 'nodenext', '--lib', 'es2023,dom,dom.iterable', '--types', ''];
    const run = promisify(execFile)(process.execPath, [tsc, ...flags, ...more, join(dir, 'use.ts')], { cwd: dir });
    const output = await run.then(
      () => '',
      (e: { stdout?: string }) => e.stdout ?? String(e),
    );
    assert.is(output, '');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
