// Lowered kernels mean what the graph means: every kernel of a program is evaluated in float64 and the roots are compared
// with the primitives' own references.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compileEntry } from '../../compiler/pipeline.ts';
import { planMemory, verifyPlan } from '../../compiler/plan.ts';
import type { Program } from '../../compiler/program.ts';
import { flatten } from '../../compiler/repeats.ts';
import { slabs } from '../../compiler/slabs.ts';
import { trace } from '../../compiler/trace.ts';
import { differentiate } from '../../dsl/differentiate.ts';
import * as t from '../../dsl/index.ts';
import { numel } from '../../dsl/types.ts';
import { evaluate as evaluateKernel } from '../../kernels/evaluate.ts';
import { evaluate as evaluateGraph } from '../evaluate-graph.ts';

let seed = 1;
const random = (): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32 - 0.5;
};

function runProgram(p: Program, leaves: Record<string, Float64Array>): Map<string, Float64Array> {
  const values = new Map<number, Float64Array>();
  for (const x of p.tensors) {
    const known = x.home.kind === 'port' || x.home.kind === 'parameter' ? leaves[x.home.name] : undefined;
    values.set(x.id, known ? Float64Array.from(known) : new Float64Array(numel(x.type)).fill(Number.NaN));
  }
  for (const k of p.kernels)
    evaluateKernel(
      k,
      k.bufs.map((b) => values.get(b.tensor)!),
    );
  const out = new Map<string, Float64Array>();
  for (const x of p.tensors)
    if (x.home.kind !== 'temp')
      out.set(
        x.home.kind === 'gradient' ? `grad:${x.home.name}` : (x.home as { name: string }).name,
        values.get(x.id)!,
      );
  return out;
}

function check(
  name: string,
  inputs: Record<string, t.InputSpec>,
  run: (x: Readonly<Record<string, t.Tensor>>) => t.Tensor,
): void {
  test(name, () => {
    const spec = t.model({
      name,
      settings: {},
      build: () => ({ entries: { f: { inputs, run: (x) => ({ loss: run(x) }), loss: 'loss', optimizer: t.adamW() } } }),
    });
    const m = trace(spec, {});
    const entry = m.entries[0]!;
    const leaves: Record<string, Float64Array> = {};
    for (const i of entry.inputs)
      leaves[i.name] = Float64Array.from({ length: numel(i.type) }, () =>
        i.type.dtype === 'i32' ? Math.floor((random() + 0.5) * 3) : random(),
      );
    for (const [n, p] of m.parameters) leaves[n] = Float64Array.from({ length: numel(p.value.node.types[0]!) }, random);
    const names = [...m.parameters.keys()];
    const loss = entry.outputs.loss!;
    const grads = differentiate(
      loss,
      names.map((n) => m.parameters.get(n)!.value),
    );
    const present = names.filter((_, i) => grads[i]);
    const expected = evaluateGraph([loss, ...grads.filter((g) => g !== null)], leaves);
    const compiled = compileEntry(m, entry, { verify: true });
    const c = { forward: flatten(compiled.forward), grad: flatten(compiled.grad!) };
    verifyPlan(planMemory(c.grad, 1 << 20));
    for (const p of [c.forward, c.grad])
      for (const k of p.kernels) assert.ok(k.bufs.length <= 8, `${k.name} binds ${k.bufs.length}`);
    const fwd = runProgram(c.forward, leaves).get('out:loss')!;
    assert.ok(
      Math.abs(fwd[0]! - expected[0]![0]!) < 1e-9 * (1 + Math.abs(expected[0]![0]!)),
      `loss ${fwd[0]} ${expected[0]![0]}`,
    );
    const got = runProgram(c.grad, leaves);
    present.forEach((n, i) => {
      const e = expected[i + 1]!;
      const g = got.get(`grad:${n}`)!;
      let d = 0;
      let s = 0;
      for (let j = 0; j < e.length; j++) {
        d += (e[j]! - g[j]!) ** 2;
        s += e[j]! ** 2;
      }
      assert.ok(d <= 1e-18 * (s + 1e-6), `${n}: relative error ${Math.sqrt(d / s)}`);
    });
  });
}

const sumSq = (x: t.Tensor): t.Tensor => x.mul(x).mean(x.names.join(' '));
const vol = (c: number, d = 4, h = 5, w = 3) => t.f32({ b: 1, d, h, w, c });

