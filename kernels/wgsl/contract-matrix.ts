// Contraction by subgroup matrices (tensor cores): matrix products and all passes of convolutions as implicit ones.
//
// A workgroup of four subgroups, one below the other, computes a tile of (4 * rm * M) rows × (cn * N) columns; each subgroup has
// rm × cn result matrices of f32 in registers. Both operands' tiles of `depth` k steps are filled in workgroup memory, rounded
// to the matrices' component type, prologues evaluated in f32 before; vectors along what is contiguous in memory, rows or k.
// Elements of matrices cannot be named, so that results leave through workgroup memory, a matrix of each subgroup at a time.
//
// A sum is one chain: no result can be added to another but by a product, and with operands rounded to 11 bits the
// rounding of f32 sums does not show.
import { add, type Int, int, mul } from '../int.ts';
import type { SubgroupMatrix, WgslVariant } from '../targets.ts';
import {
  alongK,
  chooseMatrixBlocking,
  flatten,
  type MatrixBlocking,
  SUBGROUPS,
  THREADS,
  tileSize,
  workgroupBytes,
} from './contract-matrix-plan.ts';
import { type ContractPlan, coordinates, indexIn, type Tile, tileCount, writeTile } from './contract-plan.ts';
import { elementAt, type FlatSum, fetcher, gathered, laneAt, quadIn, split, storeQuad } from './contract-quads.ts';
import { canWiden, ExpressionPrinter } from './expression.ts';
import { laneVar } from './lanes.ts';
import { hardwareUnit, type MatrixUnit, SUBGROUP, type TileLayout } from './matrix-unit.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import type { Writer } from './writer.ts';

export function contractMatrix(
  plan: ContractPlan,
  options: EmitOptions,
  config: SubgroupMatrix,
  unit: MatrixUnit = hardwareUnit(config),
  blocking: MatrixBlocking = chooseMatrixBlocking(plan, config),
): { variant: WgslVariant; usesStep: boolean } {
  const { componentType: t, M, N, K } = config;
  const { rm, cn, depth } = blocking;
  const rows = SUBGROUPS * rm * M;
  const columns = cn * N;
  const along = alongK(plan);
  const left = tileSize(config, along.left, rows, depth);
  const right = tileSize(config, along.right, columns, depth);
  const layouts = {
    left: { name: 'left', rowMajor: along.left, stride: left.stride },
    right: { name: 'right', rowMajor: !along.right, stride: right.stride },
  } as const;
  return buildVariant(plan.kernel, options, {
    id: `matrix-${t}-${M}x${N}x${K}`,
    workgroup: THREADS,
    features: unit.features,
    ...(unit.subgroupSize ? { subgroupSize: unit.subgroupSize } : {}),
    ...(unit.subgroupMatrix ? { subgroupMatrix: unit.subgroupMatrix } : {}),
    workgroupBytes: workgroupBytes(along, config, blocking),
    groups: (count) => tileCount(plan, rows, columns, count),
    declarations: [
      `var<workgroup> left: array<${t}, ${left.size}>;`,
      `var<workgroup> right: array<${t}, ${right.size}>;`,
      `var<workgroup> stage: array<f32, ${SUBGROUPS * M * N}>;`,
      ...unit.declarations(layouts.left, layouts.right),
    ],
    body: (w) => body(w, plan, config, unit, blocking, layouts),
  });
}

