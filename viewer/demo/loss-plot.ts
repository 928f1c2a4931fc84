// The loss of each step of training, as it comes.

import uPlot from 'uplot';
import { make } from './elements.ts';

const HEIGHT = 150;

export class LossPlot {
  readonly #into: HTMLElement;
  readonly #steps: number[] = [];
  readonly #losses: number[] = [];
  #plot: uPlot;

  constructor(into: HTMLElement) {
    this.#into = into;
    this.#plot = this.#make();
    // uPlot draws on a canvas: another scheme is another drawing.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#plot.destroy();
      this.#plot = this.#make();
    });
  }

  add(step: number, loss: number): void {
    this.#steps.push(step);
    this.#losses.push(loss);
    this.#plot.setSize({ width: this.#into.clientWidth, height: HEIGHT });
    this.#plot.setData([this.#steps, this.#losses]);
    this.#into.setAttribute('aria-label', `Loss by step: ${loss.toFixed(3)} at step ${step}`);
  }

  #make(): uPlot {
    const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = {
      stroke: colour('--soft'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { stroke: colour('--line'), width: 1, size: 4 },
      font: '12px system-ui, sans-serif',
    };
    this.#into.replaceChildren(make('p', { class: 'soft' }, 'Loss by step: lower is better'));
    this.#into.setAttribute('role', 'img');
    return new uPlot(
      {
        width: Math.max(200, this.#into.clientWidth),
        height: HEIGHT,
        scales: { x: { time: false } },
        cursor: { show: false },
        axes: [
          { ...axis, size: 28, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
          { ...axis, size: 46 },
        ],
        series: [
          {},
          { stroke: colour('--accent'), width: 2, points: { show: true, size: 4, fill: colour('--accent') } },
        ],
      },
      [this.#steps, this.#losses],
      this.#into,
    );
  }
}
