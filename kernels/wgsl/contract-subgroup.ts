// Contraction by one subgroup per workgroup, without barriers or workgroup memory.
//
// The tile is (S * ra) rows × (S * cn) columns. For each step of k, lane l loads its ra elements of the left operand
// (rows l, S + l, …) and its cn elements of the right one (columns l, S + l, …); every row's element is then broadcast
// and multiplied into that row's cn accumulators. Neither operand's orientation matters, nor any size. On lavapipe, where
// a load costs as much as about five multiply-adds and compile time grows with static loads, this was the fastest of the
// register-blocked schemes tried (k across lanes, uniform loads, vectors along k).
import { add, type Int, int } from '../int.ts';
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
import { LaneSums } from './lane-sums.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import type { Writer } from './writer.ts';

/** Long kernels for long work only: this many accumulators cost lavapipe about a second of compilation. */
export const maxAccumulators = (flops: number): number => (flops > 1e9 ? 96 : flops > 1e8 ? 64 : 32);
export const MAX_STATIC_LOADS = 60;
// Costs in multiply-adds of a whole subgroup, fitted on lavapipe. Lanes of the left operand mostly lie apart in memory, and
// windows guard their loads; lanes of the right one are neighbours.
export const LEFT_COST = 8;
export const RIGHT_COST = 4;
export const STEP_COST = 13;

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
      const cost = tiles * (accumulators + LEFT_COST * left * ra + RIGHT_COST * right * cn + STEP_COST);
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
  const sums = new LaneSums(w, rows, cn);
  const step = (at: ReadonlyMap<string, Int>): void => {
    const env = new Map([...batch, ...at]);
    const left = lanesRows.map((row) =>
      printer.printNamed(element(plan.left, new Map([...env, ...coordinates(plan, 'rows', row)]))),
    );
    const right = lanesColumns.map((column) =>
      printer.printNamed(element(plan.right, new Map([...env, ...coordinates(plan, 'columns', column)]))),
    );
    const packed = sums.pack(right.map((v) => v.code));
    for (let r = 0; r < rows; r++)
      sums.multiplyAdd(r, `subgroupBroadcast(${left[Math.floor(r / s)]!.code}, ${r % s}u)`, packed);
  };
  sumChains(w, plan, { begin: () => sums.begin(), step, end: () => sums.end() });
  w.loop('r', rows, (r) => {
    // Loads of the epilogue stand outside the guards: their indices are held inside the output.
    const row = indexIn(w, tile, 'row', plan.size.rows, rows, r);
    const stores = lanesColumns.map((column, j) => {
      const env = new Map([...batch, ...coordinates(plan, 'rows', row), ...coordinates(plan, 'columns', column)]);
      printer.acc = sums.at(r, j);
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
    if (tile.rowTail || tile.rowBlock === null)
      w.block(`if (${tile.row0} + ${w.int(r)} < ${tile.rowEnd})`, write, true);
    else write();
  });
}
