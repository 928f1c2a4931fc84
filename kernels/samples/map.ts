// Elementwise kernels.
import { type Expr, lit, when } from '../expr.ts';
import { add, div, type Int, int, linear, mul, rem, sub, variable } from '../int.ts';
import { base, bin, buf, load, type Sample, sample, select, un, vars } from './build.ts';

/** Every scalar function on one row of values. */
export function functions(n: number): Sample {
  const x = load(0, variable('i', n));
  const y = load(1, variable('i', n));
  const outs: [string, Expr][] = [
    ['exp', un('exp', bin('mul', x, lit(20)))],
    ['log', un('log', un('abs', x))],
    ['tanh', un('tanh', bin('mul', x, lit(3)))],
    ['erf', un('erf', bin('mul', x, lit(4)))],
    ['sqrt', bin('add', un('sqrt', un('abs', x)), un('rsqrt', bin('add', un('abs', y), lit(0.01))))],
    ['minmax', bin('sub', bin('max', x, y), bin('min', x, lit(0.25)))],
    [
      'select',
      select(bin('le', x, y), bin('div', x, bin('add', y, lit(2))), un('neg', un('floor', bin('mul', x, lit(8))))),
    ],
    ['pow', bin('pow', un('abs', x), lit(1.5))],
    ['finite', select(un('isfinite', bin('div', x, un('floor', un('abs', y)))), lit(1), lit(2))],
    ['random', { k: 'random', op: 17, index: variable('i', n), dtype: 'f32' }],
    ['iota', { k: 'cast', a: { k: 'index', i: rem(variable('i', n), 7), dtype: 'i32' }, dtype: 'f32' }],
    ['logic', select(bin('and', bin('lt', x, y), un('not', bin('ge', y, lit(0.5)))), lit(3), lit(-3))],
  ];
  return sample({
    ...base(`map functions ${n}`, [buf('x', n), buf('y', n), ...outs.map(([l]) => buf(l, n, 'write'))], 0),
    kind: 'map',
    vars: vars({ i: n }),
    stores: outs.map(([, value], i) => ({ buf: i + 2, value })),
  });
}

/** y[d h w c] = x shifted by a roll along d and padded along h, times a row broadcast over channels. */
export function padRoll(d: number, h: number, w: number, c: number): Sample {
  const H = h + 3;
  const dv = variable('d', d);
  const hv = variable('h', H);
  const wv = variable('w', w);
  const cv = variable('c', c);
  const row = add(hv, int(-1));
  const at = linear([rem(add(dv, int(2)), d), row, wv, cv], [d, h, w, c]);
  const value = when([{ e: row, lo: 0, hi: h }], bin('mul', load(0, at), load(1, cv)), lit(0));
  return sample({
    ...base(
      `map pad roll ${d}×${h}×${w}×${c}`,
      [buf('x', d * h * w * c), buf('gain', c), buf('y', d * H * w * c, 'write')],
      0,
    ),
    kind: 'map',
    vars: vars({ d, h: H, w, c }),
    stores: [{ buf: 2, value }],
  });
}

/** y[r c] = x[r c] * scale[r] + transpose(z)[c r]: stride 0 and stride n along the row. */
export function broadcast(r: number, c: number): Sample {
  const rv = variable('r', r);
  const cv = variable('c', c);
  const x = load(0, linear([rv, cv], [r, c]));
  const z = load(2, linear([cv, rv], [c, r]));
  return sample({
    ...base(
      `map broadcast ${r}×${c}`,
      [buf('x', r * c), buf('scale', r), buf('z', r * c), buf('y', r * c, 'write')],
      0,
    ),
    kind: 'map',
    vars: vars({ r, c }),
    stores: [{ buf: 3, value: bin('add', bin('mul', x, load(1, rv)), z) }],
  });
}

/** y[r c] = (x[r c] - mean[c]) * scale[c]: what stands for a column is the same in every row. */
export function normalise(r: number, c: number): Sample {
  const cv = variable('c', c);
  const x = load(0, linear([variable('r', r), cv], [r, c]));
  return sample({
    ...base(`map normalise ${r}×${c}`, [buf('x', r * c), buf('mean', c), buf('scale', c), buf('y', r * c, 'write')], 0),
    kind: 'map',
    vars: vars({ r, c }),
    stores: [{ buf: 3, value: bin('mul', bin('sub', x, load(1, cv)), load(2, cv)) }],
  });
}

/** Concatenation along the row variable, and an integer one-hot. */
export function concat(r: number, c0: number, c1: number): Sample {
  const c = c0 + c1;
  const rv = variable('r', r);
  const cv = variable('c', c);
  const value = when(
    [{ e: cv, lo: 0, hi: c0 }],
    load(0, linear([rv, cv], [r, c0])),
    load(1, linear([rv, sub(cv, int(c0))], [r, c1])),
  );
  const hot: Expr = {
    k: 'cast',
    a: bin('eq', load(2, rv, 'i32'), { k: 'index', i: cv, dtype: 'i32' }),
    dtype: 'f32',
  };
  return sample({
    ...base(
      `map concat ${r}×${c0}+${c1}`,
      [
        buf('x', r * c0),
        buf('z', r * c1),
        buf('label', r, 'read', 'i32'),
        buf('y', r * c, 'write'),
        buf('hot', r * c, 'write'),
      ],
      0,
    ),
    kind: 'map',
    vars: vars({ r, c }),
    stores: [
      { buf: 3, value },
      { buf: 4, value: hot },
    ],
  });
}

/** Window partition [d h w c] -> [window token c] and a gather of embedding rows. */
export function windows(d: number, ws: number, c: number): Sample {
  const n = d / ws;
  const g = variable('g', n ** 3);
  const t = variable('t', ws ** 3);
  const cv = variable('c', c);
  const coordinate = (step: number, i: number): Int =>
    add(mul(rem(div(g, step ** i), n), ws), rem(div(t, ws ** i), ws));
  const at = linear([coordinate(n, 2), coordinate(n, 1), coordinate(n, 0), cv], [d, d, d, c]);
  const gathered: Expr = {
    k: 'load',
    buf: 2,
    index: cv,
    dtype: 'f32',
    at: { expr: load(1, t, 'i32'), stride: c },
  };
  return sample({
    ...base(
      `map windows ${d}/${ws} c${c}`,
      [buf('x', d ** 3 * c), buf('ids', ws ** 3, 'read', 'i32'), buf('table', 4 * c), buf('y', d ** 3 * c, 'write')],
      0,
    ),
    kind: 'map',
    vars: vars({ g: n ** 3, t: ws ** 3, c }),
    stores: [{ buf: 3, value: bin('add', load(0, at), gathered) }],
  });
}

/** In-place update: p -= lr * g, with moments (AdamW's shape). */
export function update(n: number): Sample {
  const i = variable('i', n);
  const m = bin('add', bin('mul', load(1, i), lit(0.9)), bin('mul', load(2, i), lit(0.1)));
  const lr: Expr = { k: 'step', slot: 'lr', dtype: 'f32' };
  return sample({
    ...base(`map update ${n}`, [buf('p', n, 'readwrite'), buf('m', n, 'readwrite'), buf('g', n)], 0),
    kind: 'map',
    vars: vars({ i: n }),
    stores: [
      { buf: 0, value: bin('sub', load(0, i), bin('mul', lr, m)) },
      { buf: 1, value: m },
    ],
  });
}
