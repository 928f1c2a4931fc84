// What the pages of an evaluation share: the frame, how figures with intervals are written, and simple charts as SVG.
import type { Interval } from '../data/index.ts';
import { STYLE, xml } from './page.ts';

const OWN = `
.lead { font-size: 15px; color: #333; max-width: 900px; }
.soft { color: #777; }
small { color: #777; font-weight: normal; }
.charts { display: flex; flex-wrap: wrap; gap: 28px; }
figure { margin: 0 0 14px; }
figure img { max-width: 100%; display: block; }
figcaption { font-size: 13px; color: #444; margin: 0 0 6px; }
.chart { width: 420px; max-width: 100%; }
.strip { width: 760px; max-width: 100%; }
.axis { stroke: #999; }
.grid { stroke: #e6e8eb; }
.line { fill: none; stroke: #1f5fb4; stroke-width: 2; }
.chance { stroke: #aaa; stroke-dasharray: 4 3; }
.dot { fill: #1f5fb4; fill-opacity: .35; }
.mark { fill: #b4421f; }
.span { stroke: #b4421f; stroke-width: 2; }
.warn { background: #fff6e5; border-left: 3px solid #d9922b; padding: 6px 12px; margin: 8px 0; }
summary { cursor: pointer; }
@media (max-width: 900px) { table { display: block; max-width: 100%; overflow-x: auto; } }
`;

export interface Section {
  readonly title: string;
  /** HTML. */
  readonly body: string;
}

/** `lead` is HTML; `warnings` are text. */
export function evalPage(
  title: string,
  lead: string,
  warnings: readonly string[],
  sections: readonly Section[],
): string {
  return [
    '<!doctype html>',
    '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    `<title>${xml(title)}</title>`,
    `<style>${STYLE}${OWN}</style>`,
    `<h1>${xml(title)}</h1>`,
    `<p class="lead">${lead}</p>`,
    ...warnings.map((w) => `<p class="warn">${xml(w)}</p>`),
    ...sections.flatMap((s) => [`<h2>${xml(s.title)}</h2>`, s.body]),
    '</html>',
    '',
  ].join('\n');
}

/** `0.912` or `–`. */
export const figure = (v: number, digits = 3): string =>
  Number.isNaN(v) ? '–' : Number.isFinite(v) ? v.toFixed(digits) : '∞';

/** `0.912 (0.89–0.93)` as HTML. */
export const withInterval = (i: Interval, digits = 3): string =>
  Number.isNaN(i.low)
    ? figure(i.estimate, digits)
    : `${figure(i.estimate, digits)} <small>${figure(i.low, digits)}–${figure(i.high, digits)}</small>`;

/** The same as text. */
export const textInterval = (i: Interval, digits = 3): string =>
  Number.isNaN(i.low)
    ? figure(i.estimate, digits)
    : `${figure(i.estimate, digits)} (${figure(i.low, digits)}–${figure(i.high, digits)})`;

export interface Line {
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly kind: 'line' | 'steps' | 'dots';
}

export interface ChartOptions {
  readonly caption: string;
  readonly x: string;
  readonly y: string;
  /** Ticks; the axes go from the first to the last. */
  readonly xTicks: readonly number[];
  readonly yTicks: readonly number[];
  /** Logarithmic, to base 2. */
  readonly logX?: boolean;
  /** From corner to corner. */
  readonly diagonal?: boolean;
}

