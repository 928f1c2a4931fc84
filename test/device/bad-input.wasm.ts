// Data that cannot be used, met in the middle of a training, on the wasm target: the run ends with the case named, keeps what it learned,
// and goes on once the data are right, to the bytes of a run that never met them. A class that no case has is told.
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { epochOrder } from '../../data/epoch-order.ts';
import { phantom } from '../../data/index.ts';
import { readVolume, writeVolume } from '../../data/node.ts';
import { type Ended, ok as ended, t3dc } from '../t3dc.ts';

const ok = async (...words: string[]): Promise<Ended> => ended(await t3dc(...words));

const CASES = 3;
const SEED = 5;
const STEPS = 4;
const at = { dir: '', data: '', artifact: '' };
const WASM = ['--device', 'wasm', '--threads', '1'];
const name = (n: number): string => `organs_${n}.nii.gz`;
const file = (kind: 'images' | 'labels', n: number): string => join(at.data, kind, name(n));
const finetune = (...words: string[]): string[] => ['finetune', 'segment', at.artifact, ...words, ...WASM];
const fresh = (run: string): string[] => {
  const plan = ['--steps', `${STEPS}`, '--seed', `${SEED}`, '--save-every', '100', '--workers', '0'];
  return finetune('--from-scratch', '--data', at.data, '-o', run, ...plan);
};

const test = suite('data that cannot be used');
test.before(async () => {
  at.dir = await mkdtemp(join(tmpdir(), 't3dc-bad-'));
  at.data = join(at.dir, 'organs');
  at.artifact = join(at.dir, 'unet');
  for (let n = 0; n < CASES; n++) {
    const { image, label } = phantom({ seed: 6, index: n, size: [38, 38, 38], spacing: [5, 5, 5], classes: 'organs' });
    await writeVolume(file('images', n), image);
    await writeVolume(file('labels', n), label);
  }
  const build = ['build', fileURLToPath(new URL('./cli-model.ts', import.meta.url)), '--entries', 'segment'];
  await ok(...build, '-o', at.artifact);
  await ok(...fresh(join(at.dir, 'whole')));
});
test.after(() => rm(at.dir, { recursive: true, force: true }));

/** The case that comes last in the first epoch: two steps are done before it. */
const last = (): number => epochOrder(CASES, SEED, 0).at(-1)!;

const FAULTS: Readonly<
  Record<string, readonly [kind: 'images' | 'labels', code: RegExp, spoil: (path: string) => Promise<void>]>
> = {
  'labels on another grid': [
    'labels',
    /^volume-grids$/,
    async (path) => {
      const label = await readVolume(path);
      const affine = [...label.affine] as unknown as typeof label.affine;
      (affine as unknown as number[])[3]! += 3;
      await writeVolume(path, { ...label, affine });
    },
  ],
  'a label map that holds what is no class': [
    'labels',
    /^label-range$/,
    async (path) => {
      const label = await readVolume(path);
      const data = Uint8Array.from(label.data);
      // Within the body: what lies in the air around it is cut away.
      data[data.indexOf(1)] = 77;
      await writeVolume(path, { ...label, data });
    },
  ],
  'a volume that cannot be read': [
    'images',
    /^(gzip|nifti)-/,
    async (path) => writeFile(path, (await readFile(path)).subarray(0, 2000)),
  ],
};

for (const [fault, [kind, code, spoil]] of Object.entries(FAULTS))
  test(`${fault}: named, nothing lost, and gone on from`, async () => {
    const path = file(kind, last());
    const good = join(at.dir, 'good.nii.gz');
    const run = join(at.dir, fault.replaceAll(' ', '-'));
    await copyFile(path, good);
    await spoil(path);
    const broken = await t3dc(...fresh(run));
    await copyFile(good, path);
    assert.is(broken.code, 1, broken.stderr);
    assert.match(broken.json.error.code, code);
    assert.match(JSON.stringify(broken.json.error), `organs_${last()}`);
    assert.match(broken.stderr, `step 2 of ${STEPS} is saved; --resume goes on from there`);
    const resumed = await ok(...finetune('--resume', '-o', run));
    assert.is(resumed.json.step, STEPS);
    for (const weights of ['weights.safetensors', 'checkpoint.safetensors'])
      assert.ok((await readFile(join(run, weights))).equals(await readFile(join(at.dir, 'whole', weights))), weights);
    const steps = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trim().split('\n');
    assert.equal(
      steps.map((l) => JSON.parse(l).step),
      [1, 2, 3, 4],
    );
  });

test('a class that no training case has is told, and stands in report and model card', async () => {
  const whole = await readFile(join(at.dir, 'whole', 'report.html'), 'utf8');
  assert.not.match(whole, 'has a voxel of');
  const without = join(at.dir, 'without');
  for (const kind of ['images', 'labels'] as const) await mkdir(join(without, kind), { recursive: true });
  for (let n = 0; n < CASES; n++) {
    await copyFile(file('images', n), join(without, 'images', name(n)));
    const label = await readVolume(file('labels', n));
    const data = Uint8Array.from(label.data, (v) => (v === 2 || v === 5 ? 0 : v));
    await writeVolume(join(without, 'labels', name(n)), { ...label, data });
  }
  const run = join(at.dir, 'absent');
  const ended = await ok(...fresh(run).map((w) => (w === at.data ? without : w)));
  assert.equal(ended.json.absentClasses, ['spleen', 'spine']);
  const said = `None of the ${CASES} training cases has a voxel of spleen, spine`;
  assert.match(ended.stderr, said);
  for (const page of ['report.html', 'model-card.md']) assert.match(await readFile(join(run, page), 'utf8'), said);
});

test('the run is of finetune segment, and train does not go on with it', async () => {
  const run = join(at.dir, 'whole');
  const read = (page: string) => readFile(join(run, page), 'utf8');
  assert.is(JSON.parse(await read('config.json')).command, 'finetune segment');
  assert.match(await read('model-card.md'), /^# cli-unet, trained by `t3dc finetune segment`\n/);
  assert.match(await read('report.html'), /<small>t3dc finetune segment on /);
  const other = await t3dc('train', at.artifact, 'segment', '--resume', '-o', run, ...WASM);
  assert.is(other.json.error.code, 'run-other');
  assert.match(other.json.error.hint, 't3dc finetune segment');
});

test.run();
