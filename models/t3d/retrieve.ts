// A study and a report scored as pre-training scores them, one side at a time: what is kept of a study, what is kept of a report,
// and what compares them. Pre-training normalises over its batch; here the mean and variance of each channel are inputs, so that a
// score does not depend on what else is scored with it. `contrastMoments` measures them over batches such as training's.
import { attention, einsum, f32, type InputSpec, i32, param, region, scope, type Tensor } from '../../dsl/index.ts';
import { widths } from './backbone.ts';
import { asked, inverseTemperature, NORM_EPS, project, sentenceFeatures, unit } from './contrast.ts';
import { tokensOf } from './pretrain.ts';
import { CONTRAST, refuseMethod, refuseNormalize, refuseQueries } from './pretrain-settings.ts';
import type { Settings } from './settings.ts';
import { textTokens } from './text.ts';
import { checkText } from './text-settings.ts';

type Tensors = Readonly<Record<string, Tensor>>;
type Inputs = Readonly<Record<string, InputSpec>>;

/** Whether each sentence is compared with the study's tokens, or the pooled report with the pooled study. */
const bySentences = (s: Settings): boolean => CONTRAST[s.pretrain.method] === 'sentences';

/** Sentences that a report is kept as: one where it is pooled. */
const kept = (s: Settings): number => (bySentences(s) ? s.pretrain.sentences : 1);

/** @throws ModelError model-pretrain where the method compares no text, or cannot score one pair alone */
function checkMethod(s: Settings): void {
  const kind = CONTRAST[s.pretrain.method];
  if (kind !== 'sentences' && kind !== 'pooled') refuseMethod(s.pretrain.method);
  // Each sentence's answers have moments of their own there, over all studies: there are none to keep for a new sentence.
  if (kind === 'sentences' && s.pretrain.normalize !== 'batch') refuseNormalize(s.pretrain.normalize);
  if (kind === 'sentences' && s.pretrain.normalizeQueries) refuseQueries();
}

export function embedStudyInputs(s: Settings): Inputs {
  const [d, h, w] = s.size;
  return { tiles: f32({ b: s.batch, k: s.pretrain.tiles, c: s.inChannels, d, h, w }) };
}

/** tiles [b k c d h w] -> study: its tokens [b n c] where sentences look for their place in it, else [b c], pooled and projected. */
export function embedStudy({ tiles }: Tensors, s: Settings): Tensors {
  checkMethod(s);
  const tokens = tokensOf(tiles!, s, false).merge('k n', 'n');
  if (bySentences(s)) return { study: tokens };
  return { study: scope('contrast', () => project('image', tokens.mean('n'), widths(s).tokens)) };
}

/** Tokens themselves, whatever layers are frozen in training. */
export function embedReportInputs(s: Settings): Inputs {
  const tokens = { b: s.batch, t: s.textTokens };
  return {
    input_ids: i32(tokens),
    attention_mask: i32(tokens),
    ...(bySentences(s) ? { sentence_ids: i32(tokens) } : {}),
  };
}

/**
 * A report's tokens -> query [b s c]: what each sentence asks of a study's tokens; sentence [b s c]: what it is compared with; valid
 * [b s]: 1 where there is a sentence. A pooled report is one sentence, and asks nothing.
 */
export function embedReport(x: Tensors, s: Settings): Tensors {
  checkMethod(s);
  checkText(s.text, s.textTokens);
  const wide = widths(s).tokens;
  const tokens = textTokens(x, { ...s, textTrain: -1 });
  if (!bySentences(s)) {
    const m = x.attention_mask!.cast('f32');
    const pooled = tokens.mul(m).sum('t').div(m.sum('t').max(1));
    const sentence = scope('contrast', () => project('embed', pooled, wide)).expand('s', 1, 'c');
    return { sentence, valid: m.amax('t').expand('s', 1) };
  }
  const { features, valid } = sentenceFeatures(tokens, x.sentence_ids!, s.pretrain.sentences);
  return scope('contrast', () => ({
    query: throughKeys(project('query', features, wide)),
    sentence: project('embed', features, wide),
    valid: valid.cast('f32'),
  }));
}

/** (W_q E)·(W_k V) is (W_kᵀ W_q E)·V: with the keys' layer in the query, studies are kept as their tokens alone. */
function throughKeys(query: Tensor): Tensor {
  const c = query.size('c');
  const bound = 1 / Math.sqrt(c);
  const init = { kind: 'uniform', low: -bound, high: bound } as const;
  const w = scope('key', () => param('weight', { out: c, c }, { init, stored: 'c out' }));
  return einsum(query.rename({ c: 'out' }), w, 'b s c');
}

