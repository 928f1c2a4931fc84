// `t3dc pretrain` from a phantom to a run, on the wasm target: what is told, what is left out, what is refused; a run that was stopped
// ends with the bytes of one that was not.
import { spawn } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tokenizerJson, trainWordPiece } from '../../data/wordpiece.ts';

const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Its lines of stdout as JSON. */
  readonly events: readonly Record<string, unknown>[];
}

/** Runs the tool; `watch` sees stdout as it comes and may interrupt. */
function t3dc(words: readonly string[], watch?: (stdout: string, interrupt: () => void) => void): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [tool, ...words, '--json']);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (d: Buffer) => {
      stdout += d.toString();
      watch?.(stdout, () => child.kill('SIGINT'));
    });
    child.stderr.on('data', (d: Buffer) => {
      stderr += d.toString();
    });
    child.on('close', (code) => {
      const lines = stdout.split('\n').filter((l) => l.startsWith('{'));
      done({ code, stdout, stderr, events: lines.map((l) => JSON.parse(l) as Record<string, unknown>) });
    });
  });
}

const told = (e: Ended): string => `${e.stderr}${e.stdout.slice(-2000)}`;
const errorOf = (e: Ended) => e.events.at(-1)?.error as { code: string; found: string; hint: string } | undefined;
const event = (e: Ended, name: string) => e.events.find((x) => x.event === name)!;

const test = suite('pretrain on wasm', { dir: '', artifact: '', data: '', tokenizer: '' });
const wasm = ['--device', 'wasm', '--threads', '1'];

