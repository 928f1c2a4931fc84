// 3D convolution and transposed convolution, channels last: x [b d h w c]. Weights are PyTorch's: [out, in, kd, kh, kw] and,
// transposed, [in, out, kd, kh, kw]; in memory taps come first and output channels last. Axes go by name: x may come in any
// order, the result has the one stated.
import type { AffineIndex } from '../ops/contract.ts';
import { type Init, param, region } from '../scope.ts';
import { einsum, rawContract, type Tensor } from '../tensor.ts';

export interface ConvOptions {
  readonly kernel: number | readonly [number, number, number];
  readonly stride?: number | readonly [number, number, number];
  /** Zeros on both sides of each spatial axis. Default: (kernel - 1) / 2 for odd kernels with stride below it, else 0. */
  readonly padding?: number | readonly [number, number, number];
  readonly bias?: boolean;
  readonly init?: Init;
}

const SPATIAL = ['d', 'h', 'w'] as const;
const triple = (v: number | readonly [number, number, number]): readonly [number, number, number] =>
  typeof v === 'number' ? [v, v, v] : v;

/** x [b d h w c] -> [b d h w c=out]; parameters `weight`, `bias` in the current scope. */
export function conv3d(x: Tensor, out: number, o: ConvOptions): Tensor {
  return region('conv3d', () => {
    const k = triple(o.kernel);
    const s = triple(o.stride ?? 1);
    const p = triple(
      o.padding ??
        (k.map((n, i) => (n % 2 === 1 && s[i]! < n ? (n - 1) / 2 : 0)) as unknown as [number, number, number]),
    );
    const c = x.size('c');
    const bound = 1 / Math.sqrt(c * k[0] * k[1] * k[2]);
    const init: Init = o.init ?? { kind: 'uniform', low: -bound, high: bound };
    const w = param('weight', { o: out, c, kd: k[0], kh: k[1], kw: k[2] }, { init, stored: 'kd kh kw c o' });
    const z = convolve(x, w, s, p);
    return o.bias === false
      ? z
      : z.add(param('bias', { c: out }, { init: { kind: 'uniform', low: -bound, high: bound } }));
  });
}

/** The same with a given weight, any order of [o c kd kh kw]: torch.nn.functional.conv3d without a bias. */
export function convolve3d(x: Tensor, weight: Tensor, o: Pick<ConvOptions, 'stride' | 'padding'> = {}): Tensor {
  return region('conv3d', () => convolve(x, weight, triple(o.stride ?? 1), triple(o.padding ?? 0)));
}

type Triple = readonly [number, number, number];

function convolve(x: Tensor, w: Tensor, s: Triple, p: Triple): Tensor {
  const k = SPATIAL.map((n) => w.size(`k${n}`)) as unknown as Triple;
  const y =
    k.every((n) => n === 1) && s.every((n) => n === 1)
      ? pointwise(x, w)
      : patches(x, k, s, p)
        ? blockwise(x, w, k)
        : general(x, w, k, s, p);
  return y.rename({ o: 'c' });
}

const pointwise = (x: Tensor, w: Tensor): Tensor => einsum(x, w.squeeze('kd').squeeze('kh').squeeze('kw'), 'b d h w o');

/** Patches that do not overlap and fill the volume: a matmul over a view. */
function patches(x: Tensor, k: readonly number[], s: readonly number[], p: readonly number[]): boolean {
  return SPATIAL.every((n, i) => k[i] === s[i] && p[i] === 0 && x.size(n) % s[i]! === 0);
}
function blockwise(x: Tensor, w: Tensor, k: readonly number[]): Tensor {
  let v = x;
  SPATIAL.forEach((n, i) => {
    v = v.split(n, { [n]: -1, [`k${n}`]: k[i]! });
  });
  return einsum(v, w, 'b d h w o');
}

function general(x: Tensor, w: Tensor, k: readonly number[], s: readonly number[], p: readonly number[]): Tensor {
  const outSize = SPATIAL.map((n, i) => Math.floor((x.size(n) + 2 * p[i]! - k[i]!) / s[i]!) + 1);
  const at = (name: string): AffineIndex => ({ terms: [{ var: name, coef: 1 }], offset: 0 });
  return rawContract(x.permute('b d h w c'), w, {
    vars: [
      { name: 'b', size: x.size('b') },
      ...SPATIAL.map((n, i) => ({ name: n, size: outSize[i]! })),
      { name: 'o', size: w.size('o') },
      ...SPATIAL.map((n, i) => ({ name: `k${n}`, size: k[i]! })),
      { name: 'c', size: x.size('c') },
    ],
    out: ['b', 'd', 'h', 'w', 'o'],
    a: [
      at('b'),
      ...SPATIAL.map((n, i) => ({
        terms: [
          { var: n, coef: s[i]! },
          { var: `k${n}`, coef: 1 },
        ],
        offset: -p[i]!,
      })),
      at('c'),
    ],
    b: [at('kd'), at('kh'), at('kw'), at('c'), at('o')],
  });
}

/** Transposed convolution whose stride equals its kernel (no overlap): x [b d h w c] -> [b d·k h·k w·k c=out]. */
export function convTranspose3d(x: Tensor, out: number, o: { kernel: number; bias?: boolean; init?: Init }): Tensor {
  return region('convTranspose3d', () => {
    const k = o.kernel;
    const c = x.size('c');
    // torch takes fan_in from weight.size(1) * taps, which for a transposed weight is out * taps
    const bound = 1 / Math.sqrt(out * k * k * k);
    const init: Init = o.init ?? { kind: 'uniform', low: -bound, high: bound };
    const w = param('weight', { c, o: out, kd: k, kh: k, kw: k }, { init, stored: 'c kd kh kw o' });
    const y = einsum(x, w, 'b d h w kd kh kw o').permute('b d kd h kh w kw o');
    const z = y.merge('d kd', 'd').merge('h kh', 'h').merge('w kw', 'w').rename({ o: 'c' });
    return o.bias === false
      ? z
      : z.add(param('bias', { c: out }, { init: { kind: 'uniform', low: -bound, high: bound } }));
  });
}
