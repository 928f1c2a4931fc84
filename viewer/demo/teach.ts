// Teaching the model on the scan that is open: labels loaded or painted, steps of training with their loss drawn, weights saved.

import type { Volume } from '../../data/index.ts';
import { describe } from '../labels.ts';
import { forViewer } from '../volume.ts';
import type { Desk } from './desk.ts';
import { announce, button, download, element, make, show, showTime } from './elements.ts';
import type { LossPlot } from './loss-plot.ts';

/** One scan is little to learn from: what has learned already takes small steps, all alike. */
const CAREFUL = { lr: 1e-3, schedule: { kind: 'constant', warmup: 0 } } as const;

export function teach(desk: Desk): void {
  let stopped = false;
  let plot: LossPlot | null = null;
  const steps = element<HTMLInputElement>('steps');
  const labelsInput = element<HTMLInputElement>('labels-input');
  const weightsInput = element<HTMLInputElement>('weights-input');

  button('teach-truth').onclick = () => learnFrom(desk.truth!, 'the sample’s own labels');
  button('teach-load').onclick = () => labelsInput.click();
  labelsInput.onchange = () => {
    const file = labelsInput.files?.[0];
    labelsInput.value = '';
    if (file) void desk.work('The label map could not be read', () => loadLabels(file, file.name));
  };
  button('teach-paint').onclick = () => void desk.work('Painting could not begin', startPainting);
  for (const id of ['pen', 'pen-size']) element(id).onchange = setPen;
  button('paint-undo').onclick = () => desk.view.undoDrawing();
  button('paint-done').onclick = () =>
    void desk.work('The painted labels could not be taken', async () => {
      await loadLabels(await desk.view.drawing(), 'what you painted');
      show('paint', false);
    });
  button('train').onclick = () => void desk.work('Training ended', train);
  button('stop').onclick = () => {
    stopped = true;
    button('stop').disabled = true;
    element('train-text').textContent = 'Stopping after this step …';
  };
  button('save-weights').onclick = () => void desk.work('The weights could not be saved', saveWeights);
  button('load-weights').onclick = () => weightsInput.click();
  weightsInput.onchange = () => {
    const file = weightsInput.files?.[0];
    weightsInput.value = '';
    if (file)
      void desk.work('These weights do not fit', async () => {
        await desk.model!.load(file);
        element('train-text').textContent = `${file.name} is in use.`;
        announce('Weights loaded.');
      });
  };

  function learnFrom(labels: Volume, name: string): void {
    desk.lesson = labels;
    element('teach-labels').textContent = `It will learn from ${name}.`;
    desk.refresh();
    button('train').focus();
  }

  async function loadLabels(file: File, name: string): Promise<void> {
    const labels = await desk.files.run('labels', { file, classes: desk.model!.classNames.length });
    const { dims, affine } = await desk.view.volume();
    // Says where they lie elsewhere than the scan.
    forViewer(labels as never, inViewerOrder({ dims, affine }));
    learnFrom(labels, name);
  }

  async function startPainting(): Promise<void> {
    const map = desk.result?.map ?? describe({ classNames: desk.model!.classNames }, await desk.model!.identity());
    const options = map.labels.map((l) => make('option', { value: String(l.id) }, l.name));
    element('pen').replaceChildren(...options, make('option', { value: '0' }, 'nothing (erase)'));
    desk.view.draw(map);
    setPen();
    show('paint', true);
    element('pen').focus();
  }

  function setPen(): void {
    const value = (id: string): number => Number(element<HTMLSelectElement>(id).value);
    desk.view.pen(value('pen'), value('pen-size'));
  }

  async function train(): Promise<void> {
    const { session } = desk.model!;
    const { LossPlot: Plot } = await import('./loss-plot.ts');
    const image = await desk.view.volume();
    const first = session.step;
    const pace = desk.model!.trained && first === 0 ? CAREFUL : {};
    const count = Math.max(1, Math.min(2000, Math.round(Number(steps.value)) || 20));
    const cases = [{ name: desk.scanName, load: async () => ({ image, label: desk.lesson! }) }];
    stopped = false;
    show('train', false);
    show('stop', true);
    button('stop').disabled = false;
    button('stop').focus();
    show('loss', true);
    plot ??= new Plot(element('loss'));
    element('train-text').textContent = 'Preparing …';
    announce('Training.');
    const started = performance.now();
    try {
      for await (const { step, loss } of session.tasks.train(cases, { ...pace, steps: first + count, seed: 1 })) {
        desk.model!.changed();
        plot.add(step, loss);
        const done = step - first;
        const left = ((performance.now() - started) / done) * (count - done) * 0.001;
        element('train-text').textContent =
          `Step ${done} of ${count}, loss ${loss.toFixed(3)}${done < count ? `, about ${showTime(left)} left` : ''}`;
        if (stopped) break;
      }
      const done = session.step - first;
      element('train-text').textContent =
        `Learned for ${done} step${done === 1 ? '' : 's'}. Find the structures again to see what changed, or save the weights.`;
      announce('Training has ended.');
      show('save-weights', true);
      desk.lesson = null;
      element('teach-labels').textContent = '';
      desk.stale = true;
    } finally {
      show('stop', false);
      show('train', true);
    }
  }

  async function saveWeights(): Promise<void> {
    const { model } = desk;
    download(await model!.weights(), `${model!.weightsName}-taught.safetensors`);
    announce('The weights were saved.');
  }
}

/** A volume of the model as an image of the viewer's: sizes and columns the other way round. */
function inViewerOrder({ dims, affine }: Pick<Volume, 'dims' | 'affine'>) {
  const columns = [2, 1, 0, 3];
  return {
    dims: [dims[2], dims[1], dims[0]],
    affine: affine.map((_, i) => affine[(i & ~3) + columns[i & 3]!]!),
    space: 'RAS' as const,
  };
}
