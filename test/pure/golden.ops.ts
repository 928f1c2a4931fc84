// The op goldens against a few lines of float64 arithmetic: their inputs, layouts and cotangents are what they say.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareGolden, loadGolden, permute } from '../golden.ts';
import { opCases, opCotangent, opInput, trainingInput } from '../op-golden.ts';

test('linear.bias: y, and gradients by x, weight and bias', () => {
  const golden = opCases('linear')['linear.bias'];
  const [x, weight, bias] = ['x', 'weight', 'bias'].map((n) => opInput('linear.bias', n, golden.inputs[n]));
  const dy = opCotangent('linear.bias', golden);
  const [rows, co, ci] = [10, 7, 12];
  const y = new Float64Array(rows * co);
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(weight.length);
  const db = new Float64Array(co);
  for (let r = 0; r < rows; r++)
    for (let o = 0; o < co; o++) {
      const d = dy[r * co + o];
      y[r * co + o] = bias[o];
      db[o] += d;
      for (let i = 0; i < ci; i++) {
        y[r * co + o] += x[r * ci + i] * weight[o * ci + i];
        dx[r * ci + i] += d * weight[o * ci + i];
        dw[o * ci + i] += d * x[r * ci + i];
      }
    }
  const found = { y, x: dx, weight: dw, bias: db };
  for (const [name, g] of Object.entries({ ...golden.outputs, ...golden.gradients })) {
    const c = compareGolden(g, found[name as keyof typeof found], { relL2: 1e-8 });
    assert.ok(c.ok, `${name}: ${c.message}`);
  }
});

test('dice.default is a scalar over softmax and one-hot labels', () => {
  const golden = opCases('dice')['dice.default'];
  const logits = opInput('dice.default', 'logits', golden.inputs.logits);
  const labels = opInput('dice.default', 'labels', golden.inputs.labels);
  const [b, c, n] = [2, 5, 48];
  let loss = 0;
  for (let i = 0; i < b; i++) {
    const sums = Array.from({ length: c }, () => ({ both: 0, either: 0 }));
    for (let v = 0; v < n; v++) {
      const e = Array.from({ length: c }, (_, k) => Math.exp(logits[(i * c + k) * n + v]));
      const total = e.reduce((s, x) => s + x, 0);
      for (let k = 0; k < c; k++) {
        const target = labels[i * n + v] === k ? 1 : 0;
        sums[k].both += (e[k] / total) * target;
        sums[k].either += e[k] / total + target;
      }
    }
    for (const s of sums) loss += (1 - (2 * s.both + 1e-5) / (s.either + 1e-5)) / (b * c);
  }
  assert.ok(compareGolden(golden.outputs.y, [loss], { relL2: 1e-8 }).ok, `${loss}`);
  assert.equal([...opCotangent('dice.default', golden)], [1]);
});

test('sgd.momentum: five steps', () => {
  const golden = loadGolden<{ cases: Record<string, { parameters: number[][] }> }>('ops/sgd').cases['sgd.momentum'];
  const p = Float64Array.from(trainingInput('sgd.momentum', 'p'));
  const momentum = new Float64Array(p.length);
  for (let t = 0; t < 5; t++) {
    const g = trainingInput('sgd.momentum', `g${t}`);
    for (let i = 0; i < p.length; i++) {
      momentum[i] = 0.9 * momentum[i] + g[i] + 1e-2 * p[i];
      p[i] -= 0.1 * momentum[i];
    }
    assert.ok(compareGolden({ shape: [16], values: golden.parameters[t] }, p, { relL2: 1e-8 }).ok);
  }
});

test('permute moves channels last and back', () => {
  const values = Float64Array.from({ length: 2 * 3 * 4 }, (_, i) => i);
  const last = permute(values, 'b n c', [2, 4, 3], 'b c n');
  assert.is(last[1], 4);
  assert.equal([...permute(last, 'b c n', [2, 3, 4], 'b n c')], [...values]);
  assert.throws(() => permute(values, 'b n c', [2, 4, 3], 'b n d'), /cannot be permuted/);
});

test.run();
