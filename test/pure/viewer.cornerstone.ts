// Cornerstone3D's adapter against @cornerstonejs/core and tools themselves: streaming volumes that load the phantom slice by
// slice, their cache, their segmentation state and events. What draws needs a browser and is not touched.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isDataError } from '../../data/index.ts';
import { type CornerstoneCore, type CornerstoneTools, labelsTo, volumeOf } from '../../viewer/cornerstone.ts';
import { describe, NOTICE } from '../../viewer/labels.ts';
import { AFFINES, CLASS_NAMES, misplaced, reading, segmented } from '../viewer-phantom.ts';
import { core, placedIn, tools, volumeOfSeries } from '../viewer-series.ts';

const model = { name: 'abdomen', version: '1', artifactSha256: 'a'.repeat(64), weightsSha256: 'b'.repeat(64) };
const map = describe({ classNames: CLASS_NAMES }, model);
// The real packages fit what the adapter says it needs.
const cornerstone: { core: CornerstoneCore; tools: CornerstoneTools } = { core, tools };

async function rejects(run: () => Promise<unknown>, code: string, text = /./) {
  const err = await run().then(
    () => null,
    (e) => e,
  );
  assert.ok(isDataError(err, code), String(err));
  assert.match(err.message, text);
}

const cases = Object.entries(AFFINES).flatMap(([name, affine]) =>
  (['scaled', 'stored'] as const).map((pixels) => ({ name, affine, pixels, reversed: false })),
);
for (const { name, affine, pixels, reversed } of [
  ...cases,
  { name: 'oblique', affine: AFFINES.oblique!, pixels: 'none' as const, reversed: false },
  { name: 'oblique', affine: AFFINES.oblique!, pixels: 'mixed' as const, reversed: true },
]) {
  const about = { scaled: 'HU', stored: 'a slope of each slice', none: 'HU in the file', mixed: 'some slices scaled' };
  test(`${name}, ${about[pixels]}${reversed ? ', reversed' : ''}: in and out, every label at its place`, async () => {
    const volume = await volumeOfSeries(`${name}-${pixels}`, { affine, pixels, reversed });
    const scan = await volumeOf(volume);
    const result = segmented(scan);
    assert.is(misplaced(affine, reading(result.labels.data, scan.dims, scan.affine)), 0);
    const id = await labelsTo(cornerstone, volume, result, map);
    const overlay = core.cache.getVolume(id)!;
    assert.is(misplaced(affine, placedIn(overlay)), 0);
    assert.is(overlay.referencedVolumeId, volume.volumeId);
    assert.is(overlay.metadata.FrameOfReferenceUID, '1.2.3');
    const of = overlay.getCornerstoneImages().map((i) => i.referencedImageId);
    assert.equal(of, volume.imageIds, 'each slice names its source');
    assert.is(scan.source.frameOfReferenceUid, '1.2.3');
    assert.is(scan.source.seriesUid, '1.2.4');
    assert.equal(scan.source.imageIds, volume.imageIds);
  });
}

