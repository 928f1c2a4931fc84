// An OHIF extension: a button that segments the CT of the active viewport, and one that saves the result as DICOM SEG.

import { DataError } from '../../data/errors.ts';
import type { Progress } from '../../runtime/index.ts';
import {
  type CornerstoneCore,
  type CornerstoneTools,
  type CornerstoneVolume,
  gridOf,
  segmentsOf,
  setSlices,
  volumeOf,
} from '../cornerstone.ts';
import { describe, dicomSegment, type LabelMap, type ModelIdentity, NOTICE } from '../labels.ts';
import type { ModelSession } from '../session.ts';
import { forViewer } from '../volume.ts';
import { type DisplaySet, type Managers, type Services, shownCt } from './services.ts';

export * from '../labels.ts';

type Images = Parameters<typeof setSlices>[0];

export interface OhifOptions {
  /** `import * as core from '@cornerstonejs/core'`: the same copy that OHIF has. */
  readonly core: Pick<CornerstoneCore, never> & {
    readonly cache: { getVolume(id: string): CornerstoneVolume | undefined; getImage(id: string): unknown };
    readonly volumeLoader: { createAndCacheVolume(id: string, of: { imageIds: string[] }): Promise<CornerstoneVolume> };
  };
  /** `import * as tools from '@cornerstonejs/tools'` */
  readonly tools: CornerstoneTools;
  /** Called at the first use, and again after it failed or was cancelled; the model is kept. */
  open(options: {
    readonly signal: AbortSignal;
    onProgress(progress: Progress): void;
  }): Promise<{ readonly session: Pick<ModelSession, 'tasks'>; readonly model: ModelIdentity }>;
  /** The toolbar section of the buttons. Default `primary`. */
  readonly section?: string;
}

const ID = 't3dc';
const LOADER = 'cornerstoneStreamingImageVolume';

