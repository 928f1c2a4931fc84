// Convolutions, their gradients, and what resembles them.
import { when } from '../expr.ts';
import { type Int, int, linear, sub, variable } from '../int.ts';
import { axisVar, type ContractKernel, type Operand } from '../ir.ts';
import { acc, affine, axes, base, bin, buf, leakyRelu, load, number, product, type Sample, sample } from './build.ts';

export interface ConvOptions {
  readonly b?: number;
  /** Input depth, height, width. */
  readonly size: readonly [number, number, number];
  readonly ci: number;
  readonly co: number;
  readonly kernel?: number;
  readonly stride?: number;
  readonly pad?: number;
  /** On x: leakyRelu(x * scale[b c] + shift[b c]). */
  readonly prologue?: boolean;
  readonly bias?: boolean;
  /** Weight gradient: parts of the outermost spatial axis. */
  readonly split?: number;
}

function convShape(o: ConvOptions) {
  const kernel = o.kernel ?? 3;
  const stride = o.stride ?? 1;
  const pad = o.pad ?? (kernel - 1) >> 1;
  const out = o.size.map((n) => Math.floor((n + 2 * pad - kernel) / stride) + 1) as [number, number, number];
  return { kernel, stride, pad, out, b: o.b ?? 1 };
}

const describe = (o: ConvOptions): string =>
  `${o.ci}→${o.co} k${o.kernel ?? 3} s${o.stride ?? 1} ${o.size.join('×')}${(o.b ?? 1) > 1 ? ` b${o.b}` : ''}${o.prologue ? ' prologue' : ''}${o.bias ? ' bias' : ''}`;

const spatial = ['d', 'h', 'w'] as const;

function inputOperand(o: ConvOptions, bufs: { x: number; scale: number; shift: number }): Operand {
  const { kernel, stride, pad, b } = convShape(o);
  const shape = [b, ...o.size, o.ci];
  let value = load(bufs.x, axes(shape));
  if (o.prologue) {
    const bc = linear([variable('x0', b), variable('x4', o.ci)], [b, o.ci]);
    value = leakyRelu(bin('add', bin('mul', value, load(bufs.scale, bc)), load(bufs.shift, bc)));
  }
  return {
    value,
    axes: [
      affine(b, 0, ['b', 1]),
      ...spatial.map((s, i) =>
        kernel === 1 ? affine(o.size[i]!, -pad, [s, stride]) : affine(o.size[i]!, -pad, [s, stride], [`k${s}`, 1]),
      ),
      affine(o.ci, 0, ['ci', 1]),
    ],
  };
}

/** y[b d h w co] = sum over taps and ci of x[b d h w ci] * weight[kd kh kw ci co] (+ bias[co]). */
export function conv(o: ConvOptions): Sample {
  const { kernel, out, b } = convShape(o);
  const w = [kernel, kernel, kernel, o.ci, o.co];
  const sizes = new Map(
    Object.entries({ b, d: out[0], h: out[1], w: out[2], co: o.co, kd: kernel, kh: kernel, kw: kernel, ci: o.ci }),
  );
  const bufs = [
    buf('x', b * product(o.size) * o.ci),
    buf('weight', product(w)),
    buf('y', b * product(out) * o.co, 'write'),
  ];
  if (o.bias) bufs.push(buf('bias', o.co));
  const bias = 3;
  const scale = bufs.length;
  if (o.prologue) bufs.push(buf('scale', b * o.ci), buf('shift', b * o.ci));
  const kernelIr: ContractKernel = {
    ...base(`conv ${describe(o)}`, bufs, 2 * b * product(out) * product(w)),
    kind: 'contract',
    pattern: 'conv',
    vars: sizes,
    out: ['b', 'd', 'h', 'w', 'co'],
    batch: [],
    m: ['b', 'd', 'h', 'w'],
    n: ['co'],
    k: ['kd', 'kh', 'kw', 'ci'],
    a: inputOperand(o, { x: 0, scale, shift: scale + 1 }),
    b: {
      value: load(1, axes(w)),
      axes: ['kd', 'kh', 'kw', 'ci', 'co'].map((v, i) => affine(w[i]!, 0, [v, 1])),
    },
    stores: [{ buf: 2, value: o.bias ? bin('add', acc, load(bias, variable('co', o.co))) : acc }],
  };
  return sample(kernelIr);
}

