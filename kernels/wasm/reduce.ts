// Reductions, in one of two forms that the operand's layout decides:
//   row:    the innermost reduced variable is contiguous: it is the vector, one kept point at a time;
//   column: the innermost kept variable is contiguous: it is the vector, and a row of accumulators runs over the rest.
// Sums accumulate in f64 (row), or in f32 over at most 32 rows and then in f64 (column): the tree is a function of the
// shape alone. Kept points, or columns, are shared by the threads.
import { type Expr, substitute, walk } from '../expr.ts';
import { coefficient, variable } from '../int.ts';
import type { LoopVar, ReduceKernel, ReduceOp } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
import { Emitter, type Fn } from './emitter.ts';
import { advance, decode } from './ints.ts';
import { emitSpans } from './map.ts';
import { elementAddress, emitRow, storeSink, storeText } from './row.ts';
import { Values, vectorizable } from './values.ts';

/** Rows that a column sum adds in f32 before it goes to f64. */
const RUN = 32;
const size = (vars: readonly LoopVar[]): number => vars.reduce((n, v) => n * v.size, 1);

export function emitReduce(kernel: ReduceKernel): WasmKernel {
  const keep = kernel.keep.filter((v) => v.size > 1);
  const red = mergeReduced(kernel);
  const column = keep[keep.length - 1];
  const row = red.vars[red.vars.length - 1];
  const k = { ...kernel, keep, red: red.vars, value: red.value };
  if (column && column.size >= 4 && contiguous(k.value, column.name) > (row ? contiguous(k.value, row.name) : 0)) {
    if (kernel.op !== 'argmax') return emitColumn(k);
  }
  return emitRowForm(k);
}

/** Loads that run along the variable with step 1. */
function contiguous(e: Expr, name: string): number {
  let n = 0;
  walk(e, (x) => {
    if (x.k === 'load' && coefficient(x.index, name) === 1) n++;
  });
  return n;
}

/** Joins neighbouring reduced variables where all addresses allow it, so that runs are long. */
function mergeReduced(kernel: ReduceKernel): { vars: readonly LoopVar[]; value: Expr } {
  let vars = kernel.red.filter((v) => v.size > 1);
  let value = kernel.value;
  for (let i = vars.length - 2; i >= 0; i--) {
    const [outer, inner] = [vars[i]!, vars[i + 1]!];
    let ok = true;
    walk(value, (x) => {
      if (x.k === 'if') ok = false;
      const e = x.k === 'load' || x.k === 'random' ? x.index : x.k === 'index' ? x.i : null;
      if (!e) return;
      const [a, b] = [coefficient(e, outer.name), coefficient(e, inner.name)];
      if (a === null || b === null || a !== b * inner.size) ok = false;
    });
    if (!ok) continue;
    const joined = { name: inner.name, size: outer.size * inner.size };
    value = substitute(value, (n) =>
      n === outer.name ? { k: 'const', v: 0 } : n === inner.name ? variable(joined.name, joined.size) : undefined,
    );
    vars = [...vars.slice(0, i), joined, ...vars.slice(i + 2)];
  }
  return { vars, value };
}

// Row form ---------------------------------------------------------------------------------------------------------------

const START: Record<ReduceOp, string> = { sum: '0', max: '-Infinity', min: 'Infinity', argmax: '-Infinity' };

/** Elements that one call of a long run takes. */
const CHUNK = 8192;

