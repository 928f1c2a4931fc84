// Class weights of the Dice + cross-entropy loss, against the formula.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crossEntropy, diceCELoss, diceLoss } from '../../dsl/index.ts';
import { evaluate, leaf } from '../evaluate-graph.ts';

const N = 10;
const C = 3;
const logits = leaf('logits', { b: 1, d: N, h: 1, w: 1, c: C });
const label = leaf('label', { b: 1, d: N, h: 1, w: 1 }, 'i32');
const x = Float64Array.from({ length: N * C }, (_, i) => Math.sin(3 * i));
const y = Int32Array.from({ length: N }, (_, i) => (i * i) % C);
const value = (t: ReturnType<typeof diceCELoss>) => evaluate([t.value], { logits: x, label: y })[0]![0]!;

/** torch.nn.CrossEntropyLoss(weight): Σ −w_y log p_y / Σ w_y */
function weighted(weight: readonly number[]): number {
  let sum = 0;
  let norm = 0;
  for (let n = 0; n < N; n++) {
    const row = Array.from(x.subarray(n * C, (n + 1) * C), Math.exp);
    const p = row[y[n]!]! / row.reduce((a, b) => a + b);
    sum -= weight[y[n]!]! * Math.log(p);
    norm += weight[y[n]!]!;
  }
  return sum / norm;
}

test('weights count in the cross-entropy alone', () => {
  const weight = [0.1, 2, 0.7];
  const expected = value(diceLoss(logits, label)) + 0.5 * weighted(weight);
  const found = value(diceCELoss(logits, label, { lambdaCE: 0.5, weightCE: weight }));
  assert.ok(Math.abs(found - expected) < 1e-12, `${found} ${expected}`);
});

test('no weights and equal weights are the plain loss', () => {
  const plain = value(diceLoss(logits, label)) + value(crossEntropy(logits, label));
  for (const weightCE of [undefined, [], [1, 1, 1], [5, 5, 5]])
    assert.ok(Math.abs(value(diceCELoss(logits, label, { weightCE })) - plain) < 1e-12);
});

test.run();
