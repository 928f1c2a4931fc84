// Contractions that multiply halves: by tiles of them, and by subgroup matrices. Where no adapter has them, what can be shown is shown in two halves: variants whose matrix
// operations are written in plain WGSL are held against the float64 reference (tiles, loops, epilogues, slabs, poisoned outputs,
// the rounding of operands), and variants with the hardware's operations are compiled on Dawn's null backend, which offers them
// and refuses what is wrong.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { create } from 'webgpu';
import type { Expr } from '../../kernels/expr.ts';
import type { ContractKernel } from '../../kernels/ir.ts';
import { conv, convDataGrad, convWeightGrad, upsample } from '../../kernels/samples/conv.ts';
import { type Sample, samples } from '../../kernels/samples/index.ts';
import { matmul } from '../../kernels/samples/matmul.ts';
import type { SubgroupMatrix, WgslKernel } from '../../kernels/targets.ts';
import { checkWgsl } from '../../kernels/wgsl/check.ts';
import { contractMatrix } from '../../kernels/wgsl/contract-matrix.ts';
import { type MatrixBlocking, matrixConfigs } from '../../kernels/wgsl/contract-matrix-plan.ts';
import { planContract } from '../../kernels/wgsl/contract-plan.ts';
import { contractTiled } from '../../kernels/wgsl/contract-tiled.ts';
import { openDevice, type TestDevice } from '../../kernels/wgsl/device.ts';
import { mergeCode } from '../../kernels/wgsl/index.ts';
import { hardwareUnit, softwareUnit } from '../../kernels/wgsl/matrix-unit.ts';
import type { EmitOptions } from '../../kernels/wgsl/module.ts';

const config = (componentType: 'f16' | 'f32', M: number, N: number, K: number): SubgroupMatrix => ({
  componentType,
  resultComponentType: 'f32',
  M,
  N,
  K,
});
const f16 = config('f16', 16, 16, 16);
const narrow = config('f16', 16, 8, 16);
const f32 = config('f32', 8, 8, 8);
const CONFIGS = [f16, narrow, config('f16', 8, 8, 8), f32];

const contracts = samples.filter((s) => s.kernel.kind === 'contract');
const sample = (name: string): Sample => contracts.find((s) => s.name === name)!;

/** What the kernel means when its operands are rounded to halves before they are multiplied. */
function rounded(k: ContractKernel): ContractKernel {
  const half = (a: Expr): Expr => ({ k: 'cast', a: { k: 'cast', a, dtype: 'f16', overflow: true }, dtype: 'f32' });
  return { ...k, a: { ...k.a, value: half(k.a.value) }, b: { ...k.b, value: half(k.b.value) } };
}

function bySoftware(
  kernel: ContractKernel,
  options: EmitOptions,
  c: SubgroupMatrix,
  blocking?: MatrixBlocking,
): WgslKernel {
  const plan = planContract(kernel);
  const { variant, usesStep } = contractMatrix(plan, options, c, softwareUnit(c), blocking);
  return { variants: [variant], usesStep, outermost: plan.outermost };
}

let device: TestDevice;
test.before(async () => {
  device = await openDevice();
});
test.after(() => device.close());

