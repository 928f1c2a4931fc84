// Contraction by one subgroup per workgroup, without barriers or workgroup memory.
//
// The tile is (S * ra) rows × (S * cn) columns. For each step of k, lane l loads its ra elements of the left operand
// (rows l, S + l, …) and its cn elements of the right one (columns l, S + l, …); every row's element is then broadcast
// and multiplied into that row's cn accumulators. Neither operand's orientation matters, nor any size. On lavapipe, where
// a load costs as much as about five multiply-adds and compile time grows with static loads, this was the fastest of the
// register-blocked schemes tried (k across lanes, uniform loads, vectors along k).
import { add, int } from '../int.ts';
import type { WgslVariant } from '../targets.ts';
import {
  type ContractPlan,
  coordinates,
  countLoads,
  element,
  elementLoads,
  indexIn,
  outputs,
  sumChains,
  tileCount,
  writeTile,
} from './contract-plan.ts';
import { ExpressionPrinter } from './expression.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import type { Writer } from './writer.ts';

/** Long kernels for long work only: this many accumulators cost lavapipe about a second of compilation. */
const maxAccumulators = (flops: number): number => (flops > 1e9 ? 96 : flops > 1e8 ? 64 : 32);
const MAX_STATIC_LOADS = 60;
// Costs in multiply-adds of a whole subgroup, fitted on lavapipe.
const LOAD_COST = 5;
const STEP_COST = 13;

/** What a schedule of this family decides; its id is `subgroupS-RAxCN`. */
export interface SubgroupBlocking {
  readonly ra: number;
  readonly cn: number;
}

/** Blockings, the cheapest by the cost model first. `slack`: how far they may pass the bounds on code's length. */
export function subgroupBlockings(plan: ContractPlan, s: number, slack = 1): SubgroupBlocking[] {
  const left = Math.max(1, countLoads(plan.left.value));
  const right = Math.max(1, countLoads(plan.right.value));
  const epilogue = elementLoads(plan);
  const most = slack * maxAccumulators(plan.kernel.flops);
  const found: (SubgroupBlocking & { cost: number })[] = [];
  for (const ra of [1, 2, 4]) {
    for (const cn of [1, 2, 3, 4, 6, 8, 12]) {
      const accumulators = s * ra * cn;
      const loads = left * ra + right * cn;
      if ((ra > 1 || cn > 1) && (accumulators > most || loads + epilogue * accumulators > slack * MAX_STATIC_LOADS))
        continue;
      const tiles = Math.ceil(plan.size.rows / (s * ra)) * Math.ceil(plan.size.columns / (s * cn));
      const cost = tiles * (accumulators + LOAD_COST * loads + STEP_COST);
      found.push({ ra, cn, cost });
    }
  }
  return found.sort((a, b) => a.cost - b.cost).map(({ ra, cn }) => ({ ra, cn }));
}

/** `wanted`: a blocking that was measured to be faster; without, the cost model's, whose id is `subgroupS`. */
export function contractSubgroup(
  plan: ContractPlan,
  options: EmitOptions,
  s: number,
  wanted?: SubgroupBlocking,
): { variant: WgslVariant; usesStep: boolean } {
  const { ra, cn } = wanted ?? subgroupBlockings(plan, s)[0]!;
  const rows = s * ra;
  const columns = s * cn;
  return buildVariant(plan.kernel, options, {
    id: wanted ? `subgroup${s}-${ra}x${cn}` : `subgroup${s}`,
    workgroup: s,
    features: ['subgroups'],
    subgroupSize: s,
    groups: (count) => tileCount(plan, rows, columns, count),
    body: (w) => body(w, plan, s, ra, cn),
  });
}

