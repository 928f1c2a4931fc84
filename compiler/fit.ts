// Fit: what to recompute and where everything lies, so that all that a session allocates stays inside a promise. The search over
// recomputation has the planner's own bytes as its oracle: a peak that cannot be placed without gaps is asked to be lower.
import { ModelError } from '../dsl/errors.ts';
import { lifetimes, profile } from './lifetimes.ts';
import { loopsInto, loopsSmallest } from './loop-plans.ts';
import type { Log } from './pipeline.ts';
import { type Plan, planMemory, verifyPlan } from './plan.ts';
import { flopsOf, type Program, type Step } from './program.ts';
import { recompute } from './recompute.ts';
import { fitTiles, flatten, hasTiles } from './repeats.ts';

export interface Fitted {
  readonly program: Program;
  readonly plan: Plan;
  /** What is done again, and the bytes that would be alive at each kernel if nothing were; null where nothing is. */
  readonly again: { readonly kernels: number; readonly flops: number; readonly without: readonly number[] } | null;
}

export interface FitOptions {
  /** Largest arena, in bytes, where no tensor alone is larger. */
  readonly maxArena: number;
  readonly verify?: boolean;
  readonly log?: Log;
  /** Large tensors may be computed slab by slab (WebGPU alone): where a promise asks for it, or for the fewest bytes. */
  readonly slabs?: 'allowed' | 'smallest';
}

/** What may be done again to save memory, as a part of a program's work, where no budget asks for more. */
const FREE = 0.01;
/** How often a budget is lowered because of gaps in the plan. */
const ATTEMPTS = 8;

export const allocated = (plan: Plan): number => plan.arenas.reduce((s, n) => s + n, 0);

/** Without a budget: recomputes what costs little. */
export const fit = (program: Program<Step>, o: FitOptions): Fitted => attempt(program, { work: FREE }, o);

/** With the temporaries' arenas at or under `budget` bytes; null where the search does not come so low. */
export function fitInto(program: Program<Step>, budget: number, o: FitOptions): Fitted | null {
  const easy = fit(program, o);
  if (allocated(easy.plan) <= budget) return easy;
  for (let n = 0, target = budget; n < ATTEMPTS && target > 0; n++) {
    const f = attempt(program, { budget: target }, o);
    const over = allocated(f.plan) - budget;
    if (over <= 0) return f;
    if (f.plan.peak > target) break;
    target -= over;
  }
  // By slabs or by tiles: a program with loops over tiles has small tensors already.
  const whole = o.slabs && !hasTiles(program) ? flatten(program) : null;
  for (let looped = whole && loopsInto(whole, budget), target = budget; whole && looped && target > 0; ) {
    const f = place(program, looped.program, o);
    const over = allocated(f.plan) - budget;
    if (over <= 0) return f;
    target -= over;
    looped = looped.under(target) ?? loopsInto(whole, target);
  }
  return null;
}

/** With the fewest bytes that the search finds. */
export function fitSmallest(program: Program<Step>, o: FitOptions): Fitted {
  const f = attempt(program, {}, o);
  const looped = o.slabs && !hasTiles(program) ? loopsSmallest(flatten(program)) : null;
  if (!looped) return f;
  const by = place(program, looped, o);
  return allocated(by.plan) < allocated(f.plan) ? by : f;
}

function attempt(program: Program<Step>, limits: Parameters<typeof recompute>[1], o: FitOptions): Fitted {
  return place(program, flatten(recompute(fitTiles(program, limits), limits).program), o);
}

/** A place for everything in `now`, which computes what `program` does. */
function place(from: Program<Step>, now: Program, o: FitOptions): Fitted {
  const program = flatten(from);
  const plan = planMemory(now, o.maxArena);
  if (o.verify) verifyPlan(plan);
  const kernels = now.kernels.length - program.kernels.length;
  const flops = flopsOf(now) - flopsOf(program);
  o.log?.(`${program.name}: memory`, [
    `${kernels} kernels run again, or in parts; ${flops} operations more`,
    `peak ${plan.peak} bytes in ${plan.arenas.length} arenas of ${plan.arenas.join(', ')}`,
  ]);
  const without = (): number[] => profile(lifetimes(program), program.kernels.length);
  return { program: now, plan, again: kernels > 0 ? { kernels, flops, without: without() } : null };
}

/**
 * Fits all programs of an artifact into a promise.
 * @param total bytes of everything that a session allocates with these plans
 * @throws ModelError `plan-memory` with the smallest budget that fits; where the promise is not strict, the smallest plans
 */
export function fitAll(
  programs: readonly Program<Step>[],
  promise: { readonly bytes: number; readonly strict: boolean } | undefined,
  total: (fitted: readonly Fitted[]) => number,
  o: FitOptions,
): Fitted[] {
  if (promise === undefined && o.slabs === 'smallest') return programs.map((p) => fitSmallest(p, o));
  let now = programs.map((p) => fit(p, o));
  if (promise === undefined) return now;
  for (let n = 0; n < ATTEMPTS; n++) {
    const over = total(now) - promise.bytes;
    if (over <= 0) return now;
    // Sections use the same memory one after the other: all that are larger must come down.
    const target = Math.max(...now.map((f) => allocated(f.plan))) - over;
    const next = now.map((f, i) => (allocated(f.plan) <= target ? f : fitInto(programs[i]!, target, o)));
    if (next.some((f) => f === null)) break;
    now = next as Fitted[];
  }
  const smallest = programs.map((p) => fitSmallest(p, o));
  const least = total(smallest);
  if (least <= promise.bytes || !promise.strict) return smallest;
  const easy = total(programs.map((p) => fit(p, o)));
  const show = (bytes: number): string => `${bytes} bytes (${(bytes / 2 ** 30).toFixed(2)} GiB)`;
  throw new ModelError(
    'plan-memory',
    `--memory allows ${show(promise.bytes)}; the smallest plan needs ${show(least)}, the one without a promise ${show(easy)}\n  fix: allow at least ${least} bytes, build fewer entries (--entries), a smaller --size or --batch${o.slabs ? '' : ', or by slabs (--slabs) for WebGPU'}`,
  );
}
