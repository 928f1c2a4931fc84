// What the viewers' adapters share: volumes for tasks, labels for viewers, what a label map says of itself; and sizes.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isDataError, prepare } from '../../data/index.ts';
import { describe, dicomSegment, identify, NOTICE } from '../../viewer/labels.ts';
import { forTask, forViewer, inPieces, type ViewerVolume } from '../../viewer/volume.ts';
import { AFFINES, CLASS_NAMES, huOf, lps, misplaced, reading, SIZE, segmented } from '../viewer-phantom.ts';

const rejects = async (run: () => unknown, code: string) => {
  try {
    await run();
  } catch (err) {
    return assert.ok(isDataError(err, code), String(err));
  }
  assert.unreachable(`no ${code}`);
};
const straight = AFFINES.straight!;
const viewed = (more: Partial<ViewerVolume> = {}): ViewerVolume => ({
  data: huOf(straight),
  dims: SIZE,
  affine: straight,
  space: 'RAS',
  unit: 'HU',
  slope: 1,
  inter: 0,
  ...more,
});

for (const [name, affine] of Object.entries(AFFINES)) {
  for (const space of ['RAS', 'LPS'] as const) {
    test(`${name}, ${space}: a task's volume has every voxel at its place, and its labels come back`, async () => {
      const image = viewed({ data: huOf(affine), affine: space === 'RAS' ? affine : lps(affine), space });
      const volume = await forTask(image);
      assert.equal(volume.dims, [16, 20, 24]);
      const result = segmented(volume);
      assert.is(misplaced(affine, reading(result.labels.data, volume.dims, volume.affine)), 0);
      const back = forViewer(result.labels, image);
      // x fastest: as rows [k, j, i] of the image's own grid
      const turned = affine.map((_, i) => affine[(i & ~3) + [2, 1, 0, 3][i & 3]!]!);
      assert.is(misplaced(affine, reading(back, [16, 20, 24], turned)), 0);
    });
  }
}

test('the task turns the volume itself: after preparation it lies along R, A, S', async () => {
  const of = async (affine: readonly number[]) =>
    prepare(await forTask(viewed({ data: huOf(affine), affine })), undefined, {
      orientation: 'RAS',
      spacing: null,
      window: [-1000, 1000],
      foreground: null,
      thickSlices: { above: 5, action: 'refuse' },
    });
  for (const [name, affine] of Object.entries(AFFINES)) {
    if (name === 'oblique') continue;
    const { image, dims, affine: to } = await of(affine);
    assert.ok(to[0]! > 0 && to[5]! > 0 && to[10]! > 0, name);
    const labels = image.map((v) => [60, 160, 900].findIndex((hu) => Math.abs(v - (hu + 1000) / 2000) < 1e-3) + 1);
    assert.is(misplaced(affine, reading(labels, dims, to)), 0, name);
  }
});

test('the slope is applied to stored values alone; types', async () => {
  const hu = huOf(straight);
  for (const Type of [
    Int8Array,
    Uint8Array,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
  ]) {
    // stored: 0, 53, 58, 95
    const data = (Type as Float64ArrayConstructor).from(hu, (v) => Math.round((v + 1000) / 20));
    const volume = await forTask(viewed({ data, unit: 'stored', slope: 20, inter: -1000 }));
    assert.equal([...volume.data], [...hu], Type.name);
    assert.is(volume.data.constructor, Type.BYTES_PER_ELEMENT < 4 ? Float32Array : Float64Array);
    const own = await forTask(viewed({ data, unit: 'HU', slope: 20, inter: -1000 }));
    assert.is(own.data, data, 'not copied, not scaled');
  }
  const clamped = new Uint8ClampedArray(hu.length) as unknown as Uint8Array;
  assert.is((await forTask(viewed({ data: clamped }))).data.length, hu.length);
});

test('what is no CT volume is refused, and says why', async () => {
  await rejects(() => forTask(viewed({ dims: [...SIZE, 2] })), 'viewer-dims');
  await rejects(() => forTask(viewed({ dims: [24, 20, 8, 2] })), 'viewer-dims');
  await rejects(() => forTask(viewed({ dims: [24, 20] })), 'viewer-dims');
  await rejects(() => forTask(viewed({ data: huOf(straight).subarray(1) })), 'viewer-dims');
  await rejects(() => forTask(viewed({ modality: 'MR' })), 'viewer-modality');
  await rejects(() => forTask(viewed({ modality: 'PT' })), 'viewer-modality');
  await rejects(() => forTask(viewed({ unit: 'stored', slope: 0 })), 'viewer-scaling');
  await rejects(() => forTask(viewed({ unit: 'stored', slope: Number.NaN })), 'viewer-scaling');
  await rejects(() => forTask(viewed({ affine: [...straight.slice(0, 15), Number.NaN] })), 'viewer-affine');
  const big = new BigInt64Array(24 * 20 * 16) as unknown as Float64Array;
  await rejects(() => forTask(viewed({ data: big })), 'viewer-type');
  assert.is((await forTask(viewed({ dims: [...SIZE, 1, 1] }))).notes.length, 0);
});

