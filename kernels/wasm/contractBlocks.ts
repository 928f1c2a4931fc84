// The emitted functions that the library's matrix multiplications call: they copy (or point at) blocks of the operands,
// and store what a block's sums become.
import { type Expr, substitute } from '../expr.ts';
import { add, type Int, int, linear, mul, range, variable } from '../int.ts';
import { axisVar, type ContractKernel, type LoopVar } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
import {
  blockValue,
  CUT_K,
  CUT_M,
  type Cut,
  cutBlocks,
  localName,
  locals,
  type Plan,
  type Source,
} from './contractPlan.ts';
import { Emitter, type Fn } from './emitter.ts';
import { advance, decode, printInt } from './ints.ts';
import { mergeInner } from './merge.ts';
import { elementAddress, emitRow, storeSink } from './row.ts';

/** Of a plan, what the functions need. */
export type Blocks = Pick<Plan, 'batch' | 'm' | 'k' | 'nOuter' | 'column' | 'order' | 'flipped'>;

/** The functions, and the call of the library's function that takes them with these words. */
export function emitBlocks(
  library: 'gemm' | 'winograd',
  kernel: ContractKernel,
  plan: Blocks & Pick<Plan, 'a' | 'b'>,
  { words, scratch }: { readonly words: readonly number[]; readonly scratch: number },
): WasmKernel {
  const emitter = new Emitter(kernel);
  emitSource(emitter, '_a', plan, plan.a);
  emitSource(emitter, '_b', plan, plan.b);
  emitEpilogue(emitter, kernel, plan);
  const at = words.map((w) => emitter.word(w))[0]!;
  const main = emitter.fn('', 't: u32, nt: u32');
  // The number of buffers is part of the structure: the description's place may be literal when nothing precedes it.
  const first = main.int(at);
  main.line(
    `${library}(p + <usize>${first}, p, <usize>load<u32>(p, ${emitter.scratchOffset}), t, nt, NAME_a, NAME_b, NAME_store);`,
  );
  return { code: emitter.source(), params: emitter.words, scratch };
}

/** Loops of a block's number: the fixed variables, then the blocks of the cut one. */
const blockLoops = (c: Cut, name: string): LoopVar[] => [
  ...c.fixed,
  ...(cutBlocks(c) > 1 ? [{ name, size: cutBlocks(c) }] : []),
];

function decodeBlocks(fn: Fn, plan: Blocks, scope: Map<string, string>, which: { m?: boolean; k?: boolean }): void {
  const start = (linear: string, vars: readonly LoopVar[]): void => {
    if (vars.length > 0) decode(fn, linear, vars, scope);
  };
  start('b', plan.batch);
  if (which.m) start('mb', blockLoops(plan.m, CUT_M));
  if (which.k) start('kb', blockLoops(plan.k, CUT_K));
}

/** Elements by which turning round the flipped variables moves the block's first element. */
const turned = (plan: Blocks, s: Source): number =>
  plan.order.reduce((e, v) => e + (plan.flipped.has(v.name) ? s.stride(v.name) * (v.size - 1) : 0), 0);

/** NAME_a, NAME_b (p, dst, mb, kb, b): copies the operand's block to dst, or points at it in place. */
function emitSource(emitter: Emitter, suffix: string, plan: Blocks, source: Source): void {
  const fn = emitter.fn(suffix, 'dst: usize, mb: i32, kb: i32, b: i32', 'usize');
  const scope = new Map<string, string>();
  decodeBlocks(fn, plan, scope, { m: suffix === '_a', k: true });
  const origin = add(source.origin, int(turned(plan, source)));
  if (source.buffer !== null) {
    fn.line(`return ${fn.buffer(source.buffer)} + (<usize>${printInt(fn, origin, scope)} << 2);`);
    return;
  }
  copySlab(fn, source, scope);
  fn.line(`return dst + (<usize>${printInt(fn, origin, scope)} << 2);`);
}

interface SlabAxis {
  readonly name: string;
  readonly size: number;
  readonly lo: Int;
  readonly extent: number;
}