test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 't3dc-pretrain-'));
  context.artifact = join(context.dir, 't3d');
  context.data = join(context.dir, 'data');
  context.tokenizer = join(context.dir, 'small');
  const run = async (words: string[]) => {
    const e = await t3dc(words);
    assert.is(e.code, 0, told(e));
  };
  const phantom = ['data', 'phantom', '--size', '32', '--spacing', '5', '--seed', '3'];
  await run([...phantom, '--cases', '6', '-o', context.data]);
  await run([...phantom, '--cases', '2', '--first', '50', '-o', join(context.dir, 'val')]);
  await run([
    'data',
    'vocabulary',
    context.data,
    '-o',
    context.tokenizer,
    '--size',
    '200',
    '--width',
    '32',
    '--layers',
    '1',
  ]);
  const pretrain = { tiles: 3, tileBatch: 2, restoreBatch: 2, restoreHeads: 2, sentences: 6 };
  await run([
    'build',
    't3d',
    ...['--preset', 'pico', '--text', context.tokenizer, '--entries', 'pretrain,diagnose,ground,restore'],
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

test('a run that was stopped ends with the bytes of one that was not, and says what it used', async ({
  dir,
  artifact,
  data,
  tokenizer,
}) => {
  const pretrain = ['pretrain', artifact, ...wasm];
  const fresh = [
    ...pretrain,
    ...['--pairs', data, '--val', join(dir, 'val'), '--tokenizer', tokenizer],
    ...['--steps', '30', '--seed', '5', '--accumulate', '2', '--diagnose-every', '10', '--cache', '100KiB'],
  ];
  const whole = await t3dc([...fresh, '--workers', '2', '-o', join(dir, 'whole')]);
  assert.is(whole.code, 0, told(whole));
  const start = event(whole, 'start');
  assert.is(start.method, 't3d');
  assert.match(String(start.tower), /^BERT, 1 layer, 32 wide, 200 words; drawn from seed 5, trained from nothing$/);
  assert.equal(start.pairs, { train: 6, validation: 2 });
  const part = join(dir, 'part');
  let interrupted = false;
  const stopped = await t3dc([...fresh, '-o', part], (stdout, interrupt) => {
    // Once: a second Ctrl-C does not wait for the step.
    if (!interrupted && stdout.includes('"event":"step","step":12,')) interrupt();
    interrupted ||= stdout.includes('"event":"step","step":12,');
  });
  assert.is(stopped.code, 130, told(stopped));
  const again = await t3dc([...fresh, '-o', part]);
  assert.is(errorOf(again)?.code, 'run-exists');
  const resumed = await t3dc([...pretrain, '-o', part, '--resume', '--workers', '0']);
  assert.is(resumed.code, 0, told(resumed));
  for (const name of ['weights', 'best', 'checkpoint'].map((n) => `${n}.safetensors`))
    assert.ok((await readFile(join(part, name))).equals(await readFile(join(dir, 'whole', name))), `${name} differs`);
  assert.equal(await metricsOf(part), await metricsOf(join(dir, 'whole')));
});

test('the run folder: losses by task, diagnostics, examples, the tokenizer', async ({ dir, tokenizer }) => {
  const run = join(dir, 'whole');
  const metrics = await metricsOf(run);
  const steps = metrics.filter((m) => 'train/tcl' in m);
  assert.is(steps.length, 30);
  const diagnosed = metrics.filter((m) => 'diagnose/delta_text' in m);
  assert.equal(
    diagnosed.map((m) => m.step),
    [10, 20, 30],
  );
  for (const m of diagnosed) {
    for (const [name, v] of Object.entries(m)) assert.ok(Number.isFinite(v), `${name} is ${v}`);
    // The empty reports are all alike: the first of two is taken.
    assert.is(m['diagnose/accuracy/text_null'], 0.5);
    assert.ok(m['diagnose/grad_tokens']! > 0);
    const delta = m['diagnose/tir/swapped']! - m['diagnose/tir/own']!;
    assert.ok(Math.abs(delta - m['diagnose/delta_text']!) < 1e-9);
    assert.ok(Math.abs(m['validation/loss']! - m['validation/tcl']! - m['validation/tir']!) < 1e-6);
  }
  const examples = await readdir(join(run, 'examples'));
  assert.equal(
    examples.filter((f) => f.startsWith('000030')).sort(),
    ['ground-0', 'ground-1', 'restored-0', 'restored-1'].map((n) => `000030-${n}.png`),
  );
  const page = await readFile(join(run, 'report.html'), 'utf8');
  for (const words of [
    'Are text and images used?',
    'The restoration did not use the text',
    'images exchanged',
    'image/png',
  ])
    assert.ok(page.includes(words), words);
  assert.ok((await readFile(join(run, 'tokenizer.json'))).equals(await readFile(join(tokenizer, 'tokenizer.json'))));
  assert.match(await readFile(join(run, 'model-card.md'), 'utf8'), 'Text tower: BERT, 1 layer');
});

test('what cannot be used is left out by name and reason, and the run goes on', async ({
  dir,
  artifact,
  data,
  tokenizer,
}) => {
  const lines = (await readFile(join(data, 'pairs.jsonl'), 'utf8')).trim().split('\n');
  const pairs = lines.map((l) => JSON.parse(l) as Record<string, string>);
  await writeFile(join(data, 'broken.nii.gz'), 'no volume');
  await writeFile(join(data, 'empty.txt'), ' \n');
  await writeFile(join(data, 'history.txt'), 'HISTORY: Cough.');
  await writeFile(join(data, 'endless.txt'), 'FINDINGS: The liver is normal.\n'.repeat(2000));
  const bad = [
    { patient: 'a', image: 'broken.nii.gz', report: pairs[0]!.report },
    { patient: 'b', image: pairs[1]!.image, report: 'empty.txt' },
    { patient: 'c', image: pairs[2]!.image, report: 'history.txt' },
    { patient: 'd', image: pairs[0]!.image, report: 'missing.txt' },
    { patient: 'e', image: pairs[1]!.image, report: 'endless.txt' },
  ];
  const list = join(data, 'some.jsonl');
  await writeFile(list, [...bad, ...pairs.slice(3)].map((p) => JSON.stringify(p)).join('\n'));
  const run = join(dir, 'some');
  const e = await t3dc([
    'pretrain',
    artifact,
    ...wasm,
    '--pairs',
    list,
    '--tokenizer',
    tokenizer,
    '-o',
    run,
    '--steps',
    '4',
  ]);
  assert.is(e.code, 0, told(e));
  assert.equal(event(e, 'done').leftOut, {
    'report-empty': 1,
    'report-missing': 1,
    'report-no-sentence': 1,
    'report-too-long': 1,
    'nifti-truncated': 1,
  });
  const left = JSON.parse(await readFile(join(run, 'left-out.json'), 'utf8')) as { name: string; reason: string }[];
  assert.equal(left.find((l) => l.reason === 'report-no-sentence')?.name, 'phantom_0002');
  assert.match(await readFile(join(run, 'report.html'), 'utf8'), 'Left out');
});

test('a tokenizer of another tower is refused', async ({ dir, artifact, data, tokenizer }) => {
  const of = async (...more: string[]) =>
    errorOf(
      await t3dc(['pretrain', artifact, ...wasm, '--pairs', data, '-o', join(dir, 'none'), '--steps', '1', ...more]),
    );
  assert.is((await of())?.code, 'missing-argument');
  const larger = join(dir, 'larger.json');
  const words = Array.from({ length: 400 }, (_, n) => `w${n}`);
  await writeFile(larger, JSON.stringify(tokenizerJson([...trainWordPiece([], 5), ...words])));
  const tooLarge = await of('--tokenizer', larger);
  assert.is(tooLarge?.code, 'tokenizer-mismatch');
  assert.match(tooLarge!.found, '405');
  // As many tokens, others than those that the weights were trained with.
  const weights = join(dir, 'whole', 'weights.safetensors');
  const other = join(dir, 'other.json');
  await writeFile(other, JSON.stringify(tokenizerJson([...trainWordPiece([], 5), ...words.slice(0, 195)])));
  assert.is((await of('--tokenizer', other, '--weights', weights))?.code, 'tokenizer-mismatch');
  const alone = join(dir, 'alone');
  await writeFile(join(dir, 'few.json'), JSON.stringify(tokenizerJson(trainWordPiece(['liver'], 20))));
  await copyFile(weights, `${alone}.safetensors`);
  const few = await of('--tokenizer', join(dir, 'few.json'), '--text-weights', `${alone}.safetensors`);
  assert.is(few?.code, 'tokenizer-mismatch');
  const good = await t3dc([
    ...['pretrain', artifact, ...wasm, '--pairs', data, '-o', join(dir, 'on'), '--steps', '1'],
    ...['--tokenizer', tokenizer, '--weights', weights],
  ]);
  assert.is(good.code, 0, told(good));
  assert.match(String(event(good, 'start').tower), 'weights of weights.safetensors, trained on');
});

test('other pairs than the run began with, and patients on both sides, are refused', async ({
  dir,
  artifact,
  data,
  tokenizer,
}) => {
  const run = join(dir, 'whole');
  const other = await t3dc(['pretrain', artifact, ...wasm, '-o', run, '--resume', '--pairs', join(data, 'some.jsonl')]);
  assert.is(errorOf(other)?.code, 'run-data');
  const leak = await t3dc([
    ...['pretrain', artifact, ...wasm, '--pairs', data, '--val', data, '--tokenizer', tokenizer],
    ...['-o', join(dir, 'leak'), '--steps', '1'],
  ]);
  assert.is(errorOf(leak)?.code, 'split-patient');
});

test('a loss that is not a number stops the run, and it goes on from the last good checkpoint', async ({
  dir,
  artifact,
  data,
  tokenizer,
}) => {
  const run = join(dir, 'diverged');
  const pretrain = ['pretrain', artifact, ...wasm, '-o', run];
  const stopped = await t3dc([
    ...pretrain,
    ...[
      '--pairs',
      data,
      '--tokenizer',
      tokenizer,
      '--warmup',
      '0',
      '--steps',
      '8',
      '--lr',
      '1e30',
      '--diagnose-every',
      '0',
    ],
  ]);
  assert.is(stopped.code, 1, told(stopped));
  assert.is(errorOf(stopped)?.code, 'non-finite-loss');
  assert.match(errorOf(stopped)!.hint, '--resume');
  const resumed = await t3dc([...pretrain, '--resume', '--lr', '1e-3', '--steps', '4']);
  assert.is(resumed.code, 0, told(resumed));
  assert.equal(
    (await metricsOf(run)).flatMap((m) => ('train/loss' in m ? [m.step] : [])),
    [1, 2, 3, 4],
  );
});

test.run();