/** The default export of an extension's package. Commands: `t3dcSegment`, `t3dcCancel`, `t3dcSave`. */
export function ohifExtension(options: OhifOptions) {
  let opened: ReturnType<OhifOptions['open']> | null = null;
  let running: AbortController | null = null;
  const maps = new Map<string, LabelMap>();

  /** Segments what a viewport shows; while it does so, stops. Gives the new segmentation's id, or null. */
  async function segment({ servicesManager: { services } }: Managers, viewportId?: string): Promise<string | null> {
    if (running) {
      running.abort();
      return null;
    }
    const viewport = viewportId ?? services.viewportGridService.getActiveViewportId();
    const run = new AbortController();
    running = run;
    services.toolbarService.refreshToolbarState({ viewportId: viewport });
    try {
      const id = await work(services, viewport, run);
      notify(services, { type: 'success', message: `Done. ${NOTICE}. Nothing that was there has changed.` });
      return id;
    } catch (err) {
      if (run.signal.aborted) notify(services, { type: 'info', message: 'Cancelled; nothing was added.' });
      else notify(services, { type: 'error', message: (err as Error).message, duration: 15_000 });
      return null;
    } finally {
      running = null;
      services.toolbarService.refreshToolbarState({ viewportId: viewport });
    }
  }

  async function work(services: Services, viewport: string, run: AbortController): Promise<string> {
    const { signal } = run;
    const displaySet = shownCt(services, viewport);
    if (!displaySet) {
      throw new DataError('viewer-modality', 'The active viewport shows no CT volume.', {
        expected: 'a reconstructable CT series, no series in time',
        fix: 'choose a viewport with a CT',
      });
    }
    const report = reporter(services, () => run.abort());
    report('Loading the series', null);
    const volume = await abortable(volumeFor(displaySet), signal);
    const scan = await volumeOf(volume, { signal });
    opened ??= options.open({ signal, onProgress: (p) => report(STAGES[p.stage], p) });
    const { session, model } = await abortable(opened, signal).catch((err) => {
      opened = null;
      throw err;
    });
    const result = await session.tasks.segment(scan, {
      signal,
      onProgress: (done, total) => report('Segmenting', { fraction: done / total, secondsLeft: null }),
    });
    signal.throwIfAborted();
    const { StudyInstanceUID: studyUid, SeriesInstanceUID: seriesUid } = displaySet;
    const map = describe(result, model, { ...scan.source, studyUid, seriesUid });
    const id = await add(services, displaySet, volume, forViewer(result.labels, gridOf(volume)), map);
    maps.set(id, map);
    await show(services, viewport, displaySet, id, map);
    return id;
  }

  /** The volume that OHIF has of a series, or would make of it: under the same id, so that slices are loaded once. */
  async function volumeFor(set: DisplaySet): Promise<CornerstoneVolume> {
    const { cache, volumeLoader } = options.core;
    const id = `${set.volumeLoaderSchema ?? LOADER}:${set.displaySetInstanceUID}`;
    const imageIds = set.imageIds ?? set.instances?.map((i) => i.imageId) ?? [];
    return cache.getVolume(id) ?? volumeLoader.createAndCacheVolume(id, { imageIds: [...imageIds] });
  }

  /** A new segmentation, whatever others there are. */
  async function add(
    { segmentationService }: Services,
    displaySet: DisplaySet,
    volume: CornerstoneVolume,
    values: Uint8Array | Uint16Array,
    map: LabelMap,
  ): Promise<string> {
    if (values.BYTES_PER_ELEMENT > 1) {
      throw new DataError('viewer-labels', 'OHIF makes label maps of 8 bits.', {
        found: `${map.labels.length} classes`,
        expected: 'at most 255',
        fix: 'use a model with fewer classes, or write DICOM SEG with t3dc segment',
      });
    }
    const id = await segmentationService.createLabelmapForDisplaySet(displaySet, {
      label: map.title,
      segments: segmentsOf(map),
    });
    // Its images lie in the display set's order, which need not be the volume's.
    const ids = segmentationService.getSegmentation(id)!.representationData.Labelmap!.imageIds!;
    const images = ids.map((image) => options.core.cache.getImage(image) as { referencedImageId: string });
    const byReference = new Map(images.map((image) => [image.referencedImageId, image]));
    await setSlices(volume.imageIds.map((image) => byReference.get(image)) as unknown as Images, values);
    return id;
  }

  async function show(services: Services, viewport: string, set: DisplaySet, segmentationId: string, map: LabelMap) {
    const { segmentationService: service, viewportGridService } = services;
    const { segmentation, Enums } = options.tools;
    // The user may have gone on to another series; then the segmentation waits in the overlay menu.
    if (viewportGridService.getDisplaySetsUIDsForViewport(viewport)?.includes(set.displaySetInstanceUID)) {
      const type = Enums.SegmentationRepresentations.Labelmap;
      await service.addSegmentationRepresentation(viewport, { segmentationId, type });
      for (const { id, colour } of map.labels) service.setSegmentColor(viewport, segmentationId, id, [...colour, 255]);
    }
    segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(segmentationId);
  }

  /** OHIF's own DICOM SEG of a result, with the codes that OHIF leaves out, to a file or a data source. */
  async function save(
    { servicesManager: { services }, commandsManager }: Managers,
    { segmentationId, dataSource = 'download' }: { segmentationId?: string; dataSource?: string },
  ): Promise<unknown> {
    const viewport = services.viewportGridService.getActiveViewportId();
    const id = segmentationId ?? services.segmentationService.getActiveSegmentation(viewport)?.segmentationId ?? '';
    const map = maps.get(id);
    if (!map) {
      notify(services, { type: 'warning', message: 'The active segmentation is none of this model.' });
      return null;
    }
    const { dataset } = (await commandsManager.runCommand('generateSegmentation', { segmentationId: id })) as {
      dataset: Record<string, unknown>;
    };
    const coded = withCodes(dataset, map);
    const store = commandsManager.runCommand('createStoreFunction', {
      dataSource,
      defaultFileName: `${map.labels[0]?.algorithmName ?? ID}.dcm`,
    }) as (dataset: unknown) => Promise<void>;
    await store(coded);
    return coded;
  }

  return {
    id: ID,
    getCommandsModule: (managers: Managers) => ({
      defaultContext: 'CORNERSTONE',
      definitions: {
        t3dcSegment: { commandFn: ({ viewportId }: { viewportId?: string } = {}) => segment(managers, viewportId) },
        t3dcCancel: { commandFn: () => running?.abort() },
        t3dcSave: { commandFn: (of: { segmentationId?: string; dataSource?: string } = {}) => save(managers, of) },
      },
    }),
    getToolbarModule: ({ servicesManager: { services } }: Managers) => [
      {
        name: 'evaluate.t3dc',
        evaluate: ({ viewportId }: { viewportId: string }) => {
          const usable = running || shownCt(services, viewportId);
          return usable
            ? { disabled: false, isActive: Boolean(running) }
            : { disabled: true, disabledText: 'Choose a viewport with a CT volume' };
        },
      },
    ],
    onModeEnter({ servicesManager: { services } }: Managers): void {
      services.toolbarService.register(BUTTONS);
      services.toolbarService.updateSection(
        options.section ?? 'primary',
        BUTTONS.map((b) => b.id),
      );
    },
    onModeExit(): void {
      running?.abort();
    },
  };
}