/** dx[b d h w ci] = sum over taps and co of dy[b (d - kd + pad) …] * weight[kd kh kw ci co]; stride 1. */
export function convDataGrad(o: ConvOptions): Sample {
  const { kernel, pad, out, b } = convShape(o);
  const w = [kernel, kernel, kernel, o.ci, o.co];
  const sizes = new Map(
    Object.entries({
      b,
      d: o.size[0],
      h: o.size[1],
      w: o.size[2],
      co: o.co,
      kd: kernel,
      kh: kernel,
      kw: kernel,
      ci: o.ci,
    }),
  );
  const kernelIr: ContractKernel = {
    ...base(
      `convDataGrad ${describe(o)}`,
      [buf('dy', b * product(out) * o.co), buf('weight', product(w)), buf('dx', b * product(o.size) * o.ci, 'write')],
      2 * b * product(o.size) * product(w),
    ),
    kind: 'contract',
    pattern: 'convDataGrad',
    vars: sizes,
    out: ['b', 'd', 'h', 'w', 'ci'],
    batch: [],
    m: ['b', 'd', 'h', 'w'],
    n: ['ci'],
    k: ['kd', 'kh', 'kw', 'co'],
    a: {
      value: load(0, axes([b, ...out, o.co])),
      axes: [
        affine(b, 0, ['b', 1]),
        ...spatial.map((s, i) => affine(out[i]!, pad, [s, 1], [`k${s}`, -1])),
        affine(o.co, 0, ['co', 1]),
      ],
    },
    b: {
      value: load(1, axes(w)),
      axes: ['kd', 'kh', 'kw', 'ci', 'co'].map((v, i) => affine(w[i]!, 0, [v, 1])),
    },
    stores: [{ buf: 2, value: acc }],
  };
  return sample(kernelIr);
}

/** dw[s kd kh kw ci co] = sum over b, d within part s, h, w of x[b d+kd … ci] * dy[b d h w co]. */
export function convWeightGrad(o: ConvOptions): Sample {
  const { kernel, stride, out, b } = convShape(o);
  const split = o.split ?? 1;
  const chunk = Math.ceil(out[0] / split);
  const sizes = new Map(
    Object.entries({
      s: split,
      b,
      d: chunk,
      h: out[1],
      w: out[2],
      co: o.co,
      kd: kernel,
      kh: kernel,
      kw: kernel,
      ci: o.ci,
    }),
  );
  const bufs = [
    buf('x', b * product(o.size) * o.ci),
    buf('dy', b * product(out) * o.co),
    buf('dw', split * kernel ** 3 * o.ci * o.co, 'write'),
  ];
  if (o.prologue) bufs.push(buf('scale', b * o.ci), buf('shift', b * o.ci));
  const x = inputOperand(o, { x: 0, scale: 3, shift: 4 });
  const kernelIr: ContractKernel = {
    ...base(`convWeightGrad ${describe(o)} split ${split}`, bufs, 2 * b * product(out) * kernel ** 3 * o.ci * o.co),
    kind: 'contract',
    pattern: 'convWeightGrad',
    vars: sizes,
    out: ['s', 'kd', 'kh', 'kw', 'ci', 'co'],
    batch: ['s'],
    m: ['kd', 'kh', 'kw', 'ci'],
    n: ['co'],
    k: ['b', 'd', 'h', 'w'],
    a: {
      value: x.value,
      axes: x.axes.map((a, i) => (i === 1 ? { ...a, terms: [{ var: 's', coef: chunk * stride }, ...a.terms] } : a)),
    },
    b: {
      value: load(1, axes([b, ...out, o.co])),
      axes: [
        affine(b, 0, ['b', 1]),
        affine(out[0], 0, ['s', chunk], ['d', 1]),
        affine(out[1], 0, ['h', 1]),
        affine(out[2], 0, ['w', 1]),
        affine(o.co, 0, ['co', 1]),
      ],
    },
    stores: [{ buf: 2, value: acc }],
  };
  return sample(kernelIr);
}

