// Contraction by workgroup-memory tiles: WebGPU's defaults alone.
//
// A workgroup of tx × ty threads computes (4 * q * ty) rows × (4 * tx) columns; each thread has 4 * q rows of one vec4
// of columns in registers. Both operands' tiles of DEPTH k steps lie in workgroup memory as vec4s along rows and along
// columns, so that a step reads q + 1 vectors for 16 q multiply-adds, whatever the operands' orientation in memory;
// prologues are evaluated once per element of the tile, when it is filled.
import { type Expr, lit, walk, when } from '../expr.ts';
import { add, type Int, int, mul, unlinear } from '../int.ts';
import type { LoopVar, Operand } from '../ir.ts';
import type { WgslVariant } from '../targets.ts';
import {
  CHAIN,
  type ContractPlan,
  coordinates,
  countLoads,
  element,
  indexIn,
  outputs,
  type Role,
  tileCount,
  writeTile,
} from './contract-plan.ts';
import { canWiden, ExpressionPrinter } from './expression.ts';
import { LANE, lanes, laneVar } from './lanes.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import { usesLane, type Value, type Writer } from './writer.ts';

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
function flattenInner(plan: ContractPlan): { outer: readonly LoopVar[]; inner: readonly LoopVar[]; size: number } {
  let at = plan.k.length;
  let size = 1;
  while (at > 0 && size < 16) size *= plan.k[--at]!.size;
  return { outer: plan.k.slice(0, at), inner: plan.k.slice(at), size };
}

/** `wanted`: a blocking that was measured to be faster; without, the heuristic's own, whose id is `default`. */
export function contractTiled(
  plan: ContractPlan,
  options: EmitOptions,
  wanted?: TiledBlocking,
): { variant: WgslVariant; usesStep: boolean } {
  const k = flattenInner(plan);
  const blocking = wanted ?? chooseBlocking(plan, k.size);
  const { tx, ty, q, depth } = blocking;
  const rows = 4 * q * ty;
  const columns = 4 * tx;
  return buildVariant(plan.kernel, options, {
    id: wanted ? tiledId(wanted) : 'default',
    workgroup: tx * ty,
    groups: (count) => tileCount(plan, rows, columns, count),
    declarations: [
      `var<workgroup> left: array<vec4<f32>, ${(depth * rows) / 4}>;`,
      `var<workgroup> right: array<vec4<f32>, ${(depth * columns) / 4}>;`,
    ],
    workgroupBytes: 4 * depth * (rows + columns),
    body: (w) => body(w, plan, k, blocking),
  });
}

/** Four consecutive rows or columns: as one regular index over LANE, or one by one. */
type Quad =
  | { readonly wide: Int }
  /** `at`: writes the index of one of them, given its number. */
  | { readonly each: readonly Int[]; readonly at: (c: Int) => Int };

