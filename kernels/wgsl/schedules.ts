// Schedules: what the same kernel can be compiled to besides what the heuristics choose. A schedule has a stable id that
// tells its numbers, so that a table of measured choices (compiler/tuning.ts) can name it; `t3dc tune` measures them.
//
//   tiled-TXxTY-Q-DEPTH   contractions by workgroup memory (contract-tiled.ts)
//   subgroup8-RAxCN       contractions by subgroups of 8 (contract-subgroup.ts)
//   tile-N                attention by workgroup memory: rows of a workgroup (attention-tile.ts)
//   threads-N             reductions: threads of a workgroup (reduce.ts)
import type { Kernel } from '../ir.ts';
import type { WgslVariant } from '../targets.ts';
import { attentionTiles } from './attention-tile.ts';
import { type ContractPlan, planContract } from './contract-plan.ts';
import { contractSubgroup, subgroupBlockings } from './contract-subgroup.ts';
import { contractTiled, tiledBlocking, tiledId, tiledNeighbours } from './contract-tiled.ts';
import type { EmitOptions } from './module.ts';
import { reduceSchedules } from './reduce.ts';

/** Schedules worth measuring where the kernel's variant `variant` does well, the likeliest first; none for a variant whose
 *  numbers are fixed. The variant's own numbers are not among them. */
export function alternatives(kernel: Kernel, variant: string): string[] {
  switch (kernel.kind) {
    case 'contract': {
      const plan = planContract(kernel);
      if (variant === 'default') return tiledNeighbours(plan).map(tiledId);
      const size = subgroupSize(variant);
      if (size === null) return [];
      const [own] = subgroupBlockings(plan, size);
      // Longer code than the heuristics dare may pay where it was measured.
      return subgroupBlockings(plan, size, 1.5)
        .filter(({ ra, cn }) => ra !== own!.ra || cn !== own!.cn)
        .map(({ ra, cn }) => `${variant}-${ra}x${cn}`);
    }
    case 'reduce':
      return variant === 'default' ? reduceSchedules(kernel) : [];
    case 'attention':
    case 'attentionGrad':
      return variant === 'default' ? attentionTiles(kernel) : [];
    case 'map':
      return [];
  }
}

/** The contraction's variants for the schedules that the options name. */
export function contractScheduled(plan: ContractPlan, options: EmitOptions): WgslVariant[] {
  return (options.schedules ?? []).flatMap((id) => {
    const tiled = tiledBlocking(id);
    if (tiled) return [contractTiled(plan, options, { blocking: tiled }).variant];
    const m = /^(subgroup\d+)-(\d+)x(\d+)$/.exec(id);
    const size = m && subgroupSize(m[1]!);
    if (!size) return [];
    return [contractSubgroup(plan, options, size, { ra: Number(m[2]), cn: Number(m[3]) }).variant];
  });
}

const subgroupSize = (variant: string): number | null => (variant === 'subgroup8' ? 8 : null);
