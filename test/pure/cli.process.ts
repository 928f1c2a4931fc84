// The tool as a process: exit codes, and where its words go.

import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));

function t3dc(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [tool, ...words], { timeout: 60_000 }, (err, stdout, stderr) => {
      done({ code: err ? ((err.code as unknown as number) ?? -1) : 0, stdout, stderr });
    });
  });
}

test('help goes to stdout and ends with 0', async () => {
  const all = await t3dc('--help');
  assert.is(all.code, 0);
  assert.match(all.stdout, /segment ARTIFACT/);
  const one = await t3dc('train', '--help');
  assert.is(one.code, 0);
  assert.match(one.stdout, /--resume/);
});

test('wrong usage ends with 2, on stderr alone', async () => {
  const found = await t3dc('build', 't3d', '--sise', '3');
  assert.is(found.code, 2);
  assert.is(found.stdout, '');
  assert.match(found.stderr, /^error\[unknown-option\]: build has no option --sise/m);
  assert.match(found.stderr, /Did you mean --size\?/);
});

test('an error ends with 1 and, with --json, is one line of JSON on stdout', async () => {
  const found = await t3dc('inspect', '/nowhere/at/all', '--json');
  assert.is(found.code, 1);
  const { error } = JSON.parse(found.stdout) as { error: { code: string; message: string; hint: string } };
  assert.is(error.code, 'bad-artifact');
  assert.ok(error.message.length > 0 && error.hint.length > 0);
});

test('tune says what it needs, and that an artifact is not it', async () => {
  const help = await t3dc('tune', '--help');
  assert.is(help.code, 0);
  for (const option of ['--store', '--share', '--again', '--device']) assert.match(help.stdout, new RegExp(option));
  assert.match(help.stdout, /Opening an artifact never measures/);
  const dir = await mkdtemp(join(tmpdir(), 't3dc-'));
  try {
    const found = await t3dc('build', 'mlp', '-o', join(dir, 'out'), '--tuning', join(dir, 'nothing'));
    assert.is(found.code, 1);
    assert.match(found.stderr, /^error\[tuning-table\]: .*nothing holds no table/m);
    assert.match(found.stderr, /t3dc tune/);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('data phantom writes a set that is named in JSON', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-'));
  try {
    const found = await t3dc('data', 'phantom', '-o', join(dir, 'set'), '--cases', '2', '--size', '16', '--json');
    assert.is(found.code, 0, found.stderr);
    const { cases } = JSON.parse(found.stdout) as { cases: string[] };
    assert.equal(cases, ['phantom_0000', 'phantom_0001']);
    assert.equal((await readdir(join(dir, 'set'))).sort(), [
      'dataset.json',
      'images',
      'labels',
      'lesions.csv',
      'pairs.jsonl',
      'reports',
    ]);
    const json = JSON.parse(await readFile(join(dir, 'set', 'dataset.json'), 'utf8')) as { numTraining: number };
    assert.is(json.numTraining, 2);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test.run();
