// Kernels that read and write f16: the other samples with some of their buffers halved, and the conversion itself.
import { type Expr, lit, rewrite } from '../expr.ts';
import { linear, variable } from '../int.ts';
import type { ContractKernel, Kernel, MapKernel, Operand, ReduceKernel, Store } from '../ir.ts';
import { bin, buf, load, type Sample, sample } from './build.ts';
import { conv, convConcat, convWeightGrad } from './conv.ts';
import { padRoll } from './map.ts';
import { matmul } from './matmul.ts';
import { columnReduce, rowReduce } from './reduce.ts';

const half = (e: Expr, overflow = false): Expr => ({ k: 'cast', a: e, dtype: 'f16', overflow });

/** The sample with these buffers as f16: loads are cast to f32, stores to f16. */
function halved(s: Sample, which: readonly number[]): Sample {
  const k = s.kernel as MapKernel | ReduceKernel | ContractKernel;
  const read = (e: Expr): Expr =>
    rewrite(e, (x) =>
      x.k === 'load' && which.includes(x.buf) ? { k: 'cast', a: { ...x, dtype: 'f16' }, dtype: 'f32' } : x,
    );
  const operand = (o: Operand): Operand => ({ ...o, value: read(o.value) });
  const stores: Store[] = k.stores.map((t) => ({
    buf: t.buf,
    value: which.includes(t.buf) ? half(read(t.value)) : read(t.value),
  }));
  const common = {
    name: `${k.name} f16 ${which.join(' ')}`,
    bufs: k.bufs.map((b, i) => (which.includes(i) ? { ...b, dtype: 'f16' as const } : b)),
    stores,
  };
  const kernel: Kernel =
    k.kind === 'contract'
      ? { ...k, ...common, a: operand(k.a), b: operand(k.b) }
      : k.kind === 'reduce'
        ? { ...k, ...common, value: read(k.value) }
        : { ...k, ...common };
  return sample(kernel);
}

/** y = f16(x · 2^n): usual numbers, clamped ones and denormals; z = x · 2^n through f16 in registers. */
function rounding(rows: number, columns: number): Sample {
  const at = linear([variable('r', rows), variable('c', columns)], [rows, columns]);
  const n = rows * columns;
  const exponents = [0, 17, -15, -24];
  const scaled = (e: number): Expr => bin('mul', load(0, at), lit(2 ** e));
  const kernel: MapKernel = {
    kind: 'map',
    name: `map f16 rounding ${rows}×${columns}`,
    region: 'rounding',
    ops: ['cast'],
    lines: ['kernels/samples/half.ts'],
    flops: 0,
    bufs: [
      { ...buf('x', n), tensor: 0 },
      ...exponents.map((e, i) => ({ ...buf(`y${e}`, n, 'write', 'f16'), tensor: i + 1 })),
      { ...buf('z', n, 'write'), tensor: 5 },
      { ...buf('infinite', n, 'write', 'f16'), tensor: 6 },
    ],
    vars: [
      { name: 'r', size: rows },
      { name: 'c', size: columns },
    ],
    stores: [
      ...exponents.map((e, i) => ({ buf: i + 1, value: half(scaled(e)) })),
      { buf: 5, value: { k: 'cast', a: half(scaled(0)), dtype: 'f32' } },
      { buf: 6, value: half(scaled(17), true) },
    ],
  };
  return sample(kernel);
}

export const halfSamples: readonly Sample[] = [
  rounding(4, 64),
  rounding(7, 13),
  rounding(1, 1),
  halved(padRoll(4, 5, 3, 8), [0, 2]),
  halved(padRoll(5, 3, 7, 13), [0, 2]),
  halved(matmul(13, 17, 19, { batch: 3 }), [0, 2]),
  halved(matmul(64, 32, 64), [0, 1, 2]),
  halved(matmul(37, 29, 14, { transposeB: true }), [1, 2]),
  halved(conv({ size: [5, 6, 7], ci: 12, co: 8, b: 2, prologue: true, bias: true }), [0, 2]),
  halved(conv({ size: [6, 5, 7], ci: 3, co: 5, stride: 2 }), [0, 2]),
  halved(convConcat([3, 4, 5], 8, 12, 16), [0, 3]),
  halved(convWeightGrad({ size: [5, 3, 7], ci: 6, co: 10, b: 2, split: 2, prologue: true }), [0, 1]),
  halved(rowReduce('sum', 7, 48), [0, 1]),
  halved(rowReduce('max', 3, 37), [0]),
  halved(columnReduce('sum', 2, [3, 5, 7], 12), [0, 1]),
  halved(columnReduce('sum', 1, [11, 13, 17], 3), [0]),
];
