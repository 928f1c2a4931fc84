// Samples of whole blocks with a scalar loss: small, but with every kind of view, norm and attention that T3D is made of.
import type { Value } from '../dsl/graph.ts';
import { crossEntropy, diceCELoss, mse, type Tensor } from '../dsl/index.ts';
import { scope, type Trace, tracing } from '../dsl/scope.ts';
import { numel, type TensorType } from '../dsl/types.ts';
import mlp from '../examples/mlp.ts';
import { unet } from '../examples/unet.ts';
import { patchMerging } from '../models/t3d/patch-merging.ts';
import { swinBlock } from '../models/t3d/swin-block.ts';
import { basicBlock, upBlock } from '../models/t3d/unetr-blocks.ts';
import { classes, uniform } from './counters.ts';
import { leaf } from './evaluate-graph.ts';

export interface Block {
  readonly loss: Value;
  readonly parameters: readonly Value[];
  /** Inputs and parameters, for values. */
  readonly tensors: readonly { readonly name: string; readonly type: TensorType; readonly classes?: number }[];
}

interface Labels {
  readonly tensor: Tensor;
  readonly classes: number;
}

function block(inputs: readonly Tensor[], labels: Labels | null, f: () => Tensor): Block {
  const trace: Trace = { parameters: new Map() };
  const loss = tracing(trace, f);
  const parameters = [...trace.parameters.values()];
  const name = (t: Tensor): string => t.value.node.attrs.name;
  return {
    loss: loss.value,
    parameters: parameters.map((p) => p.tensor.value),
    tensors: [
      ...inputs.map((t) => ({ name: name(t), type: t.type })),
      ...(labels ? [{ name: name(labels.tensor), type: labels.tensor.type, classes: labels.classes }] : []),
      ...parameters.map((p) => ({ name: p.info.name, type: p.tensor.type })),
    ],
  };
}

/** Values of a block's inputs and parameters, ±0.5. */
export function leaves(b: Block): Record<string, ArrayLike<number>> {
  return Object.fromEntries(
    b.tensors.map((t) => {
      const n = numel(t.type);
      return [t.name, t.classes === undefined ? uniform(8, t.name, n, 0.5) : classes(8, t.name, n, t.classes)];
    }),
  );
}

/** Compared with a target of its own shape, so that every element weighs differently. */
const against = (y: Tensor): { inputs: Tensor[]; loss: () => Tensor } => {
  const target = leaf('target', Object.fromEntries(y.axes.map((a) => [a.name, a.size])));
  return { inputs: [target], loss: () => mse(y, target) };
};
function regression(x: readonly Tensor[], f: () => Tensor): Block {
  const targets: Tensor[] = [];
  const b = block(x, null, () => {
    const { inputs, loss } = against(f());
    targets.push(...inputs);
    return loss();
  });
  return { ...b, tensors: [...b.tensors, ...targets.map((t) => ({ name: 'target', type: t.type }))] };
}

const swin = { heads: 2, window: 3, mlpRatio: 2, qkvBias: true, drop: 0, dropPath: 0 };

export const blocks: Readonly<Record<string, () => Block>> = {
  mlp: () => {
    const x = leaf('x', { b: 4, c: 3 });
    const labels = leaf('labels', { b: 4 }, 'i32');
    const entry = mlp.build({ ...mlp.settings, features: 3, hidden: [5], classes: 3, batch: 4 }).entries.train!;
    return block([x], { tensor: labels, classes: 3 }, () => entry.run({ x, labels }).loss!);
  },
  'swin block': () => {
    const x = leaf('x', { b: 1, d: 3, h: 4, w: 2, c: 4 });
    return regression([x], () => swinBlock(x, { ...swin, shift: 0 }));
  },
  'swin block, shifted and clipped': () => {
    const x = leaf('x', { b: 2, d: 4, h: 5, w: 2, c: 4 });
    return regression([x], () => swinBlock(x, { ...swin, shift: 1 }));
  },
  'swin block with dropout': () => {
    const x = leaf('x', { b: 2, d: 3, h: 3, w: 3, c: 4 });
    return regression([x], () => swinBlock(x, { ...swin, shift: 0, drop: 0.2, dropPath: 0.3 }));
  },
  'patch merging': () => {
    const x = leaf('x', { b: 1, d: 4, h: 2, w: 4, c: 3 });
    return regression([x], () => {
      const y = scope('first', () => patchMerging(x, 'legacy'));
      return scope('second', () => patchMerging(y.pad('h', 0, 1), 'mergingv2'));
    });
  },
  'residual block': () => {
    const x = leaf('x', { b: 2, d: 3, h: 4, w: 3, c: 2 });
    return regression([x], () => basicBlock(x, 3, 0.01));
  },
  'up block': () => {
    const x = leaf('x', { b: 1, d: 2, h: 2, w: 1, c: 4 });
    const skip = leaf('skip', { b: 1, d: 4, h: 4, w: 2, c: 2 });
    return regression([x, skip], () => upBlock(x, skip, 2, 0.01));
  },
  unet: () => {
    const volume = leaf('volume', { b: 1, c: 1, d: 7, h: 6, w: 8 });
    const label = leaf('label', { b: 1, d: 7, h: 6, w: 8 }, 'i32');
    const s = {
      inChannels: 1,
      classes: 3,
      channels: [2, 3],
      size: [7, 6, 8] as [number, number, number],
      batch: 1,
      lr: 1e-3,
      warmup: 0,
      steps: 1,
    };
    return block([volume], { tensor: label, classes: 3 }, () => diceCELoss(unet(volume, s), label));
  },
  classifier: () => {
    const x = leaf('logits', { b: 3, c: 4 });
    const labels = leaf('labels', { b: 3 }, 'i32');
    return block([x], { tensor: labels, classes: 4 }, () => crossEntropy(x.mul(2), labels));
  },
};