check('mlp', { x: t.f32({ b: 5, c: 7 }) }, ({ x }) =>
  sumSq(t.scope('b', () => t.linear(t.gelu(t.scope('a', () => t.linear(x!, 12))), 3))),
);
check('conv, norm, activation, residual', { x: vol(1) }, ({ x }) => {
  const c1 = t.leakyRelu(t.instanceNorm(t.scope('c1', () => t.conv3d(x!, 4, { kernel: 3, bias: false }))));
  const c2 = t.instanceNorm(t.scope('c2', () => t.conv3d(c1, 4, { kernel: 3, bias: false })));
  const r = t.instanceNorm(t.scope('c3', () => t.conv3d(x!, 4, { kernel: 1, bias: false })));
  return sumSq(
    t.leakyRelu(c2.add(r)).mul(t.scope('g', () => t.param('w', { c: 4 }, { init: { kind: 'constant', value: 1 } }))),
  );
});
check('stride 2 and concat, up again', { x: vol(2, 6, 4, 5) }, ({ x }) => {
  const a = t.scope('a', () => t.conv3d(x!, 3, { kernel: 3, stride: 2 }));
  const b = t.scope('b', () => t.conv3d(a, 4, { kernel: 3 }));
  const up = t
    .scope('u', () => t.convTranspose3d(b, 2, { kernel: 2 }))
    .slice('d', 0, 6)
    .slice('h', 0, 4)
    .slice('w', 0, 5);
  return sumSq(t.scope('o', () => t.conv3d(t.concat([up, x!], 'c'), 3, { kernel: 3 })));
});
check('shifted window attention', { x: vol(4, 5, 4, 3) }, ({ x }) => {
  const g = t.windowGrid([5, 4, 3], 3, 1);
  const n = t.windowTokens(g);
  const norm = t.scope('norm1', () => t.layerNorm(x!, 'c'));
  const p = t.windowPartition(norm, g);
  const qkv = t.scope('qkv', () => t.linear(p, 12)).split('c', { three: 3, h: 2, e: 2 });
  const part = (i: number) => qkv.slice('three', i, 1).squeeze('three');
  const table = t.param('table', { r: 125, h: 2 }, { init: { kind: 'constant', value: 0 } });
  const region = t.windowRegions(g, 1);
  const o = t.attention(part(0), part(1).rename({ n: 'm' }), part(2).rename({ n: 'm' }), {
    bias: t.relativePositionBias(table, 3, n),
    groups: { q: region, k: region.rename({ n: 'm' }) },
  });
  const y = t.windowReverse(o.merge('h e', 'c'), g);
  return sumSq(t.scope('proj', () => t.linear(y, 4)).add(x!));
});
check('dice and cross-entropy', { x: vol(2), label: t.i32({ b: 1, d: 4, h: 5, w: 3 }) }, ({ x, label }) =>
  t.diceCELoss(
    t.scope('o', () => t.conv3d(x!, 3, { kernel: 1 })),
    label!,
  ),
);
check('patch merging order', { x: vol(3, 4, 2, 6) }, ({ x }) => {
  const s = x!.split('d', { d: -1, kd: 2 }).split('h', { h: -1, kh: 2 }).split('w', { w: -1, kw: 2 });
  const at = (d: number, h: number, w: number) =>
    s.slice('kd', d, 1).slice('kh', h, 1).slice('kw', w, 1).squeeze('kd').squeeze('kh').squeeze('kw');
  const all = t.concat(
    [at(0, 0, 0), at(1, 0, 0), at(0, 1, 0), at(0, 0, 1), at(1, 0, 1), at(0, 1, 0), at(0, 0, 1), at(1, 1, 1)],
    'c',
  );
  return sumSq(
    t.scope('r', () =>
      t.linear(
        t.scope('n', () => t.layerNorm(all, 'c')),
        5,
        { bias: false },
      ),
    ),
  );
});
check('mod of negative numbers', { x: t.f32({ n: 24 }), i: t.i32({ n: 24 }) }, ({ x, i }) =>
  sumSq(
    x!
      .mul(7)
      .mod(-1.5)
      .add(i!.sub(2).mod(5).cast('f32'))
      .add(t.scope('p', () => t.param('b', { n: 24 }, { init: { kind: 'constant', value: 1 } }))),
  ),
);
check('activations stored as f16', { x: vol(3) }, ({ x }) => {
  const a = t.scope('a', () => t.conv3d(x!, 5, { kernel: 3 })).cast('f16');
  const b = t.concat([a, a.roll('h', 1)], 'c').cast('f32');
  return sumSq(
    t.leakyRelu(
      t
        .scope('b', () => t.conv3d(b, 4, { kernel: 3 }))
        .cast('f16')
        .cast('f32'),
    ),
  );
});
check('long sums are split', { x: t.f32({ b: 1, d: 16, h: 16, w: 64, c: 2 }) }, ({ x }) =>
  sumSq(t.instanceNorm(t.scope('c', () => t.conv3d(x!, 3, { kernel: 1 })))),
);
test('kernels with much work are cut, and cover their output once', () => {
  const x = t.f32({ b: 1, d: 12, h: 5, w: 4, c: 3 });
  const spec = t.model({
    name: 'cut',
    settings: {},
    build: () => ({
      entries: { f: { inputs: { x }, run: (v) => ({ y: t.scope('c', () => t.conv3d(v.x!, 4, { kernel: 3 })) }) } },
    }),
  });
  const m = trace(spec, {});
  const k = flatten(compileEntry(m, m.entries[0]!).forward).kernels[0]!;
  const all = (maxFlops: number) => slabs(k, { outermost: 12, multiple: 2, maxBytes: 1 << 30, maxFlops });
  assert.is(all(k.flops).length, 1);
  for (const parts of [2, 3, 6, 100]) {
    const list = all(k.flops / parts);
    assert.is(list.length, Math.min(parts, 6));
    assert.equal(
      list.flatMap((s) => Array.from({ length: s.count }, (_, i) => s.first + i)),
      Array.from({ length: 12 }, (_, i) => i),
    );
    assert.ok(list.every((s) => s.first % 2 === 0));
  }
});
test.run();
