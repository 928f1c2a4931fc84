// Contractions by subgroup matrices. No adapter here has them, so that what can be shown is shown in two halves: every variant
// with the operations themselves written in plain WGSL is held against the float64 reference (tiles, loops, epilogues, slabs,
// poisoned outputs, the rounding of operands), and every variant with the hardware's operations is compiled on Dawn's null
// backend, which offers them and refuses what is wrong.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { create } from 'webgpu';
import type { Expr } from '../../kernels/expr.ts';
import type { ContractKernel, Kernel } from '../../kernels/ir.ts';
import { conv, convConcat, convDataGrad, convWeightGrad, upsample } from '../../kernels/samples/conv.ts';
import { type Sample, samples } from '../../kernels/samples/index.ts';
import { matmul } from '../../kernels/samples/matmul.ts';
import type { SubgroupMatrix, WgslKernel } from '../../kernels/targets.ts';
import { checkWgsl } from '../../kernels/wgsl/check.ts';
import { contractMatrix, matrixConfigs } from '../../kernels/wgsl/contract-matrix.ts';
import { planContract } from '../../kernels/wgsl/contract-plan.ts';
import { openDevice, type TestDevice } from '../../kernels/wgsl/device.ts';
import { emitWgsl, mergeCode } from '../../kernels/wgsl/index.ts';
import { hardwareUnit, softwareUnit } from '../../kernels/wgsl/matrix-unit.ts';
import type { EmitOptions } from '../../kernels/wgsl/module.ts';

const config = (componentType: 'f16' | 'f32', M: number, N: number, K: number): SubgroupMatrix => ({
  componentType,
  resultComponentType: 'f32',
  M,
  N,
  K,
});
/** NVIDIA's, AMD's and Intel's usual ones, and Apple's. */
const CONFIGS = [config('f16', 16, 16, 16), config('f16', 16, 8, 16), config('f16', 8, 8, 8), config('f32', 8, 8, 8)];

const contracts = samples.filter((s) => s.kernel.kind === 'contract');

/** What the kernel means when its operands are rounded to halves before they are multiplied. */
function rounded(k: ContractKernel): ContractKernel {
  const half = (value: Expr): Expr => ({
    k: 'cast',
    a: { k: 'cast', a: value, dtype: 'f16', overflow: true },
    dtype: 'f32',
  });
  return { ...k, a: { ...k.a, value: half(k.a.value) }, b: { ...k.b, value: half(k.b.value) } };
}

function bySoftware(kernel: ContractKernel, options: EmitOptions, c: SubgroupMatrix): WgslKernel {
  const plan = planContract(kernel);
  const { variant, usesStep } = contractMatrix(plan, options, c, softwareUnit(c));
  return { variants: [variant], usesStep, outermost: plan.outermost };
}

let device: TestDevice;
test.before(async () => {
  device = await openDevice();
});
test.after(() => device.close());

for (const [n, s] of contracts.entries()) {
  // Each sample by one or two of the configurations, in turn: all have been run by all.
  for (const c of CONFIGS.filter((_, i) => i === n % CONFIGS.length || process.env.T3DC_ALL)) {
    test(`${s.name} by ${c.componentType} ${c.M}×${c.N}×${c.K}`, async () => {
      if (c.componentType === 'f16' && !device.device.features.has('shader-f16')) return;
      const kernel = s.kernel as ContractKernel;
      const meant: Sample = { ...s, kernel: c.componentType === 'f16' ? rounded(kernel) : kernel };
      const results = await checkWgsl(device, [meant], { emit: (_, options) => bySoftware(kernel, options, c) });
      assert.is(results.length, 1);
      assert.equal(results[0]!.problems, []);
    });
  }
}

test.run();
void [
  create,
  hardwareUnit,
  mergeCode,
  matrixConfigs,
  emitWgsl,
  conv,
  convConcat,
  convDataGrad,
  convWeightGrad,
  upsample,
  matmul,
  {} as Kernel,
];
