// What others' tools write goes through every command, on the wasm target, with counted reports of what matched: MONAI's SwinUNETR
// weights, a folder of Hugging Face's, a set in the layout of the Medical Segmentation Decathlon, a DICOM study by pydicom.
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { items, parseDicom, text } from '../../data/dicom/file.ts';
import { phantom } from '../../data/index.ts';
import { readVolume, writeVolume } from '../../data/node.ts';
import { open } from '../../runtime/index.ts';
import { readSafetensors, toFloat32, type WriteTensor, writeSafetensors } from '../../runtime/safetensors.ts';
import { parameterValue } from '../golden.ts';
import { type Ended, ok as ended, t3dc } from '../t3dc.ts';

const ok = async (...words: string[]): Promise<Ended> => ended(await t3dc(...words));
async function refused(code: string, ...words: string[]): Promise<Ended> {
  const ended = await t3dc(...words);
  assert.is(ended.json.error?.code, code, `${JSON.stringify(ended.json)}\n${ended.stderr}`);
  return ended;
}

const golden = (path: string): string => fileURLToPath(new URL(`../golden/${path}`, import.meta.url));
const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'));
const WASM = ['--device', 'wasm', '--threads', '1'];
const CASES = 3;

const at = { dir: '', msd: '', prepared: '', study: '', unet: '' };
const path = (...names: string[]): string => join(at.dir, ...names);
const test = suite('what others wrote');

test.before(async () => {
  at.dir = await mkdtemp(join(tmpdir(), 't3dc-through-'));
  at.msd = await decathlon();
  at.prepared = path('prepared');
  at.study = path('study');
  for (const [name, bytes] of Object.entries(unzipSync(await readFile(golden('dicom/body.zip'))))) {
    if (name.startsWith('truth')) continue;
    await mkdir(dirname(join(at.study, name)), { recursive: true });
    await writeFile(join(at.study, name), bytes);
  }
  at.unet = path('unet');
  const classes = ['outChannels=6', 'classNames=background,liver,spleen,kidneys,lungs,spine'];
  const build = ['build', 't3d', '--preset', 'pico', '--batch', '1', '--entries', 'logits,segment', '-o', at.unet];
  await ok(...build, '--size', '32', '--set', 'channels=4,8', ...classes);
});
test.after(() => rm(at.dir, { recursive: true, force: true }));

/** TaskNN_Name with imagesTr, labelsTr, imagesTs and dataset.json; one listed scan is not there. */
async function decathlon(): Promise<string> {
  const root = path('Task77_Organs');
  const training = [];
  for (let n = 0; n <= CASES; n++) {
    const name = `organs_${String(n).padStart(3, '0')}.nii.gz`;
    const { image, label } = phantom({ seed: 8, index: n, size: [40, 40, 40], spacing: [6, 6, 6], classes: 'organs' });
    if (n < CASES) {
      await writeVolume(join(root, 'imagesTr', name), image);
      await writeVolume(join(root, 'labelsTr', name), label);
      training.push({ image: `./imagesTr/${name}`, label: `./labelsTr/${name}` });
    } else await writeVolume(join(root, 'imagesTs', name), image);
  }
  training.push({ image: './imagesTr/organs_009.nii.gz', label: './labelsTr/organs_009.nii.gz' });
  const labels = Object.fromEntries(
    ['background', 'liver', 'spleen', 'kidneys', 'lungs', 'spine'].map((name, id) => [String(id), name]),
  );
  const dataset = {
    ...{ name: 'Organs', description: 'phantoms', tensorImageSize: '3D', modality: { 0: 'CT' }, labels },
    ...{ numTraining: training.length, numTest: 1, training, test: [`./imagesTs/organs_00${CASES}.nii.gz`] },
  };
  await writeFile(join(root, 'dataset.json'), JSON.stringify(dataset));
  return root;
}

