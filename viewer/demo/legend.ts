// The structures that were found: which colour is which, how large each is, and which are drawn.

import type { LabelMap } from '../labels.ts';
import { element, make } from './elements.ts';

const SVG = 'http://www.w3.org/2000/svg';

/** @param onHide told the labels that are not to be drawn */
export function showLegend(
  { labels }: LabelMap,
  millilitres: readonly number[],
  onHide: (ids: ReadonlySet<number>) => void,
): void {
  const hidden = new Set<number>();
  const rows = labels.map(({ id, name, colour }) => {
    const volume = millilitres[id]!;
    const box = make('input', { type: 'checkbox', id: `show-${id}` });
    box.checked = true;
    box.disabled = volume === 0;
    box.onchange = () => {
      if (box.checked) hidden.delete(id);
      else hidden.add(id);
      onHide(hidden);
    };
    const row = make(
      'tr',
      volume === 0 ? { class: 'absent' } : {},
      make('td', {}, box),
      make('td', {}, make('label', { for: box.id }, swatch(colour), name)),
      make('td', { class: 'number' }, volume === 0 ? 'not found' : showVolume(volume)),
    );
    return row;
  });
  element('legend').replaceChildren(...rows);
}

const showVolume = (ml: number): string => `${ml >= 100 ? Math.round(ml).toLocaleString('en') : ml.toFixed(1)} mL`;

/** Drawn, since a style of its own is what the page's security policy forbids. */
function swatch(rgb: readonly number[]): SVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  const rect = document.createElementNS(SVG, 'rect');
  for (const [name, value] of Object.entries({
    width: '14',
    height: '14',
    viewBox: '0 0 14 14',
    'aria-hidden': 'true',
  }))
    svg.setAttribute(name, value);
  for (const [name, value] of Object.entries({ width: '14', height: '14', rx: '4', fill: `rgb(${rgb.join()})` }))
    rect.setAttribute(name, value);
  svg.append(rect);
  return svg;
}
