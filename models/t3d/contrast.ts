// Text-informed contrastive learning: every sentence of a report finds its place in the whole study. And the contrasts that it is
// compared with: pooled features of image and text, and two views without text.
import { attention, iota, linear, logSoftmax, param, region, scope, type Tensor } from '../../dsl/index.ts';
import type { PretrainSettings } from './pretrain-settings.ts';

/** Added to the scores of pairs that are no candidates. */
const NO_CANDIDATE = -1e9;
const LEAST_NORM = 1e-12;

export interface Contrast {
  /** Mean of both cross-entropies. */
  readonly loss: Tensor;
  /** Part of the studies whose own report has the largest score. */
  readonly accuracy: Tensor;
}

/** Added to variances, as torch.nn.BatchNorm does. */
export const NORM_EPS = 1e-5;

/** Batch normalisation over `axes` without parameters; `mask` (over a part of the axes) says what counts. */
function batchNorm(x: Tensor, axes: string, mask?: Tensor): Tensor {
  return region('batchNorm', () => {
    const all = axes.split(' ').reduce((n, a) => n * x.size(a), 1);
    const m = mask?.cast('f32');
    const count = m
      ? m
          .sum(m.names.join(' '))
          .mul(all / m.size())
          .max(1)
      : null;
    const mean = (v: Tensor): Tensor => (m && count ? v.mul(m).sum(axes).div(count) : v.mean(axes));
    const centre = mean(x);
    const off = x.sub(centre.detach());
    return x.sub(centre).mul(mean(off.mul(off)).add(NORM_EPS).rsqrt());
  });
}

/** Of length 1 along the axis. */
export const unit = (x: Tensor, axis = 'c'): Tensor => x.mul(x.mul(x).sum(axis).add(LEAST_NORM).rsqrt());

/** A linear layer without bias, [… c] -> [… c=out]. */
export const project = (name: string, x: Tensor, out: number): Tensor =>
  scope(name, () => linear(x, out, { axis: 'c', bias: false }));

/** 1/τ, learnable and at most 100. */
export const inverseTemperature = (p: PretrainSettings): Tensor =>
  param('logit_scale', { one: 1 }, { init: { kind: 'constant', value: -Math.log(p.temperature) } })
    .squeeze('one')
    .min(Math.log(100))
    .exp();

/** Token features [b t c] and the sentence of each token [b t] (0: none, else 1 … s) -> features [b s c], valid [b s] (bool). */
export function sentenceFeatures(tokens: Tensor, sentence: Tensor, s: number): { features: Tensor; valid: Tensor } {
  return region('sentences', () => {
    const of = sentence.expand('s', s).eq(iota('s', s).add(1)).cast('f32'); // [b t s]
    const count = of.sum('t');
    const sum = tokens.expand('s', s, 'c').mul(of).sum('t'); // [b s c]
    return { features: sum.div(count.max(1)), valid: count.gt(0) };
  });
}

/**
 * V [b n c], the tokens of each study; E [b s c'] and valid [b s], the sentences of each report; candidates [j i] (i32, 1 where
 * study j and report i may be told apart). Text asks, image answers: α = softmax_n((W_q E)·(W_k V)/√d) weighs the tokens
 * themselves, so that what is compared with the sentence holds no text.
 */
export function sentenceContrast(
  V: Tensor,
  E: Tensor,
  valid: Tensor,
  candidates: Tensor,
  p: PretrainSettings,
): Contrast {
  return scope('contrast', () => {
    const found = answers(V, E, p);
    const m = valid.rename({ b: 'i' });
    const count = valid.cast('f32').sum('s').max(1); // [b]
    const answer = unit(p.normalize === 'studies' ? batchNorm(found, 'j') : batchNorm(found, 'j i s', m)); // [j i s c]
    const wide = V.size('c');
    const sentence = unit(batchNorm(project('embed', E, wide).rename({ b: 'i' }), 'i s', m)); // [i s c]
    const each = answer.mul(sentence).sum('c').mul(m.cast('f32')); // [j i s]
    const sharp = inverseTemperature(p);
    const mean = each.sum('s').div(count.rename({ b: 'i' }));
    const text = E.mul(valid.cast('f32')).sum('s').div(count);
    const whole = crossEntropies(mean.mul(sharp).mul(p.kappa), text, candidates, p);
    if (p.lambdaSentence === 0) return whole;
    return { ...whole, loss: whole.loss.add(sentencesAlone(each.mul(sharp), m, candidates).mul(p.lambdaSentence)) };
  });
}

/** Scores [j i s]: each sentence of report i must find study i among the candidates; mean over the sentences that are valid [i s]. */
function sentencesAlone(scores: Tensor, valid: Tensor, candidates: Tensor): Tensor {
  return region('each sentence', () => {
    const n = scores.size('j');
    const own = iota('i', n).expand('j', n, 'i').eq(iota('j', n)); // [j i]
    const kept = own.or(candidates.rename({ b: 'j', b2: 'i' }).ne(0));
    const logp = logSoftmax(kept.where(0, NO_CANDIDATE).add(scores), 'j');
    const count = valid.cast('f32').sum('i s').max(1);
    return logp.mul(own.cast('f32')).sum('j').mul(valid.cast('f32')).sum('i s').div(count).neg();
  });
}

