// The command line from a model file to a segmented scan, on the wasm target: build, inspect, run, train, interrupt, resume,
// segment. A resumed run must end with the same bytes as one that was never stopped.

import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Orientation, reorient } from '../../data/index.ts';
import { readVolume, writeVolume } from '../../data/node.ts';
import {
  type OpenOptions,
  open,
  readSafetensors,
  type Session,
  toFloat32,
  writeSafetensors,
} from '../../runtime/index.ts';
import type { SegmentationTasks } from '../../tasks/index.ts';

const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));
const model = fileURLToPath(new URL('./cli-model.ts', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Its last line of stdout as JSON. */
  readonly json: Record<string, unknown>;
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
      const last = stdout.trim().split('\n').at(-1) ?? '';
      done({ code, stdout, stderr, json: last.startsWith('{') ? (JSON.parse(last) as Record<string, unknown>) : {} });
    });
  });
}

const told = (e: Ended): string => `${e.stderr}${e.stdout.slice(-2000)}`;

const test = suite('cli on wasm', { dir: '', artifact: '' });
/** Axes exchanged and reversed, as scanners write them. */
const TURN: Orientation = { axes: [1, 0, 2], flips: [true, false, true] };
const wasm = ['--device', 'wasm', '--threads', '1'];

test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 't3dc-cli-'));
  context.artifact = join(context.dir, 'unet');
  const built = await t3dc(['build', model, '--set', 'ema=0.9', '-o', context.artifact]);
  assert.is(built.code, 0, told(built));
  assert.is(built.json.model, 'cli-unet');
  const phantom = ['data', 'phantom', '--size', '40', '--spacing', '5', '--classes', 'organs', '--seed', '3'];
  const data = await t3dc([...phantom, '--cases', '3', '-o', join(context.dir, 'data')]);
  assert.is(data.code, 0, told(data));
});

test.after(async ({ dir }) => {
  await rm(dir, { recursive: true, force: true });
});

test('inspect tells what the artifact holds, and draws it', async ({ dir, artifact }) => {
  const html = join(dir, 'page.html');
  const { code, json, stderr } = await t3dc(['inspect', artifact, '--html', html]);
  assert.is(code, 0, stderr);
  const entries = json.entries as Record<string, { flops: { forward: number; grad: number } }>;
  assert.equal(Object.keys(entries), ['logits', 'segment']);
  assert.ok(entries.segment!.flops.grad > entries.segment!.flops.forward);
  assert.match(await readFile(html, 'utf8'), '<svg');
});

test('run: outputs and gradients by name; what does not fit is told', async ({ dir, artifact }) => {
  const n = 32 ** 3;
  const volume = Float32Array.from({ length: n }, (_, i) => (i % 97) / 97);
  const label = Int32Array.from({ length: n }, (_, i) => i % 6);
  const shape = [1, 1, 32, 32, 32];
  const input = join(dir, 'in.safetensors');
  const output = join(dir, 'out.safetensors');
  const tensors = [
    { name: 'volume', shape, data: volume },
    { name: 'label', shape, data: label },
  ];
  await writeFile(input, writeSafetensors(tensors));
  const ran = await t3dc([
    'run',
    artifact,
    'segment',
    '--in',
    input,
    '--out',
    output,
    '--seed',
    '1',
    '--grads',
    ...wasm,
  ]);
  assert.is(ran.code, 0, told(ran));
  const file = readSafetensors(await readFile(output));
  const loss = toFloat32(file.tensors.get('loss')!)[0]!;
  assert.ok(loss > 1 && loss < 5, `loss ${loss}`);
  assert.equal(file.tensors.get('grad.head.out.weight')!.shape, [6, 4, 1, 1, 1]);
  const wrong = await t3dc(['run', artifact, 'logits', '--in', input, '--out', output, '--seed', '1', ...wasm]);
  assert.is(wrong.code, 1);
  assert.is((wrong.json.error as { code: string }).code, 'bad-input');
  const bare = await t3dc(['run', artifact, 'segment', '--in', input, '--out', output, ...wasm]);
  assert.is((bare.json.error as { code: string }).code, 'no-weights');
});

