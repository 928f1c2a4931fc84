// Contraction by workgroup-memory tiles: WebGPU's defaults alone.
//
// A workgroup of tx × ty threads computes (4 * q * ty) rows × (4 * tx) columns; each thread has 4 * q rows of one vec4
// of columns in registers. Both operands' tiles of DEPTH k steps lie in workgroup memory as vec4s along rows and along
// columns, so that a step reads q + 1 vectors for 16 q multiply-adds, whatever the operands' orientation in memory;
// prologues are evaluated once per element of the tile, when it is filled.
import type { Expr } from '../expr.ts';
import { add, type Int, mul } from '../int.ts';
import type { Operand } from '../ir.ts';
import type { WgslVariant } from '../targets.ts';
import { CHAIN, type ContractPlan, coordinates, countLoads, indexIn, tileCount, writeTile } from './contract-plan.ts';
import {
  contiguousAlong,
  elementAt,
  type FlatSum,
  fetcher,
  gathered,
  laneAt,
  type Quad,
  quadIn,
  split,
  storeQuad,
} from './contract-quads.ts';
import { canWiden, ExpressionPrinter } from './expression.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import type { Writer } from './writer.ts';

const THREADS = 128;
const MAX_STATIC_LOADS = 60;
/** WebGPU's default limit. */
const WORKGROUP_BYTES = 16384;

/** What a schedule of this family decides; its id is `tiled-TXxTY-Q-DEPTH`. */
export interface TiledBlocking {
  readonly tx: number;
  readonly ty: number;
  /** Row vectors per thread. */
  readonly q: number;
  /** k steps per tile. */
  readonly depth: number;
}

export const tiledId = ({ tx, ty, q, depth }: TiledBlocking): string => `tiled-${tx}x${ty}-${q}-${depth}`;

/** The blocking that an id names; null for an id of another family. */
export function tiledBlocking(id: string): TiledBlocking | null {
  const m = /^tiled-(\d+)x(\d+)-(\d+)-(\d+)$/.exec(id);
  if (!m) return null;
  const [tx, ty, q, depth] = m.slice(1).map(Number) as [number, number, number, number];
  return { tx, ty, q, depth };
}

/** Blockings worth measuring beside the chosen one: its neighbours, one or two numbers moved. */
export function tiledNeighbours(plan: ContractPlan): TiledBlocking[] {
  const { size } = flattenInner(plan);
  const b = chooseBlocking(plan, size);
  const moved: TiledBlocking[] = [
    { ...b, q: 3 - b.q },
    { ...b, ty: b.ty * 2 },
    { ...b, depth: b.depth * 2 },
    { ...b, ty: b.ty / 2 },
    { ...b, depth: b.depth / 2 },
    { ...b, tx: b.tx / 2, ty: b.ty * 2 },
    { ...b, q: 4, ty: b.ty / 2 },
    { ...b, tx: b.tx * 2, ty: b.ty / 2 },
  ];
  const rows = Math.ceil(plan.size.rows / 4);
  const columns = Math.ceil(plan.size.columns / 4);
  return moved.filter(
    ({ tx, ty, q, depth }) =>
      [tx, ty, q, depth].every((n) => Number.isInteger(n) && n >= 1) &&
      tx * ty <= 256 &&
      tx * ty >= 16 &&
      // No deeper than the sum, and at most one more tile of waste each way.
      (depth <= b.depth || depth <= 2 * size) &&
      q * (ty - 1) < 2 * rows &&
      tx < 2 * columns &&
      4 * depth * (4 * q * ty + 4 * tx) <= 2 * WORKGROUP_BYTES &&
      fillLoads(plan, { tx, ty, q, depth }) <= 2 * MAX_STATIC_LOADS,
  );
}

/** Static loads of filling a tile. */
function fillLoads(plan: ContractPlan, { tx, ty, q, depth }: TiledBlocking): number {
  const left = Math.max(1, countLoads(plan.left.value));
  const right = Math.max(1, countLoads(plan.right.value));
  return 4 * (left * Math.ceil((q * ty * depth) / (tx * ty)) + right * Math.ceil((tx * depth) / (tx * ty)));
}