test('a volume that has no modality and nothing below 0 is noted', async () => {
  const data = Uint16Array.from(huOf(straight), (v) => v + 1000);
  assert.match((await forTask(viewed({ data }))).notes[0]!, /below 0/);
  assert.equal((await forTask(viewed({ data, modality: 'CT' }))).notes, []);
});

test('labels of another image are refused', async () => {
  const { labels } = segmented(await forTask(viewed()));
  await rejects(() => forViewer(labels, { dims: SIZE, affine: AFFINES.oblique!, space: 'RAS' }), 'viewer-grid');
  await rejects(() => forViewer(labels, { dims: SIZE, affine: straight, space: 'LPS' }), 'viewer-grid');
  await rejects(() => forViewer(labels, { dims: [24, 16, 20], affine: straight, space: 'RAS' }), 'viewer-grid');
});

test('long work lets timers run', async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  let calls = 0;
  await inPieces(2 ** 30, () => {
    for (const end = performance.now() + 3; performance.now() < end; );
    return ++calls < 40;
  });
  clearInterval(timer);
  assert.is(calls, 40);
  assert.ok(ticks >= 8, `${ticks} ticks in 40 pieces of 3 ms`);
});

test('a label map says what it is, and what made it', async () => {
  const files = {
    'program.wasm': { sha256: 'b'.repeat(64), bytes: 1 },
    'index.js': { sha256: 'a'.repeat(64), bytes: 1 },
  };
  const manifest = { generator: 't3dc 0.1.0', model: { name: 'abdomen', settings: {}, dialects: [] }, files };
  const model = await identify(manifest, new Uint8Array([1, 2, 3]));
  assert.is(model.weightsSha256, '039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81');
  // printf '%s  index.js\n%s  program.wasm\n' aaa… bbb… | sha256sum
  const listing = `${'a'.repeat(64)}  index.js\n${'b'.repeat(64)}  program.wasm\n`;
  const { createHash } = await import('node:crypto');
  assert.is(model.artifactSha256, createHash('sha256').update(listing).digest('hex'));
  assert.is((await identify(manifest, 'AB'.repeat(32))).weightsSha256, 'ab'.repeat(32));
  await rejects(() => identify(manifest, 'weights.safetensors'), 'viewer-hash');

  const map = describe({ classNames: CLASS_NAMES }, model, { frameOfReferenceUid: '1.2.3', seriesUid: '1.2.4' });
  assert.is(map.notice, NOTICE);
  assert.is(map.title, 'abdomen (AI, not reviewed, not for diagnosis)');
  assert.is(map.source.frameOfReferenceUid, '1.2.3');
  assert.equal(
    map.labels.map((l) => l.id),
    [1, 2, 3],
  );
  const [liver, kidney, spot] = map.labels;
  assert.equal(liver!.type, { value: '10200004', scheme: 'SCT', meaning: 'Liver' });
  assert.equal(liver!.category, { value: '123037004', scheme: 'SCT', meaning: 'Anatomical Structure' });
  assert.is(kidney!.side!.value, '7771000');
  assert.is(spot!.type.scheme, '99T3DC');
  for (const l of map.labels) {
    assert.is(l.algorithmType, 'AUTOMATIC');
    assert.equal([l.algorithmName, l.algorithmVersion], ['abdomen', 't3dc 0.1.0']);
    assert.equal([l.artifactSha256, l.weightsSha256], [model.artifactSha256, model.weightsSha256]);
    assert.is(l.colour.length, 3);
  }
  const item = dicomSegment(kidney!) as Record<string, { CodeValue: string }[]>;
  assert.is(item.SegmentedPropertyTypeCodeSequence![0]!.CodeValue, '64033007');
  assert.match(String(item.SegmentDescription), new RegExp(`${NOTICE}.*${model.weightsSha256}`));
  assert.equal(structuredClone(map), map, 'plain data');
});

for (const door of ['niivue', 'cornerstone', 'vtk', 'ohif/index']) {
  test(`${door}: at most 2 KB gzipped beside what adapters share`, async () => {
    const size = async (shared: boolean) => {
      const { outputFiles } = await build({
        entryPoints: [`viewer/${door}.ts`],
        absWorkingDir: new URL('../../', import.meta.url).pathname,
        bundle: true,
        minify: true,
        format: 'esm',
        write: false,
        external: shared ? [] : ['*/volume.ts', '*/labels.ts', '*/errors.ts', '*/cornerstone.ts'],
      });
      return gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
    };
    const [alone, all] = [await size(false), await size(true)];
    console.log(`  ${door}: ${alone} bytes gzipped, ${all} with volume.ts, labels.ts and errors`);
    assert.ok(alone > 300 && alone <= (door.startsWith('ohif') ? 3072 : 2048), `${alone} bytes`);
    assert.ok(all < 8192, `${all} bytes: does something large come along?`);
  });
}

test.run();
