// Reductions.
import { type Expr, lit, when } from '../expr.ts';
import { int, linear, sub, variable } from '../int.ts';
import type { ReduceOp } from '../ir.ts';
import { acc, base, bin, buf, load, product, type Sample, sample, vars } from './build.ts';

/** Row reduction over the innermost axis: keep r, reduce c. */
export function rowReduce(op: ReduceOp, r: number, c: number, square = false): Sample {
  const x = load(0, linear([variable('r', r), variable('c', c)], [r, c]));
  const dtype = op === 'argmax' ? 'i32' : 'f32';
  const result: Expr = op === 'argmax' ? { k: 'acc', dtype: 'i32' } : op === 'sum' ? bin('mul', acc, lit(1 / c)) : acc;
  return sample({
    ...base(
      `reduce row ${op}${square ? ' of squares' : ''} ${r}×${c}`,
      [buf('x', r * c), buf('y', r, 'write', dtype)],
      0,
    ),
    kind: 'reduce',
    op,
    keep: vars({ r }),
    red: vars({ c }),
    value: square ? bin('mul', x, x) : x,
    stores: [{ buf: 1, value: result }],
  });
}

/** Row reduction of two rows side by side: what is reduced is a vector in parts, and none as a whole. */
export function joinedReduce(op: 'max' | 'min' | 'sum', r: number, c0: number, c1: number): Sample {
  const [rv, cv] = [variable('r', r), variable('c', c0 + c1)];
  const value = when(
    [{ e: cv, lo: 0, hi: c0 }],
    load(0, linear([rv, cv], [r, c0])),
    load(1, linear([rv, sub(cv, int(c0))], [r, c1])),
  );
  return sample({
    ...base(`reduce row ${op} joined ${r}×${c0}+${c1}`, [buf('x', r * c0), buf('z', r * c1), buf('y', r, 'write')], 0),
    kind: 'reduce',
    op,
    keep: vars({ r }),
    red: vars({ c: c0 + c1 }),
    value,
    stores: [{ buf: 2, value: acc }],
  });
}

/** Column reduction: keep b and c, reduce d h w (InstanceNorm statistics). */
export function columnReduce(op: ReduceOp, b: number, [d, h, w]: [number, number, number], c: number): Sample {
  const shape = [b, d, h, w, c];
  const at = linear(
    ['b', 'd', 'h', 'w', 'c'].map((v, i) => variable(v, shape[i]!)),
    shape,
  );
  return sample({
    ...base(`reduce column ${op} ${shape.join('×')}`, [buf('x', product(shape)), buf('y', b * c, 'write')], 0),
    kind: 'reduce',
    op,
    keep: vars({ b, c }),
    red: vars({ d, h, w }),
    value: load(0, at),
    stores: [{ buf: 1, value: acc }],
  });
}
