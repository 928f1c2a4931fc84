// The static memory plan: every temporary gets an arena and an offset, chosen once, from its lifetime. Tensors whose
// lifetimes overlap never share a byte, so that read-only and writable windows of one buffer are disjoint as WebGPU asks.
import { type Lifetime, lifetimes, profile } from './lifetimes.ts';
import type { Program } from './program.ts';

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
  readonly live: readonly Lifetime[];
}

/** Orders in which tensors are placed; the one that ends in the fewest bytes is taken. */
const ORDERS: readonly ((a: Lifetime, b: Lifetime) => number)[] = [
  (a, b) => b.bytes - a.bytes || a.first - b.first,
  (a, b) => b.bytes * (b.last - b.first + 1) - a.bytes * (a.last - a.first + 1) || a.first - b.first,
  (a, b) => b.bytes - a.bytes || b.last - b.first - (a.last - a.first) || a.first - b.first,
  (a, b) => Math.floor(Math.log2(b.bytes)) - Math.floor(Math.log2(a.bytes)) || a.first - b.first || b.bytes - a.bytes,
];

/** Attempts with each order. */
const ROUNDS = 12;

/** Greedy: each tensor at the lowest offset that is free during its lifetime, the large ones first. */
export function planMemory(program: Program, maxArena: number): Plan {
  const live = lifetimes(program);
  const peak = Math.max(0, ...profile(live, program.kernels.length));
  const capacity = Math.max(maxArena, ...live.map((l) => l.bytes));
  let best: Pick<Plan, 'places' | 'arenas'> | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const by of ORDERS) {
    let sorted = [...live].sort(by);
    for (let round = 0; round < ROUNDS && least > peak; round++) {
      const p = place(sorted, capacity);
      const total = p.arenas.reduce((s, n) => s + n, 0);
      if (total < least) {
        least = total;
        best = p;
      }
      // What ended in the last arena found no room: it goes first next time.
      const homeless = (l: Lifetime): boolean => p.places.get(l.tensor.id)!.arena === p.arenas.length - 1;
      sorted = [...sorted.filter(homeless), ...sorted.filter((l) => !homeless(l))];
    }
  }
  return { ...(best ?? { places: new Map(), arenas: [] }), peak, live };
}

interface Placed extends Lifetime {
  readonly offset: number;
}

function place(sorted: readonly Lifetime[], capacity: number): Pick<Plan, 'places' | 'arenas'> {
  /** By offset. */
  const placed: Placed[][] = [];
  const places = new Map<number, Placement>();
  const arenas: number[] = [];
  for (const l of sorted) {
    for (let arena = 0; ; arena++) {
      const list = (placed[arena] ??= []);
      const offset = lowestFree(list, l);
      if (offset + l.bytes > capacity) continue;
      let at = list.length;
      while (at > 0 && list[at - 1]!.offset > offset) at--;
      list.splice(at, 0, { ...l, offset });
      places.set(l.tensor.id, { arena, offset });
      arenas[arena] = Math.max(arenas[arena] ?? 0, offset + l.bytes);
      break;
    }
  }
  return { places, arenas };
}

/** The lowest offset at which nothing that lives beside l lies; `list` is in the order of offsets. */
function lowestFree(list: readonly Placed[], l: Lifetime): number {
  let at = 0;
  for (const p of list) {
    if (p.last < l.first || p.first > l.last) continue;
    if (p.offset - at >= l.bytes) return at;
    if (p.offset + p.bytes > at) at = p.offset + p.bytes;
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