function body(
  w: Writer,
  plan: ContractPlan,
  config: SubgroupMatrix,
  unit: MatrixUnit,
  { rm, cn, depth }: MatrixBlocking,
  layouts: { readonly left: TileLayout; readonly right: TileLayout },
): void {
  const { M, N, K } = config;
  const rows = SUBGROUPS * rm * M;
  const columns = cn * N;
  const k = flatten(plan, depth);
  const blocks = Math.ceil(k.size / depth);
  const printer = new ExpressionPrinter(w);
  const tile = writeTile(w, plan, rows, columns);
  const batch = new Map(coordinates(plan, 'batch', tile.batch));
  w.usesOnce = true;
  w.line(`let s = ${unit.subgroup};`);
  w.line(`let l = ${unit.lane};`);
  const subgroup = w.declare('s', SUBGROUPS);
  w.declare('l', SUBGROUP);
  const results = Array.from({ length: rm * cn }, (_, n) => `acc${n}`);
  for (const name of results) w.line(unit.zero(name));

  const sides = [
    side(w, plan, tile, config, k, 'left', layouts.left.rowMajor, rows, depth),
    side(w, plan, tile, config, k, 'right', !layouts.right.rowMajor, columns, depth),
  ];
  const loops = (n: number, env: ReadonlyMap<string, Int>): void => {
    const v = k.outer[n];
    if (v) {
      w.loop('k', v.size, (i) => loops(n + 1, new Map([...env, [v.name, i]])));
      return;
    }
    w.loop('kt', blocks, (block) => {
      for (const fill of sides) fill(printer, env, mul(block, depth), blocks * depth);
      w.line('workgroupBarrier();');
      w.block(`for (var ks = 0; ks < ${unit.bound(depth / K)}; ks += 1)`, () => {
        const step = mul(w.declare('ks', depth / K), K);
        const offset = (l: TileLayout, line: Int): string => {
          const alongK = l.name === 'left' ? l.rowMajor : !l.rowMajor;
          return w.int(alongK ? add(mul(line, l.stride), step) : add(mul(step, l.stride), line));
        };
        for (let i = 0; i < rm; i++)
          w.line(unit.load(`left${i}`, layouts.left, offset(layouts.left, add(mul(subgroup, rm * M), mul(int(i), M)))));
        for (let j = 0; j < cn; j++) {
          w.line(unit.load(`right${j}`, layouts.right, offset(layouts.right, int(j * N))));
          for (let i = 0; i < rm; i++) w.line(unit.multiplyAccumulate(results[i * cn + j]!, `left${i}`, `right${j}`));
        }
      });
      w.line('workgroupBarrier();');
    });
  };
  loops(0, batch);

  // A matrix of each subgroup at a time: rows of N / 4 quads, dealt to its lanes.
  const quads = (M * N) / 4;
  w.block(`for (var n = 0; n < ${unit.bound(results.length)}; n += 1)`, () => {
    const n = w.declare('n', Math.max(2, results.length));
    const [down, across] = split(n, cn);
    const start = w.named(mul(subgroup, M * N));
    results.forEach((name, i) => {
      w.block(`if (n == ${i})`, () => w.line(unit.store(start, name)));
    });
    w.line('workgroupBarrier();');
    w.block(`for (var p = 0; p < ${unit.bound(quads)}; p += ${SUBGROUP})`, () => {
      const q = w.declare(w.let('q', 'p + l'), quads < SUBGROUP ? SUBGROUP : quads);
      const write = (): void => {
        const [r, c] = split(q, N / 4);
        const inRow = add(add(mul(subgroup, rm * M), mul(down!, M)), r!);
        const row = indexIn(w, tile, 'row', plan.size.rows, rows, inRow);
        const at = w.named(add(mul(across!, N / 4), c!));
        const inColumn = w.declare(at, columns / 4);
        const column = quadIn(w, plan, tile, 'columns', columns, inColumn);
        const from = w.let('from', `${start} + ${w.named(q)} * 4`);
        const acc = w.let('v', `vec4<f32>(${[0, 1, 2, 3].map((i) => `stage[${from} + ${i}]`).join(', ')})`);
        storeQuad(w, plan, printer, { env: batch, row, column }, acc, {
          row: tile.rowTail || tile.rowBlock === null ? `row0 + ${w.int(inRow)} < row_end` : null,
          column:
            tile.columnTail || tile.columnBlock === null
              ? (i) => `column0 + ${at} * 4${i === null ? '' : ` + ${i}`} < column_end`
              : null,
        });
      };
      if (quads < SUBGROUP) w.block(`if (${w.named(q)} < ${quads})`, write, true);
      else write();
    });
    w.line('workgroupBarrier();');
  });
}

