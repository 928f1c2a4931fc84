// Index expressions in AssemblyScript: i32 arithmetic over locals, and vectors of four consecutive values.
import { type Cond, coefficient, type Int, int, key, range, substitute, usesVar } from '../int.ts';
import type { LoopVar } from '../ir.ts';
import { EmitError, type Fn } from './emitter.ts';

/** AssemblyScript i32 expressions for the loop variables in scope. */
export type Scope = ReadonlyMap<string, string>;

/** The expression's AssemblyScript. Printed again in the same function, it uses the same parameter words. */
export function printInt(fn: Fn, e: Int, scope: Scope): string {
  if (e.k === 'const') return fn.int(e.v);
  let place = 0;
  const id = key(e);
  return print(fn, e, scope, (v) => fn.int(v, `${id}#${place++}`));
}

function print(fn: Fn, e: Int, scope: Scope, constant: (v: number) => string): string {
  switch (e.k) {
    case 'const':
      return constant(e.v);
    case 'var': {
      const name = scope.get(e.name);
      if (name === undefined) {
        throw new EmitError(
          'WASM_VARIABLE',
          `${fn.emitter.kernel.name}: index uses the variable ${e.name}, expected one of ${[...scope.keys()].join(' ')}`,
        );
      }
      return name;
    }
    case 'add':
      return `(${print(fn, e.a, scope, constant)} + ${print(fn, e.b, scope, constant)})`;
    case 'mul':
      return e.c === -1
        ? `(-${print(fn, e.a, scope, constant)})`
        : `(${print(fn, e.a, scope, constant)} * ${constant(e.c)})`;
    case 'div':
    case 'mod': {
      const a = print(fn, e.a, scope, constant);
      const c = constant(e.c);
      // Unsigned division needs no test for overflow.
      if (range(e.a)[0] >= 0) return `<i32>(<u32>${a} ${e.k === 'div' ? '/' : '%'} <u32>${c})`;
      return `${e.k === 'div' ? 'floorDiv' : 'floorMod'}(${a}, ${c})`;
    }
  }
}

/** e with the variable set to 0: what a row's base pointer is made of. */
export const atZero = (e: Int, name: string): Int => substitute(e, (n) => (n === name ? int(0) : undefined));

/** Four consecutive values of e from `i`, the row variable's AssemblyScript name. */
export function printIntVector(fn: Fn, e: Int, v: string, scope: Scope): string {
  if (!usesVar(e, v)) return `i32x4.splat(${printInt(fn, e, scope)})`;
  const c = coefficient(e, v);
  if (c !== null) {
    const lanes = c === 1 ? 'i32x4(0, 1, 2, 3)' : `i32x4.mul(i32x4.splat(${fn.int(c)}), i32x4(0, 1, 2, 3))`;
    return `i32x4.add(i32x4.splat(${printInt(fn, e, scope)}), ${lanes})`;
  }
  const i = scope.get(v)!;
  let text = `i32x4.splat(${printInt(fn, e, scope)})`;
  for (let lane = 1; lane < 4; lane++) {
    text = `i32x4.replace_lane(${text}, ${lane}, ${printInt(fn, e, new Map([...scope, [v, `(${i} + ${lane})`]]))})`;
  }
  return text;
}

export function printCond(fn: Fn, c: Cond, scope: Scope): string {
  const [lo, hi] = range(c.e);
  const e = printInt(fn, c.e, scope);
  const tests: string[] = [];
  if (lo < c.lo) tests.push(`${e} >= ${fn.int(c.lo, `${key(c.e)}>=${c.lo}`)}`);
  if (hi >= c.hi) tests.push(`${e} < ${fn.int(c.hi, `${key(c.e)}<${c.hi}`)}`);
  return tests.length === 0 ? 'true' : tests.join(' && ');
}

/** Declares the loop variables of a row-major linear index as mutable locals; returns their scope. */
export function decode(fn: Fn, linear: string, vars: readonly LoopVar[], scope: Map<string, string>): void {
  let rest = linear;
  [...vars].reverse().forEach((v, i) => {
    if (i === vars.length - 1) {
      scope.set(v.name, fn.let('i32', rest, 'v'));
      return;
    }
    const size = fn.int(v.size);
    if (i > 0) rest = fn.let('i32', rest, 'r');
    scope.set(v.name, fn.let('i32', `<i32>(<u32>${rest} % <u32>${size})`, 'v'));
    rest = `<i32>(<u32>${rest} / <u32>${size})`;
  });
}

/** Steps the variables declared by decode to the next point. */
export function advance(fn: Fn, vars: readonly LoopVar[], scope: Scope): void {
  const inner = [...vars].reverse();
  inner.forEach((v, i) => {
    const name = scope.get(v.name)!;
    if (i === inner.length - 1) fn.line(`${name}++;`);
    else {
      fn.open(`if (++${name} == ${fn.int(v.size)})`);
      fn.line(`${name} = 0;`);
    }
  });
  for (let i = 1; i < inner.length; i++) fn.close();
}
