// Recomputation under a budget: which temporaries to keep from the forward to the backward pass, and which to drop and compute
// again just before they are read.
//
// A kernel is its own recipe: to compute a tensor again, the kernel that wrote it runs again on a fresh tensor. Random numbers
// depend on no place, so a repeated kernel repeats its bits. The search is greedy, with the plan's own peak as its oracle
// (XLA's HloRematerialization works alike): where most is alive, of the tensors that lie idle there, it drops the one that
// costs the least work per byte. At the end it takes back what turned out not to be needed.
import { byteLength } from '../dsl/types.ts';
import type { KernelBase } from '../kernels/ir.ts';
import { align, peakOf } from './lifetimes.ts';
import type { Program, ProgramTensor } from './program.ts';

export interface Recomputed<K extends KernelBase> {
  readonly program: Program<K>;
  /** Bytes of temporaries at the fullest kernel. */
  readonly peak: number;
  /** Operations that are done again. */
  readonly flops: number;
  /** Kernels that run again. */
  readonly repeats: number;
}

export interface Limits {
  /** Bytes of temporaries to come down to. Default 0: as few as can be. */
  readonly budget?: number;
  /** The most work to do again, as a part of the program's own. Default no limit. */
  readonly work?: number;
}

/** The program with its temporaries' peak at or under the budget, or as near as the search comes. */
export function recompute<K extends Planned>(
  program: Program<K>,
  { budget = 0, work = Number.POSITIVE_INFINITY }: Limits,
): Recomputed<K> {
  let state = measure(new Steps(program));
  const most = work === Number.POSITIVE_INFINITY ? work : work * workOf(state.steps.list, state.steps);
  while (state.peak > budget) {
    const next = improve(state, most);
    if (!next) break;
    state = next;
  }
  state = takeBack(state, Math.max(budget, state.peak));
  const result = state.steps.program();
  const flops = (p: Program<K>): number => p.kernels.reduce((s, k) => s + k.flops, 0);
  return {
    program: result,
    peak: peakOf(result),
    flops: flops(result) - flops(program),
    repeats: result.kernels.length - program.kernels.length,
  };
}

/** An input whose bytes are at most this part of the dropped tensor's is kept alive rather than computed again. */
const SMALL = 1 / 32;
/** Kernels that one drop may make run again. */
const CHAIN = 8;
/** A byte moved counts as so many operations, so that elementwise kernels are not free. */
const PER_BYTE = 12;

/** A kernel, or what is planned as one. */
type Planned = KernelBase & { readonly kind: string; readonly of?: KernelBase };

/** A kernel in the list, with the tensor behind each of its buffers: a repeated kernel has copies there. */
interface Step<K extends Planned> {
  readonly kernel: K;
  readonly tensors: readonly number[];
  readonly repeat: boolean;
}

/** An immutable list of steps over a growing table of tensors. */
class Steps<K extends Planned> {
  readonly list: readonly Step<K>[];
  /** Shared by all lists of one search: ids only grow. */
  private readonly table: { tensors: ProgramTensor[]; value: number[]; bytes: number[] };
  private readonly origin: Program<K>;

  constructor(program: Program<K>, list?: readonly Step<K>[], table?: Steps<K>['table']) {
    this.origin = program;
    this.list =
      list ?? program.kernels.map((kernel) => ({ kernel, tensors: kernel.bufs.map((b) => b.tensor), repeat: false }));
    this.table = table ?? {
      tensors: [...program.tensors],
      value: program.tensors.map((t) => t.id),
      bytes: program.tensors.map((t) => (t.home.kind === 'temp' ? align(byteLength(t.type)) : 0)),
    };
  }

  with(list: readonly Step<K>[]): Steps<K> {
    return new Steps(this.origin, list, this.table);
  }
  copy(tensor: number): number {
    const { tensors, value, bytes } = this.table;
    const id = tensors.length;
    tensors.push({ ...tensors[tensor]!, id });
    value.push(value[tensor]!);
    bytes.push(bytes[tensor]!);
    return id;
  }
  /** The tensor of the program that this one is a copy of. */
  valueOf(tensor: number): number {
    return this.table.value[tensor]!;
  }
  /** 0 for what is no temporary. */
  bytesOf(tensor: number): number {
    return this.table.bytes[tensor]!;
  }
  home(tensor: number): ProgramTensor['home'] {
    return this.table.tensors[tensor]!.home;
  }

