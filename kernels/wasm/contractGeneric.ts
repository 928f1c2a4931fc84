// A contract as a plain loop nest, one output element at a time: correct for every contract, fast for none.
import { add, type Int, int, mul, range, variable } from '../int.ts';
import { type Affine, axisVar, type ContractKernel, type LoopVar, type Operand } from '../ir.ts';
import type { WasmKernel } from '../targets.ts';
import { Emitter } from './emitter.ts';
import { decode, printInt } from './ints.ts';
import { emitSpans } from './map.ts';
import { storeText } from './row.ts';
import { Values } from './values.ts';

export function emitGenericContract(kernel: ContractKernel): WasmKernel {
  const emitter = new Emitter(kernel);
  const fn = emitter.fn('_span', 'lo: i32, hi: i32');
  const live = (names: readonly string[]): LoopVar[] =>
    names.map((name) => ({ name, size: kernel.vars.get(name)! })).filter((v) => v.size > 1);
  const out = live(kernel.out);
  if (out.length === 0) out.push({ name: '@one', size: 1 });
  const scope = new Map<string, string>();
  fn.open('for (let u = lo; u < hi; u++)');
  decode(fn, 'u', out, scope);
  const sum = fn.let('f64', '0', 's');
  const k = live(kernel.k);
  for (const v of k) {
    const name = fn.name('v');
    scope.set(v.name, name);
    fn.open(`for (let ${name} = 0; ${name} < ${fn.int(v.size)}; ${name}++)`);
  }
  const coordinate = (a: Affine): Int =>
    a.terms.reduce((e, t) => add(e, mul(variable(t.var, kernel.vars.get(t.var)!), t.coef)), int(a.offset));
  const element = (o: Operand): string => {
    const at = new Map<string, string>();
    const guards: string[] = [];
    o.axes.forEach((a, i) => {
      const e = coordinate(a);
      const [lo, hi] = range(e);
      const x = fn.let('i32', printInt(fn, e, scope), 'x');
      at.set(axisVar(i), x);
      if (lo < 0 || hi >= a.size) guards.push(`<u32>${x} < <u32>${fn.int(a.size)}`);
    });
    const value = fn.let('f32', '0', 'y');
    fn.open(guards.length > 0 ? `if (${guards.join(' && ')})` : '');
    fn.line(`${value} = ${new Values(fn, at, null, null).scalar(o.value)};`);
    fn.close();
    return value;
  };
  const a = element(kernel.a);
  const b = element(kernel.b);
  fn.line(`${sum} += <f64>${a} * <f64>${b};`);
  for (let i = 0; i < k.length; i++) fn.close();
  const acc = fn.let('f32', `<f32>${sum}`, 'y');
  const values = new Values(fn, scope, null, { kind: 'scalar', name: acc });
  const names = kernel.stores.map((s) => values.scalar(s.value));
  kernel.stores.forEach((s, i) => {
    fn.line(storeText(s.value.dtype, fn.buffer(s.buf), 'u', names[i]!));
  });
  fn.close();
  emitSpans(
    emitter,
    out.reduce((n, v) => n * v.size, 1),
  );
  return { code: emitter.source(), params: emitter.words, scratch: 0 };
}