function copySlab(fn: Fn, source: Source, scope: Map<string, string>): void {
  let value: Expr = source.operand.value;
  let axes: SlabAxis[] = source.operand.axes.map((a, i) => ({
    name: axisVar(i),
    size: a.size,
    lo: source.lo[i]!,
    extent: source.extent[i]!,
  }));
  const inside = (a: SlabAxis): boolean => {
    const [lo, hi] = range(a.lo);
    return lo >= 0 && hi + a.extent <= a.size;
  };
  axes = axes.filter((a) => !(a.size === 1 && a.extent === 1 && inside(a)));
  if (axes.length === 0) axes = [{ name: '@one', size: 1, lo: int(0), extent: 1 }];
  // A whole innermost axis joins the next one: longer rows.
  for (;;) {
    const last = axes[axes.length - 1]!;
    const next = axes[axes.length - 2];
    if (!next || last.extent !== last.size || !inside(last) || next.size === 1) break;
    const merged = mergeInner([next, last], [value]);
    if (merged.vars.length !== 1) break;
    value = merged.values[0]!;
    axes = [
      ...axes.slice(0, -2),
      {
        name: merged.vars[0]!.name,
        size: next.size * last.size,
        lo: mul(next.lo, last.size),
        extent: next.extent * last.size,
      },
    ];
  }
  const row = axes[axes.length - 1]!;
  const d = fn.let('usize', 'dst', 'd');
  const guards: string[] = [];
  for (const a of axes.slice(0, -1)) {
    const from = fn.let('i32', printInt(fn, a.lo, scope), 'f');
    const x = fn.name('v');
    fn.open(`for (let ${x} = ${from}, e = ${from} + ${fn.int(a.extent)}; ${x} < e; ${x}++)`);
    scope.set(a.name, x);
    if (!inside(a)) guards.push(`<u32>${x} < <u32>${fn.int(a.size)}`);
  }
  const bytes = `(<usize>${fn.int(row.extent)} << 2)`;
  if (guards.length > 0) {
    fn.open(`if (!(${guards.join(' && ')}))`);
    fn.line(`zeroF32(${d}, ${fn.int(row.extent)});`);
    fn.line(`${d} += ${bytes};`);
    fn.line('continue;');
    fn.close();
  }
  const from = fn.let('i32', printInt(fn, row.lo, scope), 'f');
  let lo = from;
  let hi = fn.let('i32', `${from} + ${fn.int(row.extent)}`, 'f');
  if (!inside(row)) {
    const end = hi;
    lo = fn.let('i32', `min<i32>(max<i32>(${from}, 0), ${end})`, 'l');
    hi = fn.let('i32', `max<i32>(${lo}, min<i32>(${end}, ${fn.int(row.size)}))`, 'l');
    fn.line(`zeroF32(${d}, ${lo} - ${from});`);
    fn.line(`zeroF32(${d} + (<usize>(${hi} - ${from}) << 2), ${end} - ${hi});`);
  }
  const target = fn.let('usize', `${d} - (<usize>${from} << 2)`, 'd');
  emitRow({ fn, scope, v: row.name, lo, hi, values: [value], acc: null, sink: storeSink(fn, [target], [value]) });
  fn.line(`${d} += ${bytes};`);
  for (let i = 1; i < axes.length; i++) fn.close();
}

/** NAME_store(p, c, ldc, mb, b, r0, r1, q0, q1): the epilogue of rows r0 … and panels q0 … of a block. */
function emitEpilogue(emitter: Emitter, kernel: ContractKernel, plan: Blocks): void {
  const { m, nOuter, column } = plan;
  const fn = emitter.fn('_store', 'c: usize, ldc: usize, mb: i32, b: i32, r0: i32, r1: i32, q0: i32, q1: i32');
  const scope = new Map<string, string>();
  decodeBlocks(fn, plan, scope, { m: true });
  const perOuter = fn.int(Math.ceil(column.size / 8));
  const columns = fn.int(column.size);
  const outer = nOuter.length > 0;
  if (outer) {
    fn.open(`for (let n = <i32>(<u32>q0 / <u32>${perOuter}); n * ${perOuter} < q1; n++)`);
    decode(fn, 'n', nOuter, scope);
    fn.line(`const f = n * ${perOuter};`);
  } else fn.line('const f = 0;');
  fn.line('const c0 = max<i32>(q0 - f, 0) << 3;');
  fn.line(`const c1 = min<i32>((q1 - f) << 3, ${columns});`);
  const local = locals(m)
    .map((v) => ({ name: localName(v.name), size: v.size }))
    .filter((v) => v.size > 1);
  const loops = local.length > 0 ? local : [{ name: '@one', size: 1 }];
  decode(fn, 'r0', loops, scope);
  fn.open('for (let r = r0; r < r1; r++)');
  const env = (name: string, size: number): Int | undefined =>
    m.cut?.name === name || m.inner.some((v) => v.name === name) ? blockValue(m, CUT_M, name, size, false) : undefined;
  const out = kernel.out.map((name) => {
    const size = kernel.vars.get(name)!;
    return name === column.name || size === 1 ? int(0) : (env(name, size) ?? variable(name, size));
  });
  const first = fn.let(
    'i32',
    printInt(
      fn,
      linear(
        out,
        kernel.out.map((name) => kernel.vars.get(name)!),
      ),
      scope,
    ),
    'o',
  );
  const values = kernel.stores.map((s) => substitute(s.value, env));
  const pointers = kernel.stores.map((s) =>
    fn.let('usize', elementAddress(fn.buffer(s.buf), first, s.value.dtype), 'd'),
  );
  const acc = fn.let('usize', 'c + <usize>r * ldc + (<usize>((f - q0) << 3) << 2)', 'y');
  emitRow({
    fn,
    scope,
    v: column.name,
    lo: 'c0',
    hi: 'c1',
    values,
    acc: { kind: 'row', pointer: acc },
    sink: storeSink(fn, pointers, values),
  });
  advance(fn, loops, scope);
  fn.close();
  if (outer) fn.close();
}