  program(): Program<K> {
    const kernels = this.list.map(({ kernel, tensors, repeat }) => ({
      ...kernel,
      of: kernel.of ?? kernel,
      name: repeat ? `${kernel.name}.again` : kernel.name,
      bufs: kernel.bufs.map((b, n) => ({ ...b, tensor: tensors[n]! })),
    }));
    const used = new Set(kernels.flatMap((k) => k.bufs.map((b) => b.tensor)));
    const known = new Set(this.origin.tensors.map((t) => t.id));
    return {
      ...this.origin,
      kernels,
      tensors: this.table.tensors.filter((t) => known.has(t.id) || used.has(t.id)),
    };
  }
}

interface State<K extends Planned> {
  readonly steps: Steps<K>;
  readonly peak: number;
  /** Bytes alive at each step. */
  readonly profile: readonly number[];
  /** Per tensor: the steps that touch it, in order. */
  readonly touches: ReadonlyMap<number, readonly number[]>;
  /** Copies of a value, in the order in which they are written. */
  readonly copies: ReadonlyMap<number, readonly number[]>;
}

function measure<K extends Planned>(steps: Steps<K>): State<K> {
  const touches = new Map<number, number[]>();
  const copies = new Map<number, number[]>();
  steps.list.forEach((s, i) => {
    for (const t of s.tensors) {
      if (steps.bytesOf(t) === 0) continue;
      const list = touches.get(t);
      if (!list) {
        touches.set(t, [i]);
        const v = steps.valueOf(t);
        copies.set(v, [...(copies.get(v) ?? []), t]);
      } else if (list[list.length - 1] !== i) list.push(i);
    }
  });
  const change = new Array<number>(steps.list.length + 1).fill(0);
  for (const [t, list] of touches) {
    change[list[0]!]! += steps.bytesOf(t);
    change[list[list.length - 1]! + 1]! -= steps.bytesOf(t);
  }
  let now = 0;
  const profile = change.slice(0, -1).map((c) => (now += c));
  return { steps, peak: Math.max(0, ...profile), profile, touches, copies };
}

/** Operations, and bytes moved counted as operations. */
function workOf<K extends Planned>(list: readonly Step<K>[], steps: Steps<K>): number {
  return list.reduce((sum, { kernel, tensors }) => {
    const moved = [...new Set(tensors)].reduce((n, t) => n + steps.bytesOf(t), 0);
    return sum + kernel.flops + PER_BYTE * moved;
  }, 0);
}

/** One more tensor dropped where most is alive; null where nothing helps, or all that would is more work than `most` allows. */
function improve<K extends Planned>(s: State<K>, most: number): State<K> | null {
  const at = s.profile.indexOf(s.peak);
  const left =
    most -
    workOf(
      s.steps.list.filter((x) => x.repeat),
      s.steps,
    );
  const candidates: { t: number; next: number; chain: Chain<K>; hope: number }[] = [];
  for (const [t, list] of s.touches) {
    const next = list.find((i) => i >= at);
    if (next === undefined || next === at || list[0]! > at) continue;
    const chain = repeats(s, t, next);
    if (chain && chain.cost <= left) candidates.push({ t, next, chain, hope: s.steps.bytesOf(t) / chain.cost });
  }
  // What is freed is at most the tensor: the most hopeful first, until none can be better.
  candidates.sort((a, b) => b.hope - a.hope || a.t - b.t);
  let best: State<K> | null = null;
  let score = 0;
  for (const { t, next, chain, hope } of candidates) {
    if (hope <= score) break;
    const dropped = drop(s, t, next, chain);
    if (dropped.peak > s.peak) continue;
    const freed = s.profile[at]! - dropped.profile[at]!;
    if (freed > 0 && freed / chain.cost > score) {
      score = freed / chain.cost;
      best = dropped;
    }
  }
  return best;
}

/** From step `next` on, the readers of t read a copy that is computed just before it. */
function drop<K extends Planned>(s: State<K>, t: number, next: number, chain: Chain<K>): State<K> {
  const { list } = s.steps;
  const fresh = chain.copies.get(t)!;
  const later = list
    .slice(next)
    .map((x) => (x.tensors.includes(t) ? { ...x, tensors: x.tensors.map((y) => (y === t ? fresh : y)) } : x));
  return measure(s.steps.with([...list.slice(0, next), ...chain.steps, ...later]));
}

interface Chain<K extends Planned> {
  readonly steps: Step<K>[];
  readonly copies: Map<number, number>;
  cost: number;
}

/** The steps that compute t again before step `next`, inputs first. */
function repeats<K extends Planned>(s: State<K>, t: number, next: number): Chain<K> | null {
  const chain: Chain<K> = { steps: [], copies: new Map(), cost: 0 };
  const small = SMALL * s.steps.bytesOf(t);
  return again(s, t, next, small, chain) ? chain : null;
}

