// Known folder layouts, and a data set prepared from them: what is taken, what is dropped and why, and going on after a stop.

import { mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unzipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ABDOMEN, diagonalAffine, isDataError, prepare, type Volume } from '../../data/index.ts';
import { LAYOUTS, type Listing, layoutOf } from '../../data/layouts/index.ts';
import { totalClasses } from '../../data/layouts/total-segmentator-classes.ts';
import { datasetFrom, readPairs, readVolume, writeVolume } from '../../data/node.ts';
import { type PrepareSetOptions, prepareSet } from '../../data/prepare-set.ts';

const test = suite<{ dir: string }>('layouts');
test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 't3dc-layouts-'));
});
test.after(({ dir }) => rm(dir, { recursive: true }));

type Tree = Readonly<Record<string, string | Volume>>;

/** A folder with these files; the empty text is an empty file. */
async function tree(dir: string, files: Tree): Promise<string> {
  const root = await mkdtemp(join(dir, 'set-'));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    if (typeof content === 'string') await writeFile(join(root, path), content);
    else await writeVolume(join(root, path), content);
  }
  return root;
}

async function refuses(made: Promise<unknown>, code: string, said: RegExp): Promise<void> {
  try {
    await made;
  } catch (err) {
    assert.ok(isDataError(err), String((err as Error).stack));
    assert.is(err.code, code, err.message);
    assert.match(err.message, said);
    return;
  }
  assert.unreachable(`expected ${code}`);
}

async function listed(root: string, layout: string): Promise<Listing> {
  const found = await layoutOf(root);
  assert.is(found.layout.name, layout);
  assert.ok(found.reasons.length > 0);
  return found.layout.list(root);
}

const names = (l: Listing): string[] => l.studies.map((s) => s.name);

test('BTCV, with and without its outer folders', async ({ dir }) => {
  const root = await tree(dir, {
    'RawData/Training/img/img0001.nii.gz': '',
    'RawData/Training/img/img0002.nii.gz': '',
    'RawData/Training/label/label0001.nii.gz': '',
    'RawData/Testing/img/img0061.nii.gz': '',
  });
  const list = await listed(root, 'btcv');
  assert.equal(names(list), ['img0001', 'img0002', 'img0061']);
  assert.equal(
    list.studies.map((s) => s.split),
    ['train', 'train', 'test'],
  );
  assert.is(list.studies[0]!.label, join(root, 'RawData/Training/label/label0001.nii.gz'));
  assert.is(list.studies[1]!.label, undefined);
  assert.is(list.classes!.length, 14);
  assert.is(list.classes![6], 'liver');
  assert.is((await layoutOf(join(root, 'RawData', 'Training'))).layout.name, 'btcv');
});

const MSD = (more: object): string =>
  JSON.stringify({ name: 'x', labels: { '0': 'background', '1': 'liver' }, ...more });

test('the Decathlon: lists of dataset.json, no MRI, no remains of macOS', async ({ dir }) => {
  const training = [
    { image: './imagesTr/a.nii.gz', label: './labelsTr/a.nii.gz' },
    { image: './imagesTr/b.nii.gz', label: './labelsTr/b.nii.gz' },
  ];
  const files = {
    'imagesTr/a.nii.gz': '',
    'imagesTr/._a.nii.gz': '',
    'labelsTr/a.nii.gz': '',
    'imagesTs/t.nii.gz': '',
  };
  const json = MSD({ modality: { '0': 'CT' }, training, test: ['./imagesTs/t.nii.gz'] });
  const list = await listed(await tree(dir, { ...files, 'dataset.json': json }), 'msd');
  assert.equal(names(list), ['a', 't']);
  assert.equal(list.classes, ['background', 'liver']);
  assert.equal(
    list.dropped.map((d) => [d.name, d.code]),
    [['b', 'file-missing']],
  );
  const mri = MSD({ modality: { '0': 'FLAIR', '1': 'T1w' }, training });
  const none = await listed(await tree(dir, { ...files, 'dataset.json': mri }), 'msd');
  assert.equal(names(none), []);
  assert.match(none.dropped.at(-1)!.reason, /2 channels \(FLAIR, T1w\)/);
  await refuses(listed(await tree(dir, { 'dataset.json': '{' }), 'msd'), 'layout', /dataset\.json/);
});

