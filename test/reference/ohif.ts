// The extension in OHIF's published code: @ohif/core's managers and services, extension-cornerstone's SegmentationService, and
// extension-cornerstone-dicom-seg's export over @cornerstonejs/adapters. What draws is left out: React, viewports, the toast.
// By hand, as these packages cannot all be installed (extension-cornerstone wants a release of @cornerstonejs/ai that there is
// not): in a folder DIR,
//
//   npm install --legacy-peer-deps --ignore-scripts @ohif/core@3.13.13 @cornerstonejs/{core,tools,adapters,metadata,utils}@5.6.8
//   npm pack @ohif/extension-cornerstone@3.13.13 @ohif/extension-cornerstone-dicom-seg@3.13.2   (unpacked to node_modules/@ohif/)
//   T3DC_CORNERSTONE=DIR npx tsx test/reference/ohif.ts
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const folder = process.env.T3DC_CORNERSTONE!;
const storage = { getItem: () => null, setItem: () => {} };
Object.assign(globalThis, {
  window: globalThis,
  self: globalThis,
  navigator: { platform: 'node', userAgent: 'node', language: 'en' },
  location: { href: 'http://localhost/', search: '' },
  localStorage: storage,
  sessionStorage: storage,
  document: { body: new EventTarget(), createElement: () => ({}), addEventListener: () => {} },
  Worker: class {
    addEventListener() {}
    postMessage() {}
  },
});

const { core, tools, addSeries, placedIn } = await import('../viewer-series.ts');
const { AFFINES, misplaced, segmented } = await import('../viewer-phantom.ts');
const { ohifExtension } = await import('../../viewer/ohif/index.ts');
const { NOTICE } = await import('../../viewer/labels.ts');
const esm = (name: string, file: string) => import(`${folder}/node_modules/${name}/${file}`);
const main = (name: string) => {
  const { module, main: m } = JSON.parse(readFileSync(`${folder}/node_modules/${name}/package.json`, 'utf8'));
  return esm(name, module ?? m);
};

/** Any module that draws. */
const drawn = (name: string): unknown =>
  new Proxy(class {}, {
    get: (t, k) =>
      k === Symbol.toPrimitive
        ? () => name
        : k === '__esModule'
          ? true
          : k === 'then'
            ? undefined
            : k === 'prototype'
              ? Reflect.get(t, k)
              : drawn(`${name}.${String(k)}`),
    apply: () => drawn(name),
    construct: () => drawn(name) as object,
  });
const dcmjs = await main('dcmjs');
const real: Record<string, unknown> = {
  '@cornerstonejs/core': core,
  '@cornerstonejs/core/utilities': core.utilities,
  '@cornerstonejs/core/enums': core.Enums,
  '@cornerstonejs/tools': tools,
  '@cornerstonejs/tools/enums': tools.Enums,
  '@cornerstonejs/tools/utilities': tools.utilities,
  '@cornerstonejs/tools/segmentation': tools.segmentation,
  '@cornerstonejs/metadata': await main('@cornerstonejs/metadata'),
  '@cornerstonejs/adapters': await main('@cornerstonejs/adapters'),
  dcmjs: dcmjs.default ?? dcmjs,
  'gl-matrix': await main('gl-matrix'),
};
// biome-ignore lint/suspicious/noExplicitAny: published without types
function umd(name: string, file: string): any {
  const module = { exports: {} };
  const require = (of: string) => real[of] ?? drawn(of);
  new Function(
    'module',
    'exports',
    'require',
    readFileSync(`${folder}/node_modules/@ohif/${name}/dist/${file}`, 'utf8'),
  )(module, module.exports, require);
  return module.exports;
}
const ohif = (real['@ohif/core'] = umd('core', 'ohif-core.umd.js'));
const cornerstone = umd('extension-cornerstone', 'ohif-extension-cornerstone.umd.js').default;
const seg = umd('extension-cornerstone-dicom-seg', 'ohif-extension-cornerstone-dicom-seg.umd.js').default;