/** The tokens as they are asked: with the place of their tile, where keys know it. V [b n c], n in the order of the tiles. */
export function asked(V: Tensor, p: PretrainSettings): Tensor {
  if (!p.placeKeys) return V;
  const c = V.size('c');
  const place = param('place', { k: p.tiles, c }, { init: { kind: 'normal', mean: 0, std: 1 } });
  return V.add(place.expand('n', V.size('n') / p.tiles, 'c').merge('k n', 'n'));
}

/** Where each sentence of each report looks in each study: found [j i s c]. */
function answers(V: Tensor, E: Tensor, p: PretrainSettings): Tensor {
  const [b, s, c] = [E.size('b'), E.size('s'), V.size('c')];
  const q = project('query', E, c).merge('b s', 'n').expand('h', 1, 'c').expand('g', b, 'n').rename({ c: 'e' });
  const asTokens = (x: Tensor): Tensor => x.rename({ b: 'g', n: 'm', c: 'e' }).expand('h', 1, 'e');
  const o = attention(q, asTokens(project('key', asked(V, p), c)), asTokens(V)); // [g n h e]
  return o.squeeze('h').split('n', { i: b, s }).rename({ g: 'j', e: 'c' });
}

/** The weights with which the sentences of its own report look at each study: E [b s c'], V [b n c] -> [b s n]. For pictures. */
export function attentionOf(V: Tensor, E: Tensor, p: PretrainSettings): Tensor {
  return scope('contrast', () => {
    const c = V.size('c');
    const q = project('query', E, c);
    const k = project('key', asked(V, p), c);
    const scores = q
      .expand('n', V.size('n'), 'c')
      .mul(k)
      .sum('c')
      .mul(c ** -0.5);
    return logSoftmax(scores, 'n').exp();
  });
}

/** Pooled features of studies and reports, [b c] each (of their own widths). */
export function pooledContrast(image: Tensor, text: Tensor, candidates: Tensor, p: PretrainSettings): Contrast {
  return scope('contrast', () => {
    const wide = image.size('c');
    const x = unit(batchNorm(project('image', image, wide), 'b')).rename({ b: 'j' });
    const y = unit(batchNorm(project('embed', text, wide), 'b')).rename({ b: 'i' });
    const scores = x.expand('i', y.size('i'), 'c').mul(y).sum('c'); // [j i]
    return crossEntropies(scores.mul(inverseTemperature(p)), text, candidates, p);
  });
}

/** Two views [b v c] (v = 2), without text: each finds the other among all of the batch (SimCLR's NT-Xent). */
export function viewContrast(views: Tensor, p: PretrainSettings): Contrast {
  return scope('contrast', () => {
    const b = views.size('b');
    const n = 2 * b;
    const z = unit(batchNorm(project('view', views, views.size('c')), 'b v'))
      .permute('v b c')
      .merge('v b', 'j');
    const scores = z
      .expand('i', n, 'c')
      .mul(z.rename({ j: 'i' }))
      .sum('c')
      .mul(inverseTemperature(p)); // [j i]
    const at = iota('i', n).expand('j', n, 'i');
    const self = at.eq(iota('j', n));
    const partner = at.eq(iota('j', n).add(b).mod(n)).cast('f32');
    const masked = self.where(NO_CANDIDATE, scores);
    const loss = logSoftmax(masked, 'i')
      .mul(partner)
      .sum('j i')
      .mul(-1 / n);
    const hit = masked.argmax('i').eq(iota('j', n).add(b).mod(n)).cast('f32').mean('j');
    return { loss, accuracy: hit };
  });
}

/** Scores [j i] of studies and reports, and the reports' features [b c]: cross-entropy over rows and over columns. */
function crossEntropies(scores: Tensor, text: Tensor, candidates: Tensor, p: PretrainSettings): Contrast {
  const n = scores.size('j');
  const own = iota('i', n).expand('j', n, 'i').eq(iota('j', n)); // [j i]
  const alike = region('agreement', () => {
    const centred = text.detach().sub(text.detach().mean('b'));
    const f = unit(centred);
    return f
      .rename({ b: 'j' })
      .expand('i', n, 'c')
      .mul(f.rename({ b: 'i' }))
      .sum('c'); // [j i]
  });
  let kept = candidates.rename({ b: 'j', b2: 'i' }).ne(0);
  if (p.agreement < 1) kept = kept.and(alike.le(p.agreement));
  const masked = own.or(kept).where(scores, NO_CANDIDATE);
  const hot = own.cast('f32');
  const entropy = (axis: 'i' | 'j'): Tensor => {
    const logp = logSoftmax(masked, axis);
    let target = hot;
    if (p.softTargets > 0) {
      const near = own.or(kept).where(alike.mul(1 / p.softTemperature), NO_CANDIDATE);
      target = hot.mul(1 - p.softTargets).add(logSoftmax(near, axis).exp().mul(p.softTargets));
    }
    return logp
      .mul(target)
      .sum('j i')
      .mul(-1 / n);
  };
  return {
    loss: region('rows', () => entropy('i'))
      .add(region('columns', () => entropy('j')))
      .mul(0.5),
    accuracy: masked.argmax('i').eq(iota('j', n)).cast('f32').mean('j'),
  };
}
