// Counterfactual reports as hard negatives: a study's own report with one thing in it made false. They stand in rows alone: a study
// must not take the false report for its own.
//
// A false report can be told by its words: "an appendix of the spleen" is written by nobody. Scored like the others, it would be pushed
// down for all studies at once, by the text alone. So each is scored by how much better it fits this study than it fits the studies of
// the batch, on the level of the true report: S'_jf = S_jf − mean_k S_kf + mean_k S_kj. Whatever a study-independent term adds to S_jf,
// it cancels. Where all studies look alike, S'_jf is S_jj, and no text gets the rows below ln(B + the number of false reports).
import { iota, region, type Tensor } from '../../dsl/index.ts';
import { answers, NO_CANDIDATE, project, unit } from './contrast.ts';
import type { PretrainSettings } from './pretrain-settings.ts';

/** Sentences of false reports, f of each study: features [b f s c], valid [b f s]. A report without a sentence is none. */
export interface FalseReports {
  readonly features: Tensor;
  readonly valid: Tensor;
}

export interface FalseScores {
  /** [j f] */
  readonly logits: Tensor;
  readonly count: Tensor;
  readonly accuracy: Tensor;
}

/** `scores` [j i] of the true reports; as queries, answers and sentences are normalised there. */
export function falseScores(
  V: Tensor,
  { features, valid }: FalseReports,
  scores: Tensor,
  sharp: Tensor,
  p: PretrainSettings,
  {
    asQueries,
    asAnswers,
    asSentences,
  }: Readonly<Record<'asQueries' | 'asAnswers' | 'asSentences', (x: Tensor) => Tensor>>,
): FalseScores {
  return region('counterfactuals', () => {
    const [b, f] = [features.size('b'), features.size('f')];
    const E = features.merge('b f', 'i').rename({ i: 'b' });
    const m = valid.merge('b f', 'i').cast('f32'); // [i s]
    const count = m.sum('s');
    const apart = (x: Tensor): Tensor => x.split('i', { i: b, f });
    const answer = unit(asAnswers(apart(answers(V, asQueries(project('query', E, V.size('c'))), p)))); // [j i f s c]
    const sentence = unit(asSentences(apart(project('embed', E, V.size('c')).rename({ b: 'i' })))); // [i f s c]
    const each = answer.mul(sentence).sum('c').mul(apart(m)); // [j i f s]
    const raw = each.sum('s').div(apart(count).max(1)).mul(sharp).mul(p.kappa); // [j i f]
    const own = iota('i', b).expand('j', b, 'i').eq(iota('j', b)).cast('f32'); // [j i]
    const level = scores.mean('j').sub(raw.mean('j')); // [i f]
    const relative = raw
      .mul(own)
      .sum('i')
      .add(level.rename({ i: 'j' })); // [j f]
    const there = apart(count).gt(0).rename({ i: 'j' });
    const truth = scores.mul(own).sum('i'); // [j]
    const weight = there.cast('f32');
    const known = weight.sum('j f');
    const right = relative.lt(truth).cast('f32').mul(weight).sum('j f');
    return { logits: there.where(relative, NO_CANDIDATE), count: known, accuracy: right.div(known.max(1)) };
  });
}