function body(w: Writer, plan: ContractPlan, k: ReturnType<typeof flattenInner>, blocking: TiledBlocking): void {
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

  /** The quad at `offset` quads from the tile's start, held inside the slab. */
  const quad = (role: 'rows' | 'columns', offset: Int): Quad => {
    const name = role === 'rows' ? 'row' : 'column';
    const size = plan.size[role];
    const width = role === 'rows' ? rows : columns;
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
  };

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
    const [operand, role] = name === 'left' ? ([plan.left, 'rows'] as const) : ([plan.right, 'columns'] as const);
    const quads = (role === 'rows' ? rows : columns) / 4;
    const value = (at: Int, index: Int): Expr => {
      const inner = unlinear(
        at,
        k.inner.map((v) => v.size),
      );
      const sums: [string, Int][] = k.inner.map((v, i) => [v.name, inner[i]!]);
      return when(
        [{ e: at, lo: 0, hi: k.size }],
        element(operand, new Map([...env, ...sums, ...coordinates(plan, role, index)])),
        lit(0),
      );
    };
    // Elements that are no vectors in memory are fetched by a function: written out, four a unit, they would be long.
    let fetch: ((args: readonly string[]) => string) | null = null;
    const fetchOne = (index: Int, at: Int): string => {
      fetch ??= w.routine(
        `${name}_at`,
        [
          ['m', plan.size[role]],
          ['k', chains * perChain * depth],
        ],
        (f, [m, step]) => new ExpressionPrinter(f).print(value(step!, m!)).code,
      );
      return fetch([w.int(index), w.named(at)]);
    };
    for (const u of list) {
      const put = (): void => {
        const at = add(base, u.step);
        let code: string;
        if ('wide' in u.where && canWiden(value(at, u.where.wide)))
          code = printer.printWide(value(at, u.where.wide)).code;
        else {
          // One call in a loop that stays one: four would be four times the code for a driver to compile.
          code = w.fresh('v');
          w.line(`var ${code} = vec4<f32>();`);
          const where = u.where;
          w.loop('c', 4, (c) => {
            const index = 'wide' in where ? laneAt(where.wide, c) : where.at(c);
            w.line(`${code}[${w.int(c)}] = ${fetchOne(index, at)};`);
          });
        }
        w.line(`${name}[${w.named(u.step)} * ${quads} + ${u.at}] = ${code};`);
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
        w.line(`let b = right[s * ${tx} + tx];`);
        for (let i = 0; i < q; i++) {
          w.line(`let a${i} = left[s * ${rows / 4} + ty * ${q} + ${i}];`);
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
    const at = (index: Int) =>
      outputs(plan, new Map([...batch, ...coordinates(plan, 'rows', row), ...coordinates(plan, 'columns', index)]));
    const guards: string[] = [];
    if (tile.rowTail || tile.rowBlock === null) guards.push(`row0 + ty * ${height} + r < row_end`);
    const bounded = tile.columnTail || tile.columnBlock === null;
    const guarded = (list: string[], put: () => void): void =>
      list.length ? w.block(`if (${list.join(' && ')})`, put, true) : put();
    if ('wide' in column) {
      const o = at(column.wide);
      if (lanes(o.at)?.coef === 1 && o.values.every(canWiden)) {
        printer.acc = { code: 'sum[r]', wide: true, dtype: 'f32' };
        const values = o.values.map((v) => printer.printNamed(v, true));
        if (bounded) guards.push('column0 + tx * 4 < column_end');
        guarded(guards, () => store(w, plan, o.at, values));
        return;
      }
    }
    const single = 'each' in column ? column.each : [0, 1, 2, 3].map((c) => lane((column as { wide: Int }).wide, c));
    single.forEach((index, c) => {
      const o = at(index);
      printer.acc = { code: `sum[r].${'xyzw'[c]}`, wide: false, dtype: 'f32' };
      const values = o.values.map((v) => printer.print(v));
      guarded(bounded ? [...guards, `column0 + tx * 4 + ${c} < column_end`] : guards, () =>
        store(w, plan, o.at, values),
      );
    });
  });
}

function store(w: Writer, plan: ContractPlan, at: Int, values: readonly Value[]): void {
  plan.kernel.stores.forEach((s, i) => {
    w.store(s.buf, at, values[i]!);
  });
}

/** [index / n, index % n] */
const split = (index: Int, n: number): Int[] => unlinear(index, [2 ** 20, n]);

/** A regular index at one lane. */
function lane(e: Int, c: number): Int {
  const l = lanes(e)!;
  return add(l.base, int(l.coef * c));
}

/** The same at a lane that a variable tells. */
function laneAt(e: Int, c: Int): Int {
  const l = lanes(e)!;
  return add(l.base, mul(c, l.coef));
}

/** Whether neighbouring rows (columns) of the operand are neighbours in memory. */
function contiguousAlong(plan: ContractPlan, operand: Operand, role: Role): boolean {
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