// Blockings of the emitter's own choice and others: one and several matrices down and across, one and several steps a tile.
const CASES: readonly (readonly [string, SubgroupMatrix, MatrixBlocking?])[] = [
  ['matmul 4×8×8', f16],
  ['matmul 3×13×17×19', f32, { rm: 1, cn: 3, depth: 8 }],
  ['matmul 3×13×17×19 f16 0 2', narrow],
  ['matmul 2×11×23×10 aT bT bias', narrow, { rm: 1, cn: 1, depth: 32 }],
  ['matmul 601×40×24 gelu', f16, { rm: 2, cn: 1, depth: 16 }],
  ['matmul 1030×9×17 bT bias', f32, { rm: 4, cn: 2, depth: 16 }],
  ['conv 12→8 k3 s1 5×6×7 b2 prologue bias', f16, { rm: 1, cn: 1, depth: 16 }],
  ['conv 6→14 k3 s2 6×5×7 bias', narrow, { rm: 1, cn: 2, depth: 16 }],
  ['convDataGrad 14→7 k3 s1 3×5×7 b2', f32],
  ['convWeightGrad 6→10 k3 s1 5×3×7 b2 prologue split 2', f16],
  ['convConcat 8+12→16 3×4×5 f16 0 3', f16, { rm: 1, cn: 1, depth: 16 }],
  ['upsample 5→6 8×9×9', f32, { rm: 2, cn: 6, depth: 8 }],
];
for (const [name, c, blocking] of CASES) {
  test(`${name} by ${c.componentType} ${c.M}×${c.N}×${c.K}`, async () => {
    const kernel = sample(name).kernel as ContractKernel;
    const meant = { ...sample(name), kernel: c.componentType === 'f16' ? rounded(kernel) : kernel };
    const [result] = await checkWgsl(device, [meant], {
      emit: (_, options) => bySoftware(kernel, options, c, blocking),
    });
    assert.equal(result!.problems, []);
  });
}

test('a wrong stride, a wrong row and operands that are not rounded are found', async () => {
  const s = sample('matmul 65×49×33');
  const kernel = s.kernel as ContractKernel;
  const blocking = { rm: 1, cn: 3, depth: 16 };
  const run = async (meant: ContractKernel, change: (code: string) => string): Promise<readonly string[]> => {
    const [result] = await checkWgsl(device, [{ ...s, kernel: meant }], {
      emit: (_, options) => {
        const k = bySoftware(kernel, options, f16, blocking);
        return { ...k, variants: k.variants.map((v) => ({ ...v, code: replaced(v.code, change) })) };
      },
    });
    return result!.problems;
  };
  const replaced = (code: string, change: (code: string) => string): string => {
    const text = change(code);
    assert.not(text === code && change !== same, 'the change changes nothing');
    return text;
  };
  const same = (code: string): string => code;
  assert.is((await run(rounded(kernel), same)).length, 0);
  assert.ok((await run(kernel, same)).length > 0, 'operands are halves');
  assert.ok((await run(rounded(kernel), (code) => code.replace('/ 16 * 24 + k', '/ 16 * 16 + k'))).length > 0);
  assert.ok((await run(rounded(kernel), (code) => code.replace('let s = i32(local / 32u)', 'let s = 0'))).length > 0);
});

// Tiles of halves --------------------------------------------------------------------------------------------------------

const TILES = [
  'matmul 65×49×33',
  'conv 6→14 k3 s2 6×5×7 bias',
  'convDataGrad 14→7 k3 s1 3×5×7 b2',
  'convWeightGrad 6→10 k3 s1 5×3×7 b2 prologue split 2 f16 0 1',
];
for (const name of TILES) {
  test(`${name} by tiles of halves`, async () => {
    const kernel = sample(name).kernel as ContractKernel;
    const [result] = await checkWgsl(device, [{ ...sample(name), kernel: rounded(kernel) }], {
      emit: (_, o) => {
        const plan = planContract(kernel);
        const { variant, usesStep } = contractTiled(plan, o, { component: 'f16' });
        return { variants: [variant], usesStep, outermost: plan.outermost };
      },
    });
    assert.equal(result!.problems, []);
  });
}

// The null backend ------------------------------------------------------------------------------------------------------

async function onNullBackend(
  work: (compile: (code: string, constants?: readonly number[]) => Promise<string>) => Promise<void>,
): Promise<void> {
  let gpu: GPU | null = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = (await gpu.requestAdapter())!;
  const wanted = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'] as GPUFeatureName[];
  const nothing = await adapter.requestDevice({ requiredFeatures: wanted });
  await work(async (code, constants = []) => {
    nothing.pushErrorScope('validation');
    const module = nothing.createShaderModule({ code });
    const compute = { module, constants: Object.fromEntries(constants.map((v, i) => [`N${i}`, v])) };
    let problem = '';
    try {
      await nothing.createComputePipelineAsync({ layout: 'auto', compute });
    } catch (e) {
      const { messages } = await module.getCompilationInfo();
      problem = messages.map((m) => `${m.lineNum}: ${m.message}`).join('; ') || String((e as Error).message);
    }
    const error = await nothing.popErrorScope();
    return problem || error?.message || '';
  });
  nothing.destroy();
  gpu = null;
  void gpu;
}

