// Sections: the programs of all entries, and their plans. Where WebGPU stores f16, each target has programs of its own.
import { arenaBytes, PARAM_STRIDE } from '../runtime/memory.ts';
import { WASM_PAGE } from '../runtime/program.ts';
import { type FitOptions, type Fitted, fitAll } from './fit.ts';
import { layOut, type PlannedProgram } from './layout.ts';
import type { CompiledEntry, Options } from './pipeline.ts';
import type { Placement } from './placement.ts';
import type { Program, Step } from './program.ts';
import type { TracedModel } from './trace.ts';
import { compileUpdate } from './update.ts';

type Target = 'webgpu' | 'wasm';

export interface Section {
  readonly entry: string;
  readonly kind: PlannedProgram['kind'];
  readonly program: Program<Step>;
  /** Of one target alone. */
  readonly target?: Target;
}
export type PlannedSection = PlannedProgram & { readonly entry: string };

export function sectionsOf(e: CompiledEntry, placed: Placement, o: Options, target?: Target): Section[] {
  const entry = e.entry.name;
  const own = target ? { target } : {};
  const list: Section[] = [{ entry, kind: 'forward', program: e.forward, ...own }];
  if (e.grad) list.push({ entry, kind: 'grad', program: e.grad, ...own });
  if (e.grad && e.entry.optimizer)
    list.push({ entry, kind: 'update', program: compileUpdate(e.entry, placed, o), ...own });
  return list;
}

export interface MemoryPromise {
  readonly bytes: number;
  /** Bytes of what is no arena, by target, in the easy plan. */
  readonly beside: Readonly<Record<Target, number>>;
  readonly easy: readonly PlannedSection[];
}

/**
 * Recomputation, slabs and places for all sections, inside a promise where one is given. Where WebGPU has programs of its own,
 * the promise is WebGPU's; the wasm target, which keeps f32 and whole tensors, comes as near as it can.
 */
export function planSections(
  model: TracedModel,
  entries: readonly CompiledEntry[],
  sections: readonly Section[],
  promise: MemoryPromise | undefined,
  o: FitOptions,
): PlannedSection[] {
  const own = sections.some((s) => s.target === 'webgpu');
  const plan = (mine: readonly Section[], targets: readonly Target[], strict: boolean): PlannedSection[] => {
    const planned = (fitted: readonly Fitted[]): PlannedSection[] => mine.map((s, i) => ({ ...s, ...fitted[i]! }));
    const total = (fitted: readonly Fitted[]): number => {
      const { arenas } = layOut(model, entries, planned(fitted));
      // Kernels that run again have parameter blocks (a few where they are cut into slabs) and a place in the program's
      // table, and WebAssembly's memory comes in pages.
      const easy = promise!.easy.filter((s) => mine.some((x) => x.target === s.target));
      const more = fitted.reduce(
        (n, f, i) => n + Math.max(0, f.program.kernels.length - easy[i]!.program.kernels.length),
        0,
      );
      const again = more > 0 ? 4 * PARAM_STRIDE * more + WASM_PAGE : 0;
      return Math.max(...targets.map((t) => promise!.beside[t] + arenaBytes({ arenas }, t) + again));
    };
    return planned(
      fitAll(
        mine.map((s) => s.program),
        promise && { bytes: promise.bytes, strict },
        total,
        targets.includes('wasm') ? { ...o, slabs: undefined } : o,
      ),
    );
  };
  if (!own) return plan(sections, ['webgpu', 'wasm'], true);
  const of = (t: Target): Section[] => sections.filter((s) => s.target === t);
  return [...plan(of('wasm'), ['wasm'], false), ...plan(of('webgpu'), ['webgpu'], true)];
}