test('a task of the Decathlon: recognised, counted, what is not there told, and trained on', async () => {
  const out = at.prepared;
  const made = await ok('data', 'prepare', at.msd, '-o', out, '--spacing', '6', '--thick-slices', 'in-plane');
  assert.is(made.json.layout.name, 'msd');
  const counts = { found: CASES + 2, taken: CASES + 1, dropped: 1, reasons: { 'file-missing': 1 } };
  assert.equal(made.json.counts, counts);
  const manifest = await json(join(out, 'manifest.json'));
  assert.equal(manifest.layout, { name: 'msd', reasons: [`dataset.json lists ${CASES + 1} training pairs`] });
  assert.equal(manifest.counts, counts);
  assert.equal(manifest.classes, ['background', 'liver', 'spleen', 'kidneys', 'lungs', 'spine']);
  assert.is(manifest.dropped[0].name, 'organs_009');
  assert.match(manifest.dropped[0].reason, /organs_009\.nii\.gz, .*which is not there/);
  assert.equal(
    manifest.studies.map((s: { split: string; label?: string }) => [s.split, s.label !== undefined]),
    [...Array.from({ length: CASES }, () => ['train', true]), ['test', false]],
  );
  const run = path('decathlon-run');
  const trained = await ok(
    ...['finetune', 'segment', at.unet, '--from-scratch', '--data', out, '-o', run, '--steps', '3'],
    ...['--val-every', '3', '--hold-out', '3', ...WASM],
  );
  assert.is(trained.json.step, 3);
  assert.equal(Object.keys(trained.json.dice), manifest.classes.slice(1));
  const { data } = await json(join(run, 'config.json'));
  assert.equal([data.training.cases, data.validation.cases], [CASES - 1, 1]);
});

test('a DICOM study: its series chosen and why, prepared, segmented into DICOM', async () => {
  const out = path('from-dicom');
  const made = await ok('data', 'prepare', at.study, '-o', out, '--spacing', '6', '--thick-slices', 'in-plane');
  assert.is(made.json.layout.name, 'dicom');
  assert.equal(made.json.counts, { found: 1, taken: 1, dropped: 0, reasons: {} });
  const manifest = await json(join(out, 'manifest.json'));
  const [study] = manifest.studies;
  assert.equal([study.patient, study.source.series], ['P9', '1.2.826.0.1.3680043.8.498.9.9.3']);
  assert.equal(
    [study.source.dims, study.source.spacing],
    [
      [24, 20, 12],
      [5, 5, 5],
    ],
  );
  assert.equal(manifest.notes, ['1 files passed over: no DICOM file', '1 files passed over: no image']);
  const verdicts = [
    /^series 3 "Abdomen venous 5.0": chosen \(12 slices of 5 mm, phase portal-venous, kernel B30f \(soft\)/,
    /^series 4 "Abdomen venous 5.0 lung": not chosen .*\.9\.3 has the wished kernel\)/,
    /^series 2 "Abdomen arterial 5.0": not chosen .*\.9\.3 has the wished phase\)/,
    /^series 1 "Topogram": refused \(a localiser \(scout\)/,
  ];
  for (const said of verdicts)
    assert.ok(
      study.notes.some((n: string) => said.test(n)),
      `${said} in ${study.notes}`,
    );

  // Weights as drawn give every class some voxels.
  const weights = path('drawn.safetensors');
  const session = await open(at.unet, { device: 'wasm', threads: 1, seed: 3 });
  await writeFile(weights, await session.weights());
  await session.close();
  const segmentation = path('seg.dcm');
  const segmented = await ok('segment', at.unet, '--weights', weights, '--in', at.study, '-o', segmentation, ...WASM);
  for (const said of verdicts)
    assert.ok(
      segmented.json.notes.some((n: string) => said.test(n)),
      `${said}`,
    );
  const set = await parseDicom(await readFile(segmentation), segmentation);
  const [referenced] = items(set, 'x00081115');
  assert.is(text(set, 'x00080060'), 'SEG');
  assert.is(text(referenced!, 'x0020000e'), '1.2.826.0.1.3680043.8.498.9.9.3', 'of the chosen series');
  assert.is(items(referenced!, 'x0008114a').length, 12);
  assert.equal([text(set, 'x00100020'), text(set, 'x00200052')], ['P9', '1.2.826.0.1.3680043.8.498.9.9.1']);
  assert.equal(
    items(set, 'x00620002').map((s) => text(s, 'x00620005')),
    ['liver', 'spleen', 'kidneys', 'lungs', 'spine'],
  );
});

type Described = Readonly<Record<string, readonly [dtype: string, ...shape: number[]]>>;

/** A file with these names and shapes; indices as whole numbers. */
function weightsFile(tensors: Described, rename = (name: string) => name): Uint8Array {
  const made = Object.entries(tensors).map(([name, [dtype, ...shape]]): WriteTensor => {
    const size = shape.reduce((a, b) => a * b, 1);
    const data = dtype === 'int64' ? new Int32Array(size) : parameterValue(name, shape, 3);
    return { name: rename(name), shape, data };
  });
  return writeSafetensors(made);
}

