// Matrix products.
import { lit } from '../expr.ts';
import { variable } from '../int.ts';
import type { Affine, ContractKernel, Operand } from '../ir.ts';
import { acc, affine, axes, base, bin, buf, load, type Sample, sample, un } from './build.ts';

export interface MatmulOptions {
  readonly batch?: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly bias?: boolean;
  readonly gelu?: boolean;
}

/** c[b m n] = a[b m k] b[b k n] (+ bias[n]); transposes exchange the stored axes. */
export function matmul(m: number, k: number, n: number, o: MatmulOptions = {}): Sample {
  const batch = o.batch ?? 1;
  const name = `matmul ${batch > 1 ? `${batch}×` : ''}${m}×${k}×${n}${o.transposeA ? ' aT' : ''}${o.transposeB ? ' bT' : ''}${o.bias ? ' bias' : ''}${o.gelu ? ' gelu' : ''}`;
  const aShape = o.transposeA ? [batch, k, m] : [batch, m, k];
  const bShape = o.transposeB ? [batch, n, k] : [batch, k, n];
  const names = (list: string[], shape: number[]): Affine[] => list.map((v, i) => affine(shape[i]!, 0, [v, 1]));
  const x = load(0, axes(aShape));
  const half = bin('mul', x, lit(0.5));
  const gelu = bin('mul', half, bin('add', lit(1), un('erf', bin('mul', x, lit(Math.SQRT1_2)))));
  const a: Operand = {
    axes: names(o.transposeA ? ['b', 'k', 'm'] : ['b', 'm', 'k'], aShape),
    value: o.gelu ? gelu : x,
  };
  const b: Operand = {
    axes: names(o.transposeB ? ['b', 'n', 'k'] : ['b', 'k', 'n'], bShape),
    value: load(1, axes(bShape)),
  };
  const kernel: ContractKernel = {
    ...base(
      name,
      [
        buf('a', batch * m * k),
        buf('b', batch * k * n),
        buf('c', batch * m * n, 'write'),
        ...(o.bias ? [buf('bias', n)] : []),
      ],
      2 * batch * m * k * n,
    ),
    kind: 'contract',
    pattern: 'matmul',
    vars: new Map([
      ['b', batch],
      ['m', m],
      ['k', k],
      ['n', n],
    ]),
    out: ['b', 'm', 'n'],
    batch: ['b'],
    m: ['m'],
    n: ['n'],
    k: ['k'],
    a,
    b,
    stores: [{ buf: 2, value: o.bias ? bin('add', acc, load(3, variable('n', n))) : acc }],
  };
  return sample(kernel);
}
