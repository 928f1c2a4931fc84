// Which variants an artifact has, and which of them a device runs.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import type { KernelInfo } from '../../runtime/manifest.ts';
import { packManifest, unpackManifest } from '../../runtime/manifest-pack.ts';
import { fits } from '../../runtime/webgpu-kernels.ts';
import model from '../device/cli-model.ts';

type Variant = KernelInfo['variants'][number];

const matrix = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
const features = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];
const variant: Variant = {
  id: 'matrix',
  file: 'a.wgsl',
  constants: [],
  features,
  subgroupSize: 32,
  subgroupMatrix: matrix,
  workgroupStorage: 16384,
  invocations: 128,
};
const device = (has: readonly string[], storage = 16384, invocations = 256) =>
  ({
    features: new Set(has),
    limits: { maxComputeWorkgroupStorageSize: storage, maxComputeInvocationsPerWorkgroup: invocations },
  }) as unknown as GPUDevice;
const adapter = (min: number, max: number, configs?: readonly object[]) =>
  ({
    subgroupMinSize: min,
    subgroupMaxSize: max,
    ...(configs ? { subgroupMatrixConfigs: configs } : {}),
  }) as unknown as GPUAdapterInfo;

test('a variant of subgroup matrices runs where the adapter has that very configuration', () => {
  const others = [
    { ...matrix, N: 8 },
    { ...matrix, resultComponentType: 'f16' },
    { ...matrix, componentType: 'f32' },
  ];
  assert.ok(fits(variant, device(features), adapter(32, 32, [...others, matrix])));
  assert.not.ok(fits(variant, device(features), adapter(32, 32, others)));
  assert.not.ok(fits(variant, device(features), adapter(32, 32)), 'an adapter that tells of none');
  assert.not.ok(fits(variant, device(features), null), 'a device of which nothing is known');
  assert.not.ok(fits(variant, device(features.slice(0, 2)), adapter(32, 32, [matrix])), 'without the feature');
  assert.not.ok(fits(variant, device(features), adapter(32, 64, [matrix])), 'subgroups of another size');
  assert.not.ok(fits(variant, device(features, 8192), adapter(32, 32, [matrix])), 'too little workgroup memory');
  assert.not.ok(fits(variant, device(features, 16384, 64), adapter(32, 32, [matrix])), 'too few invocations');
  const { subgroupMatrix: _, ...plain } = variant;
  assert.ok(fits(plain, device(features), adapter(32, 32)));
});

const f32Only = (v: Variant): boolean => v.subgroupMatrix === undefined && !v.features.includes('shader-f16');

test('f32 artifacts have no variant that rounds to halves; f16 ones have, before the portable one', async () => {
  const options = { entries: ['segment'], targets: ['webgpu'] } as const;
  const [single, half] = [await build(model, options), await build(model, { ...options, precision: 'f16' })];
  const variants = (b: typeof single) => b.manifest.kernels.flatMap((k) => k.variants);
  assert.ok(variants(single).every(f32Only));
  assert.ok(variants(half).some((v) => v.subgroupMatrix));
  assert.ok(variants(half).some((v) => v.id === 'tiles-f16'));
  for (const k of half.manifest.kernels) {
    assert.is(k.variants.at(-1)!.id, 'default', k.name);
    assert.equal(k.variants.at(-1)!.features, []);
  }
  // What stands in the file is what was built.
  assert.equal(unpackManifest(packManifest(half.manifest)), half.manifest);
  assert.equal(unpackManifest(JSON.parse(JSON.stringify(packManifest(half.manifest)))), half.manifest);
});

test.run();
