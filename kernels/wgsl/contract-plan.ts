// A contraction as a matrix product: rows × columns per batch index, summed over nested k loops.
//
// Contract: `columns` hold the innermost output variable (the operands are exchanged where they do not), so that
// neighbouring columns are neighbours in memory. Rows, columns and batches are numbered row-major over their variables
// in output order; a slab cuts exactly one of the three.
import { children, type Expr, lit, substitute, walk, when } from '../expr.ts';
import {
  add,
  type Cond,
  coefficient,
  type Int,
  int,
  linear,
  mul,
  range,
  substitute as substituteInt,
  unlinear,
  usesVar,
} from '../int.ts';
import { axisVar, type ContractKernel, type LoopVar, type Operand } from '../ir.ts';
import type { Writer } from './writer.ts';

export type Role = 'batch' | 'rows' | 'columns';

export interface ContractPlan {
  readonly kernel: ContractKernel;
  readonly vars: Readonly<Record<Role, readonly LoopVar[]>>;
  readonly size: Readonly<Record<Role, number>>;
  /** Sum loops, outermost first; at least one. */
  readonly k: readonly LoopVar[];
  /** The operand over rows, and the one over columns. */
  readonly left: Operand;
  readonly right: Operand;
  /** What a slab cuts, with the indices of that role per outermost index; null when nothing can be cut. */
  readonly cut: { readonly role: Role; readonly inner: number } | null;
  readonly outermost: number;
}

export type Env = ReadonlyMap<string, Int>;

export function planContract(kernel: ContractKernel): ContractPlan {
  const sizes = kernel.vars;
  const used = kernel.out.filter((v) => sizes.get(v)! > 1);
  const innermost = used[used.length - 1];
  const swap = innermost !== undefined && kernel.m.includes(innermost);
  const [mNames, nNames] = swap ? [kernel.n, kernel.m] : [kernel.m, kernel.n];
  const pick = (names: readonly string[]): LoopVar[] =>
    kernel.out.filter((v) => names.includes(v)).map((name) => ({ name, size: sizes.get(name)! }));
  const vars = { batch: pick(kernel.batch), rows: pick(mNames), columns: pick(nNames) };
  const count = (list: readonly LoopVar[]): number => list.reduce((n, v) => n * v.size, 1);
  const size = { batch: count(vars.batch), rows: count(vars.rows), columns: count(vars.columns) };
  const k = kernel.k.map((name) => ({ name, size: sizes.get(name)! })).filter((v) => v.size > 1);
  const outer = used[0];
  const role = (['batch', 'rows', 'columns'] as const).find(
    (r) => outer !== undefined && vars[r].some((v) => v.name === outer),
  );
  return {
    kernel,
    vars,
    size,
    k: k.length ? k : [{ name: '@k', size: 1 }],
    left: swap ? kernel.b : kernel.a,
    right: swap ? kernel.a : kernel.b,
    cut: role ? { role, inner: size[role] / sizes.get(outer!)! } : null,
    outermost: outer ? sizes.get(outer)! : 1,
  };
}

/** Coordinates of linear index `at` of a role. */
export function coordinates(plan: ContractPlan, role: Role, at: Int): [string, Int][] {
  const list = plan.vars[role];
  return unlinear(
    at,
    list.map((v) => v.size),
  ).map((c, i) => [list[i]!.name, c]);
}

/** The operand's element at these loop coordinates, zero outside its bounds. */
export function element(operand: Operand, env: Env): Expr {
  const coords = operand.axes.map((a) =>
    a.terms.reduce((s, t) => add(s, mul(env.get(t.var) ?? int(0), t.coef)), int(a.offset)),
  );
  const names = new Map(coords.map((c, i) => [axisVar(i), c]));
  const conds: Cond[] = coords.map((e, i) => ({ e, lo: 0, hi: operand.axes[i]!.size }));
  return when(
    conds,
    substitute(operand.value, (name) => names.get(name)),
    lit(0),
  );
}

/** The output's linear index, and the stores' values, at these coordinates. */
export function outputs(plan: ContractPlan, env: Env): { at: Int; values: Expr[] } {
  const { kernel } = plan;
  const shape = kernel.out.map((v) => kernel.vars.get(v)!);
  const at = linear(
    kernel.out.map((v) => env.get(v) ?? int(0)),
    shape,
  );
  return { at, values: kernel.stores.map((s) => substitute(s.value, (name) => env.get(name))) };
}

/** Loads in e. */
export function countLoads(e: Expr): number {
  let n = 0;
  walk(e, (x) => {
    if (x.k === 'load') n++;
  });
  return n;
}

