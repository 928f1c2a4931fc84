// Optimisers, as functions over the flat tensors of all trainable parameters: one update for the whole model. Formulas and
// defaults are PyTorch's.
import { ModelError } from './errors.ts';
import { constant, stepScalar, type Tensor } from './tensor.ts';

export interface Optimizer {
  readonly name: string;
  /** State tensors, each as large as the parameters, starting at zero; PyTorch's names. */
  readonly states: readonly string[];
  readonly lr: number;
  readonly settings: Readonly<Record<string, number>>;
  /** The state that is a moving average of the parameters, if there is one. */
  readonly average?: string;
  /** p, g and each state: flat [n]. Returns the new p and states. */
  update(
    p: Tensor,
    g: Tensor,
    states: Readonly<Record<string, Tensor>>,
    at: UpdateAt,
  ): { p: Tensor; states: Record<string, Tensor> };
}

export interface UpdateAt {
  /** This step's rate: a scalar, or one for each of the parameters. */
  readonly lr: Tensor;
  /** 1 at the first step. */
  readonly t: Tensor;
  /** Factors of the weight decay, where parameters have their own. */
  readonly weightDecay?: Tensor;
}

/** torch.optim.AdamW (decoupled weight decay). */
export function adamW(
  o: { lr?: number; betas?: readonly [number, number]; eps?: number; weightDecay?: number } = {},
): Optimizer {
  const [b1, b2] = o.betas ?? [0.9, 0.999];
  const { lr = 1e-3, eps = 1e-8, weightDecay = 1e-2 } = o;
  return {
    name: 'AdamW',
    states: ['exp_avg', 'exp_avg_sq'],
    lr,
    settings: { beta1: b1, beta2: b2, eps, weightDecay },
    update(p, g, s, { lr, t, weightDecay: factor }) {
      const m = s.exp_avg!.mul(b1).add(g.mul(1 - b1));
      const v = s.exp_avg_sq!.mul(b2).add(g.mul(g).mul(1 - b2));
      const c1 = expm1(t.mul(Math.log(b1))).neg();
      const c2 = expm1(t.mul(Math.log(b2))).neg();
      const denominator = v.sqrt().div(c2.sqrt()).add(eps);
      const decay = factor ? lr.mul(weightDecay).mul(factor) : lr.mul(weightDecay);
      const decayed = p.sub(p.mul(decay));
      return { p: decayed.sub(m.mul(lr.div(c1)).div(denominator)), states: { exp_avg: m, exp_avg_sq: v } };
    },
  };
}

/** exp(x) - 1 without cancellation: 1 - 0.999 in f32 would keep four digits. Series below 1/4 (error < 1e-8). */
function expm1(x: Tensor): Tensor {
  let series = constant(1 / 5040);
  for (const c of [1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1]) series = x.mul(series).add(c);
  return x.gt(-0.25).where(x.mul(series), x.exp().sub(1));
}

/** torch.optim.SGD with momentum (dampening 0). */
export function sgd(o: { lr?: number; momentum?: number; nesterov?: boolean; weightDecay?: number } = {}): Optimizer {
  const { lr = 1e-3, momentum = 0, nesterov = false, weightDecay = 0 } = o;
  return {
    name: 'SGD',
    states: momentum > 0 ? ['momentum_buffer'] : [],
    lr,
    settings: { momentum, nesterov: nesterov ? 1 : 0, weightDecay },
    update(p, g, s, { lr, weightDecay: factor }) {
      const decay = factor ? factor.mul(weightDecay) : weightDecay;
      const d = weightDecay > 0 ? g.add(p.mul(decay)) : g;
      if (momentum === 0) return { p: p.sub(d.mul(lr)), states: {} as Record<string, Tensor> };
      const buf = s.momentum_buffer!.mul(momentum).add(d);
      return { p: p.sub((nesterov ? d.add(buf.mul(momentum)) : buf).mul(lr)), states: { momentum_buffer: buf } };
    },
  };
}

/** The state that `ema` adds. */
export const AVERAGE = 'ema';

/**
 * Any optimiser with an exponential moving average of the parameters beside it (torch.optim.swa_utils.AveragedModel with
 * get_ema_multi_avg_fn): a copy of them after the first step, then `decay` of what it was and the rest of what they are. The
 * same kernel that updates a parameter moves its average; nothing that is trained depends on it.
 */
export function ema(optimizer: Optimizer, decay = 0.999): Optimizer {
  if (!(decay >= 0 && decay < 1))
    throw new ModelError(
      'model-optimizer',
      `ema: its decay is ${decay}; it is a number from 0 to below 1, such as 0.999`,
    );
  if (optimizer.average !== undefined)
    throw new ModelError('model-optimizer', `ema: ${optimizer.name} has a moving average already; wrap it once`);
  return {
    ...optimizer,
    states: [...optimizer.states, AVERAGE],
    settings: { ...optimizer.settings, emaDecay: decay },
    average: AVERAGE,
    update(p, g, s, at) {
      const next = optimizer.update(p, g, s, at);
      const old = s[AVERAGE]!;
      const moved = old.add(next.p.sub(old).mul(1 - decay));
      return { p: next.p, states: { ...next.states, [AVERAGE]: at.t.eq(1).where(next.p, moved) } };
    },
  };
}

/** Factor that brings a gradient of this squared norm to at most `max` (torch.nn.utils.clip_grad_norm_). */
export function clipFactor(squaredNorm: Tensor, max: number): Tensor {
  return constant(max).div(squaredNorm.sqrt().add(1e-6)).min(1);
}

export const learningRate = (): Tensor => stepScalar('lr');
export const adamStep = (): Tensor => stepScalar('t');
