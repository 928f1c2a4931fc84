// Fused attention over windows: scores, softmax and output of a few queries per workgroup.
import { linear } from '../int.ts';
import type { AttentionKernel } from '../ir.ts';
import type { WgslKernel, WgslVariant } from '../targets.ts';
import { attentionSubgroup, MAX_CHANNELS } from './attention-subgroup.ts';
import {
  accumulate,
  declarations,
  eachScore,
  fillRows,
  operandAt,
  planTile,
  ROWS,
  score,
  THREADS,
  tileRows,
  weightedSum,
  writePlace,
} from './attention-tile.ts';
import { ExpressionPrinter } from './expression.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import type { Writer } from './writer.ts';

export function emitAttention(kernel: AttentionKernel, options: EmitOptions): WgslKernel {
  const own = emitTiled(kernel, options, ROWS, 'default');
  const subgroup = kernel.shape.e <= MAX_CHANNELS ? [attentionSubgroup(kernel, options, 8).variant] : [];
  const scheduled = (options.schedules ?? []).flatMap((id) => {
    const rows = tileRows(id);
    return rows === null ? [] : [emitTiled(kernel, options, rows, id).variant];
  });
  return {
    variants: [...subgroup, own.variant],
    scheduled,
    usesStep: own.usesStep,
    outermost: kernel.shape.g,
  };
}

function emitTiled(
  kernel: AttentionKernel,
  options: EmitOptions,
  most: number,
  id: string,
): { variant: WgslVariant; usesStep: boolean } {
  const t = planTile(kernel, 'i', 1, 1, most);
  const { shape, tile, columns, units } = t;
  const perRow = THREADS / tile;
  return buildVariant(kernel, options, {
    id,
    workgroup: THREADS,
    groups: (count) => count * shape.h * t.blocks,
    declarations: [
      ...declarations(t, ['q'], ['scores']),
      `var<workgroup> partial: array<f32, ${THREADS}>;`,
      `var<workgroup> row_sum: array<f32, ${tile}>;`,
    ],
    workgroupBytes: 16384,
    body,
  });

  function body(w: Writer): void {
    const printer = new ExpressionPrinter(w);
    const p = writePlace(w, t);
    fillRows(w, t, printer, p, 'q', kernel.q);
    w.line('workgroupBarrier();');
    w.block(
      `for (var n = t; n < ${columns}; n += ${THREADS})`,
      () => {
        const j = w.declare('n', columns);
        for (let r = 0; r < tile; r++) w.line(`var s${r} = 0.0f;`);
        w.loop('c', units, (c) => {
          const k = operandAt(printer, kernel.k, { g: p.g, h: p.h, j }, c);
          for (let r = 0; r < tile; r++) w.line(accumulate(`s${r}`, `row_q[${r * units} + ${w.int(c)}]`, k.code));
        });
        for (let r = 0; r < tile; r++) w.line(`scores[${r * columns} + n] = s${r};`);
      },
      true,
    );
    w.line('workgroupBarrier();');

    // Softmax: perRow threads to a row.
    for (const name of ['max_f32', 'prob_f32', 'log_f32']) w.helpers.add(name);
    w.helpers.add('inf_f32');
    w.line('var largest = -inf_f32();');
    eachScore(w, t, (i, n, at) => {
      w.line(`let s = ${score(kernel, printer, p, `scores[${at}]`, i, n)};`);
      w.line(`scores[${at}] = s;`);
      w.line('largest = max_f32(largest, s);');
    });
    w.line('partial[t] = largest;');
    w.line('workgroupBarrier();');
    w.block(`for (var n = 0; n < ${perRow}; n += 1)`, () => {
      w.line(`largest = max_f32(largest, partial[sr * ${perRow} + n]);`);
    });
    w.line('workgroupBarrier();');
    w.line('var total_p = 0.0f;');
    w.block(`for (var n = t % ${perRow}; n < ${columns}; n += ${perRow})`, () => {
      w.line(`let e = prob_f32(scores[sr * ${columns} + n] - largest);`);
      w.line(`scores[sr * ${columns} + n] = e;`);
      w.line('total_p += e;');
    });
    w.line('partial[t] = total_p;');
    w.line('workgroupBarrier();');
    w.block(`if (t % ${perRow} == 0)`, () => {
      w.line('var sum = 0.0f;');
      w.block(`for (var n = 0; n < ${perRow}; n += 1)`, () => w.line('sum += partial[t + n];'));
      w.line('row_sum[sr] = sum;');
      w.block(
        `if (row0 + sr < ${t.rows})`,
        () => {
          w.line('let lse_row = row0 + sr;');
          const row = w.declare('lse_row', t.rows);
          const at = linear([p.g, p.h, row], [shape.g, shape.h, shape.n]);
          w.store(kernel.lse, at, { code: 'largest + log_f32(sum)', wide: false, dtype: 'f32' });
        },
        true,
      );
    });
    w.line('workgroupBarrier();');
    weightedSum(w, t, printer, p, {
      weights: 'scores',
      operand: kernel.v,
      out: kernel.o,
      factor: () => '(1.0f / row_sum[lr])',
    });
  }
}
