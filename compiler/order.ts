// Order: kernels in the sequence that keeps the fewest bytes alive. The graph's own order puts every weight gradient at the
// end, and with it everything that weight gradients read.
import { byteLength } from '../dsl/types.ts';
import type { KernelBase } from '../kernels/ir.ts';
import { peakOf } from './lifetimes.ts';
import { type Program, readsOf, writesOf } from './program.ts';

/** A kernel, or what is ordered as one. */
type Ordered = KernelBase & { readonly kind: string };

/** The better of the given order and a greedy one. */
export function order<K extends Ordered>(program: Program<K>): Program<K> {
  const greedy = { ...program, kernels: greedyOrder(program).map((i) => program.kernels[i]!) };
  return peakOf(greedy) < peakOf(program) ? greedy : program;
}

/** Of the kernels whose inputs are there, always the one that adds least to what is alive (the earliest on a tie). */
function greedyOrder(program: Program<Ordered>): number[] {
  const { kernels } = program;
  const { before, after } = dependencies(program);
  const bytes = new Map(program.tensors.map((t) => [t.id, t.home.kind === 'temp' ? byteLength(t.type) : 0]));
  const touches = kernels.map((k) => [...new Set([...readsOf(k), ...writesOf(k)])].filter((t) => bytes.get(t)! > 0));
  const left = new Map<number, number>();
  for (const list of touches) for (const t of list) left.set(t, (left.get(t) ?? 0) + 1);
  const alive = new Set<number>();
  const growth = (i: number): number => {
    let d = 0;
    for (const t of touches[i]!) {
      if (!alive.has(t)) d += bytes.get(t)!;
      if (left.get(t) === 1) d -= bytes.get(t)!;
    }
    return d;
  };
  const waiting = before.map((b) => b.size);
  const ready = new Set(kernels.map((_, i) => i).filter((i) => waiting[i] === 0));
  const out: number[] = [];
  while (ready.size > 0) {
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const i of ready) {
      const d = growth(i);
      if (d < least || (d === least && i < best)) {
        least = d;
        best = i;
      }
    }
    for (const next of [best, ...siblings(kernels, best, ready)]) {
      ready.delete(next);
      out.push(next);
      for (const t of touches[next]!) {
        alive.add(t);
        left.set(t, left.get(t)! - 1);
        if (left.get(t) === 0) alive.delete(t);
      }
      for (const j of after[next]!) if (--waiting[j]! === 0) ready.add(j);
    }
  }
  return out;
}

/** The other gradients of the same attention: wasm computes those that stand together in one pass. */
function siblings(kernels: readonly Ordered[], of: number, ready: ReadonlySet<number>): number[] {
  const reads = (i: number): string => readsOf(kernels[i]!).join();
  if (kernels[of]!.kind !== 'attentionGrad') return [];
  return [...ready].filter((i) => i !== of && kernels[i]!.kind === 'attentionGrad' && reads(i) === reads(of));
}

/** Who must run before whom: readers after the writer before them, writers after the readers before them. */
function dependencies({ kernels }: Program<Ordered>): { before: Set<number>[]; after: Set<number>[] } {
  const before = kernels.map(() => new Set<number>());
  const after = kernels.map(() => new Set<number>());
  const writer = new Map<number, number>();
  const readers = new Map<number, number[]>();
  const link = (a: number | undefined, b: number): void => {
    if (a === undefined || a === b) return;
    before[b]!.add(a);
    after[a]!.add(b);
  };
  kernels.forEach((k, i) => {
    for (const t of readsOf(k)) {
      link(writer.get(t), i);
      readers.set(t, [...(readers.get(t) ?? []), i]);
    }
    for (const t of writesOf(k)) {
      link(writer.get(t), i);
      for (const r of readers.get(t) ?? []) link(r, i);
      writer.set(t, i);
      readers.set(t, []);
    }
  });
  return { before, after };
}