function body(w: Writer, plan: ContractPlan, s: number, ra: number, cn: number): void {
  const rows = s * ra;
  const columns = s * cn;
  const printer = new ExpressionPrinter(w);
  const tile = writeTile(w, plan, rows, columns, false);
  w.line('let l = i32(lane);');
  const l = w.declare('l', s);
  const batch = coordinates(plan, 'batch', tile.batch);
  const lanesRows = Array.from({ length: ra }, (_, i) =>
    indexIn(w, tile, 'row', plan.size.rows, rows, add(l, int(i * s))),
  );
  const lanesColumns = Array.from({ length: cn }, (_, j) =>
    indexIn(w, tile, 'column', plan.size.columns, columns, add(l, int(j * s))),
  );
  const widths = vectors(cn);
  const name = (r: number, g: number): string => (widths.length === 1 ? `a${r}` : `a${r}_${g}`);
  const perRow = <T>(f: (r: number) => T): T[] => Array.from({ length: rows }, (_, r) => f(r));
  const perGroup = <T>(f: (width: number, g: number) => T): T[] => widths.map(f);
  for (const [g, width] of widths.entries()) w.line(`var sum${g}: array<${type(width)}, ${rows}>;`);
  sumChains(w, plan, {
    begin: () => {
      for (const line of inLines(perRow((r) => perGroup((n, g) => `var ${name(r, g)} = ${zero(n)};`)).flat()))
        w.line(line);
    },
    step: (sums) => {
      const env = new Map([...batch, ...sums]);
      const left = lanesRows.map((row) =>
        printer.printNamed(element(plan.left, new Map([...env, ...coordinates(plan, 'rows', row)]))),
      );
      const right = lanesColumns.map((column) =>
        printer.printNamed(element(plan.right, new Map([...env, ...coordinates(plan, 'columns', column)]))),
      );
      let from = 0;
      const packed = perGroup((n) => {
        const values = right.slice(from, from + n).map((v) => v.code);
        from += n;
        return n === 1 ? values[0]! : w.let('b', `${type(n)}(${values.join(', ')})`);
      });
      for (let r = 0; r < rows; r++) {
        const x = `subgroupBroadcast(${left[Math.floor(r / s)]!.code}, ${r % s}u)`;
        const shared = widths.length === 1 ? x : w.let('x', x);
        w.line(
          perGroup(
            (n, g) =>
              `${name(r, g)} = fma(${n === 1 ? shared : `${type(n)}(${shared})`}, ${packed[g]}, ${name(r, g)});`,
          ).join(' '),
        );
      }
    },
    end: () => {
      for (const line of inLines(perRow((r) => perGroup((_, g) => `sum${g}[${r}] += ${name(r, g)};`)).flat()))
        w.line(line);
    },
  });
  const groupOf = (j: number): [number, number] => {
    let g = 0;
    while (j >= widths[g]!) j -= widths[g++]!;
    return [g, j];
  };
  w.loop('r', rows, (r) => {
    // Loads of the epilogue stand outside the guards: their indices are held inside the output.
    const row = indexIn(w, tile, 'row', plan.size.rows, rows, r);
    const at = w.int(r);
    const stores = lanesColumns.map((column, j) => {
      const env = new Map([...batch, ...coordinates(plan, 'rows', row), ...coordinates(plan, 'columns', column)]);
      const [g, lane] = groupOf(j);
      printer.acc = { code: `sum${g}[${at}]${widths[g] === 1 ? '' : `.${'xyzw'[lane]}`}`, wide: false, dtype: 'f32' };
      const { at: to, values } = outputs(plan, env);
      return { at: to, values: values.map((v) => printer.print(v)) };
    });
    const write = (): void => {
      for (const [j, o] of stores.entries()) {
        const put = (): void =>
          plan.kernel.stores.forEach((st, n) => {
            w.store(st.buf, o.at, o.values[n]!);
          });
        const end = tile.columnTail && (j + 1) * s > plan.size.columns % columns;
        if (end || tile.columnBlock === null)
          w.block(`if (${tile.column0} + l + ${j * s} < ${tile.columnEnd})`, put, true);
        else put();
      }
    };
    if (tile.rowTail || tile.rowBlock === null) w.block(`if (${tile.row0} + ${at} < ${tile.rowEnd})`, write, true);
    else write();
  });
}

/** n columns of a lane as vectors of at most four, nearly equal. */
function vectors(n: number): number[] {
  const count = Math.ceil(n / 4);
  return Array.from({ length: count }, (_, g) => Math.floor(((g + 1) * n) / count) - Math.floor((g * n) / count));
}

const type = (width: number): string => (width === 1 ? 'f32' : `vec${width}<f32>`);
const zero = (width: number): string => (width === 1 ? '0.0f' : `${type(width)}()`);

/** Short statements, several to a line. */
function inLines(statements: readonly string[]): string[] {
  const lines: string[] = [];
  for (const s of statements) {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + s.length < 100) lines[lines.length - 1] = `${last} ${s}`;
    else lines.push(s);
  }
  return lines;
}
