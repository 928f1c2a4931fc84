// Attention and its gradients.
import { type Expr, lit } from '../expr.ts';
import { type Int, int, linear, variable } from '../int.ts';
import { base, bin, buf, load, type Sample, sample } from './build.ts';

export interface AttentionOptions {
  readonly g: number;
  readonly h: number;
  readonly n: number;
  readonly e: number;
  readonly masked?: boolean;
  readonly bias?: boolean;
  readonly parts?: number;
}

/** Attention over qkv [g n 3 h e], bias [h n n], group ids [g n]. */
export function attention(part: 'forward' | 'dq' | 'dkv' | 'dbias', o: AttentionOptions): Sample {
  const { g, h, n, e } = o;
  const name = `attention ${part} g${g} h${h} n${n} e${e}${o.masked ? ' masked' : ''}${o.bias === false ? '' : ' bias'}`;
  const v = (s: string, size: number): Int => variable(s, size);
  const qkv = (which: number, token: string): Expr =>
    load(0, linear([v('g', g), v(token, n), int(which), v('h', h), v('e', e)], [g, n, 3, h, e]));
  const group = (token: string): Expr => load(2, linear([v('g', g), v(token, n)], [g, n]), 'i32');
  const bufs = [buf('qkv', g * n * 3 * h * e), buf('bias', h * n * n), buf('groups', g * n, 'read', 'i32')];
  const operands = {
    q: qkv(0, 'i'),
    k: qkv(1, 'j'),
    v: qkv(2, 'j'),
    bias: o.bias === false ? null : load(1, linear([v('h', h), v('i', n), v('j', n)], [h, n, n])),
    gq: o.masked ? group('i') : null,
    gk: o.masked ? group('j') : null,
    shape: { g, h, n, m: n, e, scale: e ** -0.5, maskValue: -100 },
  };
  const flops = 2 * g * h * n * n * e;
  if (part === 'forward') {
    bufs.push(buf('o', g * n * h * e, 'write'), buf('lse', g * h * n, 'write'));
    return sample({ ...base(name, bufs, 2 * flops), kind: 'attention', ...operands, o: 3, lse: 4 });
  }
  const parts = part === 'dbias' ? (o.parts ?? 1) : 1;
  bufs.push(buf('dO', g * n * h * e), buf('lse', g * h * n), buf('delta', g * h * n));
  if (part === 'dbias') bufs.push(buf('dbias', parts * h * n * n, 'write'));
  else bufs.push(buf(part === 'dq' ? 'dq' : 'dk', g * n * h * e, 'write'));
  if (part === 'dkv') bufs.push(buf('dv', g * n * h * e, 'write'));
  const row = linear([v('g', g), v('h', h), v('i', n)], [g, h, n]);
  return sample({
    ...base(name, bufs, (part === 'dkv' ? 4 : part === 'dq' ? 3 : 2) * flops),
    kind: 'attentionGrad',
    part,
    ...operands,
    dO: load(3, linear([v('g', g), v('i', n), v('h', h), v('e', e)], [g, n, h, e])),
    // Real log-sum-exps are near log n: keeps probabilities near their size.
    lse: bin('add', load(4, row), lit(Math.log(n) + 1)),
    delta: load(5, row),
    outs: part === 'dkv' ? [6, 7] : [6],
    parts,
  });
}