const commandsManager = new ohif.CommandsManager();
const servicesManager = new ohif.ServicesManager(commandsManager);
const extensionManager = new ohif.ExtensionManager({ commandsManager, servicesManager, appConfig: {} });
servicesManager.setExtensionManager?.(extensionManager);
const { UINotificationService, DisplaySetService, ToolbarService, ViewportGridService, CustomizationService } = ohif;
servicesManager.registerServices(
  [UINotificationService, DisplaySetService, ToolbarService, ViewportGridService, CustomizationService].map(
    (s) => s.REGISTRATION,
  ),
);
// Of extension-cornerstone its services; the rest of it is tools and viewports.
const registered: { name: string }[] = [];
const recording = {
  ...servicesManager,
  services: servicesManager.services,
  registerService: (r: { name: string }) => registered.push(r),
};
await Promise.resolve(
  cornerstone.preRegistration({
    servicesManager: recording,
    serviceProvidersManager: { registerProvider: () => {} },
    commandsManager,
    extensionManager,
    appConfig: {},
  }),
).catch(() => {});
servicesManager.registerService(registered.find((r) => r.name === 'segmentationService'));
const { segmentationService, uiNotificationService, toolbarService, viewportGridService, displaySetService } =
  servicesManager.services;
console.log('services:', Object.keys(servicesManager.services).join(', '));

// One viewport, one series; the toast is written down.
const affine = AFFINES.oblique!;
const imageIds = addSeries('ct', { affine, pixels: 'stored', reversed: true, late: (k) => k });
const set = {
  displaySetInstanceUID: 'ct',
  StudyInstanceUID: '1.2.5',
  SeriesInstanceUID: '1.2.4',
  SeriesNumber: 1,
  SeriesDescription: 'phantom',
  Modality: 'CT',
  isReconstructable: true,
  imageIds,
};
const toasts: { type: string; message: string; id: string; action?: { onClick(): void } }[] = [];
uiNotificationService.setServiceImplementation({ show: (n: (typeof toasts)[0]) => toasts.push(n), hide: () => {} });
const state = {
  activeViewportId: 'v1',
  viewports: new Map([['v1', { viewportId: 'v1', displaySetInstanceUIDs: ['ct'] }]]),
};
viewportGridService.setServiceImplementation({ getState: () => state });
viewportGridService.getActiveViewportId = () => 'v1';
displaySetService.getDisplaySetByUID = (uid: string) => (uid === 'ct' ? set : undefined);
// Viewports draw; the extension's calls are kept.
const shown: unknown[][] = [];
segmentationService.addSegmentationRepresentation = async (...args: unknown[]) => void shown.push(args);
segmentationService.setSegmentColor = (...args: unknown[]) => void shown.push(args);

const model = { name: 'abdomen', version: '1', artifactSha256: 'a'.repeat(64), weightsSha256: 'b'.repeat(64) };
let slow = false;
const extension = ohifExtension({
  core: core as never,
  tools: tools as never,
  async open() {
    const tasks = {
      async segment(
        volume: never,
        { signal, onProgress }: { signal: AbortSignal; onProgress(d: number, n: number): void },
      ) {
        for (let w = 1; w <= (slow ? 1000 : 3); w++) {
          await new Promise((done) => setTimeout(done, 5));
          signal.throwIfAborted();
          onProgress(w, 3);
        }
        return segmented(volume);
      },
    };
    return { session: { tasks } as never, model };
  },
});
await extensionManager.registerExtension(extension);
extension.onModeEnter({ servicesManager, commandsManager } as never);

// The toolbar: OHIF finds the evaluate function by its name, and runs the button's command.
toolbarService.refreshToolbarState({ viewportId: 'v1' });
const props = toolbarService.getButtonProps('t3dcSegment');
assert.equal(props.disabled, false);
assert.deepEqual(toolbarService.state.buttonSections.primary, ['t3dcSegment', 't3dcSave']);
const modified: string[] = [];
core.eventTarget.addEventListener(tools.Enums.Events.SEGMENTATION_DATA_MODIFIED, ((e: CustomEvent) =>
  modified.push(e.detail.segmentationId)) as never);
const run = () => commandsManager.run(props.commands);
const id = await run();
assert.equal(toasts.at(-1)!.type, 'success', toasts.at(-1)!.message);
assert.ok(toasts.at(-1)!.message.includes(NOTICE));

