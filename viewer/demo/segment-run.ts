// Finding the structures of the scan: the button, its progress, cancelling, and what comes of it.

import type { Segmentation } from '../../tasks/index.ts';
import { describe, type LabelMap } from '../labels.ts';
import type { Desk } from './desk.ts';
import { announce, button, download, element, make, show, showTime } from './elements.ts';
import { showLegend } from './legend.ts';

export interface Result {
  readonly segmentation: Segmentation;
  readonly map: LabelMap;
}

export function segmentRun(desk: Desk): void {
  let control: AbortController | null = null;
  button('run').onclick = () => void run();
  button('cancel').onclick = () => control?.abort(new DOMException('cancelled', 'AbortError'));
  element<HTMLInputElement>('opacity').oninput = (e) => {
    desk.view.opacity = Number((e.target as HTMLInputElement).value) / 100;
  };
  button('save-labels').onclick = () => void desk.work('The label map could not be written', save);

  async function run(): Promise<void> {
    control = new AbortController();
    const { signal } = control;
    const { model } = desk;
    const started = performance.now();
    await desk.work('The scan could not be segmented', async () => {
      progress(0, 'Preparing the scan …');
      announce('Segmenting.');
      try {
        const volume = await desk.view.volume();
        const segmentation = await model!.session.tasks.segment(volume, {
          signal,
          onProgress: (done, total) => told(done, total, performance.now() - started),
        });
        progress(1, 'Drawing …');
        const map = describe(segmentation, await model!.identity(), volume.source);
        desk.result = { segmentation, map };
        desk.stale = false;
        await desk.view.showLabels(segmentation, map);
        showResult(desk.result, volume.notes, (performance.now() - started) / 1000);
      } catch (e) {
        if (!signal.aborted) throw e;
        announce('Cancelled.');
      } finally {
        control = null;
        show('run-progress', false);
        show('cancel', false);
        show('run', true);
        (desk.result ? button('save-labels') : button('run')).focus({ preventScroll: true });
      }
    });
  }

  function showResult({ segmentation, map }: Result, notes: readonly string[], seconds: number): void {
    const { millilitres } = segmentation;
    showLegend(map, millilitres, (ids) => desk.view.hide(ids));
    const all = [...notes, ...segmentation.notes];
    element('notes').replaceChildren(...all.map((note) => make('li', {}, note)));
    show('result', true);
    const found = map.labels.filter((l) => millilitres[l.id]! > 0).length;
    announce(`${found} of ${map.labels.length} structures found in ${showTime(seconds)}.`);
  }

  async function save(): Promise<void> {
    const { segmentation, map } = desk.result!;
    const file = await desk.files.run('save', { labels: segmentation.labels, description: map.title });
    download(file, `${desk.scanName} labels.nii.gz`);
    announce('The label map was saved.');
  }
}

/** Progress of windows: how much, and how long it will yet take once the pace is known. */
function told(done: number, total: number, ms: number): void {
  const left =
    done > 0 && done < total && ms > 1000 ? `, about ${showTime((ms / done) * (total - done) * 0.001)} left` : '';
  progress(done / total, `Segmenting: ${Math.round((100 * done) / total)} %${left}`);
}

function progress(fraction: number, text: string): void {
  show('run', false);
  show('cancel', true);
  show('run-progress', true);
  element<HTMLProgressElement>('run-bar').value = fraction;
  element('run-text').textContent = text;
}
