// Training fed by worker threads from chunks, on the wasm target: the same weights whatever the number of threads, errors that name the
// file, and how long the device waited.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Ended, ok, t3dc } from '../t3dc.ts';

const model = fileURLToPath(new URL('./cli-model.ts', import.meta.url));

const at = { dir: '', artifact: '', set: '' };
const test = suite('training fed by threads');
test.before(async () => {
  at.dir = await mkdtemp(join(tmpdir(), 't3dc-fed-'));
  at.artifact = join(at.dir, 'unet');
  ok(await t3dc('build', model, '--set', 'batch=2', '-o', at.artifact));
  const raw = join(at.dir, 'raw');
  const phantom = ['--cases', '4', '--size', '44', '--spacing', '5', '--classes', 'organs', '--seed', '3'];
  ok(await t3dc('data', 'phantom', ...phantom, '-o', raw));
  at.set = join(at.dir, 'set');
  ok(await t3dc('data', 'prepare', raw, '-o', at.set, '--spacing', '5', '--chunk', '16'));
});
test.after(() => rm(at.dir, { recursive: true, force: true }));

const train = (run: string, ...more: string[]): Promise<Ended> =>
  t3dc(
    ...['train', at.artifact, 'segment', '--data', at.set, '--steps', '5', '--seed', '2', '--accumulate', '2'],
    ...['--device', 'wasm', '--threads', '1', '-o', join(at.dir, run), ...more],
  );
const weights = (run: string): Promise<Buffer> => readFile(join(at.dir, run, 'weights.safetensors'));

test('no, one and two threads, whatever the cache: the same weights', async () => {
  const first = ok(await train('w0', '--workers', '0'));
  assert.is(first.json.step, 5);
  const expected = await weights('w0');
  for (const [run, ...more] of [
    ['w1', '--workers', '1'],
    ['w2', '--workers', '2', '--cache', '40KiB'],
  ] as [string, ...string[]][]) {
    ok(await train(run, ...more));
    assert.ok((await weights(run)).equals(expected), `${more} gives other weights`);
  }
});

test('the share of time that the device waited is logged, reported, and told where it is much', async () => {
  const lines = (await readFile(join(at.dir, 'w0', 'metrics.jsonl'), 'utf8')).trim().split('\n');
  for (const line of lines) {
    const { 'train/waited': waited } = JSON.parse(line);
    assert.ok(waited > 0 && waited <= 1, line);
  }
  assert.match(await readFile(join(at.dir, 'w1', 'report.html'), 'utf8'), /Waited for data[\s\S]{0,80}\d\.\d %/);
});

test('a chunk that cannot be read ends the run by its name; nothing hangs', async () => {
  const whole = at.set;
  at.set = join(at.dir, 'damaged');
  await cp(whole, at.set, { recursive: true });
  const images = await readdir(join(at.set, 'images'));
  for (const name of images) {
    const chunks = join(at.set, 'images', name, '0', 'c', '0', '0');
    for (const chunk of await readdir(chunks)) await writeFile(join(chunks, chunk), 'nothing');
  }
  for (const workers of ['0', '2']) {
    const failed = await train(`bad${workers}`, '--workers', workers);
    assert.is(failed.code, 1);
    assert.is(failed.json.error.code, 'zarr-chunk');
    assert.match(JSON.stringify(failed.json.error), /damaged.images.phantom_000\d\.ome\.zarr/);
  }
  at.set = whole;
});

test.run();