test('train: interrupted and resumed, it ends with the bytes of a run that was not', async ({ dir, artifact }) => {
  const train = ['train', artifact, 'segment', ...wasm];
  const validated = ['--val-every', '10', '--hold-out', '3'];
  const fresh = [
    ...train,
    '--data',
    join(dir, 'data'),
    ...validated,
    '--steps',
    '40',
    '--seed',
    '5',
    '--accumulate',
    '2',
  ];
  const whole = await t3dc([...fresh, '--workers', '2', '-o', join(dir, 'whole')]);
  assert.is(whole.code, 0, told(whole));
  assert.is(whole.json.step, 40);
  const part = join(dir, 'part');
  let interrupted = false;
  const stopped = await t3dc([...fresh, '-o', part], (stdout, interrupt) => {
    // Once: a second Ctrl-C does not wait for the step.
    if (!interrupted && stdout.includes('"event":"step","step":12,')) interrupt();
    interrupted ||= stdout.includes('"event":"step","step":12,');
  });
  assert.is(stopped.code, 130, told(stopped));
  const again = await t3dc([...fresh, '-o', part]);
  assert.is((again.json.error as { code: string }).code, 'run-exists');
  const resumed = await t3dc([...train, '-o', part, '--resume', '--workers', '0']);
  assert.is(resumed.code, 0, told(resumed));
  const files = ['weights', 'weights.ema', 'best', 'checkpoint'].map((name) => `${name}.safetensors`);
  for (const name of files)
    assert.ok((await readFile(join(part, name))).equals(await readFile(join(dir, 'whole', name))), `${name} differs`);
  assert.equal(await metricsOf(part), await metricsOf(join(dir, 'whole')));
  const [first] = await metricsOf(part);
  assert.equal(Object.keys(first!), ['step', 'train/loss', 'train/lr']);
  const best = readSafetensors(await readFile(join(part, 'best.safetensors'))).metadata;
  const scores = (await metricsOf(part)).flatMap((m) => m['validation/dice'] ?? []);
  assert.is(scores.length, 4);
  assert.is(best.metric, 'validation/dice');
  assert.is(Number(best.value), Math.max(...scores));
});

/** What was logged, without the times. */
async function metricsOf(run: string): Promise<Record<string, number | null>[]> {
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trim().split('\n');
  return lines.map((l) => {
    const { 'train/ms': _, 'train/waited': __, ...rest } = JSON.parse(l) as Record<string, number | null>;
    return rest;
  });
}

test('the run folder tells all: configuration, report, model card, events', async ({ dir, artifact }) => {
  const read = (name: string) => readFile(join(dir, 'whole', name), 'utf8');
  const config = JSON.parse(await read('config.json')) as Record<string, Record<string, unknown>>;
  assert.equal(config.plan!.best, 'dice');
  assert.is(config.plan!.workers, 2);
  assert.equal(config.training!.average, 'ema');
  assert.equal(config.data!.validation, { folder: join(dir, 'data'), cases: 1 });
  const manifest = JSON.parse(await readFile(join(artifact, 'manifest.json'), 'utf8')) as { graphHash: string };
  assert.is(config.versions!.graphHash, manifest.graphHash);
  const report = await read('report.html');
  for (const part of [
    'Training loss',
    'Validation: Dice',
    'data:image/png;base64,',
    'mean Dice',
    'allocated on the device',
    'Waited for data',
  ])
    assert.match(report, part);
  const card = await read('model-card.md');
  for (const part of [
    'not a medical device',
    'independent implementation',
    'Dice, liver',
    'Trained on 2 labelled CT volumes of `data`',
  ])
    assert.match(card, part);
  assert.not.match(card, dir);
  const events = await readdir(join(dir, 'part'));
  assert.equal(events.filter((name) => name.includes('tfevents')).sort(), [
    'events.out.tfevents.000000.t3dc',
    'events.out.tfevents.000001.t3dc',
  ]);
});

