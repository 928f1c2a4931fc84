// The curve of a training run as an SVG: loss against optimiser steps, with validation Dice on its own axis.

export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}
export interface ScorePoint {
  readonly step: number;
  /** Mean Dice, 0..1. */
  readonly dice: number;
}

const WIDTH = 760;
const HEIGHT = 360;
const LEFT = 56;
const RIGHT = 52;
const TOP = 40;
const BOTTOM = 44;

/** An SVG file. NaN losses leave gaps. */
export function lossPicture(title: string, losses: readonly LossPoint[], scores: readonly ScorePoint[] = []): string {
  const finite = losses.filter((p) => Number.isFinite(p.loss));
  const last = Math.max(1, ...losses.map((p) => p.step), ...scores.map((p) => p.step));
  const ticks = niceTicks(Math.min(0, ...finite.map((p) => p.loss)), Math.max(...finite.map((p) => p.loss), 1e-9));
  const low = ticks[0]!;
  const high = ticks.at(-1)!;
  const x = (step: number) => LEFT + (step / last) * (WIDTH - LEFT - RIGHT);
  const y = (v: number) => HEIGHT - BOTTOM - ((v - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const yDice = (v: number) => HEIGHT - BOTTOM - v * (HEIGHT - TOP - BOTTOM);
  const at = (px: number, py: number) => `${px.toFixed(1)},${py.toFixed(1)}`;
  const raw = finite.map((p) => at(x(p.step), y(p.loss))).join(' ');
  const smooth = smoothed(finite)
    .map((p) => at(x(p.step), y(p.loss)))
    .join(' ');
  const grid = ticks.map(
    (t) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(t).toFixed(1)}" y2="${y(t).toFixed(1)}" class="grid"/>` +
      `<text x="${LEFT - 8}" y="${(y(t) + 4).toFixed(1)}" text-anchor="end">${label(t)}</text>`,
  );
  const steps = niceTicks(0, last)
    .filter((t) => t <= last && Number.isInteger(t))
    .map((t) => `<text x="${x(t).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${t}</text>`);
  const dice = scores.map(
    (p) => `<circle cx="${x(p.step).toFixed(1)}" cy="${yDice(p.dice).toFixed(1)}" r="3.5" class="dice"/>`,
  );
  const diceAxis =
    scores.length === 0
      ? []
      : [0, 0.25, 0.5, 0.75, 1].map(
          (t) => `<text x="${WIDTH - RIGHT + 8}" y="${(yDice(t) + 4).toFixed(1)}" class="score">${t}</text>`,
        );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}">`,
    '<style>text{font:12px system-ui,sans-serif;fill:#444}.grid{stroke:#ddd}.raw{fill:none;stroke:#9db8dd;stroke-width:1}' +
      '.smooth{fill:none;stroke:#1f5fb4;stroke-width:2}.dice{fill:#c2571a}.score{fill:#c2571a}.title{font-size:14px;fill:#111}</style>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="22" class="title">${xml(title)}</text>`,
    ...grid,
    ...steps,
    `<text x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">optimiser steps</text>`,
    `<polyline points="${raw}" class="raw"/>`,
    `<polyline points="${smooth}" class="smooth"/>`,
    scores.length > 1
      ? `<polyline points="${scores.map((p) => at(x(p.step), yDice(p.dice))).join(' ')}" fill="none" stroke="#c2571a"/>`
      : '',
    ...dice,
    ...diceAxis,
    `<text x="${LEFT + 8}" y="${TOP + 2}" style="fill:#1f5fb4">loss</text>`,
    scores.length > 0
      ? `<text x="${WIDTH - RIGHT - 8}" y="${TOP + 2}" text-anchor="end" class="score">mean Dice</text>`
      : '',
    '</svg>',
    '',
  ].join('\n');
}

/** Mean over a window of a twentieth of the run. */
function smoothed(points: readonly LossPoint[]): LossPoint[] {
  const reach = Math.floor(points.length / 40);
  return points.map(({ step }, i) => {
    const near = points.slice(Math.max(0, i - reach), i + reach + 1);
    return { step, loss: near.reduce((sum, p) => sum + p.loss, 0) / near.length };
  });
}

/** About five round values that cover [low, high]. */
function niceTicks(low: number, high: number): number[] {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((m) => m * power >= rough) ?? 10) * power;
  const ticks: number[] = [];
  for (let i = Math.floor(low / step); (i - 1) * step < high; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

const label = (v: number): string => String(Number(v.toPrecision(4)));
const xml = (s: string): string => s.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]!);