function chooseBlocking(plan: ContractPlan, kSize: number): TiledBlocking {
  const columns = Math.ceil(plan.size.columns / 4);
  // The widest of the widths that waste fewest columns.
  let tx = 1;
  let least = Infinity;
  for (const t of [1, 2, 3, 4, 6, 8, 12, 16]) {
    const waste = Math.ceil(columns / t) * t;
    if (waste <= least) {
      least = waste;
      tx = t;
    }
  }
  const rows = Math.ceil(plan.size.rows / 4);
  const q = rows > 16 && tx > 1 ? 2 : 1;
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, rows / q)));
  const ty = Math.min(wanted, 2 ** Math.floor(Math.log2(THREADS / tx)));
  // The deepest tile whose filling keeps to the static loads that compile quickly.
  const loads = (depth: number): number => fillLoads(plan, { tx, ty, q, depth });
  let depth = kSize >= 16 ? 16 : 2 ** Math.ceil(Math.log2(kSize));
  const bytes = (d: number): number => 4 * d * (4 * q * ty + 4 * tx);
  while (depth > 1 && (loads(depth) > MAX_STATIC_LOADS || bytes(depth) > WORKGROUP_BYTES)) depth /= 2;
  return { tx, ty, q, depth };
}

/** The innermost sum variables taken together, so that a tile has enough steps to fill. */
function flattenInner(plan: ContractPlan): FlatSum {
  let at = plan.k.length;
  let size = 1;
  while (at > 0 && size < 16) size *= plan.k[--at]!.size;
  return { outer: plan.k.slice(0, at), inner: plan.k.slice(at), size };
}

/** How a contraction is tiled beside the heuristic's way: a blocking that was measured to be faster; or halves. */
export interface Tiling {
  readonly blocking?: TiledBlocking;
  /**
   * f16: tiles of halves, which are half the bytes to fill and to read in workgroup memory. They are made f32 again when they are
   * multiplied: a product of two halves spans 2^-48 to 2^32, and a gradient's products lie where f16 has few bits or none.
   */
  readonly component?: 'f32' | 'f16';
}

export function contractTiled(
  plan: ContractPlan,
  options: EmitOptions,
  { blocking: wanted, component = 'f32' }: Tiling = {},
): { variant: WgslVariant; usesStep: boolean } {
  const k = flattenInner(plan);
  const blocking = wanted ?? chooseBlocking(plan, k.size);
  const { tx, ty, q, depth } = blocking;
  const rows = 4 * q * ty;
  const columns = 4 * tx;
  return buildVariant(plan.kernel, options, {
    id: wanted ? tiledId(wanted) : component === 'f32' ? 'default' : 'tiles-f16',
    workgroup: tx * ty,
    features: component === 'f32' ? [] : ['shader-f16'],
    groups: (count) => tileCount(plan, rows, columns, count),
    declarations: [
      `var<workgroup> left: array<vec4<${component}>, ${(depth * rows) / 4}>;`,
      `var<workgroup> right: array<vec4<${component}>, ${(depth * columns) / 4}>;`,
    ],
    workgroupBytes: (component === 'f32' ? 4 : 2) * depth * (rows + columns),
    body: (w) => body(w, plan, k, blocking, component),
  });
}

