// Which arenas sections need, and which of them may share memory: what one section alone uses as scratch holds nothing that
// outlives its run, so that forward, grad and update lay theirs over each other.
import type { SectionKind } from './device.ts';
import type { Manifest } from './manifest.ts';

export interface ArenaUse {
  /** Arenas with memory of their own, by index. Parameters and constants are always among them. */
  readonly kept: readonly number[];
  /** Per section, arenas that may lie over another section's. */
  readonly shared: readonly (readonly number[])[];
}

export function arenaUse(
  manifest: Pick<Manifest, 'arenas'>,
  sections: ReadonlySet<SectionKind>,
  target: 'webgpu' | 'wasm',
): ArenaUse {
  const kept: number[] = [];
  const shared = new Map<SectionKind, number[]>();
  manifest.arenas.forEach((a, i) => {
    const used = a.role === 'parameters' || a.role === 'constants' || a.sections.some((s) => sections.has(s));
    if (!used || (a.target !== undefined && a.target !== target)) return;
    const only = a.sections[0];
    if (a.role === 'activations' && a.sections.length === 1 && only) shared.set(only, [...(shared.get(only) ?? []), i]);
    else kept.push(i);
  });
  return { kept, shared: [...shared.values()] };
}

export const ALL_SECTIONS: ReadonlySet<SectionKind> = new Set(['forward', 'grad', 'update']);