test("MONAI's SwinUNETR: its state_dict under DataParallel, and a self-supervised encoder, each counted", async () => {
  const monai = (await json(golden('published/monai-swinunetr.json'))) as Record<'state_dict' | 'load_from', Described>;
  const artifact = path('nano');
  const build = ['build', 't3d', '--preset', 'nano', '--entries', 'logits,segment', '-o', artifact];
  const contract = ['spacing=6,6,6', 'layerDecay=0.75'];
  const classes = ['outChannels=6', 'classNames=background,liver,spleen,kidneys,lungs,spine'];
  await ok(...build, '--size', '64x32x32', '--set', ...contract, ...classes);

  const [parameters, buffers] = [151, 8];
  assert.is(Object.keys(monai.state_dict).length, parameters + buffers);
  const whole = path('monai.safetensors');
  // Its head is of MONAI's 14 classes: the artifact has six.
  const six: Described = {
    ...monai.state_dict,
    'out.conv.conv.weight': ['float32', 6, 12, 1, 1, 1],
    'out.conv.conv.bias': ['float32', 6],
  };
  await writeFile(
    whole,
    weightsFile(six, (name) => `module.${name}`),
  );
  const all = { missing: 0, otherShape: 0, unknown: 0 };
  const taken = { loaded: parameters, parameters, dialects: { 'data-parallel': parameters }, ...all, leftOut: buffers };
  const inspected = await ok('inspect', artifact, '--weights', whole);
  assert.equal(inspected.json.weights, taken);
  const scan = join(at.msd, 'imagesTs', `organs_00${CASES}.nii.gz`);
  const segment = (weights: string) => [
    'segment',
    artifact,
    '--weights',
    weights,
    '--in',
    scan,
    '-o',
    path('seg.nii.gz'),
    '--overlap',
    '0',
    ...WASM,
  ];
  const segmented = await ok(...segment(whole));
  assert.equal(segmented.json.weights, taken);
  assert.match(segmented.stderr, /151 of 151 tensors loaded\n.* 151 by the names of data-parallel\n.* 8 left out/);
  assert.equal((await readVolume(path('seg.nii.gz'))).dims, [40, 40, 40]);

  // 14 classes: the head does not fit, and is told; not taken unasked, drawn where training begins.
  const published = path('published.safetensors');
  await writeFile(published, weightsFile(monai.state_dict));
  const other = await ok('inspect', artifact, '--weights', published);
  assert.equal(other.json.weights, { ...taken, loaded: 149, dialects: {}, otherShape: 2 });
  const misfit = await refused('weights-mismatch', ...segment(published));
  assert.match(misfit.json.error.message, /out\.conv\.conv\.weight is \[14, 12, 1, 1, 1\], not \[6, 12, 1, 1, 1\]/);

  // The encoder alone, without swinViT., its MLPs as fc1 and fc2, and heads that nothing here has.
  const ssl = path('model_swinvit.safetensors');
  const heads: Described = {
    'module.rotation_head.weight': ['float32', 4, 192],
    'module.rotation_head.bias': ['float32', 4],
  };
  await writeFile(ssl, weightsFile({ ...monai.load_from, ...heads }));
  const encoder = Object.keys(monai.load_from).length - buffers;
  const mlps = Object.keys(monai.load_from).filter((name) => name.includes('.mlp.fc')).length;
  assert.equal([encoder, mlps], [118, 32]);
  assert.equal((await ok('inspect', artifact, '--weights', ssl)).json.weights, {
    ...{ loaded: encoder, parameters, dialects: { 'data-parallel': encoder, ssl: encoder, 'timm-mlp': mlps } },
    ...{ missing: parameters - encoder, otherShape: 0, unknown: 2, leftOut: buffers },
  });
  const run = path('run');
  const trained = await ok(
    ...['finetune', 'segment', artifact, '--weights', ssl, '--data', at.prepared, '-o', run],
    ...['--steps', '1', ...WASM],
  );
  assert.match(trained.stderr, /118 of 151 tensors loaded: swinViT \(118\)/);
  assert.match(
    trained.stderr,
    /118 by the names of data-parallel\n.*118 by the names of ssl\n.*32 by the names of timm-mlp/,
  );
  assert.match(trained.stderr, /drawn from the seed instead: encoder1 \(\d+\).*out \(2\) \(33\)/);
  assert.match(trained.stderr, /not used: .*\(10\)/);
  // One step from a warm rate of nothing near: the encoder is still the file's.
  const before = readSafetensors(await readFile(ssl)).tensors.get('module.layers4.0.blocks.1.mlp.fc1.weight')!;
  const after = readSafetensors(await readFile(join(run, 'weights.safetensors'))).tensors;
  const moved = toFloat32(after.get('swinViT.layers4.0.blocks.1.mlp.linear1.weight')!);
  const most = toFloat32(before).reduce((m, v, i) => Math.max(m, Math.abs(v - moved[i]!)), 0);
  assert.ok(most < 1e-3, `moved by ${most}`);
});