/** Loads of the epilogue that differ for every element of the output. */
export function elementLoads(plan: ContractPlan): number {
  const has = (e: Int, role: Role): boolean => plan.vars[role].some((v) => v.size > 1 && usesVar(e, v.name));
  let n = 0;
  for (const s of plan.kernel.stores) {
    walk(s.value, (x) => {
      if (x.k === 'load' && has(x.index, 'rows') && has(x.index, 'columns')) n++;
    });
  }
  return n;
}

/**
 * Where conditions on the innermost sum variable change their answer (the boundary of a concatenation): the ranges
 * between are summed by loops of their own, each with its own loads.
 */
export function innerRanges(plan: ContractPlan): [number, number][] {
  const inner = plan.k[plan.k.length - 1]!;
  const cuts = new Set([0, inner.size]);
  for (const operand of [plan.left, plan.right]) {
    const axis = new Map(
      operand.axes.map((a, i) => [
        axisVar(i),
        a.terms.reduce(
          (s, t) => add(s, mul({ k: 'var', name: t.var, size: plan.kernel.vars.get(t.var)! }, t.coef)),
          int(a.offset),
        ),
      ]),
    );
    const visit = (e: Expr): void => {
      if (e.k === 'if') {
        for (const c of e.conds) {
          const at = substituteInt(c.e, (name) => axis.get(name));
          const coef = coefficient(at, inner.name);
          const base = add(at, mul({ k: 'var', name: inner.name, size: inner.size }, -(coef ?? 0)));
          const [lo, hi] = range(base);
          if (coef !== 1 || lo !== hi) continue;
          for (const edge of [c.lo - lo, c.hi - lo]) if (edge > 0 && edge < inner.size) cuts.add(edge);
        }
      }
      for (const c of children(e)) visit(c);
    };
    visit(operand.value);
  }
  // Many small parts would only make the code long.
  const edges = cuts.size > 5 ? [0, inner.size] : [...cuts].sort((a, b) => a - b);
  return edges.slice(1).map((end, i) => [edges[i]!, end]);
}

/** Terms that one chain of additions sums at most, where the sizes divide: longer sums are chains added in order. Rounding grows
 *  with the square root of a chain's length (as in kernels/assembly/gemm.ts). */
export const CHAIN = 96;
const SHORT = 16;

interface SumLoop {
  readonly name: string;
  readonly size: number;
  /** The loop moves its variable by this. */
  readonly coef: number;
}

/** The sum's loops, outermost first; a long innermost one is cut in two, a lone one always, so that kernels share their text. */
function sumLoops(plan: ContractPlan, parts: number): SumLoop[] {
  const loops = plan.k.map((v) => ({ ...v, coef: 1 }));
  const inner = loops[loops.length - 1]!;
  if (parts > 1 || (inner.size <= CHAIN && loops.length > 1)) return loops;
  let lo = Math.min(CHAIN, inner.size);
  while (lo > 16 && inner.size % lo !== 0) lo--;
  if (inner.size % lo !== 0) lo = inner.size;
  return [
    ...loops.slice(0, -1),
    { name: inner.name, size: inner.size / lo, coef: lo },
    { name: inner.name, size: lo, coef: 1 },
  ];
}

export interface Chain {
  /** Accumulators are declared, all zero. */
  begin(): void;
  /** One step of the sum. */
  step(env: Map<string, Int>): void;
  /** They are added to the sums. */
  end(): void;
}

/** The outermost of the loops that make a chain: short innermost ones are taken together. */
function chainStart(loops: readonly SumLoop[]): number {
  let n = loops.length - 1;
  let terms = loops[n]!.size;
  while (n > 0 && terms < SHORT) terms *= loops[--n]!.size;
  return n;
}

/** Writes the nested loops of the sum, chain by chain. */
export function sumChains(w: Writer, plan: ContractPlan, chain: Chain): void {
  const ranges = innerRanges(plan);
  const loops = sumLoops(plan, ranges.length);
  const last = loops.length - 1;
  const start = chainStart(loops);
  const moved = (env: Env, l: SumLoop, i: Int): Map<string, Int> =>
    new Map([...env, [l.name, add(env.get(l.name) ?? int(0), mul(i, l.coef))]]);
  const inside = (n: number, env: Env, parts: readonly [number, number][]): void => {
    const l = loops[n]!;
    if (n < last) w.loop('k', l.size, (i) => inside(n + 1, moved(env, l, i), parts));
    else if (parts.length === 1) w.loop('k', l.size, (i) => chain.step(moved(env, l, i)));
    else for (const [from, to] of parts) w.loop('k', to - from, (i) => chain.step(moved(env, l, add(i, int(from)))));
  };
  const outside = (n: number, env: Env): void => {
    if (n < start) {
      w.loop('k', loops[n]!.size, (i) => outside(n + 1, moved(env, loops[n]!, i)), true);
      return;
    }
    // Parts of a concatenation are chains of their own where nothing else stands in one.
    const each: (readonly [number, number][])[] =
      start === last && ranges.length > 1 ? ranges.map((r) => [r]) : [ranges];
    for (const parts of each) {
      w.block('', () => {
        chain.begin();
        if (start === last && parts.length === 1 && ranges.length > 1) {
          const [from, to] = parts[0]!;
          w.loop('k', to - from, (i) => chain.step(moved(env, loops[last]!, add(i, int(from)))));
        } else inside(start, env, parts);
        chain.end();
      });
    }
  };
  outside(0, new Map());
}

