// The optimiser's update, as a program over the flat arenas of parameters, gradients and states: one kernel for the model.
import { make, type Node, type Value } from '../dsl/graph.ts';
import { arena } from '../dsl/ops/leaf.ts';
import { clipFactor } from '../dsl/optim.ts';
import { stepScalar, Tensor } from '../dsl/tensor.ts';
import type { TensorType } from '../dsl/types.ts';
import { fuse } from './fuse.ts';
import { allFinite, nextScaler, SCALER, SCALER_TYPE, scaledStep } from './loss-scale.ts';
import { Lowering } from './lower.ts';
import { leafTensor, type Options, runPasses } from './pipeline.ts';
import { type Program, type Step, TensorTable } from './program.ts';
import type { TracedEntry } from './trace.ts';

/** The optimiser's update over the flat arenas: `elements` words each, a multiple of ROW. */
export const ROW = 1024;
export function compileUpdate(entry: TracedEntry, elements: number, o: Options = {}): Program<Step> {
  const table = new TensorTable();
  const rows = elements / ROW;
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
  let g = flat('gradients').div(stepScalar('accumulation'));
  const half = o.precision === 'f16';
  const finite = half ? allFinite(g) : null;
  if (entry.clip !== null) g = g.mul(clipFactor(g.mul(g).sum('row x'), entry.clip));
  const states = Object.fromEntries(opt.states.map((s) => [s, flat(`state.${s}`)]));
  const next = opt.update(p, g, states, { lr: stepScalar('lr'), t: half ? scaledStep() : stepScalar('t') });
  const target = (name: string) => table.at({ kind: 'arena', name }, type);
  /** Where a gradient is not finite all stays as it was. */
  const guarded = (value: Tensor, old: Tensor): Value => (finite ? finite.where(value, old) : value).value;
  const named: [string, Value][] = [
    ['parameters', guarded(next.p, p)],
    ...Object.entries(next.states).map(([s, t]): [string, Value] => [`state.${s}`, guarded(t, states[s]!)]),
  ];
  const values = runPasses(
    `${entry.name}.update`,
    [...named.map(([, v]) => v), ...(finite ? [nextScaler(finite)] : [])],
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
