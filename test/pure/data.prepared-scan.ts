// Scans in chunks: the same crops, labels and tiles as of the whole volume in memory, read from the chunks that they touch; what is
// counted once is kept; memory has a bound.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseCrop, chooseCropFrom } from '../../data/crops.ts';
import {
  type CropChoice,
  cropPair,
  type Dims,
  isDataError,
  LabelIndex,
  type Preprocess,
  phantom,
  prepare,
  remapLabels,
  stream,
  type Volume,
} from '../../data/index.ts';
import { readVolume, writePhantomSet } from '../../data/node.ts';
import { chunkCache, type ZarrStore } from '../../data/ome-zarr.ts';
import { prepareSet } from '../../data/prepare-set.ts';
import { type ClassMap, openPreparedScan, type PreparedScan } from '../../data/prepared-scan.ts';
import { downsampledTile, nativeCrop, type Study, studyTiles } from '../../data/study-tiles.ts';
import { fileStore, writeOmeZarr } from '../../data/zarr-files.ts';

const contract: Preprocess = {
  orientation: 'RAS',
  spacing: [8, 8, 8],
  window: [-900, 250],
  foreground: { above: -500, margin: 3 },
  thickSlices: { above: 20, action: 'refuse' },
};
const CHUNK: Dims = [8, 8, 8];
const CLASSES = 12;
const OWN: ClassMap = { classes: CLASSES, ids: null };

const test = suite<{ dir: string; image: string; label: string; volumes: { image: Volume; label: Volume } }>('scan');
test.before(async (at) => {
  at.dir = await mkdtemp(join(tmpdir(), 't3dc-scan-'));
  const made = phantom({ seed: 4, index: 1, size: [45, 42, 38], spacing: [8, 8, 8] });
  // Turned and cut, with air around it, on the working grid: what a set prepared with another window is.
  const whole = prepare(made.image, made.label, { ...contract, foreground: null, window: [-1024, 3071] });
  const grid = { dims: whole.dims, affine: whole.affine };
  const image = { ...grid, data: Int16Array.from(whole.image, (v) => Math.round(-1024 + v * 4095)) };
  const label = { ...grid, data: Uint8Array.from(whole.label!) };
  at.volumes = { image, label };
  at.image = join(at.dir, 'image.ome.zarr');
  at.label = join(at.dir, 'label.ome.zarr');
  await writeOmeZarr(at.image, image, { chunk: CHUNK });
  await writeOmeZarr(at.label, label, { chunk: CHUNK });
});
test.after(({ dir }) => rm(dir, { recursive: true }));

async function opened(image: string, label: string | null, maxBytes: number, more: Partial<Preprocess> = {}) {
  const cache = chunkCache(maxBytes);
  const stores = [fileStore(image), ...(label === null ? [] : [fileStore(label)])];
  const scan = await openPreparedScan(stores[0]!, {
    contract: { ...contract, ...more },
    cache,
    name: image,
    ...(label === null ? {} : { label: { store: stores[1]!, name: label } }),
  });
  return { scan: scan!, cache, stores };
}

test('the same crops as of the volume in memory, centred on the same voxels', async ({ image, label, volumes }) => {
  const all = prepare(volumes.image, volumes.label as Volume<Uint8Array>, contract);
  for (const ids of [
    null,
    new Map([
      [1, 1],
      [3, 2],
      [4, 2],
    ]),
  ]) {
    const to: ClassMap = ids ? { classes: 3, ids } : OWN;
    const map = ids ? remapLabels(all.label!, ids) : all.label!;
    const index = new LabelIndex(map, all.dims, to.classes);
    const { scan } = await opened(image, label, 20_000);
    assert.equal(scan.dims, all.dims);
    assert.ok(
      all.dims.some((n, axis) => n < volumes.image.dims[axis]!),
      'the air was cut away',
    );
    assert.equal(scan.spacing, all.spacing);
    const places = scan.places(to);
    assert.equal(Float64Array.from(places.counts), index.counts);
    const choices: CropChoice[] = [{ kind: 'foreground', positive: 0.7 }, { kind: 'classes' }, { kind: 'uniform' }];
    for (const choice of choices)
      for (const size of [
        [16, 16, 16],
        [9, 60, 5],
      ] as Dims[])
        for (let n = 0; n < 6; n++) {
          const box = chooseCrop(all.dims, size, choice, stream(1, n), index);
          assert.equal(await chooseCropFrom(scan.dims, size, choice, stream(1, n), places), box);
          const crop = cropPair(all.image, map, all.dims, box);
          assert.equal(await scan.cut(box), crop.image);
          assert.equal(await scan.cutLabel(box, to), Uint8Array.from(crop.label!));
        }
  }
});

test('the same tiles of a study, all of them, some drawn, one, and one of the whole', async ({ image, volumes }) => {
  const { image: voxels, dims } = prepare(volumes.image, undefined, contract);
  const study: Study = { image: voxels, dims };
  const { scan } = await opened(image, null, 20_000);
  for (const [size, k] of [
    [[16, 16, 16], 60],
    [[8, 8, 8], 5],
    [[64, 10, 8], 3],
  ] as [Dims, number][])
    for (let seed = 0; seed < 3; seed++) {
      assert.equal(await studyTiles(scan, size, k, stream(seed)), await studyTiles(study, size, k, stream(seed)));
      assert.equal(await nativeCrop(scan, size, stream(seed)), await nativeCrop(study, size, stream(seed)));
      assert.equal(await downsampledTile(scan, size), await downsampledTile(study, size));
    }
  let body = 0;
  for (const v of voxels) if (v > 0.05) body++;
  assert.is(scan.foregroundIn({ start: [0, 0, 0], size: dims }), body);
  assert.is(scan.foregroundIn({ start: [-9, 0, 0], size: [9, 8, 8] }), 0);
});