/** Where a workgroup's tile lies: batch index, first row and column, and what bounds them. */
export interface Tile {
  readonly batch: Int;
  /** Index of the tile's row block (rows start at block × tile rows), or null when a slab may start inside a block. */
  readonly rowBlock: Int | null;
  readonly columnBlock: Int | null;
  /** Names of the first row and column and of the ends of the slab. */
  readonly row0: string;
  readonly column0: string;
  readonly rowEnd: string;
  readonly columnEnd: string;
  /** Whether the last block may reach past the end. */
  readonly rowTail: boolean;
  readonly columnTail: boolean;
}

/** Number of workgroups for a slab. */
export function tileCount(plan: ContractPlan, rows: number, columns: number, count: number): number {
  const n = { ...plan.size };
  if (plan.cut) n[plan.cut.role] = count * plan.cut.inner;
  return n.batch * Math.ceil(n.rows / rows) * Math.ceil(n.columns / columns);
}

/**
 * Writes the decoding of the workgroup's number; workgroups past the last tile return. `blocks`: rows and columns of whole
 * tiles are told by their block, for vectors; else every row is held inside the slab, and kernels share more text.
 */
export function writeTile(w: Writer, plan: ContractPlan, rows: number, columns: number, blocks = true): Tile {
  const { cut } = plan;
  const share = (role: Role): [perIndex: number, fixed: number] =>
    cut?.role === role ? [cut.inner, 0] : [0, plan.size[role]];
  const sizeOf = (role: Role): string => {
    const [each, fixed] = share(role);
    return `count * ${each} + ${fixed}`;
  };
  const place = (name: 'row' | 'column', role: Role, tile: number): void => {
    w.line(`let ${name}_end = (first + count) * ${share(role)[0]} + ${share(role)[1]};`);
    w.line(`let ${name}_blocks = (${sizeOf(role)} + ${tile - 1}) / ${tile};`);
  };
  place('row', 'rows', rows);
  place('column', 'columns', columns);
  w.line('let tiles = row_blocks * column_blocks;');
  w.line(`if (group >= tiles * (${sizeOf('batch')})) { return; }`);
  w.line('let column_block = group % column_blocks;');
  w.line('let row_block = (group / column_blocks) % row_blocks;');
  const batch = plan.size.batch === 1 ? int(0) : w.declare('batch', plan.size.batch);
  if (plan.size.batch > 1) w.line(`let batch = first * ${share('batch')[0]} + group / tiles;`);
  const start = (name: 'row' | 'column', role: Role, tile: number): { block: Int | null; tail: boolean } => {
    const [each, fixed] = share(role);
    const total = Math.ceil(plan.size[role] / tile);
    const whole = (blocks || (name === 'column' && each === 0 && fixed % tile === 0)) && each % tile === 0;
    if (!whole) {
      w.line(`let ${name}0 = first * ${each} + ${name}_block * ${tile};`);
      return { block: null, tail: true };
    }
    if (total === 1) {
      w.line(`let ${name}0 = 0;`);
      return { block: int(0), tail: fixed % tile !== 0 };
    }
    w.line(`let ${name}_tile = first * ${each / tile} + ${name}_block;`);
    w.line(`let ${name}0 = ${name}_tile * ${tile};`);
    return { block: w.declare(`${name}_tile`, total), tail: fixed % tile !== 0 };
  };
  const row = start('row', 'rows', rows);
  const column = start('column', 'columns', columns);
  return {
    batch,
    rowBlock: row.block,
    columnBlock: column.block,
    row0: 'row0',
    column0: 'column0',
    rowEnd: 'row_end',
    columnEnd: 'column_end',
    rowTail: row.tail,
    columnTail: column.tail,
  };
}

/** The index of a role at `offset` from the tile's start, held inside the slab so that its loads are valid. */
export function indexIn(w: Writer, tile: Tile, role: 'row' | 'column', size: number, width: number, offset: Int): Int {
  const block = role === 'row' ? tile.rowBlock : tile.columnBlock;
  const tail = role === 'row' ? tile.rowTail : tile.columnTail;
  if (block && !tail) return add(mul(block, width), offset);
  const name = w.fresh(role === 'row' ? 'm' : 'n');
  w.line(`let ${name} = min(${role}0 + ${w.int(offset)}, ${role}_end - 1);`);
  return w.declare(name, size);
}
