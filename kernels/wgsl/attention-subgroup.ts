// Fused attention and its gradients by one subgroup per workgroup: no barriers, no workgroup memory, any window size.
//
// A lane owns one or two rows (queries; keys in the gradient of k and v) with their channels in registers and walks over
// the columns. A column's channels are loaded across the lanes and broadcast one by one. The forward pass keeps a
// running maximum (online softmax), so every score is computed once.
import { substitute } from '../expr.ts';
import { add, type Int, int, linear } from '../int.ts';
import type { AttentionGradKernel, AttentionKernel } from '../ir.ts';
import type { WgslVariant } from '../targets.ts';
import { literal, operandAt, type Place, probabilities, score } from './attention-tile.ts';
import { ExpressionPrinter } from './expression.ts';
import { buildVariant, type EmitOptions } from './module.ts';
import type { Writer } from './writer.ts';

type Built = { variant: WgslVariant; usesStep: boolean };

/** Channels beyond this would need more registers and static loads than pay. */
export const MAX_CHANNELS = 64;

interface Lanes {
  readonly w: Writer;
  readonly printer: ExpressionPrinter;
  readonly kernel: AttentionKernel | AttentionGradKernel;
  readonly s: number;
  readonly place: Place;
  /** The lane's rows, held inside the window, and WGSL conditions for their being inside. */
  readonly rows: readonly Int[];
  readonly inside: readonly (string | null)[];
}

/** Decodes window, head and row block; declares the lane's rows. */
function writeLanes(
  w: Writer,
  kernel: AttentionKernel | AttentionGradKernel,
  s: number,
  size: number,
  perLane: number,
): Lanes {
  const { shape } = kernel;
  const tile = s * perLane;
  const blocks = Math.ceil(size / tile);
  w.line(`if (group >= count * ${shape.h * blocks}) { return; }`);
  w.line('let l = i32(lane);');
  w.declare('l', s);
  w.line(`let g = first + group / ${shape.h * blocks};`);
  w.line(`let h = (group / ${blocks}) % ${shape.h};`);
  w.line(`let row0 = (group % ${blocks}) * ${tile};`);
  const place = { g: w.declare('g', shape.g), h: w.declare('h', shape.h) };
  const exact = size % tile === 0;
  const rows: Int[] = [];
  const inside: (string | null)[] = [];
  for (let a = 0; a < perLane; a++) {
    const at = `row0 + l + ${a * s}`;
    w.line(`let row_${a} = ${exact ? at : `min(${at}, ${size - 1})`};`);
    rows.push(w.declare(`row_${a}`, size));
    inside.push(exact ? null : `${at} < ${size}`);
  }
  return { w, printer: new ExpressionPrinter(w), kernel, s, place, rows, inside };
}

/** The channels of one of the lane's rows, as names. */
function rowChannels(x: Lanes, operand: AttentionKernel['q'], token: 'i' | 'j', row: Int): string[] {
  return Array.from(
    { length: x.kernel.shape.e },
    (_, c) => operandAt(x.printer, operand, { ...x.place, [token]: row }, int(c)).code,
  );
}

/** Loads a column's channels across the lanes: names of what to broadcast. */
function acrossLanes(x: Lanes, operand: AttentionKernel['q'], token: 'i' | 'j', column: Int): string[] {
  const { w, s } = x;
  const e = x.kernel.shape.e;
  return Array.from({ length: Math.ceil(e / s) }, (_, b) => {
    const name = `channel_${b}`;
    const full = (b + 1) * s <= e;
    const channel = w.at(0, () => {
      if (full) return add({ k: 'var', name: 'l', size: s }, int(b * s));
      if (!w.cached(name)) {
        w.line(`let ${name} = min(l + ${b * s}, ${e - 1});`);
        w.remember(name, name);
      }
      return w.declare(name, e);
    });
    return operandAt(x.printer, operand, { ...x.place, [token]: column }, channel).code;
  });
}

const broadcast = (x: Lanes, loaded: readonly string[], c: number): string =>
  x.w.let('x', `subgroupBroadcast(${loaded[Math.floor(c / x.s)]}, ${c % x.s}u)`);

function storeRow(x: Lanes, a: number, size: number, buf: number, code: (c: number) => string): void {
  const { w, place, kernel } = x;
  const { h, e } = kernel.shape;
  const put = (): void => {
    for (let c = 0; c < e; c++) {
      const at = linear([place.g, x.rows[a]!, place.h, int(c)], [kernel.shape.g, size, h, e]);
      w.store(buf, at, { code: code(c), wide: false, dtype: 'f32' });
    }
  };
  if (x.inside[a]) w.block(`if (${x.inside[a]})`, put, true);
  else put();
}

function build(
  kernel: AttentionKernel | AttentionGradKernel,
  options: EmitOptions,
  s: number,
  groups: (count: number) => number,
  body: (w: Writer) => void,
): Built {
  return buildVariant(kernel, options, {
    id: `subgroup${s}`,
    workgroup: s,
    features: ['subgroups'],
    subgroupSize: s,
    groups,
    body,
  });
}

