// Contractions: matrix products, convolutions and their gradients as implicit matrix products.
import type { ContractKernel } from '../ir.ts';
import type { WgslKernel } from '../targets.ts';
import { directDefault, directSubgroup, planDirect } from './contract-direct.ts';
import { planContract } from './contract-plan.ts';
import { contractSubgroup } from './contract-subgroup.ts';
import { contractTiled } from './contract-tiled.ts';
import type { EmitOptions } from './module.ts';

export function emitContract(kernel: ContractKernel, options: EmitOptions): WgslKernel {
  const plan = planContract(kernel);
  const direct = planDirect(plan);
  const built = [
    direct ? directSubgroup(direct, options, 8) : contractSubgroup(plan, options, 8),
    // Where outputs share no inputs, tiles read as little.
    direct?.shared ? directDefault(direct, options) : contractTiled(plan, options),
  ];
  return {
    variants: built.map((b) => b.variant),
    usesStep: built.some((b) => b.usesStep),
    outermost: plan.outermost,
  };
}
