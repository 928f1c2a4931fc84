// `t3dc pretrain` with every option on, on the wasm target: another view, false reports, what a sentence looks at corrupted; lesions
// recorded. A run that was stopped ends with the bytes of one that was not.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly text: string;
}

/** Runs the tool; `stopAt` interrupts it, once, when stdout holds that. */
function t3dc(words: readonly string[], stopAt?: string): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [tool, ...words, '--json']);
    let text = '';
    let stopped = false;
    const read = (d: Buffer): void => {
      text += d.toString();
      if (stopAt === undefined || stopped || !text.includes(stopAt)) return;
      stopped = true;
      child.kill('SIGINT');
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('close', (code) => done({ code, text }));
  });
}

const test = suite('pretrain with options on wasm', { dir: '', artifact: '', data: '', tokenizer: '' });

test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 't3dc-options-'));
  context.artifact = join(context.dir, 't3d');
  context.data = join(context.dir, 'data');
  context.tokenizer = join(context.dir, 'small');
  const run = async (words: string[]) => {
    const e = await t3dc(words);
    assert.is(e.code, 0, e.text.slice(-2000));
  };
  await run([
    ...['data', 'phantom', '--size', '32', '--spacing', '5', '--seed', '3', '--cases', '5', '--lesion-class'],
    ...['-o', context.data],
  ]);
  await run([
    ...['data', 'vocabulary', context.data, '-o', context.tokenizer],
    ...['--size', '200', '--width', '32', '--layers', '1'],
  ]);
  const pretrain = {
    ...{ tiles: 3, tileBatch: 2, restored: 3, restoreBatch: 2, restoreHeads: 2, sentences: 6 },
    ...{ lambdaView: 0.5, counterfactuals: 2, mask: 'attended' },
  };
  await run([
    ...['build', 't3d', '--preset', 'pico', '--text', context.tokenizer, '--entries', 'pretrain,diagnose,restore'],
    ...['--batch', '2', '--size', '16', '-o', context.artifact],
    ...['--set', 'channels=[4,8]', 'spacing=[5,5,5]', 'textTokens=80', `pretrain=${JSON.stringify(pretrain)}`],
  ]);
});

test.after(async ({ dir }) => {
  await rm(dir, { recursive: true, force: true });
});

/** What was logged, without the times. */
async function metricsOf(run: string): Promise<Record<string, number | null>[]> {
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trim().split('\n');
  return lines.map((l) => {
    const { 'train/ms': _, 'train/waited': __, ...rest } = JSON.parse(l) as Record<string, number | null>;
    return rest;
  });
}

test('options are logged, lesions counted; a stopped run goes on exactly', async ({
  dir,
  artifact,
  data,
  tokenizer,
}) => {
  const wasm = ['--device', 'wasm', '--threads', '1'];
  const fresh = [
    ...['pretrain', artifact, ...wasm, '--pairs', data, '--tokenizer', tokenizer],
    ...['--steps', '6', '--diagnose-every', '3', '--diagnose-batches', '2', '--corrupt', 'blocks'],
  ];
  const whole = join(dir, 'whole');
  const e = await t3dc([...fresh, '-o', whole]);
  assert.is(e.code, 0, e.text.slice(-2000));
  const part = join(dir, 'part');
  const stopped = await t3dc([...fresh, '-o', part], '"event":"step","step":2,');
  assert.is(stopped.code, 130, stopped.text.slice(-2000));
  const resumed = await t3dc(['pretrain', artifact, ...wasm, '-o', part, '--resume']);
  assert.is(resumed.code, 0, resumed.text.slice(-2000));
  assert.ok(
    (await readFile(join(part, 'weights.safetensors'))).equals(await readFile(join(whole, 'weights.safetensors'))),
  );
  const metrics = await metricsOf(whole);
  assert.equal(await metricsOf(part), metrics);
  const logged = (tag: string): (number | null)[] => metrics.flatMap((m) => (tag in m ? [m[tag]!] : []));
  assert.is(logged('train/view').length, 6);
  assert.ok(logged('train/counter_accuracy').length > 0);
  for (const v of logged('train/counter_accuracy')) assert.ok(v! >= 0 && v! <= 1);
  const [inside, all] = [logged('train/lesions/inside'), logged('train/lesions/all')];
  assert.is(all.length, 6);
  assert.ok(all.some((n) => n! > 0) && inside.every((n, i) => n! <= all[i]!));
  // An epoch is two batches of five studies.
  assert.equal(
    metrics.filter((m) => 'epoch/lesions_inside' in m).map((m) => m.step),
    [2, 4, 6].filter((s) => all[s - 1]! + all[s - 2]! > 0),
  );
  const voxels = logged('diagnose/lesion_voxels');
  assert.is(voxels.length, 2);
  assert.ok(voxels[0]! > 0 && voxels[0] === voxels[1]);
  for (const tag of ['diagnose/delta_text_lesions', 'diagnose/lesion_error'])
    assert.ok(logged(tag).length === 2 && logged(tag).every((v) => Number.isFinite(v)), tag);
  const page = await readFile(join(whole, 'report.html'), 'utf8');
  for (const words of [
    'Were lesions shown?',
    'corrupted voxels of lesions',
    'find their other view',
    'below the true one',
  ])
    assert.ok(page.includes(words), words);
  const bad = await t3dc([...fresh, '-o', join(dir, 'bad'), '--lesions', 'wart']);
  assert.ok(bad.code !== 0 && bad.text.includes('wart'));
  const mean = await t3dc([...fresh, '-o', join(dir, 'bad'), '--fill', 'mean']);
  assert.ok(mean.code !== 0 && mean.text.includes('fills with noise'), mean.text.slice(-500));
});

test.run();