export function attentionSubgroup(kernel: AttentionKernel, options: EmitOptions, s: number): Built {
  const { shape } = kernel;
  const perLane = shape.e <= 16 && shape.n > s ? 2 : 1;
  const blocks = Math.ceil(shape.n / (s * perLane));
  return build(
    kernel,
    options,
    s,
    (count) => count * shape.h * blocks,
    (w) => {
      const x = writeLanes(w, kernel, s, shape.n, perLane);
      const q = x.rows.map((row) => rowChannels(x, kernel.q, 'i', row));
      for (const name of ['prob_f32', 'log_f32']) w.helpers.add(name);
      for (const a of q.keys()) {
        // Finite, so that differences with it are never NaN.
        w.line(`var largest${a} = -3.0e38f; var total${a} = 0.0f;`);
        for (let c = 0; c < shape.e; c++) w.line(`var o${a}_${c} = 0.0f;`);
      }
      w.loop('n', shape.m, (j) => {
        const k = acrossLanes(x, kernel.k, 'j', j);
        for (const a of q.keys()) w.line(`var s${a} = 0.0f;`);
        for (let c = 0; c < shape.e; c++) {
          const v = broadcast(x, k, c);
          w.line(q.map((list, a) => `s${a} = fma(${list[c]}, ${v}, s${a});`).join(' '));
        }
        const weights = q.map((_, a) => {
          const value = w.let('s', score(kernel, x.printer, x.place, `s${a}`, x.rows[a]!, j));
          const grows = w.let('grows', `${value} > largest${a}`);
          // One exponential: either the sum so far or the new term is scaled.
          const ratio = w.let('ratio', `prob_f32(-abs(${value} - largest${a}))`);
          const p = w.let('p', `select(${ratio}, 1.0f, ${grows})`);
          const keep = w.let('keep', `select(1.0f, ${ratio}, ${grows})`);
          w.line(`largest${a} = select(largest${a}, ${value}, ${grows});`);
          w.line(`total${a} = fma(total${a}, ${keep}, ${p});`);
          return { p, keep };
        });
        const v = acrossLanes(x, kernel.v, 'j', j);
        for (let c = 0; c < shape.e; c++) {
          const y = broadcast(x, v, c);
          w.line(weights.map(({ p, keep }, a) => `o${a}_${c} = fma(${p}, ${y}, o${a}_${c} * ${keep});`).join(' '));
        }
      });
      for (const a of q.keys()) {
        const inverse = w.let('inverse', `1.0f / total${a}`);
        storeRow(x, a, shape.n, kernel.o, (c) => `o${a}_${c} * ${inverse}`);
        const at = linear([x.place.g, x.place.h, x.rows[a]!], [shape.g, shape.h, shape.n]);
        const put = (): void =>
          w.store(kernel.lse, at, { code: `largest${a} + log_f32(total${a})`, wide: false, dtype: 'f32' });
        if (x.inside[a]) w.block(`if (${x.inside[a]})`, put, true);
        else put();
      }
    },
  );
}

export function attentionGradSubgroup(kernel: AttentionGradKernel, options: EmitOptions, s: number): Built {
  if (kernel.part === 'dbias') return biasGrad(kernel, options, s);
  const { shape } = kernel;
  const dq = kernel.part === 'dq';
  const [size, columns] = dq ? [shape.n, shape.m] : [shape.m, shape.n];
  const [row, column] = dq ? (['i', 'j'] as const) : (['j', 'i'] as const);
  const [rowS, rowP, columnS, columnP] = dq
    ? [kernel.q, kernel.dO, kernel.k, kernel.v]
    : [kernel.k, kernel.v, kernel.q, kernel.dO];
  return build(
    kernel,
    options,
    s,
    (count) => count * shape.h * Math.ceil(size / s),
    (w) => {
      const x = writeLanes(w, kernel, s, size, 1);
      const own = x.rows[0]!;
      const a = rowChannels(x, rowS, row, own);
      const b = rowChannels(x, rowP, row, own);
      for (let c = 0; c < shape.e; c++) w.line(`var first_${c} = 0.0f;${dq ? '' : ` var second_${c} = 0.0f;`}`);
      w.loop('n', columns, (n) => {
        const loadedS = acrossLanes(x, columnS, column, n);
        const loadedP = acrossLanes(x, columnP, column, n);
        w.line('var s = 0.0f; var dp = 0.0f;');
        const xs: string[] = [];
        const ys: string[] = [];
        for (let c = 0; c < shape.e; c++) {
          xs.push(broadcast(x, loadedS, c));
          ys.push(broadcast(x, loadedP, c));
          w.line(`s = fma(${a[c]}, ${xs[c]}, s); dp = fma(${b[c]}, ${ys[c]}, dp);`);
        }
        const [i, j] = dq ? [own, n] : [n, own];
        const v = probabilities(w, kernel, x.printer, x.place, { s: 's', dp: 'dp' }, i, j);
        for (let c = 0; c < shape.e; c++) {
          const second = dq ? '' : ` second_${c} = fma(${v.p}, ${ys[c]}, second_${c});`;
          w.line(`first_${c} = fma(${v.ds}, ${xs[c]}, first_${c});${second}`);
        }
      });
      storeRow(x, 0, size, kernel.outs[0]!, (c) => `first_${c} * ${literal(shape.scale)}`);
      if (!dq) storeRow(x, 0, size, kernel.outs[1]!, (c) => `second_${c}`);
    },
  );
}

