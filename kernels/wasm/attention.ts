// Attention and its gradients: the functions that copy one operand of one window and head, and the shape's words for
// kernels/assembly/attention.ts.
import type { Expr } from '../expr.ts';
import { coefficient } from '../int.ts';
import type { AttentionGradKernel, AttentionKernel, Buf, Kernel } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
import { CHAIN, TAP_BYTES } from './contractPlan.ts';
import { Emitter, f32Bits } from './emitter.ts';
import { atZero, printInt } from './ints.ts';
import { emitRow, storeSink } from './row.ts';

/** Query rows whose scores are held at once, at most: the steps of the products that sum over them, a chain's length. As
 *  in kernels/assembly/attention.ts. */
const MOST_ROWS = 48;
const PARTS = ['dq', 'dkv', 'dbias'] as const;

/** Gradients of one attention that one pass computes: scores and their exponentials are computed once for all of them. */
export interface Gradients {
  readonly kernels: readonly AttentionGradKernel[];
  /** What all of them read, as the first numbers it, then the outputs of each. */
  readonly bufs: readonly Buf[];
}

/** The gradients from kernels[at] on that stand together and read the same tensors. */
export function gradientsAt(kernels: readonly Kernel[], at: number): Gradients | null {
  const first = kernels[at];
  if (first?.kind !== 'attentionGrad') return null;
  const inputs = first.bufs.slice(0, first.bufs.length - first.outs.length);
  const found: AttentionGradKernel[] = [];
  for (let i = at; i < kernels.length; i++) {
    const k = kernels[i]!;
    if (k.kind !== 'attentionGrad' || found.some((f) => f.part === k.part)) break;
    const same =
      k.bufs.length === inputs.length + k.outs.length &&
      inputs.every((b, n) => b.access === 'read' && b.tensor === k.bufs[n]!.tensor) &&
      k.outs.every((o, n) => o === inputs.length + n);
    if (!same) break;
    found.push(k);
  }
  return { kernels: found, bufs: [...inputs, ...found.flatMap((k) => k.bufs.slice(inputs.length))] };
}

export function emitAttention(kernel: AttentionKernel | AttentionGradKernel): WasmKernel {
  return emit(kernel, kernel.kind === 'attention' ? [] : [kernel], kernel.bufs);
}

export const emitGradients = (g: Gradients): WasmKernel => emit(g.kernels[0]!, g.kernels, g.bufs);

function emit(
  kernel: AttentionKernel | AttentionGradKernel,
  gradients: readonly AttentionGradKernel[],
  bufs: readonly Buf[],
): WasmKernel {
  const emitter = new Emitter({ ...kernel, bufs });
  const { n, m, e } = kernel.shape;
  const grad = kernel.kind === 'attentionGrad' ? kernel : null;
  const of = (value: Expr | null, outer: [string, number] | null, inner: [string, number]): Operand | null =>
    value && { value, outer, inner };
  // In the order of the library's OF_… numbers.
  const operands: (Operand | null)[] = [
    of(kernel.q, ['i', n], ['e', e]),
    of(kernel.k, ['j', m], ['e', e]),
    of(kernel.v, ['j', m], ['e', e]),
    of(kernel.bias, ['i', n], ['j', m]),
    of(kernel.gk && kernel.gq, null, ['i', n]),
    of(kernel.gq && kernel.gk, null, ['j', m]),
    of(grad?.dO ?? null, ['i', n], ['e', e]),
    of(grad?.lse ?? null, null, ['i', n]),
    of(grad?.delta ?? null, null, ['i', n]),
  ];
  operands.forEach((o, i) => {
    if (o) emitCopy(emitter, `_copy${i}`, o);
  });
  const fetch = emitter.fn('_fetch', 'which: i32, dst: usize, g: i32, h: i32', 'usize');
  operands.forEach((o, i) => {
    if (o) fetch.line(`if (which == ${i}) return NAME_copy${i}(p, dst, g, h);`);
  });
  fetch.line('return 0;');

  const { words, scratch } = describe(kernel, gradients);
  const at = words.map((w) => emitter.word(w))[0]!;
  const main = emitter.fn('', 't: u32, nt: u32');
  const head = `p + <usize>${main.int(at)}, p, <usize>load<u32>(p, ${emitter.scratchOffset}), t, nt, NAME_fetch`;
  if (kernel.kind === 'attention') {
    main.line(`attentionForward(${head}, ${main.buffer(kernel.o)}, ${main.buffer(kernel.lse)});`);
  } else {
    // Outputs of the kernels lie one after the other behind what all of them read.
    let next = kernel.bufs.length - kernel.outs.length;
    const outs = new Map(gradients.map((k) => [k.part, k.outs.map(() => main.buffer(next++))]));
    const [dq = '0', dk = '0', dv = '0', dbias = '0'] = PARTS.flatMap(
      (part) => outs.get(part) ?? (part === 'dkv' ? ['0', '0'] : ['0']),
    );
    main.line(`attentionBackward(${head}, ${dq}, ${dk}, ${dv}, ${dbias});`);
  }
  return { code: emitter.source(), params: emitter.words, scratch };
}

