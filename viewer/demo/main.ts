// The demonstration page: a model, a scan, and what is done with them.

import { ORGAN_LABELS, PHANTOM_LABELS } from '../../data/phantom.ts';
import type { Progress } from '../../runtime/index.ts';
import { showComputer } from './computer.ts';
import type { PageConfig } from './config.ts';
import { Desk } from './desk.ts';
import { onFiles } from './drop.ts';
import { announce, button, element, make, show, showBytes, showTime } from './elements.ts';
import type { ReadScan } from './files.ts';
import { type DeviceChoice, Model } from './model.ts';
import { memoryLimit } from './scan-memory.ts';
import { search } from './search.ts';
import { segmentRun } from './segment-run.ts';
import { teach } from './teach.ts';
import type { Contrast, Plane } from './view.ts';

const CHOICES: readonly DeviceChoice[] = ['auto', 'webgpu', 'wasm'];
const asked = new URL(location.href).searchParams;
const desk = new Desk();
const config = (await (await fetch('config.json')).json()) as PageConfig;
let choice: DeviceChoice = CHOICES.find((c) => c === asked.get('device')) ?? 'auto';

async function openModel(): Promise<void> {
  await desk.work('The model could not be opened', async () => {
    await desk.model?.session.close();
    desk.model = null;
    desk.model = await Model.open(config, choice, showOpening, (message) => console.info(message));
    const name = desk.model.session.manifest.model.name;
    element('model').textContent = config.weights ? name : `${name}, not trained`;
    show('teach-none', !desk.model.trainable);
    show('teach-body', desk.model.trainable);
    void showComputer(desk, choice);
  });
  if (!desk.model) element('model').textContent = 'No model';
}

const STAGES: Readonly<Record<Progress['stage'], string>> = {
  download: 'Loading the model',
  weights: 'Loading what it has learned',
  compile: 'Preparing the graphics card',
  run: '',
};

function showOpening({ stage, fraction, total, secondsLeft }: Progress): void {
  if (stage === 'run') return;
  const left = secondsLeft && secondsLeft > 1.5 ? `, about ${showTime(secondsLeft)} left` : '';
  element('model').textContent =
    total > 0 ? `${STAGES[stage]}: ${Math.round(100 * fraction)} %${left}` : `${STAGES[stage]} …`;
}

async function openScan(read: (onProgress: (done: number, total: number) => void) => Promise<ReadScan>): Promise<void> {
  await desk.work('This scan could not be opened', async () => {
    const title = element('welcome').querySelector('h2')!;
    const before = title.textContent;
    try {
      const scan = await read((done, total) => {
        title.textContent = `Reading: ${Math.round((100 * done) / total)} %`;
      });
      title.textContent = 'Drawing …';
      await desk.view.show(scan.nifti, scan.name);
      showScan(scan);
    } finally {
      title.textContent = before;
    }
  });
  if (desk.scanName) button('run').focus({ preventScroll: true });
}

function showScan({ name, dims, spacing, notes, memory, truth }: ReadScan): void {
  desk.scanName = name;
  desk.result = null;
  desk.lesson = null;
  desk.truth = truth ?? null;
  element('scan-title').textContent = name;
  const size = `${dims.join(' × ')} voxels of ${spacing.map((mm) => Number(mm.toFixed(2))).join(' × ')} mm`;
  const peak = memory.bytes > 2 ** 29 ? [`needs about ${showBytes(memory.bytes)} at its peak`] : [];
  element('scan-facts').textContent = [size, ...peak, ...notes].join('; ');
  for (const id of ['result', 'welcome', 'paint']) show(id, false);
  for (const id of ['scan', 'view-tools']) show(id, true);
  show('teach-truth', truth !== undefined);
  element('teach-labels').textContent = '';
  announce(`${name} is open.`);
}

function closeScan(): void {
  desk.view.clear();
  desk.scanName = '';
  desk.result = desk.lesson = desk.truth = null;
  for (const id of ['scan', 'view-tools', 'result', 'canvas', 'paint']) show(id, false);
  show('welcome', true);
  desk.refresh();
  button('choose-file').focus();
}

const same = (a: readonly string[], b: readonly string[]): boolean => a.join() === b.join();

onFiles((files) => {
  const limit = asked.has('memory') ? Number(asked.get('memory')) * 2 ** 30 : memoryLimit(toldMemory());
  const { memory: model } = desk.model ?? {
    memory: { spacing: null, patch: [96, 96, 96] as const, classes: 16, own: 0 },
  };
  void openScan((onProgress) => desk.files.run('read', { files, model, limit }, { onProgress }));
});
button('sample').onclick = () => {
  const names = desk.model?.classNames ?? [];
  const organs = same(names, ORGAN_LABELS);
  const truth = organs || same(names, PHANTOM_LABELS);
  void openScan(() => desk.files.run('sample', { classes: organs ? 'organs' : 'all', truth }));
};
button('another').onclick = closeScan;
element<HTMLSelectElement>('planes').onchange = (e) => {
  desk.view.planes = (e.target as HTMLSelectElement).value as Plane;
};
element<HTMLSelectElement>('contrast').onchange = (e) => {
  desk.view.contrast = (e.target as HTMLSelectElement).value as Contrast;
};
const device = element<HTMLSelectElement>('device');
device.value = choice;
device.onchange = () => {
  choice = device.value as DeviceChoice;
  void openModel();
};
desk.onLost = () => {
  const again = make('button', { type: 'button', id: 'again' }, 'Open the model again');
  again.onclick = () => void openModel();
  element('problem').append(make('p', {}, again));
};

segmentRun(desk);
teach(desk);
desk.refresh();
await openModel();
search(desk, config.search);

/** GiB that the browser says this computer has; not all browsers do. */
function toldMemory(): number | undefined {
  return (navigator as { readonly deviceMemory?: number }).deviceMemory;
}