function emitRowForm(kernel: ReduceKernel): WasmKernel {
  const emitter = new Emitter(kernel);
  const row = kernel.red[kernel.red.length - 1] ?? { name: '@r', size: 1 };
  const outer = kernel.red.slice(0, -1);
  const long = outer.length > 0 || row.size > CHUNK;
  const keep = kernel.keep.length > 0 ? kernel.keep : [{ name: '@one', size: 1 }];
  const span = emitter.fn('_span', long ? 'lo: i32, hi: i32, thread: u32' : 'lo: i32, hi: i32');
  const scope = new Map<string, string>();
  decode(span, 'lo', keep, scope);
  span.open('for (let u = lo; u < hi; u++)');
  let result: string;
  if (long) {
    const blocks = Math.ceil(row.size / CHUNK);
    const units = size(outer) * blocks;
    // Four f64 (or f32) lanes in scratch carry the state from run to run.
    const state = span.let('usize', `<usize>load<u32>(p, ${emitter.scratchOffset}) + <usize>thread * 256`, 'a');
    span.line(startState(kernel.op, state));
    span.line(`for (let r = 0; r < ${span.int(units)}; r++) NAME_run(p, u, r, ${state});`);
    result = finishState(span, kernel.op, state);
    emitRun(emitter, kernel, keep, outer, row, blocks);
  } else {
    result = accumulate(span, kernel, scope, row, '0', span.int(row.size));
  }
  const type = kernel.op === 'argmax' ? 'i32' : 'f32';
  const acc = span.let(type, result, 'y');
  const printer = new Values(span, scope, null, { kind: 'scalar', name: acc });
  const names = kernel.stores.map((s) => printer.scalar(s.value));
  kernel.stores.forEach((s, i) => {
    span.line(storeText(s.value.dtype, span.buffer(s.buf), 'u', names[i]!));
  });
  advance(span, keep, scope);
  span.close();
  emitSpans(emitter, size(keep), long);
  return { code: emitter.source(), params: emitter.words, scratch: long ? 256 : 0 };
}

/** Statements that reduce one run of the row variable; returns the result's expression. */
function accumulate(
  fn: Fn,
  kernel: ReduceKernel,
  scope: Map<string, string>,
  row: LoopVar,
  lo: string,
  hi: string,
): string {
  const op = kernel.op;
  const common = { fn, scope, v: row.name, lo, hi, values: [kernel.value], acc: null };
  if (op === 'argmax') {
    const best = fn.let('f32', '-Infinity', 'm');
    const at = fn.let('i32', '0', 'm');
    const take = (x: string, i: string): void => fn.line(`if (${x} > ${best}) { ${best} = ${x}; ${at} = ${i}; }`);
    emitRow({
      ...common,
      sink: {
        vector: ([x], i) => {
          fn.open(`if (v128.any_true(f32x4.gt(${x}, f32x4.splat(${best}))))`);
          for (let l = 0; l < 4; l++) {
            const y = fn.let('f32', `f32x4.extract_lane(${x}, ${l})`);
            take(y, `${i} + ${l}`);
          }
          fn.close();
        },
        scalar: ([x], i) => take(x!, i),
      },
    });
    return at;
  }
  if (op === 'sum') {
    const [s0, s1, s] = [
      fn.let('v128', 'f64x2.splat(0)', 's'),
      fn.let('v128', 'f64x2.splat(0)', 's'),
      fn.let('f64', '0', 's'),
    ];
    emitRow({
      ...common,
      sink: {
        vector: ([x]) => {
          fn.line(`${s0} = f64x2.add(${s0}, f64x2.promote_low_f32x4(${x}));`);
          fn.line(`${s1} = f64x2.add(${s1}, f64x2.promote_low_f32x4(i32x4.shuffle(${x}, ${x}, 2, 3, 0, 1)));`);
        },
        scalar: ([x]) => fn.line(`${s} += <f64>${x};`),
      },
    });
    return `<f32>(${s} + sumF64(f64x2.add(${s0}, ${s1})))`;
  }
  const vector = vectorizable(kernel.value, row.name, null);
  const lanes = vector ? fn.let('v128', `f32x4.splat(${START[op]})`, 's') : '';
  const s = fn.let('f32', START[op], 's');
  emitRow({
    ...common,
    sink: {
      // A part of a row that is cut by guards may be a vector where the whole is none.
      vector: ([x]) =>
        fn.line(vector ? `${lanes} = f32x4.${op}(${lanes}, ${x});` : `${s} = ${op}<f32>(${s}, ${op}F32(${x}));`),
      scalar: ([x]) => fn.line(`${s} = ${op}<f32>(${s}, ${x});`),
    },
  });
  return vector ? `${op}<f32>(${s}, ${op}F32(${lanes}))` : s;
}

