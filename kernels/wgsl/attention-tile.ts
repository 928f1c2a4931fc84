// What the attention kernels share: a workgroup owns a few rows (queries, or keys in the gradient of k and v) of one
// window and head; scores against all columns lie in workgroup memory and never in global memory.
import { type Expr, substitute } from '../expr.ts';
import { add, type Int, mul } from '../int.ts';
import type { AttentionGradKernel, AttentionKernel, AttentionShape } from '../ir.ts';
import { WgslError } from './errors.ts';
import type { ExpressionPrinter } from './expression.ts';
import type { Value, Writer } from './writer.ts';

export const THREADS = 64;
const WORKGROUP_BYTES = 16384;

export type Side = 'i' | 'j';

export interface AttentionTile {
  readonly kernel: AttentionKernel | AttentionGradKernel;
  readonly shape: AttentionShape;
  /** The variable of the owned rows, and of the columns; their sizes. */
  readonly row: Side;
  readonly column: Side;
  readonly rows: number;
  readonly columns: number;
  /** Rows per workgroup. */
  readonly tile: number;
  /** Channels. */
  readonly units: number;
  /** In the weighted sums: threads along channels, groups of rows, and parts of the columns. */
  readonly cu: number;
  readonly rs: number;
  readonly js: number;
  readonly blocks: number;
}

/** Rows of a workgroup, where they fit. */
export const ROWS = 8;

/** The rows that a schedule's id, `tile-N`, names; null for an id of another family. */
export function tileRows(id: string): number | null {
  const m = /^tile-(2|4|16)$/.exec(id);
  return m ? Number(m[1]) : null;
}

/** Schedules worth measuring beside the kernel's own: other numbers of rows that fit. */
export function attentionTiles(kernel: AttentionKernel | AttentionGradKernel): string[] {
  const side = kernel.kind === 'attentionGrad' && kernel.part === 'dkv' ? 'j' : 'i';
  const arrays = kernel.kind === 'attention' ? 1 : kernel.part === 'dbias' ? 0 : 2;
  const rows = side === 'i' ? kernel.shape.n : kernel.shape.m;
  const own = planTile(kernel, side, arrays, 2, ROWS).tile;
  const fits = (n: number): boolean =>
    n !== own && n / 2 < rows && planTile(kernel, side, arrays, 2, n).tile === n && (arrays > 0 || n < own);
  return [4, 16, 2].filter(fits).map((n) => `tile-${n}`);
}

/** Plans the tile of at most `most` rows. `arrays`: score arrays per row; `vectors`: operands kept per row.
 *  Errors: wgsl-unsupported when one row does not fit 16 KiB. */
export function planTile(
  kernel: AttentionKernel | AttentionGradKernel,
  row: Side,
  arrays: number,
  vectors: number,
  most: number,
): AttentionTile {
  const shape = kernel.shape;
  const rows = row === 'i' ? shape.n : shape.m;
  const columns = row === 'i' ? shape.m : shape.n;
  // Channels one by one: vectors would be unrolled by some drivers into more loads than compile in good time.
  const units = shape.e;
  const cu = 2 ** Math.floor(Math.log2(Math.min(units, THREADS)));
  let tile = most;
  while (tile > 1 && tile / 2 >= rows) tile /= 2;
  for (; tile >= 1; tile /= 2) {
    const rs = Math.min(Math.max(1, tile / 4), THREADS / cu);
    const bytes = 4 * (arrays * tile * columns + vectors * tile * units + THREADS * (tile / rs) + THREADS);
    if (bytes <= WORKGROUP_BYTES) {
      return {
        kernel,
        shape,
        row,
        column: row === 'i' ? 'j' : 'i',
        rows,
        columns,
        tile,
        units,
        cu,
        rs,
        js: THREADS / cu / rs,
        blocks: Math.ceil(rows / tile),
      };
    }
  }
  throw new WgslError(
    'wgsl-unsupported',
    `${kernel.name}: attention over ${columns} tokens with ${shape.e} channels needs more than 16 KiB of workgroup memory; use smaller windows`,
  );
}

