// A line chart as an SVG element: values over optimiser steps, for a report.
import { xml } from './page.ts';

export interface Line {
  readonly name: string;
  /** [step, value]; values that are not finite leave gaps. */
  readonly points: readonly (readonly [step: number, value: number])[];
  /** Draw the values faintly, and their running mean over them. */
  readonly smooth?: boolean;
  /** Mark every point; for values that are measured now and then. */
  readonly marks?: boolean;
}

export interface Chart {
  readonly title: string;
  /** What the values are in; stands behind the title. */
  readonly unit?: string;
  readonly lines: readonly Line[];
  /** The axis ends here, such as [0, 1]; default: round values around the data. */
  readonly range?: readonly [low: number, high: number];
  /** A step to mark, such as the best one's. */
  readonly mark?: { readonly step: number; readonly label: string };
}

const WIDTH = 560;
const HEIGHT = 250;
const LEFT = 58;
const RIGHT = 14;
const TOP = 12;
const BOTTOM = 38;
/** More points than the picture has room for are drawn by their extremes. */
const MOST_POINTS = 400;

/** Eight hues that stay apart for the colour-blind; a ninth line is dashed. */
const COLOURS = ['#1f5fb4', '#d1622b', '#2a8f5b', '#8b46b0', '#a8861b', '#5b6b7a', '#c23b6a', '#2196a6'];
export const colourOf = (line: number): string => COLOURS[line % COLOURS.length]!;
const dashOf = (line: number): string =>
  line < COLOURS.length ? '' : ` stroke-dasharray="${2 + 3 * Math.floor(line / COLOURS.length)} 3"`;