function body(w: Writer, plan: ContractPlan, k: FlatSum, blocking: TiledBlocking, component: 'f32' | 'f16'): void {
  const [toTile, fromTile] = (['f16', 'f32'] as const).map(
    (t) => (code: string) => (component === 'f32' ? code : `vec4<${t}>(${code})`),
  ) as [(code: string) => string, (code: string) => string];
  const { tx, ty, q, depth } = blocking;
  const rows = 4 * q * ty;
  const columns = 4 * tx;
  const printer = new ExpressionPrinter(w);
  const tile = writeTile(w, plan, rows, columns);
  const batch = coordinates(plan, 'batch', tile.batch);
  w.line(`let tx = i32(local % ${tx}u);`);
  w.line(`let ty = i32(local / ${tx}u);`);
  const x = w.declare('tx', tx);
  const y = w.declare('ty', ty);

  const quad = (role: 'rows' | 'columns', offset: Int): Quad =>
    quadIn(w, plan, tile, role, role === 'rows' ? rows : columns, offset);

  w.usesOnce = true;
  const acc = (r: number): string => `acc${r}`;
  const height = 4 * q;
  const each = Array.from({ length: height }, (_, r) => r);
  w.line(`var sum: array<vec4<f32>, ${height}>;`);

  // Filling: units of (quad, k step) dealt to the threads, neighbours along what is contiguous in memory.
  const threads = tx * ty;
  const units = (role: 'rows' | 'columns', operand: Operand) => {
    const quads = (role === 'rows' ? rows : columns) / 4;
    const total = quads * depth;
    const alongK = !contiguousAlong(plan, operand, role);
    return Array.from({ length: Math.ceil(total / threads) }, (_, i) => {
      const u = w.fresh('unit');
      w.line(`let ${u} = i32(local) + ${i * threads};`);
      const unit = w.declare(u, Math.max(2, (i + 1) * threads));
      const [at, step] = alongK ? split(unit, depth) : split(unit, quads).reverse();
      const where = quad(role, w.declare(w.let('q', w.int(at!)), quads));
      const whole = (i + 1) * threads <= total;
      return {
        step: w.declare(w.let('step', w.int(step!)), depth),
        at: w.named(at!),
        where,
        guard: whole ? null : `${u} < ${total}`,
      };
    });
  };
  const left = units('rows', plan.left);
  const right = units('columns', plan.right);

  const blocks = Math.ceil(k.size / depth);
  // A chain of additions is a few blocks (contract-plan.ts); blocks past the sum's end are filled with zeros.
  const chains = Math.ceil(blocks / Math.max(1, Math.floor(CHAIN / depth)));
  const perChain = Math.ceil(blocks / chains);
  const once = chains === 1 && k.outer.every((v) => v.size === 1);
  const fill = (name: 'left' | 'right', list: typeof left, env: Map<string, Int>, base: Int): void => {
    const role = name === 'left' ? 'rows' : 'columns';
    const quads = (role === 'rows' ? rows : columns) / 4;
    const value = (at: Int, index: Int): Expr => elementAt(plan, k, role, env, at, index);
    const fetchOne = fetcher(w, plan, name, role, chains * perChain * depth, value);
    for (const u of list) {
      const put = (): void => {
        const at = add(base, u.step);
        let code: string;
        if ('wide' in u.where && canWiden(value(at, u.where.wide)))
          code = printer.printWide(value(at, u.where.wide)).code;
        else {
          const { where } = u;
          code = gathered(w, (c) => fetchOne('wide' in where ? laneAt(where.wide, c) : where.at(c), at));
        }
        w.line(`${name}[${w.named(u.step)} * ${quads} + ${u.at}] = ${toTile(code)};`);
      };
      if (u.guard) w.block(`if (${u.guard})`, put, true);
      else put();
    }
  };

  const chain = (env: Map<string, Int>, number: Int): void => {
    w.line(each.map((r) => `var ${acc(r)} = vec4<f32>();`).join(' '));
    w.loop('kt', perChain, (block) => {
      const base = mul(add(mul(number, perChain), block), depth);
      fill('left', left, env, base);
      fill('right', right, env, base);
      w.line('workgroupBarrier();');
      // Long bodies are not unrolled by lavapipe's compiler; GPU drivers should.
      w.block(`for (var s = 0; s < ${Math.min(depth, k.size)}${q === 1 ? ' * once' : ''}; s += 1)`, () => {
        w.line(`let b = ${fromTile(`right[s * ${tx} + tx]`)};`);
        for (let i = 0; i < q; i++) {
          w.line(`let a${i} = ${fromTile(`left[s * ${rows / 4} + ty * ${q} + ${i}]`)};`);
          for (let c = 0; c < 4; c++) {
            const name = acc(4 * i + c);
            w.line(`${name} = fma(vec4<f32>(a${i}.${'xyzw'[c]}), b, ${name});`);
          }
        }
      });
      w.line('workgroupBarrier();');
    });
    w.line(each.map((r) => `sum[${r}] ${once ? '=' : '+='} ${acc(r)};`).join(' '));
  };
  const loops = (n: number, env: Map<string, Int>): void => {
    if (n < k.outer.length)
      w.loop('k', k.outer[n]!.size, (i) => loops(n + 1, new Map([...env, [k.outer[n]!.name, i]])));
    else w.loop('kc', chains, (i) => chain(env, i));
  };
  loops(0, new Map(batch));

  const column = quad('columns', x);
  // A fixed count: GPU drivers unroll it, and the sums stay in registers.
  w.block(`for (var r = 0; r < ${height}; r += 1)`, () => {
    const r = w.declare('r', height);
    const row = indexIn(w, tile, 'row', plan.size.rows, rows, add(mul(y, height), r));
    const bounded = tile.columnTail || tile.columnBlock === null;
    storeQuad(w, plan, printer, { env: new Map(batch), row, column }, 'sum[r]', {
      row: tile.rowTail || tile.rowBlock === null ? `row0 + ty * ${height} + r < row_end` : null,
      column: bounded ? (c) => `column0 + tx * 4${c === null ? '' : ` + ${c}`} < column_end` : null,
    });
  });
}