/** dbias [parts, h, n, m]: S queries × 2 S keys per workgroup, over the windows of a part. */
function biasGrad(kernel: AttentionGradKernel, options: EmitOptions, s: number): Built {
  const { shape, parts } = kernel;
  const cn = shape.m > s ? 2 : 1;
  const rowBlocks = Math.ceil(shape.n / s);
  const columnBlocks = Math.ceil(shape.m / (s * cn));
  const tiles = rowBlocks * columnBlocks;
  const heads = parts > 1 ? shape.h : 1;
  const perPart = Math.ceil(shape.g / parts);
  return build(
    kernel,
    options,
    s,
    (count) => count * heads * tiles,
    (w) => {
      const printer = new ExpressionPrinter(w);
      w.line(`if (group >= count * ${heads * tiles}) { return; }`);
      w.line('let l = i32(lane);');
      w.line(`let outer = first + group / ${heads * tiles};`);
      w.line(parts > 1 ? 'let part = outer;' : 'let part = 0;');
      w.line(parts > 1 ? `let h = (group / ${tiles}) % ${shape.h};` : 'let h = outer;');
      w.line(`let row0 = ((group / ${columnBlocks}) % ${rowBlocks}) * ${s};`);
      w.line(`let column0 = (group % ${columnBlocks}) * ${s * cn};`);
      const part = w.declare('part', parts);
      const h = w.declare('h', shape.h);
      const held = (name: string, text: string, size: number): Int => {
        w.line(`let ${name} = min(${text}, ${size - 1});`);
        return w.declare(name, size);
      };
      const laneRow = held('row_lane', 'row0 + l', shape.n);
      const rows = Array.from({ length: s }, (_, r) => held(`row_${r}`, `row0 + ${r}`, shape.n));
      const keys = Array.from({ length: cn }, (_, j) => held(`key_${j}`, `column0 + l + ${j * s}`, shape.m));
      for (let r = 0; r < s; r++) w.line(keys.map((_, j) => `var sum_${r}_${j} = 0.0f;`).join(' '));
      w.block(`for (var g = part * ${perPart}; g < min((part + 1) * ${perPart}, ${shape.g}); g += 1)`, () => {
        const place: Place = { g: w.declare('g', shape.g), h };
        for (let r = 0; r < s; r++)
          w.line(keys.map((_, j) => `var s_${r}_${j} = 0.0f; var d_${r}_${j} = 0.0f;`).join(' '));
        w.loop('c', shape.e, (c) => {
          const load = (e: AttentionKernel['q'], at: Record<string, Int>): string =>
            operandAt(
              printer,
              substitute(e, () => undefined),
              { ...place, ...at },
              c,
            ).code;
          const q = load(kernel.q, { i: laneRow });
          const dO = load(kernel.dO, { i: laneRow });
          const k = keys.map((j) => load(kernel.k, { j }));
          const v = keys.map((j) => load(kernel.v, { j }));
          for (let r = 0; r < s; r++) {
            const x = w.let('x', `subgroupBroadcast(${q}, ${r}u)`);
            const y = w.let('x', `subgroupBroadcast(${dO}, ${r}u)`);
            w.line(
              keys
                .map(
                  (_, j) =>
                    `s_${r}_${j} = fma(${x}, ${k[j]}, s_${r}_${j}); d_${r}_${j} = fma(${y}, ${v[j]}, d_${r}_${j});`,
                )
                .join(' '),
            );
          }
        });
        for (const [r, i] of rows.entries()) {
          for (const [j, key] of keys.entries()) {
            const raw = { s: `s_${r}_${j}`, dp: `d_${r}_${j}` };
            const { ds } = probabilities(w, kernel, printer, place, raw, i, key);
            w.line(`sum_${r}_${j} += ${ds};`);
          }
        }
      });
      for (const [r, i] of rows.entries()) {
        for (const [j, key] of keys.entries()) {
          w.block(
            `if (row0 + ${r} < ${shape.n} && column0 + l + ${j * s} < ${shape.m})`,
            () => {
              const at = linear([part, h, i, key], [parts, shape.h, shape.n, shape.m]);
              w.store(kernel.outs[0]!, at, { code: `sum_${r}_${j}`, wide: false, dtype: 'f32' });
            },
            true,
          );
        }
      }
    },
  );
}
