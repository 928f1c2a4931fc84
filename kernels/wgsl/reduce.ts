// Reductions: out[keep] = epilogue(op over red of value).
//
// A workgroup holds tx outputs × ty threads along the reduction. Each thread folds every ty-th term, in blocks of BLOCK
// (so that rounding grows with the blocks' number, not the terms'), then a tree in workgroup memory folds the ty partial
// results. All of it follows from sizes alone. Vectors lie along the outputs where those are contiguous in memory
// (columns: statistics over space, channels kept), else along the reduced axis (rows).
import { type Expr, substitute, walk } from '../expr.ts';
import { add, type Int, int, mul, unlinear } from '../int.ts';
import type { ReduceKernel } from '../ir.ts';
import type { WgslKernel } from '../targets.ts';
import { canWiden, ExpressionPrinter } from './expression.ts';
import { helperName, i32Literal } from './helpers.ts';
import { lanes, laneVar } from './lanes.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import { outermostAxis } from './slab.ts';
import { usesLane, type Value, type Writer } from './writer.ts';

const BLOCK = 32;
/** Threads that a GPU wants. A tree costs barriers, so it is only as wide as the outputs are too few for that. */
const ENOUGH = 1 << 17;

interface Schedule {
  /** Vectors along the outputs, along the reduced axis, or none. */
  readonly layout: 'columns' | 'rows' | 'scalar';
  readonly tx: number;
  readonly ty: number;
}

export function emitReduce(kernel: ReduceKernel, options: EmitOptions): WgslKernel {
  const own = emitThreads(kernel, options, null, 'default');
  const scheduled = (options.schedules ?? []).flatMap((id) => {
    const threads = reduceThreads(id);
    return threads === null ? [] : emitThreads(kernel, options, threads, id).variants;
  });
  return { ...own, scheduled };
}

/** The threads that a schedule's id, `threads-N`, names; null for an id of another family. */
export function reduceThreads(id: string): number | null {
  const m = /^threads-(64|128|512|1024)$/.exec(id);
  return m ? Number(m[1]) : null;
}

/** Schedules worth measuring beside the kernel's own: other numbers of threads, where they make another kernel. */
export function reduceSchedules(kernel: ReduceKernel): string[] {
  const options: EmitOptions = { readOnly: new Set(), maxFold: 65535 };
  const known = new Set([emitThreads(kernel, options, null, 'default').variants[0]!.code]);
  return ['threads-128', 'threads-64', 'threads-512'].filter((id) => {
    const { code } = emitThreads(kernel, options, reduceThreads(id)!, id).variants[0]!;
    const fresh = !known.has(code);
    known.add(code);
    return fresh;
  });
}

