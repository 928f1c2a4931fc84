// The OHIF extension on Cornerstone3D's own cache, volumes, segmentation state and events. OHIF's services are stand-ins that do
// what those of @ohif/core and @ohif/extension-cornerstone 3.13.13 do, with their signatures: segmentationService makes its
// images by Cornerstone as OHIF does. (test/reference/ohif.ts runs the extension in the published @ohif/core itself.)
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Progress } from '../../runtime/index.ts';
import type { SegmentOptions } from '../../tasks/index.ts';
import { NOTICE } from '../../viewer/labels.ts';
import { ohifExtension } from '../../viewer/ohif/index.ts';
import type { DisplaySet, Managers, Notification } from '../../viewer/ohif/services.ts';
import { AFFINES, misplaced, segmented } from '../viewer-phantom.ts';
import { addSeries, core, placedIn, type SeriesOptions, tools } from '../viewer-series.ts';

const model = { name: 'abdomen', version: '1', artifactSha256: 'a'.repeat(64), weightsSha256: 'b'.repeat(64) };
const affine = AFFINES.oblique!;
const LABELMAP = tools.Enums.SegmentationRepresentations.Labelmap;
const flush = () => new Promise((done) => setTimeout(done, 5));

type Volume = Parameters<typeof segmented>[0];

/** OHIF with one viewport that shows a series. */
function ohif(name: string, of: Partial<SeriesOptions> & { readonly set?: Partial<DisplaySet> } = {}) {
  const imageIds = addSeries(name, { affine, ...of });
  const displaySet: DisplaySet = {
    displaySetInstanceUID: name,
    StudyInstanceUID: '1.2.5',
    SeriesInstanceUID: '1.2.4',
    Modality: 'CT',
    isReconstructable: true,
    imageIds,
    ...of.set,
  };
  const notes: Notification[] = [];
  const shown: unknown[] = [];
  const stored: { file: unknown; dataset: Record<string, unknown> }[] = [];
  const buttons: Record<string, unknown>[] = [];
  const sections: Record<string, readonly string[]> = {};
  let uids = [name];
  let refreshed = 0;
  let made = 0;
  const managers: Managers = {
    servicesManager: {
      services: {
        uiNotificationService: { show: (n) => String(notes.push(n)), hide: () => {} },
        displaySetService: { getDisplaySetByUID: (uid) => (uid === name ? displaySet : undefined) },
        viewportGridService: { getActiveViewportId: () => 'v1', getDisplaySetsUIDsForViewport: () => uids },
        toolbarService: {
          register: (more) => void buttons.push(...(more as Record<string, unknown>[])),
          updateSection: (section, ids) => void Object.assign(sections, { [section]: ids }),
          refreshToolbarState: () => void refreshed++,
        },
        segmentationService: {
          async createLabelmapForDisplaySet({ imageIds: ids = [] }, { label, segments }) {
            const segmentationId = `${name}-${++made}`;
            const images = await core.imageLoader.createAndCacheDerivedLabelmapImages([...ids]);
            const data = { imageIds: images.map((i) => i.imageId), referencedImageIds: [...ids] };
            tools.segmentation.addSegmentations([
              {
                segmentationId,
                representation: { type: LABELMAP, data },
                config: { label, segments: { ...segments } as never },
              },
            ]);
            return segmentationId;
          },
          addSegmentationRepresentation: async (viewport, { segmentationId, type }) =>
            void shown.push([viewport, segmentationId, type]),
          setSegmentColor: (...args) => void shown.push(args),
          getActiveSegmentation: () => ({ segmentationId: `${name}-${made}` }),
          getSegmentation: (id) => tools.segmentation.state.getSegmentation(id) as never,
        },
      },
    },
    commandsManager: {
      // As OHIF's: algorithm from the segment, "Tissue" for all codes.
      runCommand: (command, { segmentationId, defaultFileName } = {}) => {
        if (command === 'createStoreFunction')
          return async (dataset: Record<string, unknown>) => void stored.push({ file: defaultFileName, dataset });
        assert.is(command, 'generateSegmentation');
        const { segments } = tools.segmentation.state.getSegmentation(segmentationId as string)!;
        const tissue = { CodeValue: 'T-D0050', CodingSchemeDesignator: 'SRT', CodeMeaning: 'Tissue' };
        const SegmentSequence = Object.values(segments as unknown as Record<string, Record<string, string>>).map(
          (s) => ({
            SegmentNumber: String(s.segmentIndex),
            SegmentLabel: s.label,
            SegmentAlgorithmType: s.algorithmType || 'MANUAL',
            SegmentAlgorithmName: s.algorithmName || 'OHIF Brush',
            RecommendedDisplayCIELabValue: [1, 2, 3],
            SegmentedPropertyCategoryCodeSequence: tissue,
            SegmentedPropertyTypeCodeSequence: tissue,
          }),
        );
        return { dataset: { SegmentSequence, SOPInstanceUID: '1.9' } };
      },
    },
  };
  const state = { leave: () => (uids = ['another']), refreshed: () => refreshed };
  return { managers, displaySet, notes, shown, stored, buttons, sections, ...state };
}

