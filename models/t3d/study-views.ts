// Option `view`: two augmented encodings of a study find each other. Every candidate is asked with the anchor's own report, so that the
// text cannot tell candidates apart, and sentences are constants: what is learned is where to look, and the image.
import { concat, logSoftmax, region, type Tensor } from '../../dsl/index.ts';
import { answers, batchNorm, NO_CANDIDATE, queries, unit } from './contrast.ts';
import type { PretrainSettings } from './pretrain-settings.ts';

/**
 * Va, Vb [b n c]; E [b s c'], valid [b s]; own and kept [j i]: study j is study i, or may be told from it. P_{j|i} is the mean answer
 * of study j to the sentences of report i, normalised. Study i of one view finds itself among the studies j of the other, and the
 * other way round. Within the scope `contrast`.
 */
export function studyViews(
  Va: Tensor,
  Vb: Tensor,
  E: Tensor,
  valid: Tensor,
  { own, kept }: { readonly own: Tensor; readonly kept: Tensor },
  sharp: Tensor,
  p: PretrainSettings,
): Tensor {
  return region('view', () => {
    const b = Va.size('b');
    const m = valid.rename({ b: 'i' }).cast('f32');
    const count = m.sum('s').max(1);
    const asked = queries(E.detach(), Va.size('c'), p, valid);
    const mean = (V: Tensor): Tensor => answers(V, asked, p).mul(m).sum('s').div(count).expand('v', 1, 'j');
    const both = concat([mean(Va), mean(Vb)], 'v'); // [v j i c]
    const P = unit(batchNorm(both, p.normalize === 'studies' ? 'v j' : 'v j i'));
    const anchors = P.mul(own.cast('f32')).sum('j'); // [v i c]
    const others = P.roll('v', 1);
    const scores = anchors.mul(others).sum('c').mul(sharp); // [v j i]
    const logp = logSoftmax(own.or(kept).where(scores, NO_CANDIDATE), 'j');
    return logp
      .mul(own.cast('f32'))
      .sum(logp.names.join(' '))
      .mul(-1 / (2 * b));
  });
}