/** Declarations of the row vectors, the score arrays and the reduction buffers. */
export function declarations(t: AttentionTile, vectors: readonly string[], arrays: readonly string[]): string[] {
  return [
    ...vectors.map((v) => `var<workgroup> row_${v}: array<f32, ${t.tile * t.units}>;`),
    ...arrays.map((a) => `var<workgroup> ${a}: array<f32, ${t.tile * t.columns}>;`),
    `var<workgroup> sums: array<f32, ${(THREADS * t.tile) / t.rs}>;`,
  ];
}

/** Indices in scope. */
export interface Place {
  readonly g: Int;
  readonly h: Int;
}

/** Decodes the workgroup's number into window, head and row block; workgroups past the slab return. */
export function writePlace(w: Writer, t: AttentionTile): Place {
  const { shape, blocks, tile } = t;
  w.line(`if (group >= count * ${shape.h * blocks}) { return; }`);
  w.line('let t = i32(local);');
  w.declare('t', THREADS);
  w.line(`let g = first + group / ${shape.h * blocks};`);
  w.line(`let h = (group / ${blocks}) % ${shape.h};`);
  w.line(`let row0 = (group % ${blocks}) * ${tile};`);
  w.declare('row0', t.rows);
  const g = w.declare('g', shape.g);
  const h = w.declare('h', shape.h);
  return { g, h };
}

const rowText = (t: AttentionTile, r: string): string =>
  t.rows % t.tile === 0 ? `row0 + ${r}` : `min(row0 + ${r}, ${t.rows - 1})`;

/** An operand at the given indices. */
export function operandAt(
  printer: ExpressionPrinter,
  e: Expr,
  at: Readonly<Record<string, Int>>,
  channel?: Int,
): Value {
  return printer.printNamed(substitute(e, (name) => (name === 'e' ? channel : at[name])));
}

/** Copies the tile's rows of an operand into row_NAME. */
export function fillRows(
  w: Writer,
  t: AttentionTile,
  printer: ExpressionPrinter,
  p: Place,
  name: string,
  e: Expr,
): void {
  const total = t.tile * t.units;
  w.block(
    `for (var x = t; x < ${total}; x += ${THREADS})`,
    () => {
      const x = w.declare('x', total);
      const r = w.fresh('r');
      w.line(`let ${r} = ${rowText(t, `x / ${t.units}`)};`);
      const c = w.fresh('c');
      w.line(`let ${c} = x % ${t.units};`);
      const at = { g: p.g, h: p.h, [t.row]: w.declare(r, t.rows) };
      const v = operandAt(printer, e, at, w.declare(c, t.units));
      w.line(`row_${name}[${w.int(x)}] = ${v.code};`);
    },
    true,
  );
}

/** a * b accumulated into `into`. */
export const accumulate = (into: string, a: string, b: string): string => `${into} = fma(${a}, ${b}, ${into});`;

/** The score of (i, j) from its raw product: scaled, biased, masked. */
export function score(
  kernel: AttentionKernel | AttentionGradKernel,
  printer: ExpressionPrinter,
  p: Place,
  raw: string,
  i: Int,
  j: Int,
): string {
  const { shape } = kernel;
  const at = { g: p.g, h: p.h, i, j };
  let code = `${raw} * ${literal(shape.scale)}`;
  if (kernel.bias) code += ` + ${operandAt(printer, kernel.bias, at).code}`;
  if (kernel.gq && kernel.gk) {
    const q = operandAt(printer, kernel.gq, at).code;
    const k = operandAt(printer, kernel.gk, at).code;
    code += ` + select(0.0f, ${literal(shape.maskValue)}, ${q} != ${k})`;
  }
  return code;
}

/** Writes P and dS of (i, j) from the two raw products, as names. */
export function probabilities(
  w: Writer,
  kernel: AttentionGradKernel,
  printer: ExpressionPrinter,
  p: Place,
  raw: { s: string; dp: string },
  i: Int,
  j: Int,
): { p: string; ds: string } {
  const at = { g: p.g, h: p.h, i, j };
  const lse = operandAt(printer, kernel.lse, at).code;
  const delta = operandAt(printer, kernel.delta, at).code;
  w.helpers.add('prob_f32');
  const prob = w.let('p', `prob_f32(${score(kernel, printer, p, raw.s, i, j)} - ${lse})`);
  const ds = w.let('ds', `${prob} * (${raw.dp} - ${delta})`);
  return { p: prob, ds };
}