const startState = (op: ReduceOp, a: string): string =>
  op === 'sum'
    ? `store<f64>(${a}, 0);`
    : op === 'argmax'
      ? `store<f32>(${a}, -Infinity); store<i32>(${a} + 4, 0);`
      : `store<f32>(${a}, ${START[op]});`;

function finishState(_fn: Fn, op: ReduceOp, a: string): string {
  return op === 'sum' ? `<f32>load<f64>(${a})` : op === 'argmax' ? `load<i32>(${a} + 4)` : `load<f32>(${a})`;
}

/** NAME_run(p, u, r, a): adds run r of kept point u to the state at a. */
function emitRun(
  emitter: Emitter,
  kernel: ReduceKernel,
  keep: readonly LoopVar[],
  outer: readonly LoopVar[],
  row: LoopVar,
  blocks: number,
): void {
  const fn = emitter.fn('_run', 'u: i32, r: i32, a: usize');
  const scope = new Map<string, string>();
  decode(fn, 'u', keep, scope);
  decode(fn, 'r', [...outer, { name: '@block', size: blocks }], scope);
  const lo = fn.let('i32', `${scope.get('@block')} * ${CHUNK}`, 'l');
  const hi = fn.let('i32', `min<i32>(${fn.int(row.size)}, ${lo} + ${CHUNK})`, 'l');
  if (kernel.op === 'sum') {
    const y = accumulateF64(fn, kernel, scope, row, lo, hi);
    fn.line(`store<f64>(a, load<f64>(a) + ${y});`);
  } else if (kernel.op === 'argmax') {
    // The single reduced variable in blocks: the state holds the best value so far, so `first` wins by `>`.
    const y = fn.let('i32', accumulate(fn, kernel, scope, row, lo, hi), 'y');
    const at = new Map([...scope, [row.name, y]]);
    const value = new Values(fn, at, null, null).scalar(kernel.value);
    fn.line(`if (${value} > load<f32>(a)) { store<f32>(a, ${value}); store<i32>(a + 4, ${y}); }`);
  } else {
    const y = fn.let('f32', accumulate(fn, kernel, scope, row, lo, hi), 'y');
    fn.line(`store<f32>(a, ${kernel.op}<f32>(load<f32>(a), ${y}));`);
  }
}

function accumulateF64(
  fn: Fn,
  kernel: ReduceKernel,
  scope: Map<string, string>,
  row: LoopVar,
  lo: string,
  hi: string,
): string {
  const text = accumulate(fn, kernel, scope, row, lo, hi);
  return text.replace(/^<f32>/, '');
}

// Column form ------------------------------------------------------------------------------------------------------------

