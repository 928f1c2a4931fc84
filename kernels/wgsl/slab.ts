// The outermost output axis, along which a dispatch may be cut.
import type { LoopVar } from '../ir.ts';

export interface Outermost {
  /** Position of the axis among `vars` (-1 when nothing can be cut). */
  readonly axis: number;
  readonly outermost: number;
  /** Output elements per outermost index. */
  readonly inner: number;
}

/** The first axis of more than one element. */
export function outermostAxis(vars: readonly LoopVar[]): Outermost {
  const axis = vars.findIndex((v) => v.size > 1);
  if (axis < 0) return { axis, outermost: 1, inner: 1 };
  const inner = vars.slice(axis + 1).reduce((n, v) => n * v.size, 1);
  return { axis, outermost: vars[axis]!.size, inner };
}