function again<K extends Planned>(s: State<K>, t: number, next: number, small: number, chain: Chain<K>): boolean {
  const writer = s.touches.get(t)![0]!;
  const { kernel, tensors } = s.steps.list[writer]!;
  if (chain.steps.length >= CHAIN || !repeatable(s.steps, kernel, tensors)) return false;
  const inputs = new Map<number, number>();
  for (const [n, b] of kernel.bufs.entries()) {
    const u = tensors[n]!;
    if (b.access !== 'read' || s.steps.bytesOf(u) === 0 || inputs.has(u)) continue;
    const here = available(s, u, t, next, small, chain);
    if (here !== null) inputs.set(u, here);
    else if (again(s, u, next, small, chain)) inputs.set(u, chain.copies.get(u)!);
    else return false;
  }
  const outputs = new Map<number, number>();
  const to = tensors.map((u, n) => {
    if (kernel.bufs[n]!.access === 'read') return inputs.get(u) ?? u;
    if (!outputs.has(u)) outputs.set(u, s.steps.copy(u));
    return outputs.get(u)!;
  });
  for (const [u, c] of outputs) chain.copies.set(u, c);
  const step = { kernel, tensors: to, repeat: true };
  chain.steps.push(step);
  chain.cost += workOf([step], s.steps);
  return chain.steps.length <= CHAIN;
}

/** A copy of u that can be read before step `next`: one in the chain, one alive there, or a small one kept alive. */
function available<K extends Planned>(
  s: State<K>,
  u: number,
  dropped: number,
  next: number,
  small: number,
  chain: Chain<K>,
): number | null {
  const made = chain.copies.get(u);
  if (made !== undefined) return made;
  const copies = s.copies.get(s.steps.valueOf(u))!.filter((c) => c !== dropped && s.touches.get(c)![0]! < next);
  const alive = copies.find((c) => s.touches.get(c)!.at(-1)! >= next);
  if (alive !== undefined) return alive;
  return s.steps.bytesOf(u) <= small ? (copies.at(-1) ?? null) : null;
}

/** Kernels that only write temporaries, each by itself alone, and read what does not change. */
function repeatable<K extends Planned>(steps: Steps<K>, kernel: K, tensors: readonly number[]): boolean {
  if (kernel.kind === 'loop' || kernel.kind === 'tiles') return false;
  return kernel.bufs.every((b, n) => {
    const { kind } = steps.home(tensors[n]!);
    if (b.access === 'read') return kind !== 'gradient' && kind !== 'arena';
    return b.access === 'write' && kind === 'temp';
  });
}

/** Undoes drops, the dearest first, as long as the peak stays at or under `budget`. */
function takeBack<K extends Planned>(from: State<K>, budget: number): State<K> {
  let s = from;
  const dearest = s.steps.list
    .filter((x) => x.repeat)
    .sort((a, b) => b.kernel.flops - a.kernel.flops)
    .map((x) => x.tensors);
  for (const tensors of dearest) {
    const at = s.steps.list.findIndex((x) => x.repeat && x.tensors === tensors);
    if (at < 0) continue;
    const { kernel } = s.steps.list[at]!;
    // Each output is read from the copy that was written before.
    const earlier = new Map<number, number>();
    kernel.bufs.forEach((b, n) => {
      if (b.access === 'read') return;
      const t = tensors[n]!;
      const copies = s.copies.get(s.steps.valueOf(t))!;
      earlier.set(t, copies[copies.indexOf(t) - 1]!);
    });
    const list = s.steps.list
      .filter((_, i) => i !== at)
      .map((x) =>
        x.tensors.some((t) => earlier.has(t)) ? { ...x, tensors: x.tensors.map((t) => earlier.get(t) ?? t) } : x,
      );
    const next = measure(withoutUnread(s.steps.with(list)));
    if (next.peak <= budget) s = next;
  }
  return s;
}

/** Without repeated steps that nobody reads. */
function withoutUnread<K extends Planned>(steps: Steps<K>): Steps<K> {
  let list = steps.list;
  for (;;) {
    const read = new Set(list.flatMap((x) => x.tensors.filter((_, n) => x.kernel.bufs[n]!.access !== 'write')));
    const kept = list.filter(
      (x) => !x.repeat || x.tensors.some((t, n) => x.kernel.bufs[n]!.access !== 'read' && read.has(t)),
    );
    if (kept.length === list.length) return steps.with(list);
    list = kept;
  }
}
