// Four consecutive rows or columns of a contraction at a time: how tiles are filled and how results leave.
import { type Expr, lit, walk, when } from '../expr.ts';
import { add, type Int, int, mul, unlinear } from '../int.ts';
import type { LoopVar, Operand } from '../ir.ts';
import { type ContractPlan, coordinates, element, outputs, type Role, type Tile } from './contract-plan.ts';
import { canWiden, ExpressionPrinter } from './expression.ts';
import { LANE, lanes, laneVar } from './lanes.ts';
import { usesLane, type Value, type Writer } from './writer.ts';

/** Four consecutive rows or columns: as one regular index over LANE, or one by one. */
export type Quad =
  | { readonly wide: Int }
  /** `at`: writes the index of one of them, given its number. */
  | { readonly each: readonly Int[]; readonly at: (c: Int) => Int };

/** The quad at `offset` quads from the tile's start, held inside the slab; the tile is `width` rows or columns. */
export function quadIn(
  w: Writer,
  plan: ContractPlan,
  tile: Tile,
  role: 'rows' | 'columns',
  width: number,
  offset: Int,
): Quad {
  const name = role === 'rows' ? 'row' : 'column';
  const size = plan.size[role];
  const block = role === 'rows' ? tile.rowBlock : tile.columnBlock;
  const tail = role === 'rows' ? tile.rowTail : tile.columnTail;
  const step = plan.cut?.role === role ? plan.cut.inner : size;
  if (block && !tail) return { wide: add(mul(add(mul(block, width / 4), offset), 4), laneVar) };
  if (size % 4 === 0 && step % 4 === 0) {
    const at = w.fresh('q');
    w.line(`let ${at} = min(${name}0 / 4 + ${w.int(offset)}, ${name}_end / 4 - 1);`);
    return { wide: add(mul(w.declare(at, size / 4), 4), laneVar) };
  }
  const first = w.named(offset);
  const at = (c: Int): Int => {
    const index = w.fresh('q');
    w.line(`let ${index} = min(${name}0 + ${first} * 4 + ${w.int(c)}, ${name}_end - 1);`);
    return w.declare(index, size);
  };
  return {
    at,
    get each() {
      return [0, 1, 2, 3].map((c) => at(int(c)));
    },
  };
}

/** The innermost sum variables taken together, so that a tile has enough steps to fill. */
export interface FlatSum {
  readonly outer: readonly LoopVar[];
  readonly inner: readonly LoopVar[];
  readonly size: number;
}

/** The operand's element at step `at` of a flat sum, zero past its end. */
export function elementAt(
  plan: ContractPlan,
  k: FlatSum,
  role: 'rows' | 'columns',
  env: ReadonlyMap<string, Int>,
  at: Int,
  index: Int,
): Expr {
  const inner = unlinear(
    at,
    k.inner.map((v) => v.size),
  );
  const sums: [string, Int][] = k.inner.map((v, i) => [v.name, inner[i]!]);
  return when(
    [{ e: at, lo: 0, hi: k.size }],
    element(role === 'rows' ? plan.left : plan.right, new Map([...env, ...sums, ...coordinates(plan, role, index)])),
    lit(0),
  );
}

/** The operand's elements by a function of index and step: where they are no vectors in memory, four of them written out, for
 *  each that a thread fills, would be long. */
export function fetcher(
  w: Writer,
  plan: ContractPlan,
  name: string,
  role: 'rows' | 'columns',
  steps: number,
  value: (at: Int, index: Int) => Expr,
): (index: Int, at: Int) => string {
  let fetch: ((args: readonly string[]) => string) | null = null;
  return (index, at) => {
    fetch ??= w.routine(
      `${name}_at`,
      [
        ['m', plan.size[role]],
        ['k', steps],
      ],
      (f, [m, step]) => new ExpressionPrinter(f).print(value(step!, m!)).code,
    );
    return fetch([w.int(index), w.named(at)]);
  };
}

