// The static memory plan: every temporary gets an arena and an offset, chosen once, from its lifetime. Tensors whose
// lifetimes overlap never share a byte, so that read-only and writable windows of one buffer are disjoint as WebGPU asks.
import { byteLength } from '../dsl/types.ts';
import { type Program, type ProgramTensor, readsOf, writesOf } from './program.ts';

const UNIT = 256;
export const align = (bytes: number): number => Math.ceil(bytes / UNIT) * UNIT;

export interface Placement {
  readonly arena: number;
  readonly offset: number;
}
export interface Plan {
  readonly places: ReadonlyMap<number, Placement>;
  /** Bytes of each arena used. */
  readonly arenas: readonly number[];
  /** Largest sum of live temporaries. */
  readonly peak: number;
  readonly live: readonly {
    readonly tensor: ProgramTensor;
    readonly bytes: number;
    readonly first: number;
    readonly last: number;
  }[];
}

/** Greedy by size: the largest tensors first, each at the lowest offset free during its lifetime. */
export function planMemory(program: Program, maxArena: number): Plan {
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  program.kernels.forEach((k, i) => {
    for (const t of [...readsOf(k), ...writesOf(k)]) {
      if (!first.has(t)) first.set(t, i);
      last.set(t, i);
    }
  });
  const live = program.tensors
    .filter((t) => t.home.kind === 'temp' && first.has(t.id))
    .map((tensor) => ({
      tensor,
      bytes: align(byteLength(tensor.type)),
      first: first.get(tensor.id)!,
      last: last.get(tensor.id)!,
    }));
  const capacity = Math.max(maxArena, ...live.map((l) => l.bytes));

  const placed: { first: number; last: number; arena: number; offset: number; bytes: number }[] = [];
  const places = new Map<number, Placement>();
  const arenas: number[] = [];
  for (const l of [...live].sort((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    let spot: Placement | null = null;
    for (let arena = 0; !spot; arena++) {
      const offset = lowestFree(
        placed.filter((p) => p.arena === arena && p.first <= l.last && p.last >= l.first),
        l.bytes,
      );
      if (offset + l.bytes <= capacity) spot = { arena, offset };
    }
    placed.push({ ...l, ...spot });
    places.set(l.tensor.id, spot);
    arenas[spot.arena] = Math.max(arenas[spot.arena] ?? 0, spot.offset + l.bytes);
  }

  let peak = 0;
  for (let i = 0; i < program.kernels.length; i++) {
    peak = Math.max(
      peak,
      live.reduce((s, l) => (l.first <= i && i <= l.last ? s + l.bytes : s), 0),
    );
  }
  return { places, arenas, peak, live };
}

function lowestFree(busy: { offset: number; bytes: number }[], bytes: number): number {
  let at = 0;
  for (const b of busy.sort((x, y) => x.offset - y.offset)) {
    if (b.offset - at >= bytes) return at;
    at = Math.max(at, b.offset + b.bytes);
  }
  return at;
}

/** Throws when two tensors that live at once overlap: the planner's own proof. */
export function verifyPlan(plan: Plan): void {
  const list = plan.live.map((l) => ({ ...l, ...plan.places.get(l.tensor.id)! }));
  for (let i = 0; i < list.length; i++)
    for (let j = i + 1; j < list.length; j++) {
      const [a, b] = [list[i]!, list[j]!];
      if (a.arena !== b.arena || a.last < b.first || b.last < a.first) continue;
      if (a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes)
        throw new Error(`memory plan: ${a.tensor.label} and ${b.tensor.label} overlap`);
    }
}