test('train: a loss that is not a number stops the run, the last good checkpoint stays, and the run goes on from it', async ({
  dir,
  artifact,
}) => {
  const run = join(dir, 'diverged');
  const train = ['train', artifact, 'segment', ...wasm, '-o', run];
  const fresh = ['--data', join(dir, 'data'), '--warmup', '0', '--steps', '8', '--lr', '1e30'];
  // The first step leaves weights of 1e30: finite, but no step can start from them. So its checkpoint is no good one either.
  for (const every of ['100', '1']) {
    const stopped = await t3dc([...train, ...fresh, '--save-every', every, '--overwrite']);
    assert.is(stopped.code, 1, told(stopped));
    const { code, hint } = stopped.json.error as { code: string; hint: string };
    assert.is(code, 'non-finite-loss');
    assert.match(hint, /The checkpoint of step 0 is kept.*--resume/);
    assert.match(await readFile(join(run, 'report.html'), 'utf8'), 'The run broke off');
  }
  const resumed = await t3dc([...train, '--resume', '--lr', '1e-3']);
  assert.is(resumed.code, 0, told(resumed));
  assert.equal(
    (await metricsOf(run)).map((m) => m.step),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
  assert.equal(
    (await readdir(run)).filter((name) => name.endsWith('.before')),
    [],
  );
});

test('train: ends after validations that bring nothing better; what cannot be validated is said', async ({
  dir,
  artifact,
}) => {
  const run = join(dir, 'early');
  const train = ['train', artifact, 'segment', ...wasm, '-o', run];
  const fresh = [
    '--data',
    join(dir, 'data'),
    '--val-every',
    '1',
    '--hold-out',
    '3',
    '--steps',
    '30',
    '--patience',
    '2',
  ];
  const ended = await t3dc([...train, ...fresh, '--best', 'dice/lungs']);
  assert.is(ended.code, 0, told(ended));
  assert.is(ended.json.stoppedEarly, true);
  const scores = (await metricsOf(run)).flatMap((m) => m['validation/dice/lungs'] ?? []);
  const best = scores.indexOf(Math.max(...scores));
  assert.equal(ended.json.best, { step: best + 1, value: scores[best] });
  assert.is(ended.json.step, best + 3);
  assert.is(readSafetensors(await readFile(join(run, 'best.safetensors'))).metadata.step, String(best + 1));
  const still = await t3dc([...train, '--resume']);
  assert.is(still.json.step, best + 3, 'it has ended');
  const on = await t3dc([...train, '--resume', '--patience', '20', '--steps', String(best + 4)]);
  assert.is(on.json.step, best + 4);
  const without = await t3dc([...train, '--data', join(dir, 'data'), '--patience', '2', '--overwrite']);
  assert.is((without.json.error as { code: string }).code, 'missing-argument');
  const wrong = await t3dc([...train, ...fresh, '--best', 'dice/heart', '--overwrite']);
  assert.match((wrong.json.error as { expected: string }).expected, 'dice/lungs');
});

test('segment: labels on the grid of a scan in another orientation, with Dice and a picture', async ({
  dir,
  artifact,
}) => {
  const scan = await readVolume(join(dir, 'data', 'images', 'phantom_0000.nii.gz'));
  const truth = await readVolume(join(dir, 'data', 'labels', 'phantom_0000.nii.gz'));
  const turned = join(dir, 'turned.nii');
  const turnedTruth = join(dir, 'turned-truth.nii');
  await writeVolume(turned, reorient(scan, TURN));
  await writeVolume(turnedTruth, reorient(truth, TURN));
  const out = join(dir, 'seg.nii.gz');
  const picture = join(dir, 'seg.png');
  const files = ['--in', turned, '--out', out, '--truth', turnedTruth, '--picture', picture];
  const weights = ['--weights', join(dir, 'whole', 'weights.ema.safetensors')];
  const found = await t3dc(['segment', artifact, ...weights, ...files, '--largest-component', ...wasm]);
  assert.is(found.code, 0, told(found));
  assert.ok((found.json.windows as number) > 1);
  const labels = await readVolume(out);
  const from = await readVolume(turned);
  assert.equal(labels.dims, from.dims);
  assert.equal([...labels.affine], [...from.affine]);
  assert.is((await readFile(picture)).subarray(1, 4).toString(), 'PNG');
});

test('segment: mirrors, probabilities and little memory; what cannot be is told before the work', async ({
  dir,
  artifact,
}) => {
  const scan = join(dir, 'turned.nii');
  const probabilities = join(dir, 'probabilities');
  // Weights as drawn: unlike those of a few steps, they give every class some voxels.
  const weights = join(dir, 'drawn.safetensors');
  const session = await open(artifact, { device: 'wasm', threads: 1, seed: 3 });
  await writeFile(weights, await session.weights());
  await session.close();
  const segment = ['segment', artifact, '--weights', weights, '--in', scan, ...wasm];
  const plain = join(dir, 'plain.nii.gz');
  const whole = await t3dc([...segment, '--out', plain, '--probabilities', probabilities]);
  assert.is(whole.code, 0, told(whole));
  const labels = (await readVolume(plain)).data;
  assert.ok(new Set(labels).size > 2, `classes ${[...new Set(labels)]}`);
  const files = whole.json.probabilities as string[];
  assert.equal(
    files.map((f) => f.slice(probabilities.length + 1)),
    ['00-background', '01-liver', '02-spleen', '03-kidneys', '04-lungs', '05-spine'].map((n) => `${n}.nii.gz`),
  );
  const classes = await Promise.all(files.map(async (f) => (await readVolume(f)).data));
  labels.forEach((label, at) => {
    const of = classes.map((c) => c[at]!);
    assert.ok(of[label]! >= Math.max(...of) - 1 / 65535, `voxel ${at} is ${label}, probabilities ${of}`);
  });
  // One row of windows at a time: the same labels of more windows.
  const little = join(dir, 'little.nii.gz');
  const bounded = await t3dc([...segment, '--out', little, '--memory', '400KiB']);
  assert.is(bounded.code, 0, told(bounded));
  assert.ok((bounded.json.windows as number) > (whole.json.windows as number));
  assert.ok((await readFile(little)).equals(await readFile(plain)));
  const mirrored = join(dir, 'mirrored.nii.gz');
  const cleaned = ['--largest-component-of', 'liver,spine'];
  const flipped = await t3dc([...segment, '--out', mirrored, '--tta', 'flips', ...cleaned]);
  assert.is(flipped.code, 0, told(flipped));
  assert.not.equal([...(await readVolume(mirrored)).data], [...labels]);
  for (const [words, code] of [
    [['--out', join(dir, 'seg.png')], 'bad-value'],
    [['--out', mirrored, '--largest-component-of', 'liver,heart'], 'bad-option'],
    [['--out', mirrored, '--memory', '1KiB'], 'windows-memory'],
  ] as const) {
    const failed = await t3dc([...segment, ...words]);
    assert.is((failed.json.error as { code: string }).code, code, told(failed));
  }
});

test("the artifact's own index.js does the same: tasks on volumes, NIfTI in and out", async ({ dir, artifact }) => {
  const module = (name: string) => import(pathToFileURL(join(artifact, name)).href);
  const { open } = (await module('index.js')) as {
    open(o: OpenOptions): Promise<Session & { tasks: SegmentationTasks }>;
  };
  const { readNifti, writeNifti } = (await module('nifti.js')) as typeof import('../../data/index.ts');
  const session = await open({ device: 'wasm', threads: 1 });
  try {
    await session.loadWeights(join(dir, 'whole', 'weights.safetensors'));
    const scan = readNifti(await readFile(join(dir, 'turned.nii')));
    const progress: number[] = [];
    const found = await session.tasks.segment(scan, {
      largestComponent: true,
      onProgress: (done, total) => progress.push(done / total),
    });
    assert.equal(progress.at(-1), 1);
    assert.equal(found.classNames.slice(0, 2), ['background', 'liver']);
    const written = readNifti(writeNifti(found.labels));
    assert.equal([...written.data], [...(await readVolume(join(dir, 'seg.nii.gz'))).data]);

    const label = await readVolume(join(dir, 'turned-truth.nii'));
    const cases = [{ name: 'one', load: async () => ({ image: scan, label }) }];
    const { step } = session;
    const losses: number[] = [];
    for await (const s of session.tasks.train(cases, { steps: step + 2, lr: 1e-3 })) losses.push(s.loss);
    assert.is(losses.length, 2);
    assert.ok(
      losses.every((l) => l > 0 && l < 3),
      `losses ${losses}`,
    );
    // Weights as drawn: some voxels of every class are right by chance. (The few steps above leave all background.)
    await session.initialise(3);
    const { mean } = await session.tasks.validate(cases);
    assert.ok(mean > 0 && mean <= 1, `mean Dice ${mean}`);
  } finally {
    await session.close();
  }
});

test.run();
