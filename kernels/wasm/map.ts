// Elementwise kernels: rows of the innermost variable, cut into units that threads share.

import { mul } from '../int.ts';
import type { LoopVar, MapKernel } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
import { Emitter } from './emitter.ts';
import { advance, decode, printInt } from './ints.ts';
import { linearOf, mergeInner } from './merge.ts';
import { elementAddress, emitRow, storeSink } from './row.ts';

/** Elements of a row that one unit computes at most. */
const BLOCK = 4096;

export function emitMap(kernel: MapKernel): WasmKernel {
  const emitter = new Emitter(kernel);
  const merged = mergeInner(
    kernel.vars,
    kernel.stores.map((s) => s.value),
  );
  const row = merged.vars[merged.vars.length - 1] ?? { name: 'i', size: 1 };
  const outer = merged.vars.slice(0, -1);
  const blocks = Math.ceil(row.size / BLOCK);
  const blocked = blocks > 1;
  const loops: LoopVar[] = blocked ? [...outer, { name: '@block', size: blocks }] : [...outer];
  if (loops.length === 0) loops.push({ name: '@one', size: 1 });

  const span = emitter.fn('_span', 'lo: i32, hi: i32');
  const scope = new Map<string, string>();
  const n = span.int(row.size);
  decode(span, 'lo', loops, scope);
  span.open('for (let u = lo; u < hi; u++)');
  const base = span.let('i32', printInt(span, mul(linearOf(outer), row.size), scope), 'o');
  const pointers = kernel.stores.map((s) =>
    span.let('usize', elementAddress(span.buffer(s.buf), base, s.value.dtype), 'd'),
  );
  const lo = blocked ? span.let('i32', `${scope.get('@block')} * ${BLOCK}`, 'l') : '0';
  const hi = blocked ? span.let('i32', `min<i32>(${n}, ${lo} + ${BLOCK})`, 'l') : n;
  emitRow({
    fn: span,
    scope,
    v: row.name,
    lo,
    hi,
    values: merged.values,
    acc: null,
    sink: storeSink(span, pointers, merged.values),
  });
  advance(span, loops, scope);
  span.close();
  emitSpans(
    emitter,
    loops.reduce((a, l) => a * l.size, 1),
  );
  return { code: emitter.source(), params: emitter.words, scratch: 0 };
}

/** NAME: thread t's share of the units, a few at a time, so that the span is soon called in optimised code. */
export function emitSpans(emitter: Emitter, units: number, threaded = false): void {
  const main = emitter.fn('', 't: u32, nt: u32');
  const total = main.int(units);
  main.line(`const end = shareStart(${total}, t + 1, nt);`);
  main.open(`for (let u = shareStart(${total}, t, nt); u < end; u += 64)`);
  main.line(`NAME_span(p, u, min<i32>(u + 64, end)${threaded ? ', t' : ''});`);
  main.close();
}
