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

test('two builds of one model are the same bytes, as folders and as files, whatever was measured on the machine', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-bytes-'));
  try {
    const at = (name: string) => join(dir, name);
    // A store of t3dc tune, which a build must not read unasked: it is broken.
    const store = at('store');
    await mkdir(store);
    await writeFile(join(store, 'x.json'), '{');
    for (const name of ['a', 'a.t3dc']) await build(at(name));
    for (const name of ['elsewhere', 'b.t3dc']) await build(at(name), { T3DC_TUNING: store });
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
    const asked = await build(at('c.t3dc'), { T3DC_TUNING: store }, ['--tuning', 'store']).catch((e) => e);
    assert.match(asked.stdout, /"code":"tuning-table".*x\.json/);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