/** An SVG element, without title and legend: `chartFigure` sets those around it. */
export function chartPicture({ lines, range, mark, title }: Chart): string {
  const all = lines.flatMap((l) => l.points).filter(([, v]) => Number.isFinite(v));
  const last = Math.max(1, ...lines.flatMap((l) => (l.points.length > 0 ? [l.points.at(-1)![0]] : [])));
  const least = all.reduce((a, [, v]) => Math.min(a, v), Number.POSITIVE_INFINITY);
  const most = all.reduce((a, [, v]) => Math.max(a, v), Number.NEGATIVE_INFINITY);
  const ticks = range ? roundTicks(...range, 4) : roundTicks(...spanOf(least, most), 5);
  const [low, high] = range ?? [ticks[0]!, ticks.at(-1)!];
  const x = (step: number) => LEFT + (step / last) * (WIDTH - LEFT - RIGHT);
  const y = (v: number) => HEIGHT - BOTTOM - ((v - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const inside = (v: number) => Math.min(high, Math.max(low, v));
  const at = ([step, v]: readonly [number, number]) => `${x(step).toFixed(1)},${y(inside(v)).toFixed(1)}`;
  const path = (points: Line['points'], style: string) =>
    runsOf(thinned(points)).map((run) => `<polyline points="${run.map(at).join(' ')}" fill="none" ${style}/>`);
  const curves = lines.flatMap((l, i) => {
    const stroke = `stroke="${colourOf(i)}" stroke-linejoin="round"${dashOf(i)}`;
    const points = l.points.filter(([, v]) => Number.isFinite(v));
    const isSmooth = l.smooth === true && points.length >= 20;
    return [
      ...path(l.points, isSmooth ? `${stroke} stroke-width="1" opacity=".35"` : `${stroke} stroke-width="1.8"`),
      ...(isSmooth ? path(runningMean(points), `${stroke} stroke-width="2"`) : []),
      ...(l.marks || points.length === 1
        ? points.map(
            (p) =>
              `<circle cx="${x(p[0]).toFixed(1)}" cy="${y(inside(p[1])).toFixed(1)}" r="3" fill="${colourOf(i)}">` +
              `<title>${xml(l.name)}\nstep ${p[0]}: ${Number(p[1].toPrecision(4))}</title></circle>`,
          )
        : []),
    ];
  });
  const across = ticks.map(
    (t) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(t).toFixed(1)}" y2="${y(t).toFixed(1)}" class="grid"/>` +
      `<text x="${LEFT - 8}" y="${(y(t) + 4).toFixed(1)}" text-anchor="end">${label(t, Math.max(Math.abs(low), Math.abs(high)))}</text>`,
  );
  const steps = roundTicks(0, last, 6).filter((t) => t <= last && Number.isInteger(t));
  const below = steps.map(
    (t) => `<text x="${x(t).toFixed(1)}" y="${HEIGHT - BOTTOM + 17}" text-anchor="middle">${label(t, last)}</text>`,
  );
  const marked = mark
    ? `<line x1="${x(mark.step).toFixed(1)}" x2="${x(mark.step).toFixed(1)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" class="mark"/>` +
      `<text x="${(x(mark.step) + (mark.step > last / 2 ? -5 : 5)).toFixed(1)}" y="${HEIGHT - BOTTOM - 6}" ` +
      `text-anchor="${mark.step > last / 2 ? 'end' : 'start'}" class="soft">${xml(mark.label)}</text>`
    : '';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${xml(title)}">`,
    ...(all.length > 0 ? across : []),
    ...below,
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM}" class="axis"/>`,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 5}" text-anchor="middle" class="soft">optimiser steps</text>`,
    marked,
    ...curves,
    all.length > 0
      ? ''
      : `<text x="${WIDTH / 2}" y="${HEIGHT / 2}" text-anchor="middle" class="soft">nothing was measured yet</text>`,
    '</svg>',
  ].join('\n');
}

/** The chart with its title above and, for more than one line, the names below. */
export function chartFigure(chart: Chart): string {
  const names = chart.lines.map(
    (l, i) =>
      `<span><i style="border-top:3px ${i < COLOURS.length ? 'solid' : 'dashed'} ${colourOf(i)}"></i>${xml(l.name)}</span>`,
  );
  return [
    '<figure class="chart">',
    `<figcaption>${xml(chart.title)}${chart.unit ? ` <small>${xml(chart.unit)}</small>` : ''}</figcaption>`,
    chartPicture(chart),
    names.length > 1 ? `<div class="legend">${names.join('')}</div>` : '',
    '</figure>',
  ].join('\n');
}

/** Values lie around zero or well apart from it: then the axis begins at zero, or near them. */
function spanOf(least: number, most: number): [number, number] {
  if (!Number.isFinite(least)) return [0, 1];
  if (least === most) return least === 0 ? [0, 1] : [Math.min(0, least), Math.max(0, most)];
  return least > 0 && least < 0.6 * most ? [0, most] : [least, most];
}

/** Round values that cover [low, high], about `count` of them. */
function roundTicks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5].find((m) => m * power >= rough * 0.999) ?? 10) * power;
  const ticks: number[] = [];
  for (let i = Math.floor(low / step + 1e-9); (i - 1) * step < high - 1e-9 * step; i++)
    ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** Mean over a window of a twentieth of the run. */
function runningMean(points: Line['points']): [number, number][] {
  const reach = Math.floor(points.length / 40);
  let sum = 0;
  let [from, to] = [0, 0];
  return points.map(([step], i) => {
    for (; to < Math.min(points.length, i + reach + 1); to++) sum += points[to]![1];
    for (; from < i - reach; from++) sum -= points[from]![1];
    return [step, sum / (to - from)];
  });
}

/** At most MOST_POINTS or so: of every few neighbours the least and the greatest, in their order. */
function thinned(points: Line['points']): Line['points'] {
  if (points.length <= MOST_POINTS) return points;
  const width = Math.ceil((2 * points.length) / MOST_POINTS);
  const kept: (readonly [number, number])[] = [];
  for (let i = 0; i < points.length; i += width) {
    const part = points.slice(i, i + width);
    const finite = part.filter(([, v]) => Number.isFinite(v));
    if (finite.length < part.length) kept.push(part.find(([, v]) => !Number.isFinite(v))!);
    if (finite.length === 0) continue;
    const least = finite.reduce((a, b) => (b[1] < a[1] ? b : a));
    const most = finite.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(least === most ? [least] : least[0] < most[0] ? [least, most] : [most, least]));
  }
  return kept;
}

/** Pieces without a gap. */
function runsOf(points: Line['points']): Line['points'][] {
  const runs: (readonly [number, number])[][] = [[]];
  for (const p of points)
    if (Number.isFinite(p[1])) runs.at(-1)!.push(p);
    else runs.push([]);
  return runs.filter((r) => r.length > 0);
}

/** `0.25`, `12,000`; `3e-4` on an axis that ends below a hundredth. */
function label(v: number, end: number): string {
  if (v !== 0 && (end < 1e-2 || end >= 1e6)) return Number(v.toPrecision(6)).toExponential().replace('e+', 'e');
  return Number(v.toPrecision(6)).toLocaleString('en-US', { maximumFractionDigits: 6 });
}