/** Four elements one by one, as the name of a vec4. One call in a loop that stays one: four would be four times the code for
 *  a driver to compile. */
export function gathered(w: Writer, one: (c: Int) => string): string {
  const code = w.fresh('v');
  w.line(`var ${code} = vec4<f32>();`);
  w.loop('c', 4, (c) => {
    const element = one(c);
    w.line(`${code}[${w.int(c)}] = ${element};`);
  });
  return code;
}

/** Stores four columns of a row. `acc`: their sums, a vec4; guards hold where row and column (null: all four) are inside the
 *  slab. */
export function storeQuad(
  w: Writer,
  plan: ContractPlan,
  printer: ExpressionPrinter,
  at: { readonly env: ReadonlyMap<string, Int>; readonly row: Int; readonly column: Quad },
  acc: string,
  guards: { readonly row: string | null; readonly column: ((c: number | null) => string) | null },
): void {
  const place = (index: Int) =>
    outputs(plan, new Map([...at.env, ...coordinates(plan, 'rows', at.row), ...coordinates(plan, 'columns', index)]));
  const guarded = (c: number | null, put: () => void): void => {
    const list = [...(guards.row ? [guards.row] : []), ...(guards.column ? [guards.column(c)] : [])];
    if (list.length) w.block(`if (${list.join(' && ')})`, put, true);
    else put();
  };
  const store = (to: Int, values: readonly Value[]): void =>
    plan.kernel.stores.forEach((s, i) => {
      w.store(s.buf, to, values[i]!);
    });
  const { column } = at;
  if ('wide' in column) {
    const o = place(column.wide);
    if (lanes(o.at)?.coef === 1 && o.values.every(canWiden)) {
      printer.acc = { code: acc, wide: true, dtype: 'f32' };
      const values = o.values.map((v) => printer.printNamed(v, true));
      guarded(null, () => store(o.at, values));
      return;
    }
  }
  const single = 'each' in column ? column.each : [0, 1, 2, 3].map((c) => laneAt(column.wide, int(c)));
  single.forEach((index, c) => {
    const o = place(index);
    printer.acc = { code: `${acc}.${'xyzw'[c]}`, wide: false, dtype: 'f32' };
    const values = o.values.map((v) => printer.print(v));
    guarded(c, () => store(o.at, values));
  });
}

/** [index / n, index % n] */
export const split = (index: Int, n: number): Int[] => unlinear(index, [2 ** 20, n]);

/** A regular index at one lane. */
export function laneAt(e: Int, c: Int): Int {
  const l = lanes(e)!;
  return add(l.base, mul(c, l.coef));
}

/** Whether neighbouring rows (columns) of the operand are neighbours in memory. */
export function contiguousAlong(plan: ContractPlan, operand: Operand, role: Role): boolean {
  const index = add(mul({ k: 'var', name: '@quad', size: Math.max(2, Math.ceil(plan.size[role] / 4)) }, 4), laneVar);
  const env = new Map<string, Int>(coordinates(plan, role, index));
  for (const v of plan.k) env.set(v.name, { k: 'var', name: v.name, size: Math.max(2, v.size) });
  let along = 0;
  walk(element(operand, env), (e) => {
    if (e.k !== 'load' || !usesLane(e.index)) return;
    const l = lanes(e.index);
    if (l?.coef === 1 || (!l && plan.vars[role][plan.vars[role].length - 1]!.size > 1))
      along += strideOne(e.index) ? 1 : 0;
  });
  return along > 0;
}

/** Whether the index moves by one with LANE somewhere (also through irregular coordinates). */
function strideOne(e: Int): boolean {
  const l = lanes(e);
  if (l) return l.coef === 1;
  if (e.k === 'add') return strideOne(e.a) || strideOne(e.b);
  return e.k === 'var' ? e.name === LANE : e.k === 'mod' || e.k === 'div';
}