test('AMOS: three lists, its MRI dropped by their numbers', async ({ dir }) => {
  const pair = (id: string, part: string) => ({
    image: `./images${part}/amos_${id}.nii.gz`,
    label: `./labels${part}/amos_${id}.nii.gz`,
  });
  const json = MSD({ training: [pair('0001', 'Tr'), pair('0510', 'Tr')], validation: [pair('0008', 'Va')], test: [] });
  const list = await listed(
    await tree(dir, {
      'dataset.json': json,
      ...Object.fromEntries(
        ['imagesTr', 'labelsTr'].flatMap((f) => [`${f}/amos_0001.nii.gz`, `${f}/amos_0510.nii.gz`]).map((f) => [f, '']),
      ),
      'imagesVa/amos_0008.nii.gz': '',
      'labelsVa/amos_0008.nii.gz': '',
    }),
    'amos',
  );
  assert.equal(
    list.studies.map((s) => [s.name, s.split]),
    [
      ['amos_0001', 'train'],
      ['amos_0008', 'validation'],
    ],
  );
  assert.equal(
    list.dropped.map((d) => d.code),
    ['layout-modality'],
  );
});

test('nnU-Net: channels, folds of splits_final.json', async ({ dir }) => {
  const json = JSON.stringify({
    channel_names: { '0': 'CT' },
    labels: { background: 0, tumour: 1 },
    numTraining: 2,
    file_ending: '.nii.gz',
  });
  const files = {
    'dataset.json': json,
    'imagesTr/k_1_0000.nii.gz': '',
    'imagesTr/k_2_0000.nii.gz': '',
    'imagesTr/m_1_0000.nii.gz': '',
    'imagesTr/m_1_0001.nii.gz': '',
    'labelsTr/k_1.nii.gz': '',
    'labelsTr/k_2.nii.gz': '',
    'imagesTs/t_1_0000.nii.gz': '',
    'splits_final.json': JSON.stringify([
      { train: ['k_1'], val: ['k_2'] },
      { train: ['k_2'], val: ['k_1'] },
    ]),
  };
  const root = await tree(dir, files);
  const list = await listed(root, 'nnunet');
  assert.equal(
    list.studies.map((s) => [s.name, s.fold, s.split, typeof s.label]),
    [
      ['k_1', 1, 'train', 'string'],
      ['k_2', 0, 'train', 'string'],
      ['t_1', undefined, 'test', 'undefined'],
    ],
  );
  assert.equal(list.classes, ['background', 'tumour']);
  assert.match(list.dropped[0]!.reason, /several channels \(m_1_0001\.nii\.gz\)/);
  await writeFile(join(root, 'splits_final.json'), '{}');
  await refuses(listed(root, 'nnunet'), 'layout', /splits_final\.json/);
});

test('TotalSegmentator: a mask a class by its own numbering, the split of meta.csv', async ({ dir }) => {
  assert.is(totalClasses(new Set()).length, 118);
  const root = await tree(dir, {
    's0001/ct.nii.gz': '',
    's0001/segmentations/spleen.nii.gz': '',
    's0001/segmentations/liver.nii.gz': '',
    's0001/segmentations/my_own.nii.gz': '',
    's0002/segmentations/spleen.nii.gz': '',
    's0003/ct.nii.gz': '',
    'meta.csv': 'image_id;age;split\ns0001;60;train\ns0003;50;val\n',
  });
  const list = await listed(root, 'totalsegmentator');
  assert.equal(
    list.studies.map((s) => [s.name, s.split]),
    [
      ['s0001', 'train'],
      ['s0003', 'validation'],
    ],
  );
  const { masks } = list.studies[0]!.label as { masks: { id: number; path: string }[] };
  assert.equal(
    masks.map((m) => m.id),
    [1, 5, 118],
  );
  assert.is(list.classes![118], 'my_own');
  assert.equal(
    list.dropped.map((d) => [d.name, d.code]),
    [['s0002', 'file-missing']],
  );
});