/**
 * Loops over the tile's scores, THREADS / tile threads to a row (`sr`, declared here): one copy of the body, where a
 * copy per row would make it long to compile. The body gets row, column and the place in the score arrays.
 */
export function eachScore(w: Writer, t: AttentionTile, body: (row: Int, column: Int, at: string) => void): void {
  const perRow = THREADS / t.tile;
  w.line(`let sr = t / ${perRow};`);
  w.line(`let sr_row = ${rowText(t, 'sr')};`);
  const row = w.declare('sr_row', t.rows);
  w.block(
    `for (var n = t % ${perRow}; n < ${t.columns}; n += ${perRow})`,
    () => body(row, w.declare('n', t.columns), `sr * ${t.columns} + n`),
    true,
  );
}

export const literal = (v: number): string => {
  const s = String(Math.fround(v));
  const text = /[.e]/.test(s) ? `${s}f` : `${s}.0f`;
  return v < 0 ? `(${text})` : text;
};

/**
 * out[row] = factor * sum over columns of weights[row][column] * operand[column], stored at [g, row, h, e] of buffer
 * `out`. Threads split channels, groups of rows and columns; the columns' parts are added in order.
 */
export function weightedSum(
  w: Writer,
  t: AttentionTile,
  printer: ExpressionPrinter,
  p: Place,
  o: { readonly weights: string; readonly operand: Expr; readonly out: number; factor(r: Int): string | null },
): void {
  const { cu, rs, js, tile, units, columns, shape } = t;
  const own = tile / rs;
  const chunks = Math.ceil(units / cu);
  const cName = w.fresh('c');
  w.block('', () => {
    w.loop('cc', chunks, (chunk) => {
      w.line(`let ${cName} = min(${w.int(mul(chunk, cu))} + t % ${cu}, ${units - 1});`);
      const c = w.declare(cName, units);
      const part = w.fresh('part');
      const group = w.fresh('rows');
      w.line(`let ${part} = t / ${cu * rs};`);
      w.line(`let ${group} = ((t / ${cu}) % ${rs}) * ${own};`);
      const sum = Array.from({ length: own }, (_, r) => `sum${r}`);
      for (const s of sum) w.line(`var ${s} = 0.0f;`);
      w.block(
        `for (var n = ${part}; n < ${columns}; n += ${js})`,
        () => {
          const n = w.declare('n', columns);
          const v = operandAt(printer, o.operand, { g: p.g, h: p.h, [t.column]: n }, c);
          for (const [r, s] of sum.entries()) {
            w.line(`${s} = fma(${o.weights}[(${group} + ${r}) * ${columns} + n], ${v.code}, ${s});`);
          }
        },
        true,
      );
      for (const [r, s] of sum.entries()) w.line(`sums[t * ${own} + ${r}] = ${s};`);
      w.line('workgroupBarrier();');
      // One thread per (row, channel) of the tile adds the parts.
      const items = tile * cu;
      w.block(
        `for (var x = t; x < ${items}; x += ${THREADS})`,
        () => {
          w.line(`let lc = x % ${cu};`);
          w.line(`let lr = x / ${cu};`);
          w.line(`var total = 0.0f;`);
          w.block(`for (var part = 0; part < ${js}; part += 1)`, () => {
            w.line(`total += sums[((part * ${rs} + lr / ${own}) * ${cu} + lc) * ${own} + lr % ${own}];`);
          });
          const row = w.fresh('r');
          w.line(`let ${row} = row0 + lr;`);
          const channel = w.fresh('c');
          w.line(`let ${channel} = ${w.int(mul(chunk, cu))} + lc;`);
          const ok = [
            ...(t.rows % tile ? [`${row} < ${t.rows}`] : []),
            ...(units % cu ? [`${channel} < ${units}`] : []),
          ];
          const put = (): void => {
            const r = w.declare(row, t.rows);
            const e = w.declare(channel, units);
            const at = add(mul(add(mul(add(mul(p.g, t.rows), r), shape.h), p.h), shape.e), e);
            const factor = o.factor(w.declare('lr', tile));
            w.store(o.out, at, { code: factor ? `total * ${factor}` : 'total', wide: false, dtype: 'f32' });
          };
          if (ok.length) w.block(`if (${ok.join(' && ')})`, put, true);
          else put();
        },
        true,
      );
      w.line('workgroupBarrier();');
    });
  });
}