test('a crop reads the chunks that it touches; what is kept has a bound', async ({ image, label }) => {
  await opened(image, label, 0);
  const roomy = await opened(image, label, 1e6);
  const requests = (): number => roomy.stores.reduce((n, s) => n + s.counts.requests, 0);
  const before = requests();
  assert.ok(before <= 8, `${before} requests to open: metadata, and what was counted`);
  // Eight voxels lie on at most two chunks an axis.
  const box = { start: [8, 8, 8], size: [8, 8, 8] } as const;
  await roomy.scan.cut(box);
  const touched = requests() - before;
  assert.ok(touched >= 1 && touched <= 8, `${touched} chunks`);
  await roomy.scan.cut(box);
  assert.is(requests(), before + touched);
  const { scan, cache } = await opened(image, label, 5_000);
  for (let n = 0; n < 12; n++) {
    const box = await chooseCropFrom(scan.dims, [16, 16, 16], { kind: 'foreground' }, stream(2, n), scan.places(OWN));
    await scan.cut(box);
    await scan.cutLabel(box, OWN);
  }
  assert.ok(cache.mostBytes <= 5_000, `${cache.mostBytes} bytes of chunks`);
  // One cache for many scans: more scans do not take more.
  const shared = chunkCache(5_000);
  for (let n = 0; n < 3; n++) {
    const one = await openPreparedScan(fileStore(image), { contract, cache: shared, name: `${image} ${n}` });
    await one!.cut({ start: [0, 0, 0], size: one!.dims });
  }
  assert.ok(shared.mostBytes <= 5_000);
});

/** Opens with stores that count the chunks read. */
async function chunkReads(image: string, label: string | null): Promise<{ chunks: number; scan: PreparedScan }> {
  let chunks = 0;
  const counted = (store: ZarrStore): ZarrStore => ({
    ...store,
    get: (key) => {
      if (key.includes('/c/')) chunks++;
      return store.get(key);
    },
  });
  const scan = await openPreparedScan(counted(fileStore(image)), {
    contract,
    cache: chunkCache(0),
    name: image,
    ...(label === null ? {} : { label: { store: counted(fileStore(label)), name: label } }),
  });
  return { chunks, scan: scan! };
}

test('what is counted of a scan is kept beside its chunks; damage and other contracts are counted again', async ({
  dir,
  volumes,
}) => {
  const path = join(dir, 'own.ome.zarr');
  await writeOmeZarr(path, volumes.image, { chunk: CHUNK });
  assert.ok((await chunkReads(path, null)).chunks > 20);
  assert.is((await chunkReads(path, null)).chunks, 0);
  const facts = (await readdir(join(path, 't3dc'))).map((f) => join(path, 't3dc', f));
  assert.is(facts.length, 1);
  const whole = await readFile(facts[0]!);
  await writeFile(facts[0]!, whole.subarray(0, 40));
  assert.ok((await chunkReads(path, null)).chunks > 20);
  assert.equal(await readFile(facts[0]!), whole);
  await opened(path, null, 0, { window: [-200, 300] });
  assert.is((await readdir(join(path, 't3dc'))).length, 2);
  assert.equal(await readVolume(path), { ...volumes.image });
  // A set that cannot be written to is counted each time.
  const store = fileStore(path);
  await rm(join(path, 't3dc'), { recursive: true });
  const put = async (): Promise<void> => {
    throw Object.assign(new Error('read-only'), { code: 'EROFS' });
  };
  assert.ok(await openPreparedScan({ ...store, put }, { contract, cache: chunkCache(0), name: path }));
});

test('t3dc data prepare writes what crops need; a scan on another grid is read whole, a thick one refused', async ({
  dir,
}) => {
  const set = join(dir, 'set');
  await writePhantomSet(set, { count: 1, size: [40, 40, 40], seed: 1, spacing: [8, 8, 8] });
  const out = join(dir, 'prepared');
  await prepareSet(set, out, { contract, storage: { type: 'int16', chunk: CHUNK } });
  const [image, label] = ['images', 'labels'].map((part) => join(out, part, 'phantom_0000.ome.zarr')) as [
    string,
    string,
  ];
  const { chunks, scan } = await chunkReads(image, label);
  assert.is(chunks, 0);
  const all = prepare(await readVolume(image), (await readVolume(label)) as Volume<Uint8Array>, contract);
  assert.equal(await scan.cut({ start: [0, 0, 0], size: scan.dims }), all.image);
  assert.equal(Float64Array.from(scan.places(OWN).counts), new LabelIndex(all.label!, all.dims, CLASSES).counts);
  const none = await openPreparedScan(fileStore(image), {
    contract: { ...contract, spacing: [7, 8, 8] },
    cache: chunkCache(0),
    name: image,
  });
  assert.is(none, null);
  const fails = async (made: Promise<unknown>, code: string, said: RegExp): Promise<void> => {
    const err = await made.then(
      () => null,
      (e) => e,
    );
    assert.ok(isDataError(err, code), String(err));
    assert.match(err.message, said);
  };
  await fails(
    opened(image, label, 0, { thickSlices: { above: 5, action: 'refuse' } }),
    'volume-thick-slices',
    /8\.00 mm/,
  );
  await fails((async () => scan.places({ classes: 2, ids: null }))(), 'label-range', /labels.phantom_0000/);
  await rm(join(image, '0', 'c'), { recursive: true });
  await fails((await chunkReads(image, label)).scan.cut({ start: [0, 0, 0], size: [4, 4, 4] }), 'zarr-chunk', /images/);
});

test.run();
