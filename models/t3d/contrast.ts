// Text-informed contrastive learning: every sentence of a report finds its place in the whole study. And the contrasts that it is
// compared with: pooled features of image and text, and two views without text.
import { attention, concat, iota, linear, logSoftmax, param, region, scope, type Tensor } from '../../dsl/index.ts';
import { type FalseReports, falseScores } from './counterfactual.ts';
import type { PretrainSettings } from './pretrain-settings.ts';
import { studyViews } from './study-views.ts';

/** Added to the scores of pairs that are no candidates. */
export const NO_CANDIDATE = -1e9;
const LEAST_NORM = 1e-12;

export interface Contrast {
  /** Mean of both cross-entropies. */
  readonly loss: Tensor;
  /** Part of the studies whose own report has the largest score. */
  readonly accuracy: Tensor;
  /** Logits [j i] of study j and report i, all of them; none where views are compared. */
  readonly scores?: Tensor;
  /** Option `view`: the cross-entropy of studies that find their other view. */
  readonly view?: Tensor;
  /** Option `counterfactuals`: how many false reports there are, and the part of them that score lower than the true one. */
  readonly counters?: Tensor;
  readonly counterAccuracy?: Tensor;
}

/** What the options compare beside the study and its report. */
export interface Beside {
  /** Tokens of another view of each study, [b n c]. */
  readonly view?: Tensor | null;
  readonly counter?: FalseReports | null;
}

/** Added to variances, as torch.nn.BatchNorm does. */
export const NORM_EPS = 1e-5;

/** Batch normalisation over `axes` without parameters; `mask` (over a part of the axes) says what counts. */
export const batchNorm = (x: Tensor, axes: string, mask?: Tensor): Tensor => normaliser(x, axes, mask)(x);

/** The same as a function: it normalises others by the mean and variance of x. */
export function normaliser(x: Tensor, axes: string, mask?: Tensor): (y: Tensor) => Tensor {
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
    const scale = mean(off.mul(off)).add(NORM_EPS).rsqrt();
    return (y) => region('batchNorm', () => y.sub(centre).mul(scale));
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
  beside: Beside = {},
): Contrast {
  return scope('contrast', () => {
    const raw = project('query', E, V.size('c'));
    const asQueries = p.normalizeQueries ? normaliser(raw, 'b s', valid) : (q: Tensor): Tensor => q;
    const found = answers(V, asQueries(raw), p);
    const m = valid.rename({ b: 'i' });
    const count = valid.cast('f32').sum('s').max(1); // [b]
    const byStudies = p.normalize === 'studies';
    const asAnswers = byStudies ? normaliser(found, 'j') : normaliser(found, 'j i s', m);
    const answer = unit(asAnswers(found)); // [j i s c]
    const said = project('embed', E, V.size('c')).rename({ b: 'i' });
    const asSentences = normaliser(said, 'i s', m);
    const sentence = unit(asSentences(said)); // [i s c]
    const each = answer.mul(sentence).sum('c').mul(m.cast('f32')); // [j i s]
    const sharp = inverseTemperature(p);
    const mean = each.sum('s').div(count.rename({ b: 'i' }));
    const text = E.mul(valid.cast('f32')).sum('s').div(count);
    const scores = mean.mul(sharp).mul(p.kappa);
    const { counter, view } = beside;
    const hard = counter
      ? // A false sentence has no answers in the batch's statistics; over studies alone each sentence has its own.
        falseScores(V, counter, scores, sharp, p, {
          asQueries,
          asAnswers: byStudies ? (y) => batchNorm(y, 'j') : asAnswers,
          asSentences,
        })
      : null;
    const whole = {
      ...crossEntropies(scores, text, candidates, p, hard?.logits),
      ...(hard ? { counters: hard.count, counterAccuracy: hard.accuracy } : {}),
      ...(view ? { view: studyViews(V, view, E, valid, candidatesOf(text, candidates, p), sharp, p) } : {}),
    };
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

/** What each sentence asks: E [b s c'] -> [b s c]; `valid` [b s]: which are sentences, where not all are. */
export function queries(E: Tensor, c: number, p: PretrainSettings, valid?: Tensor): Tensor {
  const q = project('query', E, c);
  return p.normalizeQueries ? batchNorm(q, 'b s', valid) : q;
}

/** V [b n c] and what is asked, [b s c] of the reports b -> what each sentence of each report finds in each study, [j i s c]. */
export function answers(V: Tensor, query: Tensor, p: PretrainSettings): Tensor {
  const [b, s, c] = [query.size('b'), query.size('s'), V.size('c')];
  const studies = V.size('b');
  const q = query.merge('b s', 'n').expand('h', 1, 'c').expand('g', studies, 'n').rename({ c: 'e' });
  const asTokens = (x: Tensor): Tensor => x.rename({ b: 'g', n: 'm', c: 'e' }).expand('h', 1, 'e');
  const o = attention(q, asTokens(project('key', asked(V, p), c)), asTokens(V)); // [g n h e]
  return o.squeeze('h').split('n', { i: b, s }).rename({ g: 'j', e: 'c' });
}

/** The weights with which the sentences of its own report look at each study: E [b s c'], V [b n c] -> [b s n]. For pictures. */
export const attentionOf = (V: Tensor, E: Tensor, p: PretrainSettings, valid?: Tensor): Tensor =>
  scope('contrast', () => logSoftmax(attentionScores(V, E, p, valid), 'n').exp());

/** Before the softmax; within the scope `contrast`. */
export function attentionScores(V: Tensor, E: Tensor, p: PretrainSettings, valid?: Tensor): Tensor {
  const c = V.size('c');
  const q = queries(E, c, p, valid);
  const k = project('key', asked(V, p), c);
  return q
    .expand('n', V.size('n'), 'c')
    .mul(k)
    .sum('c')
    .mul(c ** -0.5);
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

/** Of the reports' features [b c]: `own` [j i], a study and its own report; `kept`, those that may be told apart; `alike`, how much reports
 *  agree. */
function candidatesOf(
  text: Tensor,
  candidates: Tensor,
  p: PretrainSettings,
): { own: Tensor; kept: Tensor; alike: Tensor } {
  const n = text.size('b');
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
  return { own, kept, alike };
}

/** Scores [j i] of studies and reports, and the reports' features [b c]: cross-entropy over rows and over columns. `hard` [j f]: what
 *  each study is not to take for its own report either, in rows alone. */
export function crossEntropies(
  scores: Tensor,
  text: Tensor,
  candidates: Tensor,
  p: PretrainSettings,
  hard?: Tensor,
): Contrast {
  const n = scores.size('j');
  const { own, kept, alike } = candidatesOf(text, candidates, p);
  const masked = own.or(kept).where(scores, NO_CANDIDATE);
  const hot = own.cast('f32');
  const entropy = (axis: 'i' | 'j'): Tensor => {
    const all = axis === 'i' && hard ? concat([masked, hard.rename({ f: 'i' })], 'i') : masked;
    const logp = logSoftmax(all, axis).slice('i', 0, n);
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
    scores,
    accuracy: masked.argmax('i').eq(iota('j', n)).cast('f32').mean('j'),
  };
}