test('CT-RATE: reconstructions of a scan are a group; stored values need their slope; the corrected release is taken', async ({
  dir,
}) => {
  const reports =
    'VolumeName,ClinicalInformation_EN,Technique_EN,Findings_EN,Impressions_EN\n' +
    'train_1_a_1.nii.gz,cough,CT,"Clear, both lungs.",Normal.\ntrain_1_a_2.nii.gz,cough,CT,"Clear, both lungs.",Normal.\n';
  const files = {
    'dataset/train/train_1/train_1_a/train_1_a_1.nii.gz': '',
    'dataset/train/train_1/train_1_a/train_1_a_2.nii.gz': '',
    'dataset/train/train_2/train_2_a/train_2_a_1.nii.gz': '',
    'dataset/valid_fixed/valid_1/valid_1_b/valid_1_b_1.nii.gz': '',
    'dataset/radiology_text_reports/train_reports.csv': reports,
    'dataset/metadata/train_metadata.csv':
      'VolumeName,RescaleSlope,RescaleIntercept\ntrain_1_a_1.nii.gz,1,-8192\ntrain_1_a_2.nii.gz,1,-1024\n',
  };
  const list = await listed(await tree(dir, files), 'ct-rate');
  assert.equal(
    list.studies.map((s) => [s.name, s.patient, s.group, s.rescale?.intercept, s.split]),
    [
      ['train_1_a_1', 'train_1', 'train_1_a', -8192, 'train'],
      ['train_1_a_2', 'train_1', 'train_1_a', -1024, 'train'],
      ['valid_1_b_1', 'valid_1', 'valid_1_b', undefined, 'validation'],
    ],
  );
  assert.match(
    (list.studies[0]!.report as { text: string }).text,
    /FINDINGS:\nClear, both lungs\.\n\nIMPRESSION:\nNormal\./,
  );
  assert.equal(
    list.dropped.map((d) => [d.name, d.code]),
    [['train_2_a_1', 'layout-rescale']],
  );
  const both = await listed(
    await tree(dir, { ...files, 'dataset/train_fixed/train_1/train_1_a/train_1_a_1.nii.gz': '' }),
    'ct-rate',
  );
  assert.equal(
    both.studies.map((s) => [s.name, s.rescale]),
    [
      ['train_1_a_1', undefined],
      ['valid_1_b_1', undefined],
    ],
  );
  assert.ok(both.notes.some((n) => n.startsWith('train left out')));
});

test('BIMCV-R: patient and session by the name, reports by the path', async ({ dir }) => {
  const list = await listed(
    await tree(dir, {
      'CT1/ct/sub-S03047_ses-E07985_run-1_bp-chest_ct.nii.gz': '',
      'CT1/ct/sub-S03047_ses-E07985_run-2_bp-chest_ct.nii.gz': '',
      'CT2/ct/sub-S03047_ses-E07985_run-2_bp-chest_ct.nii.gz': '',
      'meta/reports.csv': 'path,Report_en\nx/sub-S03047_ses-E07985_run-1_bp-chest_ct.nii.gz,"No nodules."\n',
    }),
    'bimcv-r',
  );
  assert.equal(
    list.studies.map((s) => [s.patient, s.group, s.report]),
    [
      ['sub-S03047', 'sub-S03047_ses-E07985', { text: 'No nodules.' }],
      ['sub-S03047', 'sub-S03047_ses-E07985', undefined],
    ],
  );
  assert.equal(
    list.dropped.map((d) => d.code),
    ['layout-repeated'],
  );
});

test('what is of no layout is refused; one may be named', async ({ dir }) => {
  await refuses(layoutOf(await tree(dir, { 'a/readme.txt': 'x' })), 'layout-unknown', /pairs\.jsonl/);
  await refuses(layoutOf(dir, 'none'), 'layout-unknown', /ct-rate/);
  await refuses(layoutOf(join(dir, 'nowhere')), 'file-missing', /nowhere/);
  assert.is(new Set(LAYOUTS.map((l) => l.name)).size, LAYOUTS.length);
  const named = await layoutOf(dir, 'btcv');
  await refuses(named.layout.list(await tree(dir, { 'a.txt': '' })), 'layout', /imgNNNN/);
});

/** A body with an organ, axes L A S, 3 mm. */
function ct(seed: number, spacing: readonly [number, number, number] = [3, 3, 3]): { image: Volume; label: Volume } {
  const dims = [20, 18, 16] as const;
  const image = new Int16Array(20 * 18 * 16).fill(-1000);
  const label = new Uint8Array(image.length);
  for (let i = 3; i < 17; i++)
    for (let j = 4; j < 15; j++)
      for (let k = 0; k < 16; k++) {
        const at = (i * 18 + j) * 16 + k;
        image[at] = 20 + ((i * 7 + j * 5 + k * 3 + seed) % 60);
        if (i < 9 && k > 4) label[at] = 1;
      }
  const affine = diagonalAffine(spacing, [30, -20, 5]);
  affine[0] = -spacing[0];
  return { image: { data: image, dims, affine }, label: { data: label, dims, affine } };
}

