// What lies on the page's desk: the model, the scan, what was found in it, and that one thing is done at a time.

import type { Volume } from '../../data/index.ts';
import { T3dcError } from '../../runtime/errors.ts';
import { button, clearProblem, element, primary, show, showProblem } from './elements.ts';
import { FilesClient } from './files-client.ts';
import type { Model } from './model.ts';
import type { Result } from './segment-run.ts';
import { View } from './view.ts';

/** What cannot be pressed while something is done. */
const BUSY = ['run', 'save-labels', 'another', 'sample', 'choose-file', 'choose-folder', 'train', 'save-weights'];
const BUSY_TOO = ['load-weights', 'teach-truth', 'teach-load', 'teach-paint', 'device', 'find'];

export class Desk {
  readonly view = new View(element<HTMLCanvasElement>('canvas'));
  readonly files = new FilesClient();
  model: Model | null = null;
  scanName = '';
  result: Result | null = null;
  /** Whether the model has learned something since. */
  stale = false;
  /** Labels that the model is to learn from, in the viewer's order. */
  lesson: Volume | null = null;
  /** The sample's own labels. */
  truth: Volume | null = null;
  #busy = false;
  /** Called where the model has gone and another must be opened. */
  onLost: () => void = () => {};

  get busy(): boolean {
    return this.#busy;
  }

  /** Does one thing; what goes wrong is told under `title`. A second thing at the same time is not begun. */
  async work(title: string, task: () => Promise<void>): Promise<boolean> {
    if (this.#busy) return false;
    this.#busy = true;
    this.refresh();
    clearProblem();
    try {
      await task();
      return true;
    } catch (e) {
      showProblem(title, e);
      if (e instanceof T3dcError && ['device-lost', 'device-error', 'closed', 'out-of-memory'].includes(e.code))
        this.onLost();
      return false;
    } finally {
      this.#busy = false;
      this.refresh();
    }
  }

  /** Which buttons can be pressed, and which is the next. */
  refresh(): void {
    const { model, result, lesson } = this;
    const scan = this.scanName !== '';
    const disabled: Readonly<Record<string, boolean>> = {
      run: !scan || !model,
      train: !lesson || !model?.trainable,
      'teach-load': !scan,
      'teach-paint': !scan || !model,
      'load-weights': !model,
      'save-weights': !model,
    };
    for (const id of [...BUSY, ...BUSY_TOO]) button(id).disabled = this.#busy || (disabled[id] ?? false);
    button('run').textContent = result ? 'Find structures again' : 'Find structures';
    show('untrained', model !== null && !model.trained);
    if (!scan || this.#busy) primary(null);
    else if (lesson) primary('train');
    else primary(result && !this.stale ? 'save-labels' : 'run');
  }
}
