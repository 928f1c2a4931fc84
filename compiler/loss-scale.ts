// Dynamic loss scaling, as torch.amp.GradScaler's, decided on the device: nothing waits for a read-back.
//
// Cotangents in f16 start from the scale instead of 1, and gradients are divided by it as they are accumulated in f32. An
// update looks for gradients that are not finite: then nothing is changed and the scale is halved; after INTERVAL good updates
// it is doubled. Adam's count of steps lives here too, since a skipped update is no step. A guarded update in f32 (EntrySpec.guard)
// does the same without a scale.
import { make, type Value } from '../dsl/graph.ts';
import { arena } from '../dsl/ops/leaf.ts';
import { constant, iota, Tensor } from '../dsl/tensor.ts';
import type { TensorType } from '../dsl/types.ts';

export const SCALER = 'scaler';
/** One unit of arena memory. */
export const SCALER_TYPE: TensorType = { dtype: 'f32', axes: [{ name: 's', size: 64 }] };
const SLOTS = { scale: 0, good: 1, t: 2, skipped: 3 } as const;

/** torch.amp.GradScaler's defaults, and a scale that never falls below 1. */
const INITIAL = 2 ** 16;
const INTERVAL = 2000;
const MOST = 2 ** 24;

const slot = (name: keyof typeof SLOTS): Tensor =>
  new Tensor(make(arena, [], { name: SCALER, type: SCALER_TYPE })).slice('s', SLOTS[name], 1).squeeze('s');

/** The scale now. An arena starts as zeros. */
export function lossScale(): Tensor {
  const stored = slot('scale');
  return stored.eq(0).where(INITIAL, stored);
}

/** Adam's t of this update, if it is not skipped. */
export const countedStep = (): Tensor => slot('t').add(1);

/** Whether all gradients are finite. g [row x] */
export const allFinite = (g: Tensor): Tensor => g.isfinite().not().cast('f32').sum('row x').eq(0);

/** The scaler's next contents. Where losses are not scaled, the scale of a run that scaled them stays. */
export function nextScaler(finite: Tensor, scaled: boolean): Value {
  const scale = scaled ? lossScale() : slot('scale');
  const good = finite.where(slot('good').add(1), 0);
  const grow = good.ge(INTERVAL);
  const values: Record<keyof typeof SLOTS, Tensor> = {
    scale: scaled ? finite.where(grow.where(scale.mul(2).min(MOST), scale), scale.mul(0.5).max(1)) : scale,
    good: scaled ? grow.where(0, good) : slot('good'),
    t: slot('t').add(finite.cast('f32')),
    skipped: slot('skipped').add(finite.not().cast('f32')),
  };
  const at = iota('s', SCALER_TYPE.axes[0]!.size);
  let out = constant(0).expand('s', SCALER_TYPE.axes[0]!.size);
  for (const [name, value] of Object.entries(values)) out = at.eq(SLOTS[name as keyof typeof SLOTS]).where(value, out);
  return out.value;
}