// OHIF's own label map, by its images' references and Cornerstone's geometry of the source.
const source = core.cache.getVolume('cornerstoneStreamingImageVolume:ct')!;
const { imageIds: derived } = segmentationService.getSegmentation(id).representationData.Labelmap;
const images = (derived as string[]).map((i) => core.cache.getImage(i)!);
const getAtIJK = (i: number, j: number, k: number) =>
  images.find((one) => one.referencedImageId === source.imageIds[k])!.getPixelData()[i + j * source.dimensions[0]];
const placed = placedIn({
  imageData: source.imageData,
  dimensions: source.dimensions,
  voxelManager: { getAtIJK },
} as never);
assert.equal(misplaced(affine, placed), 0);
assert.deepEqual(modified, [id]);
assert.equal(shown.length, 4);

slow = true;
const cancelled = run();
while (!toasts.at(-1)!.message.startsWith('Segmenting')) await new Promise((done) => setTimeout(done, 2));
toasts.at(-1)!.action!.onClick();
assert.equal(await cancelled, null);
assert.match(toasts.at(-1)!.message, /Cancelled/);
assert.equal(segmentationService.getSegmentations().length, 1);
console.log('toolbar, commands, notification, cancel, label map, event: as expected');

// The export: OHIF's command over Cornerstone's adapter; the store is written down. Colours come from a viewport.
core.metaData.addProvider((type: string, imageId: string) => {
  const known = ['StudyData', 'SeriesData', 'ImageData', 'sopCommonModule', 'instance'];
  if (!known.includes(type) || !String(imageId).startsWith('phantom:')) return undefined;
  const plane = core.metaData.get('imagePlaneModule', imageId);
  const image = {
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
    SOPInstanceUID: `1.2.4.${1 + Number(imageId.split(':')[2])}`,
    FrameOfReferenceUID: plane.frameOfReferenceUID,
    Rows: plane.rows,
    Columns: plane.columns,
    BitsAllocated: 16,
    PixelSpacing: plane.pixelSpacing,
    SliceThickness: plane.sliceThickness,
    ImageOrientationPatient: plane.imageOrientationPatient,
    ImagePositionPatient: plane.imagePositionPatient,
  };
  const StudyData = { StudyInstanceUID: '1.2.5', PatientID: 'phantom', PatientName: 'phantom' };
  const SeriesData = { SeriesInstanceUID: '1.2.4', Modality: 'CT' };
  const sopCommonModule = { sopClassUID: image.SOPClassUID, sopInstanceUID: image.SOPInstanceUID };
  const instance = { ...StudyData, ...SeriesData, ...image };
  return { StudyData, SeriesData, ImageData: image, sopCommonModule, instance }[type];
}, 2000);
segmentationService.getRepresentationsForSegmentation = () => [{ viewportId: 'v1' }];
segmentationService.getSegmentColor = () => [230, 120, 60, 255];
await extensionManager.registerExtension({ id: seg.id, getCommandsModule: seg.getCommandsModule });
const stored: Record<string, unknown>[] = [];
const createStoreFunction = () => async (dataset: Record<string, unknown>) => void stored.push(dataset);
commandsManager.registerCommand('CORNERSTONE', 'createStoreFunction', createStoreFunction);
await commandsManager.runCommand('t3dcSave', { segmentationId: id });
const [dataset] = stored;
const items = dataset!.SegmentSequence as Record<string, unknown>[];
const [liver] = items as unknown as [Record<string, { CodeValue: string }[]> & { SegmentAlgorithmType: string }];
assert.equal(items.length, 3);
assert.equal(liver.SegmentAlgorithmType, 'AUTOMATIC');
assert.equal(liver.SegmentedPropertyTypeCodeSequence![0]!.CodeValue, '10200004');
assert.equal((liver.RecommendedDisplayCIELabValue as unknown as number[]).length, 3, "OHIF's colour stays");
assert.match(String(liver.SegmentDescription), new RegExp(NOTICE));
assert.equal(dataset!.FrameOfReferenceUID, '1.2.3');
assert.equal(dataset!.Modality, 'SEG');
console.log(
  `export: ${dataset!.SOPClassUID}, ${dataset!.NumberOfFrames} frames, ${items.length} segments, as expected`,
);