/** A model that segments perfectly, in `windows` windows. */
function extension(windows = 3, open: () => Promise<void> = async () => {}) {
  let opened = 0;
  const ran: Volume[] = [];
  const made = ohifExtension({
    core,
    tools,
    async open({ onProgress }) {
      opened++;
      onProgress({ stage: 'download', done: 1, total: 2, fraction: 0.5, secondsLeft: 7.2 } satisfies Progress);
      await open();
      const tasks = {
        async segment(volume: Volume, { onProgress: tell, signal }: SegmentOptions = {}) {
          for (let w = 0; w <= windows; w++) {
            await flush();
            signal?.throwIfAborted();
            tell?.(w, windows);
          }
          ran.push(volume);
          return segmented(volume);
        },
      };
      return { session: { tasks } as never, model };
    },
  });
  return { made, ran, opened: () => opened };
}
const commands = (made: ReturnType<typeof ohifExtension>, managers: Managers) =>
  made.getCommandsModule(managers).definitions;

/** Where the labels of a segmentation lie, by its images' references and Cornerstone's geometry of the source. */
function placed(id: string, name: string) {
  const source = core.cache.getVolume(`cornerstoneStreamingImageVolume:${name}`)!;
  const { imageIds } = tools.segmentation.state.getSegmentation(id)!.representationData.Labelmap as {
    imageIds: string[];
  };
  const images = imageIds.map((i) => core.cache.getImage(i)!);
  const at = (i: number, j: number, k: number) => {
    const image = images.find((one) => one.referencedImageId === source.imageIds[k])!;
    return image.getPixelData()[i + j * source.dimensions[0]]!;
  };
  const geometry = { imageData: source.imageData, dimensions: source.dimensions, voxelManager: { getAtIJK: at } };
  return placedIn(geometry as never);
}

test('a button in the toolbar, that is on for a CT volume alone', () => {
  const { made } = extension();
  const { managers, buttons, sections } = ohif('toolbar');
  made.onModeEnter(managers);
  assert.equal(
    buttons.map((b) => b.id),
    ['t3dcSegment', 't3dcSave'],
  );
  assert.equal(sections, { primary: ['t3dcSegment', 't3dcSave'] });
  assert.is(buttons[0]!.uiType, 'ohif.toolButton');
  const evaluate = (m: Managers) => made.getToolbarModule(m)[0]!.evaluate({ viewportId: 'v1' });
  assert.is(evaluate(managers).disabled, false);
  for (const set of [{ Modality: 'MR' }, { isReconstructable: false }, { isDynamicVolume: true }])
    assert.is(evaluate(ohif('other', { set }).managers).disabled, true);
  assert.equal(Object.keys(commands(made, managers)), ['t3dcSegment', 't3dcCancel', 't3dcSave']);
});

for (const reversed of [false, true]) {
  test(`${reversed ? 'slices in the reverse order' : 'a series'}: labels at their places, progress, notice, event`, async () => {
    const name = `run-${reversed}`;
    const { made, ran, opened } = extension();
    const { managers, notes, shown, refreshed } = ohif(name, { reversed, pixels: 'stored', late: (k) => k });
    const events: string[] = [];
    const hear = (e: Event) => void events.push((e as CustomEvent<{ segmentationId: string }>).detail.segmentationId);
    core.eventTarget.addEventListener(tools.Enums.Events.SEGMENTATION_DATA_MODIFIED, hear as never);
    const id = (await commands(made, managers).t3dcSegment.commandFn({}))!;
    core.eventTarget.removeEventListener(tools.Enums.Events.SEGMENTATION_DATA_MODIFIED, hear as never);
    assert.is(ran.length, 1);
    assert.is(misplaced(affine, placed(id, name)), 0);
    assert.equal(events, [id]);
    const state = tools.segmentation.state.getSegmentation(id)!;
    assert.match(state.label, NOTICE);
    assert.equal(shown[0], ['v1', id, LABELMAP]);
    assert.equal(shown[1], ['v1', id, 1, [230, 120, 60, 255]]);
    assert.is(shown.length, 4);
    assert.match(notes.at(-1)!.message, NOTICE);
    assert.is(notes.at(-1)!.type, 'success');
    const texts = notes.map((n) => n.message);
    assert.ok(texts.includes('Loading the model: 50 %, 8 s left'), texts.join('\n'));
    assert.ok(texts.some((t) => t.startsWith('Segmenting: ')));
    assert.ok(notes.slice(0, -1).every((n) => n.type === 'loading' && n.action?.label === 'Cancel'));
    assert.is(new Set(notes.map((n) => n.id)).size, 1, 'one notification that changes');
    assert.is(refreshed(), 2);
    // Again: the model is kept, the first result too.
    const again = (await commands(made, managers).t3dcSegment.commandFn({}))!;
    assert.is.not(again, id);
    assert.is(opened(), 1);
    assert.ok(tools.segmentation.state.getSegmentation(id));
  });
}

