// T3D's parameters against MONAI: how many there are, their names and their shapes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trace } from '../../compiler/trace.ts';
import { typeOf } from '../../dsl/graph.ts';
import { sizes } from '../../dsl/types.ts';
import { dialects } from '../../models/t3d/dialects.ts';
import t3d, { type Settings } from '../../models/t3d/index.ts';
import { translator } from '../../runtime/dialects.ts';
import { loadGolden, type ModelGolden } from '../golden.ts';

const parametersOf = (settings: Partial<Settings>, entry = 'logits') =>
  trace(t3d, { ...t3d.settings, ...settings }, [entry]).parameters;
const count = (settings: Partial<Settings>): number => {
  let n = 0;
  for (const { info } of parametersOf(settings).values()) n += info.axes.reduce((p, a) => p * a.size, 1);
  return n;
};

const COUNTS: readonly [number, number, number][] = [
  [12, 4_078_220, 4_739_180],
  [24, 15_703_304, 18_347_144],
  [48, 62_187_296, 72_762_656],
];
for (const [featureSize, v1, v2] of COUNTS) {
  test(`parameters at feature size ${featureSize}`, () => {
    assert.is(count({ featureSize }), v1);
    assert.is(count({ featureSize, useV2: true }), v2);
  });
}

for (const useV2 of [false, true]) {
  test(`names and shapes are MONAI's (${useV2 ? 'V2' : 'V1'})`, () => {
    const golden = loadGolden<ModelGolden>(`swinunetr/f12-64-${useV2 ? 'v2' : 'v1'}-merging-slope1`);
    const expected = Object.entries(golden.tensors)
      .filter(([k]) => k.startsWith('grad.'))
      .map(([k, t]) => `${k.slice(5)} [${t.shape.join(' ')}]`);
    const found = [...parametersOf({ useV2 }).values()].map(
      ({ info }) => `${info.name} [${info.axes.map((a) => a.size).join(' ')}]`,
    );
    assert.equal(found.sort(), expected.sort());
  });
}

test('every merging order has the same parameters', () => {
  const names = (merging: Settings['merging']) => [...parametersOf({ merging }).keys()].join();
  assert.is(names('legacy'), names('merging'));
  assert.is(names('mergingv2'), names('merging'));
});

test('stored layouts are permutations of the checkpoint', () => {
  for (const { info, value } of parametersOf({ useV2: true }).values()) {
    assert.equal(
      [...info.permutation].sort((a, b) => a - b),
      info.axes.map((_, i) => i),
      info.name,
    );
    assert.equal(
      sizes(typeOf(value)),
      info.permutation.map((i) => info.axes[i]!.size),
      info.name,
    );
  }
});

test('the three entries share their parameters', () => {
  const all = trace(t3d, t3d.settings);
  assert.equal(
    all.entries.map((e) => e.name),
    ['logits', 'predict', 'segment'],
  );
  assert.is(
    [...all.parameters.values()].reduce((n, { info }) => n + info.axes.reduce((p, a) => p * a.size, 1), 0),
    4_078_220,
  );
  const shape = (entry: number, output: string) =>
    typeOf(all.entries[entry]!.outputs[output]!)
      .axes.map((a) => `${a.name}${a.size}`)
      .join(' ');
  assert.is(shape(0, 'logits'), 'b1 k14 d64 h64 w64');
  assert.is(shape(1, 'labels'), 'b1 d64 h64 w64');
  assert.is(shape(2, 'loss'), '');
});

const refused = (settings: Partial<Settings>, pattern: RegExp, entry = 'logits') =>
  assert.throws(
    () => parametersOf(settings, entry),
    (e: unknown) => (e as { code?: string }).code === 'model-settings' && pattern.test((e as Error).message),
  );

test('impossible settings are refused with what would fix them', () => {
  refused({ size: [64, 100, 64] }, /axis h is 100.*\n.*96 or 128/);
  refused({ featureSize: 20 }, /featureSize is 20/);
  refused({ attnDropRate: 0.1 }, /attnDropRate/);
  refused({ numHeads: [5, 6, 12, 24] }, /stage 1 has 12 channels/);
  refused({ patchSize: 4 }, /patchSize/);
  refused({ size: [32, 32, 32] }, /single voxel/, 'segment');
  // inference at that size has a defined result, and one longer axis trains
  parametersOf({ size: [32, 32, 32] });
  parametersOf({ size: [64, 32, 32] }, 'segment');
});

test('dialects of other projects lead to the same names', () => {
  const known = parametersOf({ useV2: true });
  const translate = translator(dialects, known);
  const to = (from: string, expected: string, ...used: string[]) => {
    const r = translate(from);
    assert.is(r.name, expected);
    assert.equal(r.dialects, used);
    assert.ok(known.has(r.name), `${r.name} is a parameter`);
  };
  const block = 'swinViT.layers2.0.blocks.1';
  to(`${block}.attn.qkv.weight`, `${block}.attn.qkv.weight`);
  to('module.encoder1.layer.conv1.conv.weight', 'encoder1.layer.conv1.conv.weight', 'data-parallel');
  to('module.layers2.0.blocks.1.mlp.fc1.weight', `${block}.mlp.linear1.weight`, 'data-parallel', 'ssl', 'timm-mlp');
  to('module.patch_embed.proj.bias', 'swinViT.patch_embed.proj.bias', 'data-parallel', 'ssl');
  to('swin_vit.layers2.0.blocks.1.mlp.linear2.bias', `${block}.mlp.linear2.bias`, 'voco');
  to('backbone.swin_vit.layers1c.0.layer.conv1.conv.weight', 'swinViT.layers1c.0.layer.conv1.conv.weight', 'voco');
  to('encoder.layers2.0.0.blocks.1.mlp.fc2.weight', `${block}.mlp.linear2.weight`, 'disruptive', 'timm-mlp');
  to('layers1.0.downsample.reduction.weight', 'swinViT.layers1.0.downsample.reduction.weight', 'ssl');
  for (const name of known.keys()) assert.is(translate(name).name, name);
});

test.run();
