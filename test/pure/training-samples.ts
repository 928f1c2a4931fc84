// Samples of all trainings, made from chunks and from whole volumes, by one thread or by several: the same bytes.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { caseOf } from '../../cli/cases.ts';
import { open as openPretraining, type PretrainSource } from '../../cli/pretrain-source.ts';
import { open as openSegmentation } from '../../cli/segmentation-source.ts';
import { sourceOf } from '../../cli/studies.ts';
import type { Dims, Preprocess } from '../../data/index.ts';
import { writePhantomSet } from '../../data/node.ts';
import { chunkCache } from '../../data/ome-zarr.ts';
import { prepareSet } from '../../data/prepare-set.ts';
import { ClassificationSampler } from '../../tasks/classification-samples.ts';
import type { SegmentationContract } from '../../tasks/contract.ts';
import type { PretrainContract } from '../../tasks/pretrain-contract.ts';
import { PretrainImages } from '../../tasks/pretrain-images.ts';
import { PretrainSet } from '../../tasks/pretrain-set.ts';
import { SegmentationSampler } from '../../tasks/segmentation-samples.ts';
import type { StudyContract } from '../../tasks/study-contract.ts';

const SIZE: Dims = [16, 16, 16];
const preprocess: Preprocess = {
  orientation: 'RAS',
  spacing: [10, 10, 10],
  window: [-175, 250],
  foreground: { above: -500, margin: 3 },
  thickSlices: { above: 20, action: 'refuse' },
};
const CASES = 3;

const at = { dir: '', files: [] as { name: string; image: string; label: string }[] };
const test = suite('samples of trainings');
test.before(async () => {
  at.dir = await mkdtemp(join(tmpdir(), 't3dc-samples-'));
  const raw = join(at.dir, 'raw');
  const out = join(at.dir, 'set');
  await writePhantomSet(raw, { count: CASES, size: [36, 36, 36], seed: 3, spacing: [10, 10, 10] });
  const { manifest } = await prepareSet(raw, out, {
    contract: { ...preprocess, window: [-1000, 1000] },
    storage: { type: 'int16', chunk: [8, 8, 8] },
  });
  at.files = manifest.studies.map((s) => ({ name: s.name, image: join(out, s.image), label: join(out, s.label!) }));
});
test.after(() => rm(at.dir, { recursive: true, force: true }));

test('segmentation: chunks give what whole volumes give, in any order', async () => {
  const contract: SegmentationContract = {
    preprocess,
    patch: SIZE,
    overlap: 0.5,
    classes: 12,
    classNames: Array.from({ length: 12 }, (_, c) => `class ${c}`),
  };
  const sampling = { contract, seed: 4, perStep: 2, cacheBytes: 1e6 };
  const whole = new SegmentationSampler(
    at.files.map((f) => ({ ...caseOf(f, null), open: undefined })),
    sampling,
  );
  const chunked = await openSegmentation({ cases: at.files, ids: null, sampling });
  for (const n of [7, 0, 4, 11, 1, 0]) {
    const item = (n * 5) % CASES;
    const expected = await whole.sample(n, item);
    assert.ok(expected.label.some((c) => c > 0) || expected.image.some((v) => v > 0));
    const key = { seed: 4, epoch: Math.floor(n / CASES), index: n % CASES, item };
    assert.equal(await chunked.sample(key), expected, `sample ${n}`);
  }
});

test('classification: the same tiles, all of a study or some of them', async () => {
  for (const tiles of [2, 40]) {
    const contract: StudyContract = { entry: 'classify', preprocess, batch: 2, tiles, size: SIZE, takes: 'whole' };
    const sampling = { contract, seed: 4, perStep: 2, findings: ['cyst'] };
    const chunks = chunkCache(20_000);
    const chunked = new ClassificationSampler(
      at.files.map((f) => sourceOf(f, chunks)),
      sampling,
    );
    const whole = new ClassificationSampler(
      at.files.map((f) => ({ ...sourceOf(f, chunks), open: undefined })),
      sampling,
    );
    for (const n of [5, 0, 3]) assert.equal(await chunked.sample(n, n % CASES), await whole.sample(n, n % CASES));
    assert.ok(chunks.mostBytes <= 20_000);
  }
});

test('pre-training: the same images; a study that cannot be read is found and replaced alike by every thread', async () => {
  const contract: PretrainContract = {
    method: 'restore',
    takes: 'crop',
    preprocess,
    batch: 2,
    size: SIZE,
    tiles: 0,
    restored: 2,
    text: null,
    pairs: false,
    sentenceIds: false,
    rotation: false,
    view: false,
    counterfactuals: 0,
    attended: false,
  };
  const pairs = [...at.files, { name: 'gone', image: join(at.dir, 'gone.nii.gz'), label: '' }].map((f) => ({
    ...f,
    patient: f.name,
  }));
  const source: PretrainSource = {
    pairs,
    allows: pairs.map(() => null),
    contract,
    options: { augment: true, corrupt: { kind: 'cutout' } },
    cacheBytes: 1e6,
  };
  const [one, other] = [await openPretraining(source), await openPretraining(source)];
  const chunks = chunkCache(0);
  const inMemory = new PretrainSet(
    pairs.map((p) => ({ ...p, ...sourceOf(p, chunks), text: '', open: undefined })),
    contract,
    null,
  );
  const images = new PretrainImages(inMemory, contract, () => null, source.options);
  const told = new Set<string>();
  const keys = [0, 1, 2].flatMap((epoch) => [0, 1].map((index) => ({ seed: 9, epoch, index, item: index })));
  for (const [n, key] of keys.entries()) {
    const { left, notes, ...made } = await one.sample(key);
    assert.equal(made, await images.batch(key));
    assert.equal(notes, []);
    for (const l of left) told.add(`${l.pair} ${l.name} ${l.reason}`);
    // Another thread, which sees every other batch.
    if (n % 2 === 1) assert.equal((await other.sample(key)).inputs, made.inputs);
    assert.ok(made.items.every((i) => i.pair < CASES));
  }
  assert.equal([...told], ['3 gone file-missing']);
  assert.equal(
    inMemory.leftOut.map((l) => l.reason),
    ['file-missing'],
  );
});

test.run();
