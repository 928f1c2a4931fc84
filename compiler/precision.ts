// Precision: which stored values are kept as f16. Arithmetic and accumulation stay f32; so do parameters, their gradients,
// optimiser state, inputs and outputs, and everything that many terms were summed into.
import { type Node, typeOf } from '../dsl/graph.ts';
import { numel } from '../dsl/types.ts';
import type { Precision } from './lower.ts';

/** Smaller tensors save nothing. */
const LEAST = 4096;

/** Values from kernel to kernel as f16: activations and their cotangents, but no statistics and no partial sums. */
export const halfStorage: Precision = (v, fusion) => {
  const { dtype } = typeOf(v);
  if (dtype !== 'f32' || numel(typeOf(v)) < LEAST) return dtype;
  const anchor = anchorOf(v.node, fusion);
  switch (anchor.op) {
    case 'reduce':
    case 'tiles': // rows, or sums of many
      return 'f32';
    case 'attention':
      return v.out === 0 ? 'f16' : 'f32'; // the log of the sums
    case 'attentionGrad':
      return v.out < 3 ? 'f16' : 'f32'; // the bias's gradient
    default:
      return isPartial(v.node, fusion) ? 'f32' : 'f16';
  }
};

/** The anchor whose epilogue ends in n, or n itself. */
function anchorOf(n: Node, fusion: Parameters<Precision>[1]): Node {
  for (const [anchor, last] of fusion.epilogue) if (last === n) return anchor;
  return n;
}

/** What sums alone read: the parts of a sum that was split. */
function isPartial(n: Node, fusion: Parameters<Precision>[1]): boolean {
  const readers = fusion.order.filter((m) => m.inputs.some((v) => v.node === n));
  return n.op === 'contract' && readers.length > 0 && readers.every((m) => m.op === 'reduce');
}
