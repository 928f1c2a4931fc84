// Whole studies on the command line, on the wasm target: fine-tuning on findings, classification, an index, retrieval, zero-shot.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readCsv } from '../../data/csv.ts';
import { readVolume } from '../../data/node.ts';
import { readSafetensors, toFloat32, writeSafetensors } from '../../runtime/index.ts';
import { dicomSlice } from '../dicom-slice.ts';
import { type Ended, interrupted, ok, t3dc } from '../t3dc.ts';

const refused = (e: Ended, code: string): void =>
  assert.is(e.json.error?.code, code, `${JSON.stringify(e.json)}\n${e.stderr}`);

const WASM = ['--device', 'wasm', '--threads', '1'];
const ORGANS = ['stomach', 'spleen', 'liver'];
const STUDIES = 10;

const at = { dir: '', artifact: '', part: '', labels: '', weights: '', index: '' };
const test = suite('studies on the command line');

/** 1 where a lesion of the organ is; of the fourth study the stomach is not known. */
async function labels(): Promise<string> {
  const { rows } = readCsv(await readFile(join(at.part, 'lesions.csv'), 'utf8'));
  const lines = Array.from({ length: STUDIES }, (_, n) => {
    const name = `part_${String(n).padStart(4, '0')}`;
    const of = (organ: string) => rows.some(({ values: v }) => v.name === name && v.organ === organ);
    return [name, ...ORGANS.map((o, f) => (n === 3 && f === 0 ? '' : Number(of(o))))].join(',');
  });
  return [`patient,${ORGANS}`, ...lines, 'elsewhere,1,1,1'].join('\n');
}

test.before(async () => {
  at.dir = await mkdtemp(join(tmpdir(), 't3dc-studies-'));
  at.part = join(at.dir, 'part');
  ok(await t3dc('data', 'phantom', '--preset', 'part', '--cases', `${STUDIES}`, '--seed', '3', '-o', at.part));
  const vocabulary = ok(await t3dc('data', 'vocabulary', at.part, '-o', join(at.dir, 'tokens')));
  assert.is(vocabulary.code, 0);
  at.labels = join(at.dir, 'labels.csv');
  await writeFile(at.labels, await labels());
  at.artifact = join(at.dir, 'artifact');
  const built = await t3dc(
    ...['build', 't3d', '--preset', 'pico', '--batch', '4', '-o', at.artifact],
    ...['--entries', 'pretrain,embedStudy,embedReport,contrastMoments,scorePairs,classify,scores,segment'],
    ...[
      '--set',
      'channels=4,8',
      'text={"hiddenSize":16,"intermediateSize":32}',
      'findings=3',
      `findingNames=${ORGANS}`,
    ],
    ...[
      '--set',
      'pretrain={"tiles":4,"tileBatch":4,"lambdaTir":0}',
      'layerDecay=0.5',
      'freeze=^encoder\\.0\\.',
      'lr=0.01',
    ],
  );
  ok(built);
  const run = join(at.dir, 'pretrained');
  const pretrained = ['pretrain', at.artifact, '--pairs', at.part, '--tokenizer', join(at.dir, 'tokens'), '-o', run];
  ok(await t3dc(...pretrained, '--steps', '6', '--diagnose-every', '0', ...WASM));
  // What pre-training trained, beside the run's tokenizer: the artifact's other heads are not pre-trained.
  at.weights = join(run, 'trained.safetensors');
  await writeFile(at.weights, some(await readFile(join(run, 'weights.safetensors')), /^(text|encoder|contrast)\./));
  at.index = join(at.dir, 'index', 'part.safetensors');
});
test.after(() => rm(at.dir, { recursive: true, force: true }));

/** A file of weights, as far as their names match. */
function some(file: Uint8Array, names: RegExp): Uint8Array {
  const kept = [...readSafetensors(file).tensors].filter(([name]) => names.test(name));
  return writeSafetensors(kept.map(([name, t]) => ({ name, shape: t.shape, data: toFloat32(t) })));
}

const tensorsOf = async (path: string): Promise<Map<string, Float32Array>> =>
  new Map([...readSafetensors(await readFile(path)).tensors].map(([name, t]) => [name, toFloat32(t)]));
