// Composites and T3D's blocks, values and gradients, against PyTorch and MONAI in float64 (test/golden/ops/).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  conv3d,
  convTranspose3d,
  crossEntropy,
  diceCELoss,
  diceLoss,
  gelu,
  instanceNorm,
  layerNorm,
  leakyRelu,
  linear,
  normalize,
  softmax,
  type Tensor,
} from '../../dsl/index.ts';
import { type ParameterInfo, type Trace, tracing } from '../../dsl/scope.ts';
import { patchMerging } from '../../models/t3d/patch-merging.ts';
import type { Merging } from '../../models/t3d/settings.ts';
import { swinBlock } from '../../models/t3d/swin-block.ts';
import { basicBlock, upBlock } from '../../models/t3d/unetr-blocks.ts';
import { evaluateWithGradients, leaf, reorder } from '../evaluate-graph.ts';
import { compareGolden } from '../golden.ts';
import { type OpCase, opCases, opCotangent, opInput } from '../op-golden.ts';

/** The goldens keep nine digits. */
const BOUND = 1e-8;

interface Spec {
  /** Axis names of inputs, where the golden gives none. Inputs without axes are parameters. */
  readonly axes?: Readonly<Record<string, string>>;
  /** Scopes in front of the golden's parameter names. */
  readonly prefix?: string;
  /** Inputs in PyTorch's order of axes -> the result in it. */
  run(x: Readonly<Record<string, Tensor>>, golden: OpCase): Tensor;
}

function check(name: string, golden: OpCase, spec: Spec): void {
  const inputs: Record<string, Tensor> = {};
  const leaves: Record<string, ArrayLike<number>> = {};
  for (const [key, given] of Object.entries(golden.inputs)) {
    const axes = spec.axes?.[key] ?? given.axes;
    if (axes === undefined) continue;
    const named = Object.fromEntries(axes.split(' ').map((a, i) => [a, given.shape[i]!]));
    inputs[key] = leaf(key, named, 'classes' in given ? 'i32' : 'f32');
    leaves[key] = opInput(name, key, given);
  }
  const trace: Trace = { parameters: new Map() };
  const y = tracing(trace, () => spec.run(inputs, golden));
  assert.equal(sizesOf(y), golden.outputs.y.shape, 'shape of the result');

  const prefix = spec.prefix ?? '';
  const tensors: Record<string, Tensor> = { ...inputs };
  const infos: Record<string, ParameterInfo> = {};
  for (const { info, tensor } of trace.parameters.values()) {
    const key = info.name.slice(prefix.length);
    const given = golden.inputs[key];
    assert.ok(
      given,
      `parameter ${info.name} is not among the golden's inputs: ${Object.keys(golden.inputs).join(', ')}`,
    );
    const shape = info.axes.map((a) => a.size);
    assert.equal(shape, given!.shape, info.name);
    leaves[info.name] = reorder(info, opInput(name, key, given!), 'stored');
    tensors[key] = tensor;
    infos[key] = info;
  }

  const wanted = Object.keys(golden.gradients);
  const wrt = wanted.map((key) => tensors[key]!);
  const found = evaluateWithGradients(y, wrt, leaves, opCotangent(name, golden));
  const expect = (what: string, values: ArrayLike<number>, against: OpCase['outputs']['y']): void => {
    // a gradient that is zero but for rounding (keys' biases) has no digits of its own
    const c = compareGolden(against, values, { relL2: BOUND, floor: 1e-6 });
    assert.ok(c.ok, `${what}: ${c.message}`);
  };
  expect('result', found.y, golden.outputs.y);
  wanted.forEach((key, i) => {
    const g = found.gradients[i];
    assert.ok(g, `${key}: no gradient`);
    expect(`gradient of ${key}`, infos[key] ? reorder(infos[key]!, g!, 'checkpoint') : g!, golden.gradients[key]!);
  });
}

