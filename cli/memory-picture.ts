// A memory plan as a picture: every transient tensor is a box, as wide as its life in kernels and as high as its bytes, at the
// place where the plan puts it. Below it, the bytes that are alive at each kernel.
import type { Manifest } from '../runtime/manifest.ts';
import { xml } from './page.ts';
import { showBytes, showFlops } from './units.ts';

type MemoryPlan = Manifest['entries'][string]['memory']['forward'];
type Tensor = MemoryPlan['tensors'][number];

const WIDTH = 1180;
const LEFT = 78;
const RIGHT = 14;
const PLAN = 420;
const LIVE = 110;
const GAP = 34;
const UNIT = 256;

/** An SVG element. Boxes carry their tensor's name, size and life as a tooltip. */
export function memoryPicture(plan: MemoryPlan, arenaNames: readonly string[]): string {
  const ops = Math.max(1, plan.ops.length);
  const arenas = stack(plan.tensors);
  const total = Math.max(1, ...arenas.map((a) => a.base + a.bytes));
  const x = (op: number) => LEFT + (op / ops) * (WIDTH - LEFT - RIGHT);
  const y = (byte: number) => 24 + (byte / total) * PLAN;
  const baseOf = new Map(arenas.map((a) => [a.arena, a.base]));
  const boxes = plan.tensors.map((t) => {
    const left = x(t.first);
    const width = Math.max(1, x(t.last + 1) - left);
    const top = y(baseOf.get(t.arena)! + t.offset * UNIT);
    const height = Math.max(0.6, (t.bytes / total) * PLAN);
    const name = xml(t.label);
    const room = Math.floor((width - 6) / 5.2);
    const fits = height > 11 && room >= Math.min(6, t.label.length);
    const shown = t.label.length > room ? `…${t.label.slice(1 - room)}` : t.label;
    const life = `${showBytes(t.bytes)}, kernels ${t.first} to ${t.last}`;
    return (
      `<rect x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}" ` +
      `fill="${colour(t.label)}"><title>${name}\n${life}</title></rect>` +
      (fits ? `<text x="${(left + 3).toFixed(1)}" y="${(top + 10).toFixed(1)}" class="in">${xml(shown)}</text>` : '')
    );
  });
  const borders = arenas.map(
    (a) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(a.base).toFixed(1)}" y2="${y(a.base).toFixed(1)}" class="arena"/>` +
      `<text x="${WIDTH - RIGHT - 4}" y="${(y(a.base) + 12).toFixed(1)}" text-anchor="end" class="soft">${xml(arenaNames[a.arena] ?? `arena ${a.arena}`)}</text>`,
  );
  const bytesAxis = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<text x="${LEFT - 6}" y="${(y(share * total) + 4).toFixed(1)}" text-anchor="end">${showBytes(share * total)}</text>`,
  );
  const bottom = 24 + PLAN;
  const marks = opMarks(plan.ops).map(
    ({ op, text }) =>
      `<line x1="${x(op).toFixed(1)}" x2="${x(op).toFixed(1)}" y1="${bottom}" y2="${bottom + 5}" class="tick"/>` +
      `<text x="${(x(op) + 2).toFixed(1)}" y="${bottom + 16}" class="soft">${xml(text)}</text>`,
  );
  return [
    `<svg viewBox="0 0 ${WIDTH} ${bottom + GAP + LIVE + 22}" role="img" aria-label="memory plan">`,
    `<text x="${LEFT}" y="14">${plan.tensors.length} tensors over ${plan.ops.length} kernels: ${showBytes(plan.peak)} alive at the peak, ${showBytes(plan.allocated)} allocated</text>`,
    `<rect x="${LEFT}" y="24" width="${WIDTH - LEFT - RIGHT}" height="${PLAN}" class="ground"/>`,
    ...boxes,
    ...borders,
    ...bytesAxis,
    ...marks,
    liveCurve(plan, x, bottom + GAP),
    `<text x="${LEFT}" y="${bottom + GAP + LIVE + 16}" class="soft">kernels in the order of their execution →</text>`,
    '</svg>',
  ].join('\n');
}

/** Bytes alive before each kernel, as an area. */
function liveCurve(plan: MemoryPlan, x: (op: number) => number, top: number): string {
  const ops = plan.ops.length;
  const change = new Float64Array(ops + 1);
  for (const t of plan.tensors) {
    change[t.first]! += t.bytes;
    if (t.last + 1 <= ops) change[t.last + 1]! -= t.bytes;
  }
  const alive: number[] = [];
  let now = 0;
  for (let op = 0; op < ops; op++) alive.push((now += change[op]!));
  const without = (plan.again?.without ?? []).map((kib) => 1024 * kib);
  const most = Math.max(1, ...alive, ...without);
  const y = (v: number) => (top + LIVE - (v / most) * LIVE).toFixed(1);
  const points = alive.flatMap((v, op) => [`${x(op).toFixed(1)},${y(v)}`, `${x(op + 1).toFixed(1)},${y(v)}`]);
  const end = `${x(ops).toFixed(1)},${top + LIVE} ${x(0).toFixed(1)},${top + LIVE}`;
  // Without what runs again there are fewer kernels: drawn over the same width, since both begin and end alike.
  const each = ops / Math.max(1, without.length);
  const line = without.flatMap((v, op) => [
    `${x(op * each).toFixed(1)},${y(v)}`,
    `${x((op + 1) * each).toFixed(1)},${y(v)}`,
  ]);
  const note = plan.again
    ? `<polyline points="${line.join(' ')}" class="without"/><text x="${WIDTH - RIGHT}" y="${top - 6}" text-anchor="end" class="soft">dashed: without the ${plan.again.kernels} kernels that run again (${showFlops(plan.again.flops)}), ${showBytes(Math.max(...without))} at the peak</text>`
    : '';
  return (
    `<polygon points="${points.join(' ')} ${end}" class="live"/>` +
    note +
    `<text x="${LEFT - 6}" y="${top + 8}" text-anchor="end">${showBytes(most)}</text>` +
    `<text x="${LEFT - 6}" y="${top + LIVE}" text-anchor="end">alive</text>`
  );
}

/** Arenas one below the other. */
function stack(tensors: readonly Tensor[]): { arena: number; base: number; bytes: number }[] {
  const ends = new Map<number, number>();
  for (const t of tensors) ends.set(t.arena, Math.max(ends.get(t.arena) ?? 0, t.offset * UNIT + t.bytes));
  let base = 0;
  return [...ends]
    .sort(([a], [b]) => a - b)
    .map(([arena, bytes]) => {
      const at = { arena, base, bytes };
      base += bytes;
      return at;
    });
}

/** A few kernels' names along the axis. */
function opMarks(ops: readonly string[]): { op: number; text: string }[] {
  const every = Math.max(1, Math.ceil(ops.length / 9));
  return ops.flatMap((name, op) =>
    op % every === 0 && op + every / 2 < ops.length
      ? [{ op, text: `${op} ${name.length > 16 ? `…${name.slice(-15)}` : name}` }]
      : [],
  );
}

/** One hue for one part of the model: the name up to its last part. */
function colour(label: string): string {
  const part = label.replace(/[./ ][^./ ]*$/, '');
  let hash = 2166136261;
  for (let i = 0; i < part.length; i++) hash = Math.imul(hash ^ part.charCodeAt(i), 16777619);
  return `hsl(${(hash >>> 0) % 360} 55% ${60 + ((hash >>> 9) % 15)}%)`;
}
