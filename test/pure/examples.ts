// The examples trace, have the shapes that they say, and their losses have gradients that finite differences confirm.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TracedModel, trace } from '../../compiler/trace.ts';
import { verify } from '../../compiler/verify.ts';
import { differentiate } from '../../dsl/differentiate.ts';
import { typeOf, type Value } from '../../dsl/graph.ts';
import { numel, show } from '../../dsl/types.ts';
import mlp from '../../examples/mlp.ts';
import unet from '../../examples/unet.ts';
import { classes, uniform } from '../counters.ts';
import { evaluate } from '../evaluate-graph.ts';

/** Loss and every parameter's gradient; a directional derivative of the loss must agree with the gradients. */
function checkTraining(model: TracedModel, name: string, classCount: number): void {
  const entry = model.entries.find((e) => e.name === name)!;
  const parameters = [...model.parameters].map(([key, p]) => ({ key, value: p.value }));
  const loss = entry.outputs[entry.loss!]!;
  const back = differentiate(
    loss,
    parameters.map((p) => p.value),
  );
  verify(name, [...Object.values(entry.outputs), ...back.filter((v): v is Value => v !== null)]);
  back.forEach((g, i) => {
    assert.ok(g, `no gradient of ${parameters[i]!.key}`);
  });
  const leaves: Record<string, Float64Array> = {};
  for (const i of entry.inputs) {
    const n = numel(i.type);
    leaves[i.name] = Float64Array.from(
      i.type.dtype === 'i32' ? classes(3, i.name, n, classCount) : uniform(3, i.name, n),
    );
  }
  for (const p of parameters) leaves[p.key] = Float64Array.from(uniform(3, p.key, numel(typeOf(p.value)), 0.3));
  const direction = Object.fromEntries(parameters.map((p) => [p.key, uniform(4, p.key, numel(typeOf(p.value)))]));
  let along = 0;
  evaluate(back as Value[], leaves).forEach((g, i) => {
    const d = direction[parameters[i]!.key]!;
    for (let k = 0; k < g.length; k++) along += g[k]! * d[k]!;
  });
  const at = (h: number): number => {
    const moved = { ...leaves };
    for (const p of parameters) moved[p.key] = leaves[p.key]!.map((v, i) => v + h * direction[p.key]![i]!);
    return evaluate([loss], moved)[0]![0]!;
  };
  const h = 1e-6;
  const numeric = (at(h) - at(-h)) / (2 * h);
  assert.ok(Math.abs(numeric - along) <= 1e-6 * (1 + Math.abs(numeric)), `${along} for ${numeric}`);
}

const outputs = (model: TracedModel, entry: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(model.entries.find((e) => e.name === entry)!.outputs).map(([k, v]) => [k, show(typeOf(v))]),
  );

test('mlp', () => {
  const traced = trace(mlp, mlp.settings);
  assert.equal(outputs(traced, 'classify'), { logits: 'f32[b=64 c=2]', labels: 'i32[b=64]' });
  assert.equal(outputs(traced, 'train'), { loss: 'f32[]', accuracy: 'f32[]' });
  assert.equal(
    [...traced.parameters.keys()],
    ['layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias', 'head.weight', 'head.bias'],
  );
  checkTraining(trace(mlp, { ...mlp.settings, batch: 5, hidden: [4, 3], dropout: 0.25 }), 'train', 2);
});

test('unet', () => {
  const traced = trace(unet, unet.settings);
  assert.equal(outputs(traced, 'logits'), { logits: 'f32[b=1 k=2 d=28 h=28 w=28]' });
  // odd maps on the way: 10 → 5 → 3, 6 → 3 → 2
  checkTraining(
    trace(unet, { ...unet.settings, size: [10, 6, 8], channels: [3, 4], classes: 3, batch: 2 }),
    'segment',
    3,
  );
});

test.run();
