// What the bench measures: single operations, each an entry of its own, compiled as any model is.
//
// Conventions. A multiply-add is two operations. Attention counts its products: two forward (scores, values), five backward
// (scores again, dP, dV, dQ, dK). Norms, elementwise work, updates and reductions count none: their measure is bytes. Bytes
// are the compulsory ones: every input and output once.
import { differentiate } from '../../dsl/differentiate.ts';
import * as t from '../../dsl/index.ts';
import type { InputSpec } from '../../dsl/model.ts';

export type Pass = 'forward' | 'data' | 'weight' | 'backward';

export interface BenchCase {
  /** Unique, and the same for the same work on every device: `conv3d.forward 48→48 k3 96³`. */
  readonly id: string;
  readonly op: string;
  readonly pass: Pass;
  readonly shape: string;
  readonly flops: number;
  readonly bytes: number;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  run(x: Readonly<Record<string, t.Tensor>>): Readonly<Record<string, t.Tensor>>;
}

const count = (s: InputSpec): number => Object.values(s.axes).reduce((n, a) => n * a, 1);
const cubed = (n: number): string => `${n}³`;

interface Draft extends Omit<BenchCase, 'id' | 'bytes'> {
  /** Elements of the outputs. */
  readonly out: number;
}
const make = ({ out, ...c }: Draft): BenchCase => ({
  ...c,
  id: `${c.op}.${c.pass} ${c.shape}`,
  bytes: 4 * (Object.values(c.inputs).reduce((n, s) => n + count(s), 0) + out),
});

/** Cotangents of `wrt` for a cotangent of y. */
function gradients(y: t.Tensor, wrt: readonly t.Tensor[], dy: t.Tensor): t.Tensor[] {
  return differentiate(
    y.value,
    wrt.map((x) => x.value),
    dy.value,
  ).map((v) => new t.Tensor(v!));
}

/** What a product is differentiated with respect to: its gradient does not depend on it, so zeros of its shape will do. */
const standIn = ({ axes }: InputSpec): t.Tensor =>
  Object.entries(axes).reduce((z, [name, size]) => z.expand(name, size), t.constant(0));

export interface ConvCase {
  readonly ci: number;
  readonly co: number;
  readonly k: number;
  readonly size: number;
  readonly stride?: number;
}

/** x [b d h w c], weight as stored [kd kh kw c o], zero padding (k - 1) / 2 where the stride is below k. */
export function conv3d(pass: 'forward' | 'data' | 'weight', o: ConvCase): BenchCase {
  const { ci, co, k, size } = o;
  const stride = o.stride ?? 1;
  const padding = stride < k ? (k - 1) / 2 : 0;
  const n = Math.floor((size + 2 * padding - k) / stride) + 1;
  const x = t.f32({ b: 1, d: size, h: size, w: size, c: ci });
  const w = t.f32({ kd: k, kh: k, kw: k, c: ci, o: co });
  const dy = t.f32({ b: 1, d: n, h: n, w: n, c: co });
  const y = (v: Readonly<Record<string, t.Tensor>>) => t.convolve3d(v.x!, v.w!, { stride, padding });
  const shape = `${ci}→${co} k${k}${stride > 1 ? ` s${stride}` : ''} ${cubed(size)}`;
  const flops = 2 * k ** 3 * ci * co * n ** 3;
  const base = { op: 'conv3d', pass, shape, flops };
  if (pass === 'forward') return make({ ...base, inputs: { x, w }, out: count(dy), run: (v) => ({ y: y(v) }) });
  if (pass === 'data')
    return make({
      ...base,
      inputs: { w, dy },
      out: count(x),
      run: (v) => {
        const any = standIn(x);
        return { dx: gradients(y({ x: any, w: v.w! }), [any], v.dy!)[0]! };
      },
    });
  return make({
    ...base,
    inputs: { x, dy },
    out: count(w),
    run: (v) => {
      const any = standIn(w);
      return { dw: gradients(y({ x: v.x!, w: any }), [any], v.dy!)[0]! };
    },
  });
}

/** Kernel and stride 2: x [b d h w ci] -> [b 2d 2h 2w co], weight as stored [c kd kh kw o]. */
export function convTranspose3d(ci: number, co: number, size: number): BenchCase {
  const x = t.f32({ b: 1, d: size, h: size, w: size, c: ci });
  const w = t.f32({ c: ci, kd: 2, kh: 2, kw: 2, o: co });
  return make({
    op: 'convTranspose3d',
    pass: 'forward',
    shape: `${ci}→${co} k2 s2 ${cubed(size)}`,
    flops: 2 * 8 * ci * co * size ** 3,
    inputs: { x, w },
    out: 8 * size ** 3 * co,
    run: (v) => {
      const y = t.einsum(v.x!, v.w!, 'b d h w kd kh kw o').permute('b d kd h kh w kw o');
      return { y: y.merge('d kd', 'd').merge('h kh', 'h').merge('w kw', 'w') };
    },
  });
}