/** conv over the concatenation of two tensors along c: the operand is an `if` on the channel coordinate. */
export function convConcat(size: readonly [number, number, number], c0: number, c1: number, co: number): Sample {
  const ci = c0 + c1;
  const s = conv({ size, ci, co });
  const k = s.kernel as ContractKernel;
  const c = variable('x4', ci);
  const at = (channel: Int, width: number): Int =>
    linear([...size.map((n, i) => variable(axisVar(i + 1), n)), channel], [...size, width]);
  const value = when([{ e: c, lo: 0, hi: c0 }], load(0, at(c, c0)), load(3, at(sub(c, int(c0)), c1)));
  const kernel: ContractKernel = {
    ...k,
    name: `convConcat ${c0}+${c1}→${co} ${size.join('×')}`,
    bufs: number([
      { ...k.bufs[0]!, size: product(size) * c0 },
      k.bufs[1]!,
      k.bufs[2]!,
      buf('skip', product(size) * c1),
    ]),
    a: { ...k.a, value },
  };
  return sample(kernel);
}

/** Depthwise convolution: y[d h w c] = sum over taps of x[d+kd … c] * weight[kd kh kw c]. No matrix multiplication. */
export function depthwise(size: readonly [number, number, number], c: number): Sample {
  const s = conv({ size, ci: 1, co: c });
  const k = s.kernel as ContractKernel;
  const x = [...size, c];
  const w = [3, 3, 3, c];
  const kernel: ContractKernel = {
    ...k,
    name: `depthwise c${c} ${size.join('×')}`,
    pattern: 'depthwise',
    bufs: number([{ ...k.bufs[0]!, size: product(x) }, k.bufs[1]!, k.bufs[2]!]),
    out: ['d', 'h', 'w', 'co'],
    batch: ['co'],
    m: ['d', 'h', 'w'],
    n: [],
    k: ['kd', 'kh', 'kw'],
    a: {
      value: load(0, axes(x)),
      axes: [
        ...spatial.map((v, i) => affine(size[i]!, -1, [v, 1] as [string, number], [`k${v}`, 1] as [string, number])),
        affine(c, 0, ['co', 1]),
      ],
    },
    b: { value: load(1, axes(w)), axes: ['kd', 'kh', 'kw', 'co'].map((v, i) => affine(w[i]!, 0, [v, 1])) },
  };
  return sample(kernel);
}

/** Transposed convolution with kernel 2 and stride 2 as one contract: y[d p h q w r co], columns p q r co around the rows. */
export function upsample(size: readonly [number, number, number], ci: number, co: number): Sample {
  const [d, h, w] = size;
  const x = [d, h, w, ci];
  const wt = [ci, 2, 2, 2, co];
  const kernel: ContractKernel = {
    ...base(
      `upsample ${ci}→${co} ${size.join('×')}`,
      [buf('x', product(x)), buf('weight', product(wt)), buf('y', product(size) * 8 * co, 'write')],
      2 * product(size) * product(wt),
    ),
    kind: 'contract',
    pattern: 'matmul',
    vars: new Map(Object.entries({ d, h, w, p: 2, q: 2, r: 2, co, ci })),
    out: ['d', 'p', 'h', 'q', 'w', 'r', 'co'],
    batch: [],
    m: ['d', 'h', 'w'],
    n: ['p', 'q', 'r', 'co'],
    k: ['ci'],
    a: { value: load(0, axes(x)), axes: ['d', 'h', 'w', 'ci'].map((v, i) => affine(x[i]!, 0, [v, 1])) },
    b: { value: load(1, axes(wt)), axes: ['ci', 'p', 'q', 'r', 'co'].map((v, i) => affine(wt[i]!, 0, [v, 1])) },
    stores: [{ buf: 2, value: acc }],
  };
  return sample(kernel);
}
