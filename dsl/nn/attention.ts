// Multi-head attention over groups of tokens (windows, or whole sequences).
import { make } from '../graph.ts';
import { attention as attentionOp } from '../ops/attention.ts';
import { region } from '../scope.ts';
import { Tensor } from '../tensor.ts';

export interface AttentionOptions {
  /** Default: channels^-½. */
  readonly scale?: number;
  /** [h n m], added to the scores. */
  readonly bias?: Tensor;
  /** i32 group ids of queries [g n] and keys [g m]: where they differ, `maskValue` (default -100, as Swin) is added. */
  readonly groups?: { readonly q: Tensor; readonly k: Tensor; readonly maskValue?: number };
}

/** q [g n h e], k and v [g m h e] -> [g n h e]. The scores are never stored. */
export function attention(q: Tensor, k: Tensor, v: Tensor, o: AttentionOptions = {}): Tensor {
  return region('attention', () => {
    const e = q.axes[3]!.size;
    const inputs = [q, k, v, ...(o.bias ? [o.bias] : []), ...(o.groups ? [o.groups.q, o.groups.k] : [])];
    return new Tensor(
      make(
        attentionOp,
        inputs.map((t) => t.value),
        {
          scale: o.scale ?? e ** -0.5,
          maskValue: o.groups?.maskValue ?? -100,
          bias: o.bias !== undefined,
          groups: o.groups !== undefined,
        },
      ),
    );
  });
}