/** A square chart. */
export function chart(lines: readonly Line[], o: ChartOptions): string {
  const [w, h, left, top] = [420, 360, 48, 10];
  const [right, bottom] = [w - 12, h - 42];
  const scale = (v: number) => (o.logX ? Math.log2(v) : v);
  const [x0, x1] = [scale(o.xTicks[0]!), scale(o.xTicks.at(-1)!)];
  const [y0, y1] = [o.yTicks[0]!, o.yTicks.at(-1)!];
  const px = (v: number) => left + Math.min(1, Math.max(0, (scale(v) - x0) / (x1 - x0))) * (right - left);
  const py = (v: number) => bottom - Math.min(1, Math.max(0, (v - y0) / (y1 - y0))) * (bottom - top);
  const n = (v: number) => v.toFixed(1);
  const grid = [
    ...o.xTicks.map(
      (t) =>
        `<line class="grid" x1="${n(px(t))}" x2="${n(px(t))}" y1="${top}" y2="${bottom}"/>` +
        `<text x="${n(px(t))}" y="${bottom + 15}" text-anchor="middle">${tick(t, o.logX)}</text>`,
    ),
    ...o.yTicks.map(
      (t) =>
        `<line class="grid" x1="${left}" x2="${right}" y1="${n(py(t))}" y2="${n(py(t))}"/>` +
        `<text x="${left - 6}" y="${n(py(t) + 4)}" text-anchor="end">${tick(t, false)}</text>`,
    ),
  ];
  const drawn = lines.map(({ points, kind }) => {
    if (kind === 'dots')
      return points.map(([x, y]) => `<circle class="mark" cx="${n(px(x))}" cy="${n(py(y))}" r="3.5"/>`).join('');
    const path = points.flatMap(([x, y], i) => [
      ...(kind === 'steps' && i > 0 ? [`${n(px(x))},${n(py(points[i - 1]![1]))}`] : []),
      `${n(px(x))},${n(py(y))}`,
    ]);
    return `<polyline class="line" points="${path.join(' ')}"/>`;
  });
  return [
    `<figure class="chart"><figcaption>${xml(o.caption)}</figcaption>`,
    `<svg viewBox="0 0 ${w} ${h}" role="img" aria-label="${xml(o.caption)}">`,
    ...grid,
    `<line class="axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`,
    `<line class="axis" x1="${left}" x2="${left}" y1="${top}" y2="${bottom}"/>`,
    o.diagonal ? `<line class="chance" x1="${left}" y1="${bottom}" x2="${right}" y2="${top}"/>` : '',
    ...drawn,
    `<text x="${(left + right) / 2}" y="${h - 8}" text-anchor="middle">${xml(o.x)}</text>`,
    `<text x="12" y="${(top + bottom) / 2}" text-anchor="middle" transform="rotate(-90 12 ${(top + bottom) / 2})">${xml(o.y)}</text>`,
    '</svg></figure>',
  ].join('\n');
}

export interface StripRow {
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly value: number }[];
  readonly mean: Interval;
}

/** One dot a case, 0 to 1, a row per class, with the mean and its interval. */
export function stripChart(caption: string, rows: readonly StripRow[]): string {
  const [w, row, left, right] = [760, 26, 170, 745];
  const h = rows.length * row + 34;
  const px = (v: number) => (left + Math.min(1, Math.max(0, v)) * (right - left)).toFixed(1);
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1];
  return [
    `<figure class="strip"><figcaption>${xml(caption)}</figcaption>`,
    `<svg viewBox="0 0 ${w} ${h}" role="img" aria-label="${xml(caption)}">`,
    ...ticks.map(
      (t) =>
        `<line class="grid" x1="${px(t)}" x2="${px(t)}" y1="4" y2="${h - 26}"/><text x="${px(t)}" y="${h - 10}" text-anchor="middle">${t}</text>`,
    ),
    ...rows.flatMap((r, i) => {
      const y = 4 + row * (i + 0.5);
      const { estimate, low, high } = r.mean;
      return [
        `<text x="${left - 12}" y="${y + 4}" text-anchor="end">${xml(r.name)}</text>`,
        ...r.values
          .filter((v) => Number.isFinite(v.value))
          .map(
            (v) =>
              `<circle class="dot" cx="${px(v.value)}" cy="${y}" r="4"><title>${xml(v.name)}: ${figure(v.value)}</title></circle>`,
          ),
        ...(Number.isNaN(estimate)
          ? []
          : [
              `<line class="span" x1="${px(low)}" x2="${px(high)}" y1="${y}" y2="${y}"/>`,
              `<circle class="mark" cx="${px(estimate)}" cy="${y}" r="3.5"/>`,
            ]),
      ];
    }),
    '</svg></figure>',
  ].join('\n');
}

const tick = (v: number, logarithmic: boolean | undefined): string => (logarithmic && v < 1 ? `1/${1 / v}` : String(v));
