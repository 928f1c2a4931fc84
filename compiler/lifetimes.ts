// Lifetimes: from which kernel to which a temporary holds something, and what is alive at each.
import { byteLength } from '../dsl/types.ts';
import type { KernelBase } from '../kernels/ir.ts';
import { type Program, type ProgramTensor, readsOf, writesOf } from './program.ts';

const UNIT = 256;
export const align = (bytes: number): number => Math.ceil(bytes / UNIT) * UNIT;

export interface Lifetime {
  readonly tensor: ProgramTensor;
  readonly bytes: number;
  /** Kernels, both included. */
  readonly first: number;
  readonly last: number;
}

/** Of every temporary that some kernel touches, in the tensors' order. */
export function lifetimes(program: Program<KernelBase>): Lifetime[] {
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  /** First touched by a kernel that reads it. */
  const carried = new Set<number>();
  program.kernels.forEach((k, i) => {
    for (const t of [...readsOf(k), ...writesOf(k)]) {
      if (!first.has(t)) {
        first.set(t, i);
        if (readsOf(k).includes(t)) carried.add(t);
      }
      last.set(t, i);
    }
  });
  // What a loop's kernels share with others, or leave to the next time round, lies in its place while the loop runs.
  for (const r of program.repeats ?? []) {
    const end = r.first + r.count - 1;
    for (const [t, from] of first) {
      const to = last.get(t)!;
      if (to < r.first || from > end || (from >= r.first && to <= end && !carried.has(t))) continue;
      first.set(t, Math.min(from, r.first));
      last.set(t, Math.max(to, end));
    }
  }
  return program.tensors
    .filter((t) => t.home.kind === 'temp' && first.has(t.id))
    .map((tensor) => ({
      tensor,
      bytes: align(byteLength(tensor.type)),
      first: first.get(tensor.id)!,
      last: last.get(tensor.id)!,
    }));
}

/** Bytes alive while each of `count` kernels runs. */
export function profile(live: readonly Lifetime[], count: number): number[] {
  const change = new Array<number>(count + 1).fill(0);
  for (const l of live) {
    change[l.first]! += l.bytes;
    change[l.last + 1]! -= l.bytes;
  }
  let now = 0;
  return change.slice(0, count).map((c) => (now += c));
}

export const peakOf = (program: Program<KernelBase>): number =>
  Math.max(0, ...profile(lifetimes(program), program.kernels.length));
