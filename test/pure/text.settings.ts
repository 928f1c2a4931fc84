// The text tower's settings from a Hugging Face config.json, and what its weight files may hold beside it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../compiler/index.ts';
import { resolveSettings } from '../../compiler/settings.ts';
import t3d from '../../models/t3d/index.ts';
import { TEXT_DEFAULTS, textSettings } from '../../models/t3d/text-settings.ts';
import { matchWeights } from '../../runtime/checkpoint.ts';
import { readSafetensors, writeSafetensors } from '../../runtime/index.ts';

test('BERT and RoBERTa, with the defaults of their kind', () => {
  const bert = textSettings({ model_type: 'bert', hidden_size: 384, num_hidden_layers: 6, intermediate_size: 1536 });
  assert.equal(
    [bert.positions, bert.hiddenSize, bert.layers, bert.vocabSize, bert.padTokenId, bert.layerNormEps],
    ['bert', 384, 6, 30522, 0, 1e-12],
  );
  const roberta = textSettings({ model_type: 'xlm-roberta', max_position_embeddings: 514, layer_norm_eps: 1e-5 });
  assert.equal([roberta.positions, roberta.padTokenId, roberta.layerNormEps], ['roberta', 1, 1e-5]);
});

test('what is no BERT is refused, with what was found', () => {
  for (const [config, words] of [
    [{ model_type: 'distilbert' }, /distilbert.*bert, cxr-bert, roberta/s],
    [{ hidden_act: 'gelu_new' }, /gelu_new/],
    [{ position_embedding_type: 'relative_key' }, /relative_key/],
    [{ is_decoder: true }, /is_decoder/],
    [{ hidden_size: 'large' }, /hidden_size is "large"/],
    [[], /no object/],
  ] as const)
    assert.throws(() => textSettings(config), words);
});

test('fields of a setting: those that are given, over the others', () => {
  const s = resolveSettings(t3d, { set: { text: '{"pooling":"cls","layers":3}' } });
  assert.equal(s.text, { ...TEXT_DEFAULTS, pooling: 'cls', layers: 3 });
  const given = { text: textSettings({ hidden_size: 64 }) };
  const both = resolveSettings(t3d, { given, set: { text: '{"pooling":"cls"}' } });
  assert.equal(both.text, { ...given.text, pooling: 'cls' }, 'over what a folder gave');
  assert.throws(() => resolveSettings(t3d, { set: { text: '{"layer":3}' } }), /no field 'layer'.*layers/);
  assert.throws(() => resolveSettings(t3d, { set: { text: '{"layers":"3"}' } }), /layers is "3"/);
  assert.throws(() => resolveSettings(t3d, { set: { text: 'cls' } }), /expected fields as JSON/);
});

test('more tokens than positions are refused; the default build has no text tower', async () => {
  const options = { targets: ['wasm'], entries: ['encodeText'] } as const;
  let refused = '';
  await build(t3d, { ...options, set: { textTokens: 513 } }).catch((e) => (refused = String(e)));
  assert.match(refused, /textTokens is 513.*1 to 512/s);
  const names = (await build(t3d, { targets: ['wasm'], set: { size: [64, 32, 32] } })).manifest.parameters;
  assert.not.ok(names.some((p) => p.name.startsWith('text.')));
});

test('heads, and parts that the entries do not use, are left out and told; anything else is unexpected', async () => {
  const { manifest } = await build(t3d, { targets: ['wasm'], entries: ['encodeText'], set: { textTokens: 8 } });
  const { parameters, model } = manifest;
  const stored = (name: string, shape: readonly number[]) => ({
    name,
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });
  const hf = parameters.map((p) => stored(p.name.replace(/^text\./, 'bert.'), p.shape));
  const file = (more: string[]) => readSafetensors(writeSafetensors([...hf, ...more.map((n) => stored(n, [2]))]));
  const load = (more: string[]) => matchWeights(file(more), parameters, { strict: true, dialects: model.dialects });
  const { report } = load([
    'bert.pooler.dense.bias',
    'cls.predictions.bias',
    'decoder1.conv_block.conv1.conv.weight',
    'swinViT.patch_embed.proj.bias',
  ]);
  assert.is(report.matched.length, parameters.length);
  assert.equal(report.ignored.length, 4);
  assert.throws(() => load(['bert.embeddings.other']), /unexpected bert\.embeddings\.other/);
  // A model that has a pooler wants all of it.
  const pooled = [...parameters, { ...parameters[0]!, name: 'text.pooler.dense.weight' }];
  assert.throws(
    () => matchWeights(file(['bert.pooler.other']), pooled, { strict: true, dialects: model.dialects }),
    /missing text\.pooler\.dense\.weight; unexpected bert\.pooler\.other/,
  );
});

test.run();