const options: EmitOptions = { readOnly: new Set([1]), maxFold: 65535 };
const halves = (s: Sample): ContractKernel => ({ ...(s.kernel as ContractKernel), halves: true });

/** T3D's shapes: linear layers of its four stages, and convolutions of every level in all passes. */
const T3D: readonly Sample[] = [
  ...[48, 96, 192, 384].flatMap((c) => [
    matmul(48 * 343, c, 3 * c, { bias: true }),
    matmul(48 * 343, 4 * c, c, { bias: true }),
    matmul(c, 48 * 343, c, { transposeA: true }),
    matmul(48 * 343, 3 * c, c, { transposeB: true }),
  ]),
  conv({ size: [96, 96, 96], ci: 1, co: 48, kernel: 2, stride: 2, pad: 0 }),
  ...[
    [1, 48, 96],
    [48, 48, 96],
    [96, 48, 96],
    [24, 24, 64],
    [12, 12, 64],
    [96, 96, 24],
    [768, 768, 3],
  ].flatMap(([ci, co, n]) => [
    conv({ size: [n!, n!, n!], ci: ci!, co: co!, prologue: true }),
    convDataGrad({ size: [n!, n!, n!], ci: ci!, co: co! }),
    convWeightGrad({ size: [n!, n!, n!], ci: ci!, co: co!, split: Math.min(8, n!), prologue: true }),
  ]),
  upsample([48, 48, 48], 48, 48),
];

test('every contraction of the samples and of T3D compiles, in each configuration and as it is shipped', () =>
  onNullBackend(async (compile) => {
    const codes: string[] = [];
    for (const [n, s] of [...contracts, ...T3D].entries()) {
      const plan = planContract(halves(s));
      const shipped = matrixConfigs(plan);
      // One more in turn, so that all are compiled: 8×8×8 is not shipped.
      for (const c of new Set([...shipped, CONFIGS[n % CONFIGS.length]!])) {
        const { variant } = contractMatrix(plan, options, c, hardwareUnit(c));
        codes.push(variant.code);
        assert.ok(variant.requires.workgroupStorage! <= 16384);
      }
    }
    const merged = mergeCode(codes);
    assert.ok(merged.length < codes.length, 'none share a text');
    let compiled = 0;
    for (const { code, members } of merged)
      for (const { index, constants } of members.slice(0, 2)) {
        assert.is(await compile(code, constants), '', codes[index]);
        compiled++;
      }
    assert.ok(compiled > 100, `${compiled} pipelines`);
  }));

test('T3D has a variant for all that are worth one', () => {
  for (const s of T3D) {
    const { rows, columns } = planContract(s.kernel as ContractKernel).size;
    const configs = matrixConfigs(planContract(halves(s)));
    assert.is(configs.length > 0, rows >= 32 && columns >= 8, s.name);
    assert.equal(matrixConfigs(planContract(s.kernel as ContractKernel)), [], 'f32 programs round nothing');
  }
});

test('what is wrong is refused', () =>
  onNullBackend(async (compile) => {
    const plan = planContract(halves(sample('matmul 65×49×33')));
    const { code } = contractMatrix(plan, options, f16, hardwareUnit(f16)).variant;
    assert.is(await compile(code), '');
    const changed = (from: string | RegExp, to: string): string => {
      const text = code.replace(from, to);
      assert.is.not(text, code);
      return text;
    };
    assert.match(
      await compile(changed(/subgroup_matrix_right<f16, 16, 16>/g, 'subgroup_matrix_right<f16, 16, 8>')),
      /./,
    );
    assert.match(await compile(changed('size(128)', 'size(64)')), /multiple/);
    assert.match(await compile(changed(/enable chromium_experimental_subgroup_matrix;\n/, '')), /subgroup_matrix/);
    assert.match(await compile(changed(/row_major>\(&left/, 'diagonal>(&left')), /subgroupMatrixLoad/);
  }));

test.run();