const sizesOf = (t: Tensor): number[] => t.axes.map((a) => a.size);

const last = (x: Tensor): Tensor => x.permute('b d h w c');
const first = (x: Tensor): Tensor => x.permute('b c d h w');

const SPECS: Readonly<Record<string, Spec>> = {
  linear: { axes: { x: 'a b c' }, run: ({ x }, g) => linear(x!, 7, { bias: 'bias' in g.inputs }) },
  conv3d: {
    run({ x }, { inputs, options }) {
      const [out, , kernel] = inputs.weight!.shape as [number, number, number];
      const o = {
        kernel,
        stride: options.stride as number,
        padding: options.padding as number,
        bias: 'bias' in inputs,
      };
      return first(conv3d(x!, out, o)); // channels first: axes go by name
    },
  },
  conv_transpose3d: { run: ({ x }) => first(convTranspose3d(x!, 4, { kernel: 2, bias: false })) },
  layer_norm: { axes: { x: 'a b c' }, run: ({ x }, g) => layerNorm(x!, 'c', { affine: 'weight' in g.inputs }) },
  instance_norm: { run: ({ x }) => first(instanceNorm(last(x!))) },
  batch_norm: { axes: { x: 'n c' }, run: ({ x }) => normalize(x!, 'n', 1e-5) },
  gelu: { axes: { x: 'i' }, run: ({ x }) => gelu(x!) },
  leaky_relu: { axes: { x: 'i' }, run: ({ x }, { options }) => leakyRelu(x!, options.slope as number) },
  softmax: { axes: { x: 'a s' }, run: ({ x }) => softmax(x!, 's') },
  cross_entropy: { run: ({ logits, labels }) => crossEntropy(last(logits!), labels!.squeeze('one')) },
  dice: {
    run({ logits, labels }, { options }) {
      const o = { includeBackground: options.include_background !== false, batch: options.batch === true };
      return diceLoss(last(logits!), labels!.squeeze('one'), o);
    },
  },
  dice_ce: {
    run({ logits, labels }, { options }) {
      const o = { lambdaDice: (options.lambda_dice as number) ?? 1, lambdaCE: (options.lambda_ce as number) ?? 1 };
      return diceCELoss(last(logits!), labels!.squeeze('one'), o);
    },
  },
  swin_block: {
    run({ x }, { options }) {
      const window = (options.window as number[])[0]!;
      const o = { heads: options.heads as number, window, shift: options.shift as number };
      return swinBlock(x!, { ...o, mlpRatio: 4, qkvBias: true, drop: 0, dropPath: 0 });
    },
  },
  residual_block: {
    run: ({ x }, g) => first(basicBlock(last(x!), g.inputs['layer.conv1.conv.weight']!.shape[0]!, 0.01)),
  },
  up_block: { run: ({ x, skip }) => first(upBlock(last(x!), last(skip!), 4, 0.01)) },
  patch_merging: { prefix: 'downsample.', run: () => assert.unreachable('each case has its own') as never },
};

const merging = (order: Merging): Spec => ({ prefix: 'downsample.', run: ({ x }) => patchMerging(x!, order) });
/** Cases that differ from their operation's others. */
const CASES: Readonly<Record<string, Spec>> = {
  'softmax.middle': { axes: { x: 'a s b' }, run: ({ x }) => softmax(x!, 's') },
  'cross_entropy.rows': {
    axes: { logits: 'n c', labels: 'n' },
    run: ({ logits, labels }) => crossEntropy(logits!, labels!),
  },
  'patch_merging.legacy': merging('legacy'),
  'patch_merging.mergingv2': merging('mergingv2'),
  'patch_merging.merging': merging('merging'),
};

for (const [op, spec] of Object.entries(SPECS)) {
  for (const [name, golden] of Object.entries(opCases(op))) test(name, () => check(name, golden, CASES[name] ?? spec));
}

test.run();