/** [m k] · [k n] */
export function matmul(m: number, n: number, k: number): BenchCase {
  return make({
    op: 'matmul',
    pass: 'forward',
    shape: `${m}×${n}×${k}`,
    flops: 2 * m * n * k,
    inputs: { a: t.f32({ m, k }), b: t.f32({ k, n }) },
    out: m * n,
    run: ({ a, b }) => ({ y: t.einsum(a!, b!, 'm n') }),
  });
}

/** g windows of n tokens, h heads of e channels, with a bias [h n n]. */
export function attention(pass: 'forward' | 'backward', g: number, h: number, n: number, e: number): BenchCase {
  const token = t.f32({ g, n, h, e });
  const keys = t.f32({ g, m: n, h, e });
  const bias = t.f32({ h, n, m: n });
  const o = (v: Readonly<Record<string, t.Tensor>>) => t.attention(v.q!, v.k!, v.v!, { bias: v.bias! });
  const inputs = { q: token, k: keys, v: keys, bias };
  const shape = `${g} windows of ${n}, ${h}×${e}`;
  const product = 2 * g * h * n * n * e;
  if (pass === 'forward')
    return make({
      op: 'attention',
      pass,
      shape,
      flops: 2 * product,
      inputs,
      out: count(token),
      run: (v) => ({ o: o(v) }),
    });
  return make({
    op: 'attention',
    pass,
    shape,
    // The forward pass that its log-sum-exp comes from is not counted.
    flops: 5 * product,
    inputs: { ...inputs, dO: token },
    out: 3 * count(token) + count(bias),
    run: (v) => {
      const [dq, dk, dv, dbias] = gradients(o(v), [v.q!, v.k!, v.v!, v.bias!], v.dO!);
      return { dq: dq!, dk: dk!, dv: dv!, dbias: dbias! };
    },
  });
}

const volume = (c: number, size: number) => t.f32({ b: 1, d: size, h: size, w: size, c });

/** InstanceNorm and LeakyReLU as one, as they stand in a residual block. */
export function norm(pass: 'forward' | 'backward', c: number, size: number): BenchCase {
  const x = volume(c, size);
  const y = (v: t.Tensor) => t.leakyRelu(t.instanceNorm(v));
  const base = { op: 'instanceNorm', pass, shape: `${c} ${cubed(size)}`, flops: 0, out: count(x) };
  if (pass === 'forward') return make({ ...base, inputs: { x }, run: (v) => ({ y: y(v.x!) }) });
  return make({
    ...base,
    inputs: { x, dy: x },
    run: (v) => ({ dx: gradients(y(v.x!), [v.x!], v.dy!)[0]! }),
  });
}

export function elementwise(fn: 'add' | 'gelu' | 'copy', c: number, size: number): BenchCase {
  const x = volume(c, size);
  const base = { op: fn, pass: 'forward' as const, shape: `${c} ${cubed(size)}`, flops: 0, out: count(x) };
  if (fn === 'add') return make({ ...base, inputs: { x, z: x }, run: (v) => ({ y: v.x!.add(v.z!) }) });
  // Scaled, since a copy proper would be a view.
  return make({ ...base, inputs: { x }, run: (v) => ({ y: fn === 'gelu' ? t.gelu(v.x!) : v.x!.mul(1.5) }) });
}

/** One fused update of n parameters: reads p, g, m, v; writes p, m, v. */
export function adamW(n: number): BenchCase {
  const flat = t.f32({ row: n / 1024, x: 1024 });
  const update = t.adamW({ lr: 1e-3 });
  return make({
    op: 'adamW',
    pass: 'forward',
    shape: `${n}`,
    flops: 0,
    inputs: { p: flat, g: flat, m: flat, v: flat },
    out: 3 * n,
    run: (x) => {
      const at = { lr: t.constant(1e-3), t: t.constant(7) };
      const next = update.update(x.p!, x.g!, { exp_avg: x.m!, exp_avg_sq: x.v!.abs() }, at);
      return { p: next.p, m: next.states.exp_avg!, v: next.states.exp_avg_sq! };
    },
  });
}

/** Sum over a volume, per channel or of everything. */
export function reduce(what: 'channels' | 'all', c: number, size: number): BenchCase {
  return make({
    op: 'sum',
    pass: 'forward',
    shape: `${what === 'all' ? 'all of' : 'channels of'} ${c} ${cubed(size)}`,
    flops: 0,
    inputs: { x: volume(c, size) },
    out: what === 'all' ? 1 : c,
    run: ({ x }) => ({ y: x!.sum(what === 'all' ? 'b d h w c' : 'b d h w') }),
  });
}