test('a Hugging Face folder: its sentences, its tower, its features', async () => {
  const folder = golden('published/bert');
  const expected = await json(join(folder, 'expected.json'));
  const reports = path('reports.jsonl');
  await writeFile(
    reports,
    expected.texts.map((t: string, n: number) => JSON.stringify({ name: `r${n}`, text: t })).join('\n'),
  );
  const rows = path('rows.safetensors');
  const tokenised = await ok('data', 'tokenize', reports, '--tokenizer', folder, '--tokens', '16', '-o', rows);
  assert.equal(tokenised.json.shape, [3, 16]);
  assert.equal(tokenised.json.skipped, []);
  const whole = (name: string) => Array.from(toFloat32(readSafetensors(written).tensors.get(name)!));
  const written = await readFile(rows);
  assert.equal(whole('input_ids'), expected.input_ids.flat());
  assert.equal(whole('attention_mask'), expected.attention_mask.flat());
  // A folder of before tokenizer.json: the same from its vocab.txt.
  const older = path('older');
  await mkdir(older);
  for (const name of ['vocab.txt', 'config.json']) await copyFile(join(folder, name), join(older, name));
  await refused('file-missing', 'data', 'tokenize', reports, '--tokenizer', older, '-o', path('x.safetensors'));
  assert.is((await ok('data', 'vocabulary', older, '-o', older)).json.pieces, 40);
  await ok('data', 'tokenize', reports, '--tokenizer', older, '--tokens', '16', '-o', path('older.safetensors'));
  assert.ok((await readFile(path('older.safetensors'))).equals(written));

  const artifact = path('text');
  const build = ['build', 't3d', '--entries', 'encodeText', '--text', folder, '--batch', '3', '-o', artifact];
  const built = await ok(...build, '--set', 'textTokens=16');
  assert.is(built.json.tensors, 37);
  const weights = join(folder, 'model.safetensors');
  const features = async (file: string) => {
    const out = path('features.safetensors');
    const ran = await ok('run', artifact, 'encodeText', '--weights', file, '--in', rows, '-o', out, ...WASM);
    const found = readSafetensors(await readFile(out)).tensors;
    const hidden = toFloat32(found.get('last_hidden_state')!);
    const kept = expected.attention_mask.flat();
    near(
      hidden.map((v, i) => v * kept[Math.floor(i / 16)]),
      expected.last_hidden_state,
      1e-5,
    );
    near(toFloat32(found.get('pooled')!), expected.pooled, 1e-5);
    return ran.json.weights;
  };
  // The pooler is BERT's, and in no output.
  const counts = { loaded: 37, parameters: 37, missing: 0, otherShape: 0, unknown: 0 };
  assert.equal(await features(weights), { ...counts, dialects: { 'hugging-face': 37 }, leftOut: 2 });
  // As BertForMaskedLM saves it.
  const masked = path('masked.safetensors');
  const tensors = [...readSafetensors(await readFile(weights)).tensors].map(
    ([name, t]): WriteTensor => ({ name: `bert.${name}`, shape: t.shape, data: toFloat32(t) }),
  );
  const head = { name: 'cls.predictions.bias', shape: [40], data: new Float32Array(40) };
  await writeFile(masked, writeSafetensors([...tensors, head]));
  assert.equal(await features(masked), { ...counts, dialects: { 'hugging-face': 37 }, leftOut: 3 });
});

function near(found: ArrayLike<number>, expected: ArrayLike<number>, relative: number): void {
  assert.is(found.length, expected.length);
  let [off, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    off += (found[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  assert.ok(Math.sqrt(off / norm) < relative, `relative L2 ${Math.sqrt(off / norm)}`);
}

test.run();
