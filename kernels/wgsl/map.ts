// Elementwise kernels: an invocation for four consecutive elements of a few rows, or for one element where addresses are
// irregular.
//
// The axes are cut in two: rows, and what lies inside a row. An invocation computes the same four places of several rows, so
// what does not depend on the row (a channel's mean, a bias, a position in a window) is loaded and computed once.
import { type Expr, substitute } from '../expr.ts';
import { add, type Int, int, mul, unlinear } from '../int.ts';
import type { MapKernel } from '../ir.ts';
import type { WgslKernel } from '../targets.ts';
import { canWiden, ExpressionPrinter } from './expression.ts';
import { laneVar } from './lanes.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import { outermostAxis } from './slab.ts';

const WORKGROUP = 64;
/** Rows of an invocation, where enough invocations remain for a GPU. Software adapters unroll a loop of 4 and none of 8. */
const ROWS = 4;
const ENOUGH = 1 << 16;

interface Rows {
  /** Rows of an invocation. */
  readonly each: number;
  /** Rows per index of the outermost axis, and vectors of a row. */
  readonly perOutermost: number;
  readonly vectors: number;
}

export function emitMap(kernel: MapKernel, options: EmitOptions, rowsEach = ROWS): WgslKernel {
  const shape = kernel.vars.map((v) => v.size);
  const total = shape.reduce((n, s) => n * s, 1);
  const { outermost, inner } = outermostAxis(kernel.vars);
  /** The stores' values at these coordinates. */
  const values = (coords: readonly Int[]): Expr[] => {
    const env = new Map(kernel.vars.map((v, i) => [v.name, coords[i]!]));
    return kernel.stores.map((s) => substitute(s.value, (name) => env.get(name)));
  };
  // The probe only asks whether addresses are regular; the emission uses the declared variable.
  const probe = { k: 'var', name: 't', size: Math.max(2, total / 4) } as const;
  const wide = total % 4 === 0 && values(unlinear(add(mul(probe, 4), laneVar), shape)).every(canWiden);
  const rows = wide ? inRows(kernel, rowsEach) : null;
  if (rows) return emitRows(rows);
  const width = wide ? 4 : 1;
  const { variant, usesStep } = buildVariant(kernel, options, {
    id: 'default',
    workgroup: WORKGROUP,
    groups: (count) => Math.ceil((count * inner) / width / WORKGROUP),
    body: (w) => {
      const per = inner / width;
      w.line(`let local_t = group * ${WORKGROUP} + i32(local);`);
      w.line(`if (local_t >= count * ${inner}${wide ? ' / 4' : ''}) { return; }`);
      w.line(`let t = ${per >= 1 && Number.isInteger(per) ? `first * ${per}` : `first * ${inner} / 4`} + local_t;`);
      const t = w.declare('t', total / width);
      const at = total === 1 ? int(0) : wide ? add(mul(t, 4), laneVar) : t;
      const printer = new ExpressionPrinter(w);
      const results = values(unlinear(at, shape)).map((e) =>
        wide ? printer.printNamed(e, true) : printer.printNamed(e),
      );
      kernel.stores.forEach((s, i) => {
        w.store(s.buf, at, results[i]!);
      });
    },
  });
  // Slabs start at whole vectors.
  const slabMultiple = wide && inner % 4 !== 0 ? (inner % 2 === 0 ? 2 : 4) : 1;
  return { variants: [variant], usesStep, outermost, slabMultiple };

  function emitRows({ each, perOutermost, vectors }: Rows): WgslKernel {
    const rowAxes = rowAxisCount(shape, 4 * vectors);
    const { variant, usesStep } = buildVariant(kernel, options, {
      id: 'default',
      workgroup: WORKGROUP,
      groups: (count) => Math.ceil((Math.ceil((count * perOutermost) / each) * vectors) / WORKGROUP),
      body: (w) => {
        w.line(`let t = group * ${WORKGROUP} + i32(local);`);
        w.line(`let row0 = t / ${vectors} * ${each};`);
        w.line(`let rows = count * ${perOutermost};`);
        w.line('if (row0 >= rows) { return; }');
        w.line(`let v = t % ${vectors};`);
        const v = w.declare('v', vectors);
        const printer = new ExpressionPrinter(w);
        w.block(`for (var r = row0; r < min(row0 + ${each}, rows); r += 1)`, () => {
          w.line(`let row = first * ${perOutermost} + r;`);
          const row = w.declare('row', total / (4 * vectors));
          const inside = add(mul(v, 4), laneVar);
          const coords = [...unlinear(row, shape.slice(0, rowAxes)), ...unlinear(inside, shape.slice(rowAxes))];
          const results = values(coords).map((e) => printer.printNamed(e, true));
          const at = add(mul(row, 4 * vectors), inside);
          kernel.stores.forEach((s, i) => {
            w.store(s.buf, at, results[i]!);
          });
        });
      },
    });
    return { variants: [variant], usesStep, outermost };
  }
}

/** How many of the outer axes are rows of `size` elements. */
function rowAxisCount(shape: readonly number[], size: number): number {
  let n = shape.length;
  for (let inside = 1; inside < size; ) inside *= shape[--n]!;
  return n;
}

/** The innermost axes that make whole vectors, as a row; null where the kernel is small or has no such axes. */
function inRows(kernel: MapKernel, each: number): Rows | null {
  const shape = kernel.vars.map((v) => v.size);
  const total = shape.reduce((n, s) => n * s, 1);
  const { inner } = outermostAxis(kernel.vars);
  if (each < 2 || total / 4 / each < ENOUGH) return null;
  let size = 1;
  for (let i = shape.length - 1; i > 0; i--) {
    size *= shape[i]!;
    if (size % 4 !== 0 || size < 16) continue;
    if (inner % size !== 0) return null;
    return { each, perOutermost: inner / size, vectors: size / 4 };
  }
  return null;
}
