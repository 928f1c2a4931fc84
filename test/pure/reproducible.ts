// A build is byte-reproducible: two processes, two folders, the same bytes; and so for one file.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));
const build = (out: string, env: Record<string, string> = {}, more: readonly string[] = []) =>
  promisify(execFile)(process.execPath, [tool, 'build', 'examples/mlp.ts', '-o', out, '--json', ...more], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    env: { ...process.env, ...env },
  });

test('two builds of one model are the same bytes, as folders and as files', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-bytes-'));
  try {
    const at = (name: string) => join(dir, name);
    for (const name of ['a', 'elsewhere', 'a.t3dc', 'b.t3dc']) await build(at(name));
    const names = async (folder: string) =>
      (await readdir(folder, { recursive: true, withFileTypes: true }))
        .filter((f) => f.isFile())
        .map((f) => join(f.parentPath ?? f.path, f.name).slice(folder.length + 1))
        .sort();
    const files = await names(at('a'));
    assert.ok(files.length > 10, `${files.length} files`);
    assert.equal(await names(at('elsewhere')), files);
    for (const f of files)
      assert.ok((await readFile(join(at('a'), f))).equals(await readFile(join(at('elsewhere'), f))), `${f} differs`);
    assert.ok((await readFile(at('a.t3dc'))).equals(await readFile(at('b.t3dc'))), 'the .t3dc files differ');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('what was measured on this machine does not go into a build unasked', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-bytes-'));
  try {
    const store = join(dir, 'store');
    await mkdir(store);
    // Not even read: this one is broken.
    await writeFile(join(store, 'x.json'), '{');
    await build(join(dir, 'a.t3dc'));
    await build(join(dir, 'b.t3dc'), { T3DC_TUNING: store });
    assert.ok((await readFile(join(dir, 'a.t3dc'))).equals(await readFile(join(dir, 'b.t3dc'))));
    const asked = await build(join(dir, 'c.t3dc'), { T3DC_TUNING: store }, ['--tuning', 'store']).catch((e) => e);
    assert.match(asked.stdout, /"code":"tuning-table".*x\.json/);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