const scoresIn = async (path: string) =>
  new Map(
    readCsv(await readFile(path, 'utf8')).rows.map(({ values: { case: name, ...rest } }) => [
      name!,
      Object.values(rest).map(Number),
    ]),
  );

const finetune = () => ['finetune', 'classify', at.artifact, '--studies', at.part, '--labels', at.labels, ...WASM];

test('finetune classify: from named weights, frozen parts as they were, the best step kept, resumed to the same bytes', async () => {
  refused(await t3dc(...finetune(), '-o', join(at.dir, 'f0')), 'missing-argument');
  const fresh = [...finetune(), '--weights', at.weights, '--val-every', '2', '--hold-out', '2', '--seed', '4'];
  const whole = ok(await t3dc(...fresh, '--steps', '6', '--workers', '2', '-o', join(at.dir, 'whole')));
  assert.match(whole.stderr, /31 of 42 tensors loaded: encoder \(6\), text \(21\), contrast \(4\)/);
  assert.match(whole.stderr, /drawn from the seed instead: .*classify \(2\)/);
  assert.match(whole.stderr, /1 rows of labels.csv are of none of the studies/);
  assert.is(whole.json.step, 6);
  const [before, after] = [await tensorsOf(at.weights), await tensorsOf(join(at.dir, 'whole', 'weights.safetensors'))];
  const same = (name: string) => Buffer.from(before.get(name)!.buffer).equals(Buffer.from(after.get(name)!.buffer));
  for (const name of before.keys())
    assert.is(same(name), !/^(encoder\.1|classify)\./.test(name), `${name} ${same(name) ? 'stayed' : 'moved'}`);
  const lines = (await readFile(join(at.dir, 'whole', 'metrics.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));
  const validations = lines.filter((l) => 'validation/auroc' in l);
  assert.equal(
    validations.map((v) => v.step),
    [2, 4, 6],
  );
  for (const o of ORGANS) assert.ok(`validation/auroc/${o}` in validations[0]);
  const best = readSafetensors(await readFile(join(at.dir, 'whole', 'best.safetensors'))).metadata;
  assert.is(Number(best.value), Math.max(...validations.map((v) => v['validation/auroc'])));

  const part = join(at.dir, 'parted');
  const stopped = await interrupted('"event":"step","step":3,', ...fresh, '--steps', '6', '-o', part);
  assert.is(stopped.code, 130, stopped.stderr);
  ok(await t3dc('finetune', 'classify', at.artifact, '--resume', '--workers', '0', '-o', part, ...WASM));
  for (const name of ['weights', 'best', 'checkpoint']) {
    const file = `${name}.safetensors`;
    assert.ok(
      (await readFile(join(part, file))).equals(await readFile(join(at.dir, 'whole', file))),
      `${name} differs`,
    );
  }
  const config = JSON.parse(await readFile(join(part, 'config.json'), 'utf8'));
  assert.equal(config.plan.findings, ORGANS);
  assert.is(config.command, 'finetune classify');
});

test('finetune classify: what cannot be learned from is refused by name', async () => {
  const run = ['--weights', at.weights, '--steps', '1', '-o', join(at.dir, 'f1')];
  refused(await t3dc(...finetune(), ...run, '--findings', 'stomach,spleen,heart'), 'no-finding');
  refused(await t3dc(...finetune(), ...run, '--findings', 'stomach,spleen'), 'no-finding');
  const other = join(at.dir, 'other.csv');
  const table = (text: string) => writeFile(other, text);
  const words = finetune().map((w) => (w === at.labels ? other : w));
  await table(`patient,${ORGANS}\nsomebody,1,0,1\n`);
  refused(await t3dc(...words, ...run), 'missing-truth');
  await table(`patient,${ORGANS}\npart_0000,1,yes,1\n`);
  refused(await t3dc(...words, ...run), 'cases-table');
  await table(`who,${ORGANS}\npart_0000,1,0,1\n`);
  refused(await t3dc(...words, ...run), 'cases-table');
  refused(await t3dc(...finetune(), ...run, '--patience', '2'), 'missing-argument');
});

test('finetune segment: train from named weights', async () => {
  const words = ['finetune', 'segment', at.artifact, '--data', at.part, '--steps', '2', ...WASM];
  refused(await t3dc(...words, '-o', join(at.dir, 's0')), 'missing-argument');
  const run = join(at.dir, 'segment');
  const ended = ok(await t3dc(...words, '--weights', at.weights, '-o', run));
  assert.match(ended.stderr, /tensors loaded: .*encoder \(6\)/);
  assert.match(ended.stderr, /drawn from the seed instead: .*decoder \(\d+\)/);
  const [before, after] = [await tensorsOf(at.weights), await tensorsOf(join(run, 'weights.safetensors'))];
  assert.equal(after.get('encoder.0.conv1.weight'), before.get('encoder.0.conv1.weight'), 'frozen');
  assert.not.equal(after.get('encoder.1.conv1.weight'), before.get('encoder.1.conv1.weight'));
});

test('classify: a list, a folder of scans, a scan and a DICOM series give one study the same scores', async () => {
  const csv = join(at.dir, 'scores.csv');
  const classify = async (studies: string, ...more: string[]): Promise<Ended> =>
    t3dc(
      'classify',
      at.artifact,
      studies,
      '--weights',
      join(at.dir, 'whole', 'weights.safetensors'),
      '-o',
      csv,
      ...WASM,
      ...more,
    );
  const all = ok(await classify(at.part, '--labels', at.labels));
  assert.is(all.json.studies, STUDIES);
  assert.ok(
    all.json.auroc.stomach >= 0 && all.json.positives.stomach[1] === STUDIES - 1,
    'what is not known is left out',
  );
  const listed = await scoresIn(csv);
  assert.is(listed.size, STUDIES);
  for (const row of listed.values()) assert.ok(row.length === 3 && row.every((p) => p > 0 && p < 1), `${row}`);
  assert.match(await readFile(csv, 'utf8'), /^case,stomach,spleen,liver\n/);
  const judged = ok(
    await t3dc('eval', 'classify', '--pred', csv, '--truth', await asCases(), '-o', join(at.dir, 'eval')),
  );
  for (const o of ORGANS) assert.is(judged.json.classes[o].auroc.estimate, all.json.auroc[o]);

  ok(await classify(join(at.part, 'images')));
  assert.equal(await scoresIn(csv), listed);
  const scan = join(at.part, 'images', 'part_0004.nii.gz');
  ok(await classify(scan));
  assert.equal([...(await scoresIn(csv))], [['part_0004', listed.get('part_0004')!]]);
  const series = join(at.dir, 'series');
  await mkdir(series);
  const volume = await readVolume(scan);
  for (let k = 0; k < volume.dims[2]; k++) await writeFile(join(series, `${k}.dcm`), dicomSlice(volume, k));
  ok(await classify(series));
  const fromDicom = (await scoresIn(csv)).get('series')!;
  // Whole HU in place of the file's own numbers.
  for (const [f, p] of fromDicom.entries())
    assert.ok(Math.abs(p - listed.get('part_0004')![f]!) < 1e-3, `${fromDicom}`);
});

/** The labels by case, as t3dc eval reads them. */
async function asCases(): Promise<string> {
  const path = join(at.dir, 'truth.csv');
  await writeFile(path, (await readFile(at.labels, 'utf8')).replace('patient', 'case'));
  return path;
}

test('classify: a study that cannot be read is left out by name; none is an error', async () => {
  const list = join(at.dir, 'list.csv');
  await writeFile(list, 'image,patient\npart/images/part_0000.nii.gz,a\npart/images/lost.nii.gz,b\n');
  const weights = join(at.dir, 'whole', 'weights.safetensors');
  const words = ['classify', at.artifact, list, '--weights', weights, '-o', join(at.dir, 's.csv'), ...WASM];
  const ended = ok(await t3dc(...words));
  assert.equal(
    ended.json.skipped.map((s: { name: string; reason: string }) => [s.name, s.reason]),
    [['lost', 'file-missing']],
  );
  await writeFile(list, 'image\npart/images/lost.nii.gz\n');
  refused(await t3dc(...words), 'no-studies');
  await writeFile(list, 'scan\npart/images/part_0000.nii.gz\n');
  refused(await t3dc(...words), 'no-studies');
  ok(await t3dc(...words, '--columns', 'image=scan'));
  refused(await t3dc(...words, '--columns', 'image=scan', '--findings', 'a,b'), 'no-finding');
  const tower = join(at.dir, 'tower.safetensors');
  await writeFile(tower, some(await readFile(at.weights), /^text\./));
  refused(await t3dc(...words.map((w) => (w === weights ? tower : w)), '--columns', 'image=scan'), 'weights-mismatch');
});

const embed = (out: string, ...more: string[]) =>
  t3dc('embed', at.artifact, '--weights', at.weights, '--pairs', at.part, '-o', out, ...WASM, ...more);

test('embed: an index without a word of the reports, the same bytes again; with them where asked', async () => {
  const made = ok(await embed(at.index));
  assert.equal([made.json.studies, made.json.shape], [STUDIES, [4 * 343, 8]]);
  const bytes = await readFile(at.index);
  const report = await readFile(join(at.part, 'reports', 'part_0002.txt'), 'utf8');
  const sentence = report.split(/[\n.]/)[1]!.trim();
  assert.ok(
    sentence.length > 15 && !bytes.includes(sentence) && !bytes.includes(at.dir),
    'no text, and no path from the root',
  );
  const again = join(at.dir, 'index', 'again.safetensors');
  ok(await embed(again));
  assert.ok(bytes.equals(await readFile(again)));
  const texts = join(at.dir, 'index', 'texts.safetensors');
  ok(await embed(texts, '--keep-text'));
  assert.ok((await readFile(texts)).includes(sentence));
  const shown = ok(
    await t3dc('retrieve', texts, '--volume', join(at.part, 'images', 'part_0002.nii.gz'), '-k', '10', ...WASM),
  );
  assert.is(shown.json.reports.find((r: { name: string }) => r.name === 'part_0002').text, report);
});

const retrieve = (...more: string[]) => t3dc('retrieve', at.index, ...WASM, ...more);

test('retrieve: texts find studies and studies reports, with the scores of the index against itself', async () => {
  const csv = join(at.dir, 'matrix.csv');
  const itself = ok(await retrieve('-o', csv));
  for (const way of [itself.json.studyToReport, itself.json.reportToStudy]) {
    assert.is(way.queries, STUDIES);
    assert.ok(way['R@1'] <= way['R@5'] && way['R@5'] <= way['R@10'] && way['R@10'] === 1 && way.medianRank >= 1);
  }
  const { columns, rows } = readCsv(await readFile(csv, 'utf8'));
  assert.is(rows.length, STUDIES);
  // By patients, and with what says the same: the index writes both.
  const [, cases, groups] = itself.json.files;
  const judged = ok(
    await t3dc('eval', 'retrieve', '--scores', csv, '--cases', cases, '--groups', groups, '-o', join(at.dir, 'eval')),
  );
  for (const [way, own] of [
    [judged.json.directions.rowsToColumns, itself.json.studyToReport],
    [judged.json.directions.columnsToRows, itself.json.reportToStudy],
  ]) {
    assert.equal([way.queries, way.patients], [STUDIES, STUDIES]);
    assert.is(way['R@1'].estimate, own['R@1']);
    assert.ok(way['R@5'].low <= way['R@5'].estimate && way['R@5'].estimate <= way['R@5'].high);
  }
  const score = (study: string, name: string) => Number(rows.find((r) => r.values.study === study)!.values[name]);

  const report = await readFile(join(at.part, 'reports', 'part_0001.txt'), 'utf8');
  const studies = ok(await retrieve('--text', report, '-k', '3')).json.studies as { name: string; score: number }[];
  const column = rows.map((r) => r.values.study!).sort((a, b) => score(b, 'part_0001') - score(a, 'part_0001'));
  assert.equal(
    studies.map((s) => s.name),
    column.slice(0, 3),
  );
  for (const s of studies)
    assert.ok(Math.abs(s.score - score(s.name, 'part_0001')) < 1e-4 * Math.max(1, Math.abs(s.score)));

  const volume = join(at.part, 'images', 'part_0002.nii.gz');
  const reports = ok(await retrieve('--volume', volume)).json.reports as { name: string; score: number }[];
  const row = columns.slice(1).sort((a, b) => score('part_0002', b) - score('part_0002', a));
  assert.equal(
    reports.map((r) => r.name),
    row,
  );
});

test('retrieve: what the index was not made with is refused', async () => {
  const other = join(at.dir, 'whole', 'weights.safetensors');
  refused(await retrieve('--weights', other), 'index-weights');
  const foreign = join(at.dir, 'foreign');
  await mkdir(foreign);
  const tokenizer = JSON.parse(await readFile(join(at.dir, 'tokens', 'tokenizer.json'), 'utf8'));
  const words = Object.keys(tokenizer.model.vocab).slice(0, 60);
  tokenizer.model.vocab = Object.fromEntries([...words.slice(0, 5), ...words.slice(5).reverse()].map((w, n) => [w, n]));
  await writeFile(join(foreign, 'tokenizer.json'), JSON.stringify(tokenizer));
  refused(await retrieve('--text', 'A cyst.', '--tokenizer', foreign), 'tokenizer-mismatch');
  refused(await embed(join(at.dir, 'x.safetensors'), '--tokenizer', foreign), 'tokenizer-mismatch');
  refused(await retrieve('--text', ' '), 'empty-text');
  refused(await retrieve('--text', 'A cyst.', '--volume', at.part), 'bad-value');
  refused(await t3dc('retrieve', at.weights, ...WASM), 'bad-index');
  const { tensors, metadata } = readSafetensors(await readFile(at.index));
  const about = JSON.parse(metadata.index!);
  about.artifact.hash = '0'.repeat(64);
  const changed = join(at.dir, 'index', 'changed.safetensors');
  await writeFile(
    changed,
    writeSafetensors(
      [...tensors].map(([name, t]) => ({ name, shape: t.shape, data: toFloat32(t) })),
      { ...metadata, index: JSON.stringify(about) },
    ),
  );
  refused(await t3dc('retrieve', changed, ...WASM), 'index-artifact');
});

test('zeroshot: with an index a study is scored the same alone; prompts that say nothing are refused', async () => {
  const [prompts, csv] = [join(at.dir, 'prompts.json'), join(at.dir, 'zero.csv')];
  const write = (json: unknown) => writeFile(prompts, JSON.stringify(json));
  const zeroshot = (studies: string, ...more: string[]) =>
    t3dc('zeroshot', at.artifact, studies, '--weights', at.weights, '--prompts', prompts, '-o', csv, ...WASM, ...more);
  await write(
    Object.fromEntries(
      ORGANS.map((o) => [
        o,
        { positive: [`A mass in the ${o}.`, `Lesion of the ${o}.`], negative: `The ${o} is normal.` },
      ]),
    ),
  );
  const together = ok(await zeroshot(at.part, '--labels', at.labels));
  assert.equal(
    [together.json.studies, together.json.prompts, together.json.normalisedBy],
    [STUDIES, 9, 'these studies'],
  );
  for (const o of ORGANS) assert.ok(together.json.auroc[o] >= 0 && together.json.auroc[o] <= 1);
  ok(await zeroshot(at.part, '--index', at.index));
  const all = await scoresIn(csv);
  const one = join(at.part, 'images', 'part_0005.nii.gz');
  ok(await zeroshot(one, '--index', at.index));
  assert.equal((await scoresIn(csv)).get('part_0005'), all.get('part_0005'));
  refused(await zeroshot(one), 'too-few-cases');
  for (const wrong of [
    {},
    { liver: { positive: ['A mass.'] } },
    { liver: { positive: ['A mass.'], negative: [' '] } },
    [],
  ]) {
    await write(wrong);
    refused(await zeroshot(at.part), 'bad-prompts');
  }
  await write({ heart: { positive: ['A mass.'], negative: ['No mass.'] } });
  refused(await zeroshot(at.part, '--labels', at.labels), 'no-finding');
});

test.run();