test('cancelled by its notification, the button or the command: nothing is added', async () => {
  for (const way of ['notification', 'button', 'command'] as const) {
    const { made, ran } = extension(1000);
    const { managers, notes, shown } = ohif(`cancel-${way}`);
    const all = commands(made, managers);
    const before = tools.segmentation.state.getSegmentations().length;
    const running = all.t3dcSegment.commandFn({});
    while (!notes.some((n) => n.message.startsWith('Segmenting'))) await flush();
    assert.is(made.getToolbarModule(managers)[0]!.evaluate({ viewportId: 'v1' }).isActive, true);
    if (way === 'notification') notes.at(-1)!.action!.onClick();
    if (way === 'button') assert.is(await all.t3dcSegment.commandFn({}), null);
    if (way === 'command') all.t3dcCancel.commandFn();
    assert.is(await running, null);
    assert.match(notes.at(-1)!.message, 'Cancelled');
    assert.equal([ran.length, shown.length], [0, 0]);
    assert.is(tools.segmentation.state.getSegmentations().length, before);
  }
});

test('leaving the mode cancels, and a model that failed to open is opened anew', async () => {
  let fail = true;
  const { made, opened } = extension(3, async () => {
    if (fail) throw new Error('no network');
  });
  const { managers, notes } = ohif('reopen');
  assert.is(await commands(made, managers).t3dcSegment.commandFn({}), null);
  assert.equal([notes.at(-1)!.type, notes.at(-1)!.message], ['error', 'no network']);
  fail = false;
  const running = commands(made, managers).t3dcSegment.commandFn({});
  await flush();
  made.onModeExit();
  assert.is(await running, null);
  assert.ok(await commands(made, managers).t3dcSegment.commandFn({}));
  assert.ok(opened() >= 2);
});

test('what cannot be segmented is told in a notification', async () => {
  const { made } = extension();
  const mr = ohif('mr', { set: { Modality: 'MR' } });
  assert.is(await commands(made, mr.managers).t3dcSegment.commandFn({}), null);
  assert.match(mr.notes.at(-1)!.message, /no CT volume/);
  const broken = ohif('broken', { broken: 4 });
  assert.is(await commands(made, broken.managers).t3dcSegment.commandFn({}), null);
  assert.match(broken.notes.at(-1)!.message, /15 of 16 slices/);
});

test('the user who went on to another series finds it unchanged', async () => {
  const { made } = extension();
  const one = ohif('left');
  const running = commands(made, one.managers).t3dcSegment.commandFn({});
  one.leave();
  // The series was chosen when the button was pressed.
  assert.ok(await running);
  assert.equal(one.shown, []);
});

test("saving goes by OHIF's own SEG, with the codes that it leaves out", async () => {
  const { made } = extension();
  const { managers, stored, notes } = ohif('save');
  const all = commands(made, managers);
  assert.is(await all.t3dcSave.commandFn({ segmentationId: 'mine' }), null);
  assert.match(notes.at(-1)!.message, /none of this model/);
  await all.t3dcSegment.commandFn({});
  await all.t3dcSave.commandFn();
  const { file, dataset } = stored[0]!;
  assert.is(file, 'abdomen.dcm');
  assert.is(dataset.SOPInstanceUID, '1.9', "OHIF's own dataset");
  assert.match(String(dataset.SeriesDescription), NOTICE);
  assert.is(dataset.ContentDescription, NOTICE);
  const [liver, kidney] = dataset.SegmentSequence as Record<string, unknown>[];
  assert.equal(liver!.SegmentedPropertyTypeCodeSequence, [
    { CodeValue: '10200004', CodingSchemeDesignator: 'SCT', CodeMeaning: 'Liver' },
  ]);
  assert.equal([liver!.SegmentAlgorithmType, liver!.SegmentAlgorithmName], ['AUTOMATIC', 'abdomen 1']);
  assert.equal(liver!.RecommendedDisplayCIELabValue, [1, 2, 3], 'colours stay');
  assert.is(kidney!.SegmentLabel, 'left kidney');
  assert.match(String(kidney!.SegmentDescription), 'b'.repeat(64));
});

test.run();
