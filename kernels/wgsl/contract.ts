// Contractions: matrix products, convolutions and their gradients as implicit matrix products.
import type { ContractKernel } from '../ir.ts';
import type { WgslKernel } from '../targets.ts';
import { directDefault, directSubgroup, planDirect } from './contract-direct.ts';
import { contractMatrix } from './contract-matrix.ts';
import { matrixConfigs } from './contract-matrix-plan.ts';
import { planContract } from './contract-plan.ts';
import { contractSubgroup } from './contract-subgroup.ts';
import { contractTiled } from './contract-tiled.ts';
import type { EmitOptions } from './module.ts';
import { contractScheduled } from './schedules.ts';

export function emitContract(kernel: ContractKernel, options: EmitOptions): WgslKernel {
  const plan = planContract(kernel);
  const direct = planDirect(plan);
  const built = [
    ...(direct ? [] : matrixConfigs(plan).map((config) => contractMatrix(plan, options, config))),
    direct ? directSubgroup(direct, options, 8) : contractSubgroup(plan, options, 8),
    ...(kernel.halves && !direct ? [contractTiled(plan, options, { component: 'f16' })] : []),
    // Where outputs share no inputs, tiles read as little.
    direct?.shared ? directDefault(direct, options) : contractTiled(plan, options),
  ];
  return {
    variants: built.map((b) => b.variant),
    scheduled: contractScheduled(plan, options),
    usesStep: built.some((b) => b.usesStep),
    outermost: plan.outermost,
  };
}