test('a new segmentation beside those that are there, with what it is, and the event', async () => {
  const volume = await volumeOfSeries('beside', { affine: AFFINES.straight! });
  const result = segmented(await volumeOf(volume));
  const first = await labelsTo(cornerstone, volume, result, map);
  const mine = core.cache.getVolume(first)!;
  mine.voxelManager!.setAtIJK(0, 0, 0, 3 as never);
  const events: string[] = [];
  const hear = (e: Event) => void events.push((e as CustomEvent<{ segmentationId: string }>).detail.segmentationId);
  core.eventTarget.addEventListener(tools.Enums.Events.SEGMENTATION_DATA_MODIFIED, hear as never);
  const second = await labelsTo(cornerstone, volume, result, map);
  core.eventTarget.removeEventListener(tools.Enums.Events.SEGMENTATION_DATA_MODIFIED, hear as never);
  assert.is.not(first, second);
  assert.is(mine.voxelManager!.getAtIJK(0, 0, 0), 3, "the user's stays");
  assert.is(core.cache.getVolume(second)!.voxelManager!.getAtIJK(0, 0, 0), 0);
  assert.equal(events, [second]);
  const state = tools.segmentation.state.getSegmentation(second)!;
  assert.match(state.label, NOTICE);
  assert.equal(
    Object.values(state.segments).map((s) => s.label),
    CLASS_NAMES.slice(1),
  );
  const { algorithmType, locked, cachedStats } = state.segments[1] as unknown as Record<string, unknown> & {
    cachedStats: { type: string; dicom: Record<string, { CodeValue: string }[]> };
  };
  assert.equal([algorithmType, locked, cachedStats.type], ['AUTOMATIC', false, 'Liver']);
  assert.is(cachedStats.dicom.SegmentedPropertyTypeCodeSequence![0]!.CodeValue, '10200004');
  assert.is((state.cachedStats.t3dc as typeof map).labels[0]!.artifactSha256, 'a'.repeat(64));
});

test('a volume that is loading is waited for; one that is not is loaded', async () => {
  const late = { affine: AFFINES.oblique!, late: (k: number) => 10 + 10 * k };
  const loading = await volumeOfSeries('loading', late);
  loading.load();
  assert.is(loading.loadStatus!.loaded, false);
  assert.is(
    misplaced(
      late.affine,
      reading(segmented(await volumeOf(loading)).labels.data, [16, 20, 24], (await volumeOf(loading)).affine),
    ),
    0,
  );
  const idle = await volumeOfSeries('idle', late);
  const scan = await volumeOf(idle);
  assert.is(idle.loadStatus!.loaded, true);
  assert.is(misplaced(late.affine, reading(segmented(scan).labels.data, scan.dims, scan.affine)), 0);
});

test('waiting ends when it is cancelled, by the signal or in the viewer', async () => {
  const late = { affine: AFFINES.straight!, late: () => 400 };
  const volume = await volumeOfSeries('abort', late);
  const reason = new Error('enough');
  const stop = new AbortController();
  setTimeout(() => stop.abort(reason), 20);
  assert.is(await volumeOf(volume, { signal: stop.signal }).catch((e) => e), reason);
  const other = await volumeOfSeries('cancelled', late);
  setTimeout(() => other.cancelLoading(), 20);
  await rejects(() => volumeOf(other), 'viewer-not-loaded', /0 of 16 slices, loading was cancelled/);
});

test('a volume with a slice that failed, or that has left the cache, is refused', async () => {
  const broken = await volumeOfSeries('broken', { affine: AFFINES.straight!, broken: 5 });
  await rejects(() => volumeOf(broken), 'viewer-not-loaded', /15 of 16 slices/);
  const gone = await volumeOfSeries('gone', { affine: AFFINES.straight! });
  await volumeOf(gone);
  core.cache.removeImageLoadObject(gone.imageIds[3]!, { force: true });
  await rejects(() => volumeOf(gone), 'viewer-not-loaded', /15 of 16 slices/);
});

test('other modalities, a series in time and tables of values are refused', async () => {
  const mr = await volumeOfSeries('mr', { affine: AFFINES.straight!, modality: 'MR' });
  await rejects(() => volumeOf(mr), 'viewer-modality', /MR/);
  const time = await volumeOfSeries('time', { affine: AFFINES.straight! });
  Object.assign(time, { isDynamicVolume: () => true });
  await rejects(() => volumeOf(time), 'viewer-dims', /4D/);
  const table = await volumeOfSeries('table', { affine: AFFINES.straight!, pixels: 'stored' });
  await volumeOf(table);
  Object.assign(table.getCornerstoneImages()[7]!, { modalityLUT: { lut: [0, 1] } });
  await rejects(() => volumeOf(table), 'viewer-scaling');
});

test.run();
