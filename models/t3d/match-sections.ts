// The text tower alone: which findings belong to which impression? Radiologists say in an impression what they found, in other words. A
// tower that matches the two learns which words say the same before it sees an image, from reports that need none. The task is that of
// CXR-BERT's radiology section matching (Boecking et al., 2022), with sentences in place of whole sections.
import { type InputSpec, i32, logSoftmax, region, scope, type Tensor } from '../../dsl/index.ts';
import {
  batchNorm,
  type Contrast,
  crossEntropies,
  inverseTemperature,
  NO_CANDIDATE,
  sentenceFeatures,
  unit,
} from './contrast.ts';
import type { PretrainSettings } from './pretrain-settings.ts';
import type { Settings } from './settings.ts';
import { textTokens } from './text.ts';
import { checkText } from './text-settings.ts';

type Tensors = Readonly<Record<string, Tensor>>;

export function matchSectionsInputs(s: Settings): Readonly<Record<string, InputSpec>> {
  const tokens = { b: s.batch, t: s.textTokens };
  return {
    input_ids: i32(tokens),
    attention_mask: i32(tokens),
    sentence_ids: i32(tokens),
    impression_ids: i32(tokens),
    impression_mask: i32(tokens),
    impression_sentence_ids: i32(tokens),
    pair_mask: i32({ b: s.batch, b2: s.batch }),
  };
}

/** Findings and impressions of reports -> loss, and accuracy: the part of the findings whose own impression fits them best. */
export function matchSections(x: Tensors, s: Settings): Contrast {
  checkText(s.text, s.textTokens);
  const all: Settings = { ...s, textTrain: -1 };
  const side = (ids: Tensor, mask: Tensor, sentence: Tensor): Sentences =>
    sentenceFeatures(
      textTokens({ input_ids: ids, attention_mask: mask, sentence_ids: sentence }, all),
      sentence,
      s.pretrain.sentences,
    );
  const findings = side(x.input_ids!, x.attention_mask!, x.sentence_ids!);
  const impression = side(x.impression_ids!, x.impression_mask!, x.impression_sentence_ids!);
  return sectionContrast(findings, impression, x.pair_mask!, s.pretrain);
}

interface Sentences {
  /** [b s c] */
  readonly features: Tensor;
  /** [b s] */
  readonly valid: Tensor;
}

/**
 * Each sentence s of impression i looks for the sentences u of findings j that are most like it: S_ji = mean_s Σ_u α_u ⟨f_ju, e_is⟩ / τ with
 * α = softmax_u(⟨f_ju, e_is⟩ / τ). Features are normalised over the batch and to length 1, and no layer stands between them and the
 * comparison, so that what is learned is the tower's own.
 */
export function sectionContrast(
  findings: Sentences,
  impression: Sentences,
  candidates: Tensor,
  p: PretrainSettings,
): Contrast {
  return scope('sections', () => {
    const as = (t: Tensor, b: string, n: string): Tensor => t.rename({ b, s: n });
    const [fm, em] = [as(findings.valid, 'j', 'u'), as(impression.valid, 'i', 's')];
    const f = unit(batchNorm(as(findings.features, 'j', 'u'), 'j u', fm));
    const e = unit(batchNorm(as(impression.features, 'i', 's'), 'i s', em));
    const sharp = inverseTemperature(p);
    const [j, u, i, n] = [f.size('j'), f.size('u'), e.size('i'), e.size('s')];
    const alike = region('alike', () =>
      f
        .merge('j u', 'm')
        .expand('n', i * n, 'm')
        .mul(e.merge('i s', 'n'))
        .sum('c')
        .split('m', { j, u })
        .split('n', { i, s: n }),
    ); // [i s j u]
    const weight = logSoftmax(fm.where(alike.mul(sharp), NO_CANDIDATE), 'u').exp();
    const kept = em.cast('f32');
    const found = alike.mul(weight).sum('u').mul(kept).sum('s'); // [i j]
    const scores = found.div(kept.sum('s').max(1)).mul(sharp).permute('j i');
    // Which reports are candidates is told by `candidates` alone: what features agree is what is learned here.
    return crossEntropies(scores, impression.features.mean('s'), candidates, { ...p, agreement: 1, softTargets: 0 });
  });
}
