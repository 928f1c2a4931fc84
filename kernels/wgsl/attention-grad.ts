// Gradients of fused attention from dO, the rows' log-sum-exp and delta = sum_e dO * o; probabilities are recomputed.
//
//   P = exp(s - lse),  dP = dO · v,  dS = P * (dP - delta)
//   dq = scale * dS k      dk = scale * dSᵀ q      dv = Pᵀ dO      dbias = sum over windows of dS
import { linear } from '../int.ts';
import type { AttentionGradKernel } from '../ir.ts';
import type { WgslKernel } from '../targets.ts';
import { attentionGradSubgroup, MAX_CHANNELS } from './attention-subgroup.ts';
import {
  accumulate,
  declarations,
  eachScore,
  fillRows,
  literal,
  operandAt,
  type Place,
  planTile,
  probabilities,
  ROWS,
  THREADS,
  tileRows,
  weightedSum,
  writePlace,
} from './attention-tile.ts';
import { ExpressionPrinter } from './expression.ts';
import { buildVariant, type EmitOptions } from './module.ts';

export function emitAttentionGrad(kernel: AttentionGradKernel, options: EmitOptions): WgslKernel {
  const tiled = kernel.part === 'dbias' ? emitBiasGrad : emitTokenGrad;
  const own = tiled(kernel, options, ROWS, 'default');
  // A variant for subgroups of 8 comes first, where its registers suffice.
  const subgroup = kernel.shape.e > MAX_CHANNELS / 2 ? [] : [attentionGradSubgroup(kernel, options, 8).variant];
  const scheduled = (options.schedules ?? []).flatMap((id) => {
    const rows = tileRows(id);
    return rows === null ? [] : tiled(kernel, options, rows, id).variants;
  });
  return { ...own, variants: [...subgroup, ...own.variants], scheduled };
}

/** dq (rows are queries) or dk and dv (rows are keys). */
function emitTokenGrad(kernel: AttentionGradKernel, options: EmitOptions, most: number, id: string): WgslKernel {
  const dq = kernel.part === 'dq';
  const t = planTile(kernel, dq ? 'i' : 'j', 2, 2, most);
  const { shape, tile, columns, units } = t;
  // The row side's and the column side's factors of s and of dP.
  const [rowS, rowP, columnS, columnP] = dq
    ? [kernel.q, kernel.dO, kernel.k, kernel.v]
    : [kernel.k, kernel.v, kernel.q, kernel.dO];
  const { variant, usesStep } = buildVariant(kernel, options, {
    id,
    workgroup: THREADS,
    groups: (count) => count * shape.h * t.blocks,
    declarations: declarations(t, ['s', 'p'], ['ds', 'prob']),
    workgroupBytes: 16384,
    body: (w) => {
      const printer = new ExpressionPrinter(w);
      const p = writePlace(w, t);
      fillRows(w, t, printer, p, 's', rowS);
      fillRows(w, t, printer, p, 'p', rowP);
      w.line('workgroupBarrier();');
      w.block(
        `for (var n = t; n < ${columns}; n += ${THREADS})`,
        () => {
          const n = w.declare('n', columns);
          for (let r = 0; r < tile; r++) w.line(`var s${r} = 0.0f; var d${r} = 0.0f;`);
          w.loop('c', units, (c) => {
            const at = { g: p.g, h: p.h, [t.column]: n };
            const a = operandAt(printer, columnS, at, c);
            const b = operandAt(printer, columnP, at, c);
            for (let r = 0; r < tile; r++) {
              w.line(accumulate(`s${r}`, `row_s[${r * units} + ${w.int(c)}]`, a.code));
              w.line(accumulate(`d${r}`, `row_p[${r * units} + ${w.int(c)}]`, b.code));
            }
          });
          for (let r = 0; r < tile; r++) w.line(`ds[${r * columns} + n] = s${r}; prob[${r * columns} + n] = d${r};`);
        },
        true,
      );
      w.line('workgroupBarrier();');
      eachScore(w, t, (row, n, at) => {
        const [i, j] = dq ? [row, n] : [n, row];
        const v = probabilities(w, kernel, printer, p, { s: `ds[${at}]`, dp: `prob[${at}]` }, i, j);
        w.line(`ds[${at}] = ${v.ds};`);
        if (!dq) w.line(`prob[${at}] = ${v.p};`);
      });
      w.line('workgroupBarrier();');
      const scale = literal(shape.scale);
      weightedSum(w, t, printer, p, { weights: 'ds', operand: columnS, out: kernel.outs[0]!, factor: () => scale });
      if (!dq)
        weightedSum(w, t, printer, p, { weights: 'prob', operand: columnP, out: kernel.outs[1]!, factor: () => null });
    },
  });
  return { variants: [variant], usesStep, outermost: shape.g };
}