/** `threads`: of a workgroup, where that is not left to the sizes. */
function emitThreads(kernel: ReduceKernel, options: EmitOptions, threads: number | null, id: string): WgslKernel {
  const keepShape = kernel.keep.map((v) => v.size);
  const redShape = kernel.red.map((v) => v.size);
  const outputs = keepShape.reduce((n, s) => n * s, 1);
  const terms = redShape.reduce((n, s) => n * s, 1);
  const { outermost, inner } = outermostAxis(kernel.keep);

  const env = (vars: ReduceKernel['keep'], shape: number[], at: Int): [string, Int][] =>
    unlinear(at, shape).map((c, i) => [vars[i]!.name, c]);
  const valueAt = (keep: Int, red: Int): Expr => {
    const map = new Map([...env(kernel.keep, keepShape, keep), ...env(kernel.red, redShape, red)]);
    return substitute(kernel.value, (name) => map.get(name));
  };
  const storesAt = (keep: Int): Expr[] => {
    const map = new Map(env(kernel.keep, keepShape, keep));
    return kernel.stores.map((s) => substitute(s.value, (name) => map.get(name)));
  };

  const { layout, tx, ty } = schedule();
  const kw = layout === 'columns' ? 4 : 1;
  const rw = layout === 'rows' ? 4 : 1;
  const { variant, usesStep } = buildVariant(kernel, options, {
    id,
    workgroup: tx * ty,
    groups: (count) => Math.ceil((count * inner) / kw / tx),
    ...(ty > 1
      ? {
          declarations: [
            `var<workgroup> partial: array<${layout === 'scalar' ? 'f32' : 'vec4<f32>'}, ${tx * ty}>;`,
            ...(kernel.op === 'argmax' ? [`var<workgroup> partial_at: array<i32, ${tx * ty}>;`] : []),
          ],
          workgroupBytes: tx * ty * (layout === 'scalar' ? (kernel.op === 'argmax' ? 8 : 4) : 16),
        }
      : {}),
    body: (w) => body(w),
  });
  const slabMultiple = kw === 4 && inner % 4 !== 0 ? (inner % 2 === 0 ? 2 : 4) : 1;
  return { variants: [variant], usesStep, outermost, slabMultiple };

  function schedule(): Schedule {
    const probe = (name: string): Int => ({ k: 'var', name, size: 2 ** 20 });
    const contiguous = (e: Expr): boolean => {
      let found = false;
      walk(e, (x) => {
        if (x.k === 'load' && usesLane(x.index) && lanes(x.index)?.coef === 1) found = true;
      });
      return found;
    };
    const across = add(mul(probe('o'), 4), laneVar);
    const columns = valueAt(across, probe('r'));
    const rows = valueAt(probe('o'), across);
    let layout: Schedule['layout'] = 'scalar';
    if (kernel.op !== 'argmax') {
      if (outputs % 4 === 0 && contiguous(columns) && canWiden(columns) && storesAt(across).every(canWiden))
        layout = 'columns';
      else if (terms % 4 === 0 && contiguous(rows) && canWiden(rows)) layout = 'rows';
    }
    const steps = terms / (layout === 'rows' ? 4 : 1);
    const vectors = outputs / (layout === 'columns' ? 4 : 1);
    const wanted = threads === null ? ENOUGH / vectors : Number.POSITIVE_INFINITY;
    if (steps <= BLOCK || wanted < 2) return { layout, tx: 64, ty: 1 };
    const widest = layout === 'columns' ? Math.min(16, vectors) : 1;
    const most = 2 ** Math.floor(Math.log2(Math.min((threads ?? 256) / widest, steps / 4, wanted)));
    return { layout, tx: Math.max(widest, Math.floor(64 / most)), ty: most };
  }

  function body(w: Writer): void {
    const wide = layout !== 'scalar';
    const type = wide ? 'vec4<f32>' : 'f32';
    const printer = new ExpressionPrinter(w);
    const call = (op: string, a: string, b: string): string => {
      w.helpers.add(helperName(op, wide));
      return `${helperName(op, wide)}(${a}, ${b})`;
    };
    const combine = (a: string, b: string): string =>
      kernel.op === 'sum' ? `${a} + ${b}` : call(kernel.op === 'min' ? 'min' : 'max', a, b);
    if (kernel.op !== 'sum') w.helpers.add('inf_f32');
    const start = kernel.op === 'sum' ? `${type}()` : `${type}(${kernel.op === 'min' ? '' : '-'}inf_f32())`;

    const total = `count * ${inner}${kw === 4 ? ' / 4' : ''}`;
    w.line(`let tx = i32(local${ty > 1 ? ` % ${tx}u` : ''});`);
    w.line(ty > 1 ? `let ty = i32(local / ${tx}u);` : 'const ty = 0;');
    w.line(`let local_o = group * ${tx} + tx;`);
    // Threads past the end repeat the last output, so that all reach the barriers, and store nothing.
    w.line(`let o = first * ${inner}${kw === 4 ? ' / 4' : ''} + min(local_o, ${total} - 1);`);
    const o = w.declare('o', outputs / kw);
    const keep = kw === 4 ? add(mul(o, 4), laneVar) : o;
    w.line(`var acc = ${start};`);
    if (kernel.op === 'argmax') w.line(`var acc_at = ${i32Literal(2 ** 31 - 1)};`);

    const steps = terms / rw;
    const fold = (into: string, from: string, to: string): void => {
      // No guard: what does not depend on r is valid for every thread, since o lies inside the output.
      w.block(`for (var r = ${from}; r < ${to}; r += ${ty})`, () => {
        const r = steps === 1 ? int(0) : w.declare('r', steps);
        const v = printer.printNamed(valueAt(keep, rw === 4 ? add(mul(r, 4), laneVar) : r), wide);
        if (kernel.op === 'argmax') w.line(`if (${v.code} > acc) { acc = ${v.code}; acc_at = r; }`);
        else w.line(`${into} = ${combine(into, v.code)};`);
      });
    };
    if (kernel.op === 'sum' && steps > 2 * BLOCK * ty) {
      w.block(`for (var r0 = ty; r0 < ${steps}; r0 += ${BLOCK * ty})`, () => {
        w.line(`var part = ${start};`);
        fold('part', 'r0', `min(r0 + ${BLOCK * ty}, ${steps})`);
        w.line('acc += part;');
      });
    } else fold('acc', 'ty', `${steps}`);

    if (ty > 1) {
      w.line(`partial[local] = acc;`);
      if (kernel.op === 'argmax') w.line('partial_at[local] = acc_at;');
      w.block(`for (var half = ${ty / 2}; half > 0; half /= 2)`, () => {
        w.line('workgroupBarrier();');
        w.block('if (ty < half)', () => {
          const other = `local + u32(half) * ${tx}u`;
          if (kernel.op === 'argmax') {
            w.line(`let b = partial[${other}];`);
            w.line(`let b_at = partial_at[${other}];`);
            w.line('// The first maximum wins.');
            w.line(
              `if (b > partial[local] || (b == partial[local] && b_at < partial_at[local])) { partial[local] = b; partial_at[local] = b_at; }`,
            );
          } else w.line(`partial[local] = ${combine('partial[local]', `partial[${other}]`)};`);
        });
      });
    }
    w.block(
      `if (ty == 0 && local_o < ${total})`,
      () => {
        const result = ty > 1 ? 'partial[local]' : 'acc';
        let code = result;
        if (layout === 'rows') {
          const v = w.let('v', result);
          const scalar = (a: string, b: string): string => {
            if (kernel.op === 'sum') return `(${a} + ${b})`;
            const name = helperName(kernel.op, false);
            w.helpers.add(name);
            return `${name}(${a}, ${b})`;
          };
          code = scalar(scalar(`${v}.x`, `${v}.y`), scalar(`${v}.z`, `${v}.w`));
        }
        if (kernel.op === 'argmax') {
          const at = ty > 1 ? 'partial_at[local]' : 'acc_at';
          code = `select(${at}, 0, ${at} == ${i32Literal(2 ** 31 - 1)})`; // nothing but NaN and -infinity
        }
        const acc: Value = {
          code: w.let('acc', code),
          wide: layout === 'columns',
          dtype: kernel.op === 'argmax' ? 'i32' : 'f32',
        };
        printer.acc = acc;
        const values = storesAt(keep).map((e) => printer.printNamed(e, layout === 'columns'));
        kernel.stores.forEach((s, i) => {
          w.store(s.buf, keep, values[i]!);
        });
      },
      true,
    );
  }
}