const button = (id: string, icon: string, label: string, tooltip: string, evaluate?: string) => ({
  id,
  uiType: 'ohif.toolButton',
  props: { icon, label, tooltip, commands: [{ commandName: id }], ...(evaluate && { evaluate }) },
});

const BUTTONS = [
  button('t3dcSegment', 'tab-segmentation', 'Segment', `Segment this CT; again: cancel. ${NOTICE}`, 'evaluate.t3dc'),
  button('t3dcSave', 'Download', 'Save SEG', 'Save the AI segmentation as DICOM SEG'),
];

const STAGES = { download: 'Loading the model', weights: 'Loading weights', compile: 'Compiling', run: 'Segmenting' };

/** Notifications of one id replace each other. */
const notify = (services: Services, of: Partial<Parameters<Services['uiNotificationService']['show']>[0]>) =>
  services.uiNotificationService.show({
    id: ID,
    title: 'Segmentation',
    message: '',
    type: 'info',
    duration: 6000,
    allowDuplicates: true,
    ...of,
  });

/** Progress in one notification with a button to cancel, twice a second at most. */
function reporter(services: Services, cancel: () => void) {
  let told = Number.NEGATIVE_INFINITY;
  let last = '';
  return (what: string, progress: Pick<Progress, 'fraction' | 'secondsLeft'> | null): void => {
    const now = performance.now();
    if (what === last && now - told < 500) return;
    [told, last] = [now, what];
    const left = progress?.secondsLeft ? `, ${Math.ceil(progress.secondsLeft)} s left` : '';
    notify(services, {
      type: 'loading',
      message: progress ? `${what}: ${Math.round(progress.fraction * 100)} %${left}` : what,
      duration: Number.POSITIVE_INFINITY,
      autoClose: false,
      action: { label: 'Cancel', onClick: cancel },
    });
  };
}

/** Rejects at once when cancelled, whatever the promise does. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((done, fail) => {
    const stop = () => fail(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(done, fail).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** OHIF 3.13 writes the category and type of every segment as "Tissue": here they become the label's own. */
function withCodes(dataset: Record<string, unknown>, map: LabelMap): Record<string, unknown> {
  const items = [dataset.SegmentSequence].flat() as Record<string, unknown>[];
  for (const item of items) {
    const label = map.labels.find((l) => l.id === Number(item.SegmentNumber));
    // What the user has renamed or added keeps its name.
    if (label) Object.assign(item, dicomSegment(label), { SegmentLabel: item.SegmentLabel ?? label.name });
  }
  return Object.assign(dataset, { SeriesDescription: map.title.slice(0, 64), ContentDescription: NOTICE });
}