type Fill = (printer: ExpressionPrinter, env: ReadonlyMap<string, Int>, base: Int, steps: number) => void;

/** Writes what each invocation has to fill of an operand's tile, `lines` rows or columns by `depth` steps; returns what writes
 *  the filling from step `base` on. Invocations are dealt quads, neighbours along what is contiguous in memory. */
function side(
  w: Writer,
  plan: ContractPlan,
  tile: Tile,
  config: SubgroupMatrix,
  k: FlatSum,
  name: 'left' | 'right',
  alongK: boolean,
  lines: number,
  depth: number,
): Fill {
  const role = name === 'left' ? 'rows' : 'columns';
  const { stride } = tileSize(config, alongK, lines, depth);
  const { componentType: t } = config;
  const [across, down] = alongK ? [depth / 4, lines] : [lines / 4, depth];
  const total = across * down;
  // Where whole rows of quads are dealt at a time, an invocation stays in its column: its index is decoded once.
  const fixed = THREADS % across === 0;
  const place = (code: string): [Int, Int] => {
    w.line(`let ${code} = i32(local);`);
    const [y, x] = split(w.declare(code, THREADS), across).map((e) => w.named(e)) as [string, string];
    return [w.declare(y, Math.max(2, Math.ceil(THREADS / across))), w.declare(x, across)];
  };
  const own = fixed ? place(w.fresh('unit')) : null;
  const units = Array.from({ length: Math.ceil(total / THREADS) }, (_, i) => {
    const whole = (i + 1) * THREADS <= total;
    let y: Int;
    let x: Int;
    let guard: string | null;
    if (own) {
      [y, x] = [add(own[0], int((i * THREADS) / across)), own[1]];
      guard = whole ? null : `${w.int(y)} < ${down}`;
    } else {
      const unit = w.fresh('unit');
      w.line(`let ${unit} = i32(local) + ${i * THREADS};`);
      const parts = split(w.declare(unit, (i + 1) * THREADS), across).map((e) => w.named(e)) as [string, string];
      [y, x] = [w.declare(parts[0], down), w.declare(parts[1], across)];
      guard = whole ? null : `${unit} < ${total}`;
    }
    const to = w.let('to', `${w.named(y)} * ${stride} + ${w.named(x)} * 4`);
    if (!alongK) return { step: y, where: quadIn(w, plan, tile, role, lines, x), guard, to };
    const index = indexIn(w, tile, role === 'rows' ? 'row' : 'column', plan.size[role], lines, y);
    return { step: mul(x, 4), where: index, guard, to };
  });
  return (printer, env, base, steps) => {
    const value = (at: Int, index: Int) => elementAt(plan, k, role, env, at, index);
    const fetchOne = fetcher(w, plan, name, role, steps, value);
    for (const u of units) {
      const put = (): void => {
        const at = add(base, u.step);
        const { where } = u;
        const code = ((): string => {
          if ('k' in where) {
            const wide = value(add(at, laneVar), where);
            if (canWiden(wide)) return printer.printNamed(wide, true).code;
            return gathered(w, (c) => fetchOne(where, add(at, c)));
          }
          if ('wide' in where && canWiden(value(at, where.wide)))
            return printer.printNamed(value(at, where.wide), true).code;
          return gathered(w, (c) => fetchOne('wide' in where ? laneAt(where.wide, c) : where.at(c), at));
        })();
        w.line(
          [0, 1, 2, 3]
            .map(
              (c) =>
                `${name}[${u.to}${c ? ` + ${c}` : ''}] = ${t === 'f16' ? `f16(${code}.${'xyzw'[c]})` : `${code}.${'xyzw'[c]}`};`,
            )
            .join(' '),
        );
      };
      if (u.guard) w.block(`if (${u.guard})`, put, true);
      else put();
    }
  };
}
