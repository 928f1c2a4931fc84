// A roofline: what each case reaches against its operations per byte, under the device's measured ceilings.
import type { BenchResult } from '../bench/schema.ts';
import { xml } from './page.ts';

const WIDTH = 1180;
const HEIGHT = 460;
const LEFT = 70;
const RIGHT = 20;
const TOP = 20;
const BOTTOM = 46;

/** An SVG element. Points carry the case and its figures as a tooltip. */
export function rooflinePicture(r: BenchResult): string {
  const value = (name: string): number => r.ceilings.find((c) => c.name === name)?.value ?? 0;
  const [compute, copy] = [value('f32 FMA'), value('copy')];
  const shown = r.cases.filter((c) => c.flops > 0);
  if (shown.length === 0 || !(compute > 0 && copy > 0)) return '';
  const [x0, x1] = bounds([...shown.map((c) => c.intensity), compute / copy]);
  const [y0, y1] = bounds([...shown.map((c) => c.gflops), compute]);
  const x = (v: number): number => LEFT + (Math.log10(v / x0) / Math.log10(x1 / x0)) * (WIDTH - LEFT - RIGHT);
  const y = (v: number): number =>
    HEIGHT - BOTTOM - (Math.log10(v / y0) / Math.log10(y1 / y0)) * (HEIGHT - TOP - BOTTOM);
  const ridge = compute / copy;
  const start = Math.max(x0, y0 / copy);
  const roof = [
    [start, start * copy],
    [ridge, compute],
    [x1, compute],
  ]
    .map(([a, b]) => `${x(a!).toFixed(1)},${y(b!).toFixed(1)}`)
    .join(' ');
  const decades = (from: number, to: number): number[] => {
    const out: number[] = [];
    for (let d = from; d <= to * 1.001; d *= 10) out.push(d);
    return out;
  };
  const colours = new Map<string, string>();
  for (const c of shown) if (!colours.has(c.op)) colours.set(c.op, `hsl(${(colours.size * 67 + 210) % 360} 65% 42%)`);
  const points = shown.map((c) => {
    const title = `${c.id}\n${c.gflops.toFixed(1)} GFLOP/s, ${c.intensity.toFixed(1)} FLOP/byte, ${c.percent.toFixed(0)} % of its ceiling\n${c.schedule}`;
    return `<circle cx="${x(c.intensity).toFixed(1)}" cy="${y(c.gflops).toFixed(1)}" r="5" fill="${colours.get(c.op)}" fill-opacity=".75"><title>${xml(title)}</title></circle>`;
  });
  const legend = [...colours].map(
    ([op, colour], i) =>
      `<circle cx="${LEFT + 14}" cy="${TOP + 16 + 17 * i}" r="5" fill="${colour}"/><text x="${LEFT + 26}" y="${TOP + 20 + 17 * i}">${xml(op)}</text>`,
  );
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="roofline">`,
    ...decades(y0, y1).map(
      (v) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(v).toFixed(1)}" y2="${y(v).toFixed(1)}" stroke="#e4e6ea"/>` +
        `<text x="${LEFT - 6}" y="${(y(v) + 4).toFixed(1)}" text-anchor="end">${v}</text>`,
    ),
    ...decades(x0, x1).map(
      (v) =>
        `<line x1="${x(v).toFixed(1)}" x2="${x(v).toFixed(1)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#e4e6ea"/>` +
        `<text x="${x(v).toFixed(1)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${v}</text>`,
    ),
    `<polyline points="${roof}" fill="none" stroke="#333" stroke-width="1.6"/>`,
    `<text x="${WIDTH - RIGHT}" y="${(y(compute) - 7).toFixed(1)}" text-anchor="end">f32 FMA ${compute.toFixed(0)} GFLOP/s</text>`,
    `<text x="${(x(Math.sqrt(start * ridge)) + 10).toFixed(1)}" y="${(y(Math.sqrt(start * ridge) * copy) + 14).toFixed(1)}">copy ${copy.toFixed(1)} GB/s</text>`,
    ...points,
    ...legend,
    `<text x="${(LEFT + WIDTH) / 2}" y="${HEIGHT - 8}" text-anchor="middle">operations per compulsory byte</text>`,
    `<text x="14" y="${TOP - 6}">GFLOP/s</text>`,
    '</svg>',
  ].join('\n');
}

/** Whole decades around the values. */
function bounds(values: readonly number[]): [number, number] {
  const positive = values.filter((v) => v > 0);
  return [
    10 ** Math.floor(Math.log10(Math.min(...positive))),
    10 ** Math.ceil(Math.log10(Math.max(...positive) * 1.0001)),
  ];
}