interface Operand {
  readonly value: Expr;
  readonly outer: [string, number] | null;
  readonly inner: [string, number];
}

/** NAME_copyX(p, dst, g, h): rows of the inner variable, or the address of a tensor that already lies so. */
function emitCopy(emitter: Emitter, suffix: string, { value, outer, inner }: Operand): void {
  const fn = emitter.fn(suffix, 'dst: usize, g: i32, h: i32', 'usize');
  const scope = new Map([
    ['g', 'g'],
    ['h', 'h'],
  ]);
  const step = (name: string): number | null =>
    value.k === 'load' && !value.at ? coefficient(value.index, name) : null;
  const dense = (inner[1] === 1 || step(inner[0]) === 1) && (!outer || outer[1] === 1 || step(outer[0]) === inner[1]);
  if (value.k === 'load' && dense) {
    const index = outer ? atZero(atZero(value.index, inner[0]), outer[0]) : atZero(value.index, inner[0]);
    fn.line(`return ${fn.buffer(value.buf)} + (<usize>${printInt(fn, index, scope)} << 2);`);
    return;
  }
  const d = fn.let('usize', 'dst', 'd');
  const length = fn.int(inner[1]);
  if (outer) {
    const i = fn.name('v');
    scope.set(outer[0], i);
    fn.open(`for (let ${i} = 0; ${i} < ${fn.int(outer[1])}; ${i}++)`);
  }
  emitRow({
    fn,
    scope,
    v: inner[0],
    lo: '0',
    hi: length,
    values: [value],
    acc: null,
    sink: storeSink(fn, [d], [value]),
  });
  if (outer) {
    fn.line(`${d} += <usize>${length} << 2;`);
    fn.close();
  }
  fn.line('return dst;');
}

/** The words that kernels/assembly/attention.ts reads, in its order. */
function describe(
  kernel: AttentionKernel | AttentionGradKernel,
  gradients: readonly AttentionGradKernel[],
): { words: number[]; scratch: number } {
  const { g, h, n, m, e, scale, maskValue } = kernel.shape;
  const back = gradients.length > 0;
  const [dq, dkv] = ['dq', 'dkv'].map((part) => gradients.some((k) => k.part === part));
  const m8 = Math.ceil(m / 8) * 8;
  const e8 = Math.ceil(e / 8) * 8;
  // Blocks of nearly equal size, whole tiles of 4 rows but for the last.
  const block = Math.ceil(n / Math.ceil(n / MOST_ROWS) / 4) * 4;
  let top = 0;
  const alloc = (floats: number): number => {
    const at = top;
    top += Math.ceil(floats / 16) * 64;
    return at;
  };
  const places = [
    // zeros, a number per row, taps
    alloc(4 + MOST_ROWS + (TAP_BYTES / 4) * Math.ceil(Math.max(m, e, block) / CHAIN)),
    alloc(n * e), // q
    alloc(m * e), // k
    alloc(m * e), // v
    alloc(back ? n * e : 0), // dO
    alloc(m8 * e), // panels of k
    alloc(back ? m8 * e : 0), // panels of v
    alloc(!back || dq ? m * e8 : 0), // panels of v (forward) or k
    alloc(dkv ? block * e8 : 0), // panels of q
    alloc(dkv ? block * e8 : 0), // panels of dO
    alloc((block + 3) * m8), // scores
    alloc(back ? (block + 3) * m8 : 0), // their gradients
    alloc(!back || dq ? (block + 3) * e8 : 0), // o or dq
    alloc(dkv ? (m + 3) * e8 : 0), // dk
    alloc(dkv ? (m + 3) * e8 : 0), // dv
    alloc(kernel.bias ? n * m : 0),
    alloc(n), // groups
    alloc(m),
    alloc(n), // lse
    alloc(n), // delta
  ];
  const scratch = Math.ceil(top / 256) * 256;
  const parts = gradients.find((k) => k.part === 'dbias')?.parts ?? 1;
  return { words: [g, h, n, m, e, f32Bits(scale), f32Bits(maskValue), parts, block, scratch, ...places], scratch };
}
