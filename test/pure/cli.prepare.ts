// t3dc data prepare as a process: its words, JSON, and Ctrl-C.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writePhantomSet } from '../../data/node.ts';

const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));

function t3dc(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [tool, ...words], { timeout: 120_000 }, (err, stdout, stderr) => {
      done({ code: err ? ((err.code as unknown as number) ?? -1) : 0, stdout, stderr });
    });
  });
}

const test = suite<{ dir: string; set: string }>('data prepare');
test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 't3dc-'));
  context.set = join(context.dir, 'phantom');
  await writePhantomSet(context.set, { count: 6, size: [48, 48, 48], seed: 1 });
});
test.after(({ dir }) => rm(dir, { recursive: true }));

test('Ctrl-C leaves what is done; --resume does the rest', async ({ dir, set }) => {
  const out = join(dir, 'out');
  const words = ['data', 'prepare', set, '-o', out, '--spacing', '4', '--thick-slices', 'in-plane', '--json'];
  const child = spawn(process.execPath, [tool, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', (d) => {
    if (text === '') child.kill('SIGINT');
    text += d;
  });
  const code = await new Promise((done) => child.on('close', done));
  assert.is(code, 130);
  assert.is(JSON.parse(text.trim().split('\n').at(-1)!).error.code, 'cancelled');
  const left = await readdir(join(out, 'studies'));
  assert.ok(left.length >= 1 && left.length < 6, `${left.length} records`);
  assert.equal(
    (await readdir(join(out, 'images'))).filter((f) => f.startsWith('.')),
    [],
  );
  const again = await t3dc(...words);
  assert.is(again.code, 1);
  assert.is(JSON.parse(again.stdout).error.code, 'prepared-exists');
  const rest = await t3dc(...words, '--resume', '--jobs', '2');
  assert.is(rest.code, 0, rest.stderr);
  const lines = rest.stdout
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));
  const done = lines.at(-1)!;
  assert.is(done.event, 'done');
  assert.is(done.before, left.length);
  assert.equal(done.counts, { found: 6, taken: 6, dropped: 0, reasons: {} });
  assert.is(lines.length, 6 - left.length + 1);
  const manifest = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'));
  assert.equal(manifest.contract.spacing, [4, 4, 4]);
  assert.equal(manifest.classes[1], 'liver');
  assert.equal(manifest.studies[0].report, 'reports/phantom_0000.txt');
});

test('what cannot be meant is told', async ({ dir, set }) => {
  const window = await t3dc('data', 'prepare', set, '-o', join(dir, 'w'), '--window', '250,-175');
  assert.is(window.code, 2);
  assert.match(window.stderr, /--window is no range of HU/);
  const layout = await t3dc('data', 'prepare', set, '-o', join(dir, 'w'), '--layout', 'btvc');
  assert.is(layout.code, 1);
  assert.match(layout.stderr, /error\[layout-unknown\][\s\S]*btcv/);
});

test.run();
