// Losses. Logits have a class axis `c`; labels are i32 class indices without it.
import { region } from '../scope.ts';
import { constant, iota, type Tensor } from '../tensor.ts';
import { logSoftmax, softmax } from './activation.ts';

/** 1 where the class index equals the label, else 0: label [b d h w] -> [b d h w c]. */
export function oneHot(label: Tensor, classes: number, axis = 'c'): Tensor {
  return label.expand(axis, classes).eq(iota(axis, classes)).cast('f32');
}

/** torch.nn.CrossEntropyLoss, mean over all positions; optional weight per class [c] (weighted mean, as torch). */
export function crossEntropy(logits: Tensor, label: Tensor, o: { axis?: string; weight?: Tensor } = {}): Tensor {
  return region('crossEntropy', () => {
    const axis = o.axis ?? 'c';
    const hot = oneHot(label, logits.size(axis), axis);
    const all = logits.names.join(' ');
    const logp = logSoftmax(logits, axis);
    if (!o.weight)
      return logp
        .mul(hot)
        .sum(all)
        .mul(-axisSize(logits, axis) / logits.size());
    const w = hot.mul(o.weight);
    return logp.mul(w).sum(all).div(w.sum(all)).neg();
  });
}

const axisSize = (x: Tensor, axis: string): number => x.size(axis);

export interface DiceOptions {
  readonly includeBackground?: boolean;
  readonly batch?: boolean;
  readonly squaredPred?: boolean;
  readonly smoothNr?: number;
  readonly smoothDr?: number;
}

/** MONAI DiceLoss(softmax=True, to_onehot_y=True): logits [b d h w c], label [b d h w] -> scalar. */
export function diceLoss(logits: Tensor, label: Tensor, o: DiceOptions = {}): Tensor {
  return region('diceLoss', () => {
    const p = softmax(logits, 'c');
    const y = oneHot(label, logits.size('c'));
    const over = o.batch ? 'b d h w' : 'd h w';
    const inter = p.mul(y).sum(over);
    const total = o.squaredPred ? p.mul(p).sum(over).add(y.mul(y).sum(over)) : p.sum(over).add(y.sum(over));
    const f = constant(1).sub(
      inter
        .mul(2)
        .add(o.smoothNr ?? 1e-5)
        .div(total.add(o.smoothDr ?? 1e-5)),
    );
    const kept = o.includeBackground === false ? f.slice('c', 1, logits.size('c') - 1) : f;
    return kept.mean(kept.names.join(' '));
  });
}

export interface DiceCEOptions extends DiceOptions {
  readonly lambdaDice?: number;
  readonly lambdaCE?: number;
  /** Weight of each class in the cross-entropy; empty or absent: all 1. */
  readonly weightCE?: readonly number[];
}

/** MONAI DiceCELoss(softmax=True, to_onehot_y=True): Dice + cross-entropy. */
export const diceCELoss = (logits: Tensor, label: Tensor, o: DiceCEOptions = {}): Tensor =>
  region('diceCELoss', () => {
    const weight = o.weightCE?.length ? vector(o.weightCE, 'c') : undefined;
    const ce = crossEntropy(logits, label, { weight });
    return diceLoss(logits, label, o)
      .mul(o.lambdaDice ?? 1)
      .add(ce.mul(o.lambdaCE ?? 1));
  });

/** Numbers as a tensor along one axis. */
const vector = (values: readonly number[], axis: string): Tensor =>
  values.map((v, i) => iota(axis, values.length).eq(i).cast('f32').mul(v)).reduce((a, b) => a.add(b));

/** Mean squared and mean absolute error over all elements. */
export const mse = (x: Tensor, y: Tensor): Tensor =>
  region('mse', () => {
    const d = x.sub(y);
    return d.mul(d).mean(x.names.join(' '));
  });
export const l1 = (x: Tensor, y: Tensor): Tensor => region('l1', () => x.sub(y).abs().mean(x.names.join(' ')));
