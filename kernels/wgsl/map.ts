// Elementwise kernels: an invocation for every four consecutive elements, or for one where addresses are irregular.
import { type Expr, substitute } from '../expr.ts';
import { add, type Int, int, mul, unlinear } from '../int.ts';
import type { MapKernel } from '../ir.ts';
import type { WgslKernel } from '../targets.ts';
import { canWiden, ExpressionPrinter } from './expression.ts';
import { laneVar } from './lanes.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import { outermostAxis } from './slab.ts';

const WORKGROUP = 64;

export function emitMap(kernel: MapKernel, options: EmitOptions): WgslKernel {
  const shape = kernel.vars.map((v) => v.size);
  const total = shape.reduce((n, s) => n * s, 1);
  const { outermost, inner } = outermostAxis(kernel.vars);
  /** The stores' values at linear index `at`. */
  const values = (at: Int): Expr[] => {
    const coords = unlinear(at, shape);
    const env = new Map(kernel.vars.map((v, i) => [v.name, coords[i]!]));
    return kernel.stores.map((s) => substitute(s.value, (name) => env.get(name)));
  };
  // The probe only asks whether addresses are regular; the emission uses the declared variable.
  const probe = { k: 'var', name: 't', size: Math.max(2, total / 4) } as const;
  const wide = total % 4 === 0 && values(add(mul(probe, 4), laneVar)).every(canWiden);
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
      const at = wide ? add(mul(t, 4), laneVar) : t;
      const printer = new ExpressionPrinter(w);
      const results = values(total === 1 ? int(0) : at).map((e) =>
        wide ? printer.printNamed(e, true) : printer.printNamed(e),
      );
      kernel.stores.forEach((s, i) => {
        w.store(s.buf, total === 1 ? int(0) : at, results[i]!);
      });
    },
  });
  // Slabs start at whole vectors.
  const slabMultiple = wide && inner % 4 !== 0 ? (inner % 2 === 0 ? 2 : 4) : 1;
  return { variants: [variant], usesStep, outermost, slabMultiple };
}