async function decathlon(dir: string): Promise<string> {
  const [a, b, thick] = [ct(1), ct(2), ct(3, [3, 3, 8])];
  const other: Volume = { ...b.label, affine: diagonalAffine([2, 2, 2]) };
  const item = (n: string) => ({ image: `imagesTr/${n}.nii.gz`, label: `labelsTr/${n}.nii.gz` });
  return tree(dir, {
    'dataset.json': MSD({ modality: { '0': 'CT' }, training: ['a', 'b', 'thick', 'other', 'broken'].map(item) }),
    'imagesTr/a.nii.gz': a.image,
    'labelsTr/a.nii.gz': a.label,
    'imagesTr/b.nii.gz': b.image,
    'labelsTr/b.nii.gz': b.label,
    'imagesTr/thick.nii.gz': thick.image,
    'labelsTr/thick.nii.gz': thick.label,
    'imagesTr/other.nii.gz': b.image,
    'labelsTr/other.nii.gz': other,
    'imagesTr/broken.nii.gz': 'no volume',
    'labelsTr/broken.nii.gz': b.label,
  });
}

const OPTIONS: PrepareSetOptions = { contract: ABDOMEN, storage: { type: 'int16', chunk: [16, 16, 16] } };

test('a set is prepared: HU on the contract’s grid, and every study that is dropped has its reason', async ({
  dir,
}) => {
  const root = await decathlon(dir);
  const out = join(dir, 'prepared');
  const { manifest } = await prepareSet(root, out, { ...OPTIONS, jobs: 2 });
  assert.equal(manifest.counts, {
    found: 5,
    taken: 2,
    dropped: 3,
    reasons: { 'volume-thick-slices': 1, 'volume-grids': 1, 'nifti-truncated': 1 },
  });
  assert.equal(
    manifest.dropped.map((d) => d.name),
    ['thick', 'other', 'broken'],
  );
  assert.equal(JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8')), JSON.parse(JSON.stringify(manifest)));
  const set = await datasetFrom(out, { labelled: true });
  assert.equal(
    set.cases.map((c) => c.name),
    ['a', 'b'],
  );
  assert.equal(set.classes, ['background', 'liver']);
  const { image, label } = ct(1);
  const expected = prepare(image, label as Volume<Uint8Array>, ABDOMEN);
  const stored = await readVolume(set.cases[0]!.image);
  assert.instance(stored.data, Int16Array);
  assert.equal(stored.dims, expected.dims);
  assert.equal(stored.affine, expected.affine);
  let most = 0;
  for (let i = 0; i < stored.data.length; i++)
    most = Math.max(most, Math.abs(stored.data[i]! - (expected.image[i]! * 425 - 175)));
  assert.ok(most <= 0.5001, `${most} HU`);
  assert.equal((await readVolume(set.cases[0]!.label!)).data, expected.label);
  // What trains on it prepares it again: the same grid, and the values to their rounding.
  const again = prepare(stored, undefined, ABDOMEN);
  assert.equal(again.dims, expected.dims);
  assert.ok(again.image.every((v, i) => Math.abs(v - expected.image[i]!) <= 0.51 / 425));
  const fine = join(dir, 'fine');
  await prepareSet(root, fine, { ...OPTIONS, storage: { type: 'float32', chunk: [64, 64, 64] } });
  const exact = prepare(await readVolume(join(fine, 'images', 'a.ome.zarr')), undefined, ABDOMEN);
  assert.ok(exact.image.every((v, i) => Math.abs(v - expected.image[i]!) < 1e-6));
});

test('it goes on where it stopped; with other options, or unasked, it does not', async ({ dir }) => {
  const root = await decathlon(dir);
  const out = join(dir, 'resumed');
  const stop = new AbortController();
  const reason = new Error('stopped');
  const seen: string[] = [];
  await prepareSet(root, out, {
    ...OPTIONS,
    signal: stop.signal,
    onProgress: (_done, _total, name) => {
      seen.push(name);
      stop.abort(reason);
    },
  }).then(
    () => assert.unreachable('should stop'),
    (err) => assert.is(err, reason),
  );
  assert.equal(seen, ['a']);
  assert.equal(
    (await readdir(join(out, 'images'))).filter((f) => f.startsWith('.')),
    [],
  );
  await refuses(prepareSet(root, out, OPTIONS), 'prepared-exists', /--resume/);
  const other = { ...OPTIONS, resume: true, contract: { ...ABDOMEN, spacing: null } };
  await refuses(prepareSet(root, out, other), 'prepared-contract', /another contract/);
  const first = (await stat(join(out, 'studies', 'a.json'))).mtimeMs;
  const { manifest, before } = await prepareSet(root, out, { ...OPTIONS, resume: true });
  assert.is(before, 1);
  assert.is((await stat(join(out, 'studies', 'a.json'))).mtimeMs, first);
  assert.is(manifest.counts.taken, 2);
  const text = await readFile(join(out, 'manifest.json'), 'utf8');
  // A study whose files are gone is done again; the manifest is the same for any number of threads.
  await unlink(join(out, 'images', 'b.ome.zarr', 'zarr.json'));
  const third = await prepareSet(root, out, { ...OPTIONS, resume: true, jobs: 3 });
  assert.is(third.before, 1);
  assert.is(await readFile(join(out, 'manifest.json'), 'utf8'), text);
});

test('pairs keep patient, group and report; masks become one map; a study of DICOM is read', async ({ dir }) => {
  const { image, label } = ct(4);
  const root = await tree(dir, {
    'pairs.jsonl': [
      { image: 'x/scan.nii.gz', text: 'Findings: clear.', patient: 'p1', group: 'g1', study: 's1' },
      { image: 'y/scan.nii.gz', text: 'The same.', patient: 'p1', group: 'g1', study: 's1' },
      { image: 'gone.nii.gz', text: 'No.', patient: 'p2' },
    ]
      .map((l) => `${JSON.stringify(l)}\n`)
      .join(''),
    'x/scan.nii.gz': image,
    'y/scan.nii.gz': image,
  });
  const out = join(dir, 'pairs');
  const { manifest } = await prepareSet(root, out, OPTIONS);
  assert.equal(manifest.counts.reasons, { 'volume-missing': 1 });
  const { pairs } = await readPairs(out);
  assert.equal(
    pairs.map((p) => [p.name, p.patient, p.group, p.study, p.text]),
    [
      ['x/scan', 'p1', 'g1', 's1', 'Findings: clear.'],
      ['y/scan', 'p1', 'g1', 's1', 'The same.'],
    ],
  );
  assert.equal((await readdir(join(out, 'images'))).sort(), ['x_scan.ome.zarr', 'y_scan.ome.zarr']);

  const half: Volume = { ...label, data: label.data.map((v, i) => (i % 2 ? v : 0)) as Uint8Array };
  const total = await tree(dir, {
    's0001/ct.nii.gz': image,
    's0001/segmentations/liver.nii.gz': label,
    's0001/segmentations/spleen.nii.gz': half,
  });
  const own = { ...OPTIONS, contract: { ...ABDOMEN, spacing: null, foreground: null } };
  await prepareSet(total, join(dir, 'total'), own);
  const map = await readVolume(join(dir, 'total', 'labels', 's0001.ome.zarr'));
  assert.equal([...new Set(map.data)].sort(), [0, 1, 5]);

  const study = await mkdtemp(join(dir, 'dicom-'));
  for (const [path, bytes] of Object.entries(
    unzipSync(await readFile(new URL('../golden/dicom/study.zip', import.meta.url))),
  )) {
    await mkdir(dirname(join(study, path)), { recursive: true });
    await writeFile(join(study, path), bytes);
  }
  const dicom = await prepareSet(study, join(dir, 'dicom'), { ...own, dicom: { phase: 'arterial' } });
  const [taken] = dicom.manifest.studies;
  assert.is(taken!.patient, 'P1');
  assert.ok(taken!.notes.some((n) => /series 2 "Abd arteriell 2\.0": chosen/.test(n)));
  assert.ok(taken!.notes.some((n) => /series 1 "Topogram": refused/.test(n)));
});

test('where no study can be used, it is said and the manifest tells why', async ({ dir }) => {
  const thick = ct(1, [3, 3, 9]);
  const root = await tree(dir, { 'images/a.nii.gz': thick.image });
  const out = join(dir, 'nothing');
  await refuses(prepareSet(root, out, OPTIONS), 'prepared-empty', /1 dropped, the first a: .*9\.00 mm/);
  assert.is(JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8')).dropped[0].code, 'volume-thick-slices');
});

test.run();