function emitColumn(kernel: ReduceKernel): WasmKernel {
  const emitter = new Emitter(kernel);
  const column = kernel.keep[kernel.keep.length - 1]!;
  const outer = kernel.keep.slice(0, -1);
  const groups = size(outer);
  const rows = size(kernel.red);
  const red = kernel.red.length > 0 ? kernel.red : [{ name: '@one', size: 1 }];
  const sum = kernel.op === 'sum';

  // NAME_run(p, u, r0, r1, lo, hi, s): rows r0 … r1-1 of group u into the f32 row at s, columns lo … hi-1.
  const run = emitter.fn('_run', 'u: i32, r0: i32, r1: i32, lo: i32, hi: i32, s: usize');
  const scope = new Map<string, string>();
  if (outer.length > 0) decode(run, 'u', outer, scope);
  decode(run, 'r0', red, scope);
  run.open('for (let r = r0; r < r1; r++)');
  const op = sum ? 'add' : kernel.op;
  emitRow({
    fn: run,
    scope,
    v: column.name,
    lo: 'lo',
    hi: 'hi',
    values: [kernel.value],
    acc: null,
    sink: {
      vector: ([x], i) => {
        const at = `s + (<usize>${i} << 2)`;
        run.line(`v128.store(${at}, f32x4.${op}(v128.load(${at}), ${x}));`);
      },
      scalar: ([x], i) => {
        const at = `s + (<usize>${i} << 2)`;
        const old = `load<f32>(${at})`;
        run.line(`store<f32>(${at}, ${sum ? `${old} + ${x}` : `${op}<f32>(${old}, ${x})`});`);
      },
    },
  });
  advance(run, red, scope);
  run.close();

  // NAME_finish(p, u, lo, hi, s): the epilogue over the f32 row at s.
  const finish = emitter.fn('_finish', 'u: i32, lo: i32, hi: i32, s: usize');
  const at = new Map<string, string>();
  if (outer.length > 0) decode(finish, 'u', outer, at);
  const width = finish.int(column.size);
  const pointers = kernel.stores.map((s) =>
    finish.let('usize', elementAddress(finish.buffer(s.buf), `(u * ${width})`, s.value.dtype), 'd'),
  );
  emitRow({
    fn: finish,
    scope: at,
    v: column.name,
    lo: 'lo',
    hi: 'hi',
    values: kernel.stores.map((s) => s.value),
    acc: { kind: 'row', pointer: 's' },
    sink: storeSink(
      finish,
      pointers,
      kernel.stores.map((s) => s.value),
    ),
  });

  const scratch = column.size * 12 + 64;
  const main = emitter.fn('', 't: u32, nt: u32');
  const n = main.int(column.size);
  const s = main.let(
    'usize',
    `<usize>load<u32>(p, ${emitter.scratchOffset}) + <usize>t * ${main.int(Math.ceil(scratch / 256) * 256)}`,
    's',
  );
  const wide = main.let('usize', `${s} + ((<usize>${n} * 4 + 63) & ~63)`, 's');
  // Few groups: threads share the columns, else the groups.
  const shared = groups < 16;
  const g = main.int(groups);
  if (shared) {
    main.line(`const u0 = 0, u1 = ${g};`);
    main.line(
      `const lo = min<i32>(${n}, shareStart((${n} + 3) >> 2, t, nt) << 2), hi = min<i32>(${n}, shareStart((${n} + 3) >> 2, t + 1, nt) << 2);`,
    );
  } else {
    main.line(`const u0 = shareStart(${g}, t, nt), u1 = shareStart(${g}, t + 1, nt), lo = 0, hi = ${n};`);
  }
  main.line('if (lo == hi) return;');
  main.open('for (let u = u0; u < u1; u++)');
  const total = main.int(rows);
  if (sum) {
    main.line(`memory.fill(${wide} + (<usize>lo << 3), 0, <usize>(hi - lo) << 3);`);
    main.open(`for (let r = 0; r < ${total}; r += ${RUN})`);
    main.line(`fillF32(${s}, lo, hi, 0);`);
    main.line(`NAME_run(p, u, r, min<i32>(r + ${RUN}, ${total}), lo, hi, ${s});`);
    main.line(`addToF64(${wide}, ${s}, lo, hi);`);
    main.close();
    main.line(`fromF64(${s}, ${wide}, lo, hi);`);
  } else {
    main.line(`fillF32(${s}, lo, hi, ${START[kernel.op]});`);
    main.line(
      `for (let r = 0; r < ${total}; r += ${RUN}) NAME_run(p, u, r, min<i32>(r + ${RUN}, ${total}), lo, hi, ${s});`,
    );
  }
  main.line(`NAME_finish(p, u, lo, hi, ${s});`);
  main.close();
  return { code: emitter.source(), params: emitter.words, scratch };
}