/** dbias [parts, h, n, m]: a thread owns one key and the tile's queries, and walks over the windows of its part. */
function emitBiasGrad(kernel: AttentionGradKernel, options: EmitOptions, most: number, id: string): WgslKernel {
  const t = planTile(kernel, 'i', 0, 2, most);
  const { shape, tile, units, blocks } = t;
  const columnBlocks = Math.ceil(shape.m / THREADS);
  const perPart = Math.ceil(shape.g / kernel.parts);
  // The slab cuts parts, or heads where there is one part.
  const outermost = kernel.parts > 1 ? kernel.parts : shape.h;
  const heads = kernel.parts > 1 ? shape.h : 1;
  const tiles = blocks * columnBlocks;
  const { variant, usesStep } = buildVariant(kernel, options, {
    id,
    workgroup: THREADS,
    groups: (count) => count * heads * tiles,
    declarations: [
      ...declarations(t, ['s', 'p'], []),
      ...['raw_s', 'raw_d', 'dbias'].map((a) => `var<workgroup> ${a}: array<f32, ${tile * THREADS}>;`),
    ],
    workgroupBytes: 16384,
    body: (w) => {
      const printer = new ExpressionPrinter(w);
      w.line(`if (group >= count * ${heads * tiles}) { return; }`);
      w.line('let t = i32(local);');
      w.declare('t', THREADS);
      w.line(`let outer = first + group / ${heads * tiles};`);
      w.line(kernel.parts > 1 ? 'let part = outer;' : 'let part = 0;');
      w.line(kernel.parts > 1 ? `let h = (group / ${tiles}) % ${shape.h};` : 'let h = outer;');
      w.line(`let row0 = ((group / ${columnBlocks}) % ${blocks}) * ${tile};`);
      w.line(`let column = (group % ${columnBlocks}) * ${THREADS} + t;`);
      w.line(`let key = min(column, ${shape.m - 1});`);
      w.declare('row0', shape.n);
      const h = w.declare('h', shape.h);
      const part = w.declare('part', kernel.parts);
      const j = w.declare('key', shape.m);
      const at = (r: string): string => `${r} * ${THREADS} + t`;
      w.block(`for (var r = 0; r < ${tile}; r += 1)`, () => w.line(`dbias[${at('r')}] = 0.0f;`));
      w.block(`for (var g = part * ${perPart}; g < min((part + 1) * ${perPart}, ${shape.g}); g += 1)`, () => {
        const g = w.declare('g', shape.g);
        const p: Place = { g, h };
        w.line('workgroupBarrier();');
        fillRows(w, t, printer, p, 's', kernel.q);
        fillRows(w, t, printer, p, 'p', kernel.dO);
        w.line('workgroupBarrier();');
        for (let r = 0; r < tile; r++) w.line(`var s${r} = 0.0f; var d${r} = 0.0f;`);
        w.loop('c', units, (c) => {
          const k = operandAt(printer, kernel.k, { g, h, j }, c);
          const v = operandAt(printer, kernel.v, { g, h, j }, c);
          for (let r = 0; r < tile; r++) {
            w.line(accumulate(`s${r}`, `row_s[${r * units} + ${w.int(c)}]`, k.code));
            w.line(accumulate(`d${r}`, `row_p[${r * units} + ${w.int(c)}]`, v.code));
          }
        });
        // Each thread reads back its own column only: no barrier.
        for (let r = 0; r < tile; r++) w.line(`raw_s[${at(`${r}`)}] = s${r}; raw_d[${at(`${r}`)}] = d${r};`);
        w.block(`for (var r = 0; r < ${tile}; r += 1)`, () => {
          w.line(`let query = min(row0 + r, ${shape.n - 1});`);
          const i = w.declare('query', shape.n);
          const { ds } = probabilities(
            w,
            kernel,
            printer,
            p,
            { s: `raw_s[${at('r')}]`, dp: `raw_d[${at('r')}]` },
            i,
            j,
          );
          w.line(`dbias[${at('r')}] += ${ds};`);
        });
      });
      w.block(
        `for (var r = 0; r < min(${tile}, ${shape.n} - row0); r += 1)`,
        () => {
          w.line('let query = row0 + r;');
          const i = w.declare('query', shape.n);
          const index = linear([part, h, i, j], [kernel.parts, shape.h, shape.n, shape.m]);
          w.block(
            `if (column < ${shape.m})`,
            () => w.store(kernel.outs[0]!, index, { code: `dbias[${at('r')}]`, wide: false, dtype: 'f32' }),
            true,
          );
        },
        true,
      );
    },
  });
  return { variants: [variant], usesStep, outermost };
}
