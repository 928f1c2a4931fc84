// Attention and its gradients: the functions that copy one operand of one window and head, and the shape's words for
// kernels/assembly/attention.ts.
import type { Expr } from '../expr.ts';
import { coefficient } from '../int.ts';
import type { AttentionGradKernel, AttentionKernel } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
import { CHAIN, TAP_BYTES } from './contractPlan.ts';
import { Emitter, f32Bits } from './emitter.ts';
import { atZero, printInt } from './ints.ts';
import { emitRow, storeSink } from './row.ts';

/** Query rows whose scores are held at once; as in kernels/assembly/attention.ts. */
const ROWS = 64;
const PARTS = { dq: 0, dkv: 1, dbias: 2 } as const;

export function emitAttention(kernel: AttentionKernel | AttentionGradKernel): WasmKernel {
  const emitter = new Emitter(kernel);
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

  const { words, scratch } = describe(kernel);
  const at = words.map((w) => emitter.word(w))[0]!;
  const main = emitter.fn('', 't: u32, nt: u32');
  const head = `p + <usize>${main.int(at)}, p, <usize>load<u32>(p, ${emitter.scratchOffset}), t, nt, NAME_fetch`;
  if (kernel.kind === 'attention') {
    main.line(`attentionForward(${head}, ${main.buffer(kernel.o)}, ${main.buffer(kernel.lse)});`);
  } else {
    const outs = kernel.outs.map((o) => main.buffer(o));
    main.line(`attentionBackward(${head}, ${PARTS[kernel.part]}, ${outs[0]}, ${outs[1] ?? '0'});`);
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
function describe(kernel: AttentionKernel | AttentionGradKernel): { words: number[]; scratch: number } {
  const { g, h, n, m, e, scale, maskValue } = kernel.shape;
  const part = kernel.kind === 'attentionGrad' ? kernel.part : 'forward';
  const m8 = Math.ceil(m / 8) * 8;
  const e8 = Math.ceil(e / 8) * 8;
  let top = 0;
  const alloc = (floats: number): number => {
    const at = top;
    top += Math.ceil(floats / 16) * 64;
    return at;
  };
  const back = part !== 'forward';
  const places = [
    alloc(4 + ROWS + (TAP_BYTES / 4) * Math.ceil(Math.max(m, e, ROWS) / CHAIN)), // zeros, a number per row, taps
    alloc(n * e), // q
    alloc(m * e), // k
    alloc(m * e), // v
    alloc(back ? n * e : 0), // dO
    alloc(m8 * e), // panels of k
    alloc(back ? m8 * e : 0), // panels of v
    alloc(Math.max(m, ROWS) * e8), // panels of v, k or q
    alloc(part === 'dkv' ? ROWS * e8 : 0), // panels of dO
    alloc(ROWS * m8), // scores
    alloc(back ? ROWS * m8 : 0), // their gradients
    alloc((part === 'dkv' ? m + 3 : ROWS) * e8), // products
    alloc(part === 'dkv' ? (m + 3) * e8 : 0),
    alloc(kernel.bias ? n * m : 0),
    alloc(n), // groups
    alloc(m),
    alloc(n), // lse
    alloc(n), // delta
  ];
  const scratch = Math.ceil(top / 256) * 256;
  const parts = kernel.kind === 'attentionGrad' ? kernel.parts : 1;
  return { words: [g, h, n, m, e, f32Bits(scale), f32Bits(maskValue), parts, scratch, ...places], scratch };
}
