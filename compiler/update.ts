// The optimiser's update, as a program over the flat arenas of parameters, gradients and states: one kernel for the model.
import { make, type Node, type Value } from '../dsl/graph.ts';
import { arena } from '../dsl/ops/leaf.ts';
import { clipFactor } from '../dsl/optim.ts';
import { constant, iota, stepScalar, Tensor } from '../dsl/tensor.ts';
import type { TensorType } from '../dsl/types.ts';
import { fuse } from './fuse.ts';
import { allFinite, countedStep, nextScaler, SCALER, SCALER_TYPE } from './loss-scale.ts';
import { Lowering } from './lower.ts';
import { leafTensor, type Options, runPasses } from './pipeline.ts';
import { type Placement, ROW, type RowFactors } from './placement.ts';
import { type Program, type Step, TensorTable } from './program.ts';
import type { TracedEntry } from './trace.ts';

/** The optimiser's update over the flat arenas, with the factors of the entry's groups (placement.ts). */
export function compileUpdate(entry: TracedEntry, placed: Placement, o: Options = {}): Program<Step> {
  const table = new TensorTable();
  const rows = placed.trainable / 4 / ROW;
  const type: TensorType = {
    dtype: 'f32',
    axes: [
      { name: 'row', size: rows },
      { name: 'x', size: ROW },
    ],
  };
  const flat = (name: string): Tensor => new Tensor(make(arena, [], { name, type }));
  const opt = entry.optimizer!;
  const p = flat('parameters');
  const { factors, held } = rowFactors(placed.rows.get(entry.name) ?? [], rows);
  let g = flat('gradients').div(stepScalar('accumulation'));
  if (held) g = held.where(0, g);
  const half = o.precision === 'f16';
  const squares = entry.clip === null ? null : g.mul(g).sum('row x');
  // A norm is finite where all that it sums up is, so that a clipped gradient is read once for both. (A norm that overflows has a
  // step skipped that clipping would have made one of zero.)
  const finite = half || entry.guard ? (squares?.isfinite() ?? allFinite(g)) : null;
  if (squares) g = g.mul(clipFactor(squares, entry.clip!));
  const states = Object.fromEntries(opt.states.map((s) => [s, flat(`state.${s}`)]));
  const t = finite ? countedStep() : stepScalar('t');
  const lr = stepScalar('lr');
  const next = opt.update(
    p,
    g,
    states,
    factors ? { t, lr: lr.mul(factors.lr), weightDecay: factors.weightDecay } : { t, lr },
  );
  const target = (name: string) => table.at({ kind: 'arena', name }, type);
  /** Where a gradient is not finite, or the row is frozen, all stays as it was. */
  const guarded = (value: Tensor, old: Tensor): Value => {
    const kept = held ? held.where(old, value) : value;
    return (finite ? finite.where(kept, old) : kept).value;
  };
  /** The average of what stays is what it is; before the first step that counts, it is a copy. */
  const averaged = (value: Tensor, old: Tensor): Value => {
    const moved = held ? held.where(p, value) : value;
    return (finite ? finite.where(moved, t.eq(1).where(p, old)) : moved).value;
  };
  const named: [string, Value][] = [
    ['parameters', guarded(next.p, p)],
    ...Object.entries(next.states).map(([s, v]): [string, Value] => [
      `state.${s}`,
      (s === opt.average ? averaged : guarded)(v, states[s]!),
    ]),
  ];
  const values = runPasses(
    `${entry.name}.update`,
    [...named.map(([, v]) => v), ...(finite ? [nextScaler(finite, half)] : [])],
    o,
  );
  const scaler = values[named.length];
  // The scaler's next contents are computed before the update reads the old ones, and stored after it.
  const fusion = fuse([...values.flatMap((v) => reductionsUnder(v)), ...(scaler ? [scaler] : [])]);
  const lowering = new Lowering(table, fusion, leafTensor(table));
  const program = lowering.run(`${entry.name}.update`, []);
  lowering.together(
    `${opt.name}.update`,
    named.map(([name], i) => ({ value: values[i]!, target: target(name) })),
  );
  if (scaler) lowering.copy({ value: scaler, target: table.at({ kind: 'arena', name: SCALER }, SCALER_TYPE) });
  return program;
}

/** Factors of the learning rate and of the weight decay by row, null where all are 1; and which rows stay as they are. */
function rowFactors(
  ranges: readonly RowFactors[],
  rows: number,
): { factors: { lr: Tensor; weightDecay: Tensor } | null; held: Tensor | null } {
  if (ranges.every((r) => r.lr === 1 && r.weightDecay === 1)) return { factors: null, held: null };
  const row = iota('row', rows);
  const byRow = (of: (r: RowFactors) => number): Tensor => {
    let value = constant(of(ranges[0]!)).expand('row', rows);
    ranges.forEach((r, i) => {
      if (i > 0 && of(r) !== of(ranges[i - 1]!)) value = row.ge(r.first).where(of(r), value);
    });
    return value;
  };
  const lr = byRow((r) => r.lr);
  return {
    factors: { lr, weightDecay: byRow((r) => r.weightDecay) },
    held: ranges.some((r) => r.lr === 0) ? lr.eq(0) : null,
  };
}

/** Stored values that the update's one kernel reads: the norm, when gradients are clipped. */
function reductionsUnder(v: Value): Value[] {
  const found: Value[] = [];
  const seen = new Set<Node>();
  const visit = (x: Value): void => {
    if (seen.has(x.node)) return;
    seen.add(x.node);
    if (x.node.op === 'reduce') found.push(x);
    else for (const i of x.node.inputs) visit(i);
  };
  visit(v);
  return found;
}