function bothInputs(s: Settings): Inputs {
  const c = widths(s).tokens;
  const report = { b: s.batch, s: kept(s), c };
  return {
    study: f32(bySentences(s) ? { b: s.batch, n: tokensOfStudy(s), c } : { b: s.batch, c }),
    ...(bySentences(s) ? { query: f32(report) } : {}),
    sentence: f32(report),
    valid: f32({ b: s.batch, s: kept(s) }),
  };
}

export const contrastMomentsInputs = (s: Settings): Inputs => ({ ...bothInputs(s), present: f32({ b: s.batch }) });

/**
 * A batch of studies and of reports, `present` [b] 1 where there is a study -> of what the sentences found (or of pooled studies) and
 * of the sentences (or pooled reports): count, mean [c] and spread [c], the sum of squared distances from the mean.
 */
export function contrastMoments(x: Tensors, s: Settings): Tensors {
  checkMethod(s);
  const { study, sentence, valid } = sides(x);
  const there = x.present!.rename({ b: 'j' });
  const studies = bySentences(s)
    ? moments(answers(study, x.query!.rename({ b: 'i' }), s), 'j i s', valid.expand('j', s.batch, 'i').mul(there))
    : moments(study, 'j', there);
  const text = moments(sentence, 'i s', valid);
  return {
    study_count: studies.count,
    study_mean: studies.mean,
    study_spread: studies.spread,
    text_count: text.count,
    text_mean: text.mean,
    text_spread: text.spread,
  };
}

export function scorePairsInputs(s: Settings): Inputs {
  const each = f32({ c: widths(s).tokens });
  return { ...bothInputs(s), study_mean: each, study_variance: each, text_mean: each, text_variance: each };
}

/** Studies, reports, and the mean and variance of each channel -> scores [b b2] of study b and report b2: pre-training's logits. */
export function scorePairs(x: Tensors, s: Settings): Tensors {
  checkMethod(s);
  const { study, sentence, valid } = sides(x);
  const said = normalised(sentence, x.text_mean!, x.text_variance!); // [i s c]
  const scale = scope('contrast', () => inverseTemperature(s.pretrain)).mul(bySentences(s) ? s.pretrain.kappa : 1);
  const found = bySentences(s)
    ? answers(study, x.query!.rename({ b: 'i' }), s)
    : study.expand('i', s.batch, 'c').expand('s', 1, 'c');
  const each = normalised(found, x.study_mean!, x.study_variance!).mul(said).sum('c').mul(valid); // [j i s]
  const scores = each.sum('s').div(valid.sum('s').max(1)).mul(scale);
  return { scores: scores.rename({ j: 'b', i: 'b2' }) };
}

const sides = (x: Tensors): { study: Tensor; sentence: Tensor; valid: Tensor } => ({
  study: x.study!.rename({ b: 'j' }),
  sentence: x.sentence!.rename({ b: 'i' }),
  valid: x.valid!.rename({ b: 'i' }),
});

const normalised = (x: Tensor, mean: Tensor, variance: Tensor): Tensor =>
  unit(x.sub(mean).mul(variance.add(NORM_EPS).rsqrt()));

/** Tokens [j n c] and queries [i s c] -> what each found in each study, [j i s c]. */
function answers(study: Tensor, query: Tensor, { pretrain }: Settings): Tensor {
  const split = { i: query.size('i'), s: query.size('s') };
  const q = query.merge('i s', 'n').expand('h', 1, 'c').expand('g', study.size('j'), 'n').rename({ c: 'e' });
  const asTokens = (x: Tensor): Tensor => x.rename({ j: 'g', n: 'm', c: 'e' }).expand('h', 1, 'e');
  const keys = scope('contrast', () => asked(study, pretrain));
  return attention(q, asTokens(keys), asTokens(study)).squeeze('h').split('n', split).rename({ g: 'j', e: 'c' });
}

/** Over `axes`, weighed by `weight` over the same axes. */
function moments(x: Tensor, axes: string, weight: Tensor): { count: Tensor; mean: Tensor; spread: Tensor } {
  return region('moments', () => {
    const count = weight.sum(axes);
    const mean = x.mul(weight).sum(axes).div(count.max(1));
    const off = x.sub(mean);
    return { count, mean, spread: off.mul(off).mul(weight).sum(axes) };
  });
}

/** Tokens of all tiles of a study. */
function tokensOfStudy(s: Settings): number {
  const halvings = s.backbone === 'unet' ? s.channels.length : 4;
  const tile = s.size.reduce((n, size) => n * halved(size, halvings), 1);
  return s.pretrain.tiles * tile;
}

const halved = (size: number, times: number): number => {
  let n = size;
  for (let i = 0; i < times; i++) n = Math.ceil(n / 2);
  return n;
};
