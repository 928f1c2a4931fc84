// The order of an epoch: every item once, by the seed and the epoch's number alone.
import { stream } from './random.ts';

/** Streams of one seed that must not meet. */
const ORDER = 0x0001;

/** Every item once, in an order of the epoch's own (Fisher and Yates). */
export function epochOrder(items: number, seed: number, epoch: number): Uint32Array {
  const random = stream(seed, ORDER, epoch);
  const order = Uint32Array.from({ length: items }, (_, i) => i);
  for (let i = items - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
