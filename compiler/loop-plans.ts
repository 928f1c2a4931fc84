// Which tensors are computed slab by slab, and in how many slabs: what fits a budget for the least work, or what needs the fewest
// bytes. slab-loops.ts says what a choice makes of a program, recompute.ts what can be done to the rest.
import type { Kernel, KernelBase } from '../kernels/ir.ts';
import { emitWgsl } from '../kernels/wgsl/index.ts';
import { align, lifetimes } from './lifetimes.ts';
import type { Loop, Program, ProgramKernel } from './program.ts';
import { recompute } from './recompute.ts';
import { bySlabs, type Cut, slabbable, unroll } from './slab-loops.ts';

/** Slabs of a loop: thinner ones hold less and compute more of their neighbours' halos. */
const PARTS = [4, 8, 16, 32];
/** Candidates are the tensors of at least these parts of the largest: one level of resolution, or more. */
const LEVELS = [1 / 4, 1 / 8, 1 / 16];
/** Tensors that are tried whole again, the costliest first. */
const TRIALS = 24;

export interface Looped {
  readonly program: Program;
  /** The same tensors by slabs, and more of the rest computed again. */
  under(budget: number): Looped | null;
}

type Stepped = Program<ProgramKernel | Loop>;

interface Candidate {
  readonly tensors: ReadonlySet<number>;
  readonly parts: number;
  readonly program: Stepped;
  readonly peak: number;
  readonly flops: number;
}

/** The program with loops whose temporaries' peak is at most `budget`, with the least work that the search finds; null: none. */
export function loopsInto(program: Program, budget: number): Looped | null {
  const cut = cuts();
  const fitting = candidates(program, cut)
    .map(([tensors, parts]) => candidate(program, tensors, parts, budget, cut, budget))
    .filter((c) => c !== null && c.peak <= budget) as Candidate[];
  const best = least(fitting, (c) => c.flops);
  return best && looped(program, fewer(program, best, budget, cut), cut);
}

function looped(program: Program, { tensors, parts, program: now }: Candidate, cut: (k: Kernel) => Cut): Looped {
  const under = (budget: number): Looped | null => {
    const c = candidate(program, tensors, parts, budget, cut, budget);
    return c && c.peak <= budget ? looped(program, c, cut) : null;
  };
  return { program: unroll(now), under };
}

/** The program with loops that needs the fewest bytes; null where nothing can be computed by slabs. */
export function loopsSmallest(program: Program): Program | null {
  const cut = cuts();
  let best: Candidate | null = null;
  for (const [tensors, parts] of candidates(program, cut)) {
    const most = best ? best.peak - 1 : Number.POSITIVE_INFINITY;
    const c = candidate(program, tensors, parts, 0, cut, most);
    if (c && c.peak <= most) best = c;
  }
  return best && unroll(best.program);
}

function candidates(program: Program, cut: (k: Kernel) => Cut): [ReadonlySet<number>, number][] {
  const largest = Math.max(0, ...lifetimes(program).map((l) => l.bytes));
  return PARTS.flatMap((parts) =>
    LEVELS.map((level): [ReadonlySet<number>, number] => [
      slabbable(program, align(level * largest), parts, cut),
      parts,
    ]),
  ).filter(([tensors]) => tensors.size > 0);
}

/** null where one step alone touches more than `most` bytes. */
function candidate(
  program: Program,
  tensors: ReadonlySet<number>,
  parts: number,
  budget: number,
  cut: (k: Kernel) => Cut,
  most: number,
): Candidate | null {
  const looped = bySlabs(program, { tensors, parts }, cut);
  if (largestStep(looped) > most) return null;
  const r = recompute(looped, { budget });
  return { tensors, parts, program: r.program, peak: r.peak, flops: flopsOf(r.program) };
}

/** Keeps whole what the budget allows, always the tensor whose slabs cost most. */
function fewer(program: Program, from: Candidate, budget: number, cut: (k: Kernel) => Cut): Candidate {
  let now = from;
  const without = (t: number): ReadonlySet<number> => new Set([...now.tensors].filter((x) => x !== t));
  const work = (tensors: ReadonlySet<number>): number => flopsOf(bySlabs(program, { tensors, parts: now.parts }, cut));
  const tried = new Set<number>();
  for (let n = 0; n < TRIALS && now.tensors.size > 1; n++) {
    const next = least(
      [...now.tensors].filter((t) => !tried.has(t)),
      (t) => work(without(t)),
    );
    if (next === null) break;
    tried.add(next);
    const c = candidate(program, without(next), now.parts, budget, cut, budget);
    if (c && c.peak <= budget && c.flops < now.flops) now = c;
  }
  return now;
}

/** What the WGSL emitter says of cutting a kernel, once for each. */
function cuts(): (k: Kernel) => Cut {
  const known = new Map<Kernel, Cut>();
  return (k) => {
    let c = known.get(k);
    if (!c) {
      const { outermost, slabMultiple = 1 } = emitWgsl(k, { readOnly: new Set(), maxFold: 65535 });
      known.set(k, (c = { outermost, multiple: slabMultiple }));
    }
    return c;
  };
}

/** Bytes of temporaries that some step touches: no plan needs fewer. */
function largestStep(program: Stepped): number {
  const bytes = new Map(lifetimes(program).map((l) => [l.tensor.id, l.bytes]));
  const touched = (k: KernelBase): number =>
    [...new Set(k.bufs.map((b) => b.tensor))].reduce((n, t) => n + (bytes.get(t) ?? 0), 0);
  return Math.max(0, ...program.kernels.map(touched));
}

const flopsOf = (p: Program<KernelBase>): number => p.kernels.reduce((s, k) => s + k.flops, 0);

function least<T>(list: readonly T[], by: (x: T) => number): T | null {
  let best: T | null = null;
  let value = Number.POSITIVE_INFINITY;
  for (const x of list) {
    const v = by(x);
    if (v < value) {
      value = v;
      best = x;
    }
  }
  return best;
}
