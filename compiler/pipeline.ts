// The pipeline: a list of named pure passes, from a traced entry to programs. Read it top to bottom and you have read the
// compiler; `--explain` prints what each pass did.
import { make, type Node, typeOf, type Value } from '../dsl/graph.ts';
import { arena } from '../dsl/ops/leaf.ts';
import { map } from '../dsl/ops/map.ts';
import { expandAs } from '../dsl/ops/view.ts';
import { clipFactor } from '../dsl/optim.ts';
import { constant, stepScalar, Tensor } from '../dsl/tensor.ts';
import type { TensorType } from '../dsl/types.ts';
import { differentiate } from './differentiate.ts';
import { beneath, fuse } from './fuse.ts';
import { peakOf } from './lifetimes.ts';
import { allFinite, lossScale, nextScaler, SCALER, SCALER_TYPE, scaledStep } from './loss-scale.ts';
import { Lowering, type Root } from './lower.ts';
import { order } from './order.ts';
import { halfStorage } from './precision.ts';
import { print } from './print.ts';
import { type Program, TensorTable } from './program.ts';
import { simplify } from './simplify.ts';
import { split } from './split.ts';
import type { TracedEntry, TracedModel } from './trace.ts';
import { verify } from './verify.ts';

export interface Pass {
  readonly name: string;
  run(roots: readonly Value[]): Value[];
}

/** Graph to graph, in this order. Differentiation comes before; fusion, lowering and the kernels' order after; then what is
 *  recomputed, and where all lies in memory (fit.ts). */
export const PASSES: readonly Pass[] = [
  { name: 'simplify', run: simplify },
  { name: 'split long sums', run: split },
  { name: 'simplify again', run: simplify },
];

export interface CompiledEntry {
  readonly entry: TracedEntry;
  readonly table: TensorTable;
  readonly forward: Program;
  readonly grad: Program | null;
  /** Parameters that this entry reads, by name. */
  readonly uses: readonly string[];
}

export type Log = (pass: string, lines: readonly string[]) => void;

export interface Options {
  /** Check every graph between passes. */
  readonly verify?: boolean;
  readonly log?: Log;
  /** f16: values go from kernel to kernel as halves, and losses are scaled (loss-scale.ts). Default f32. */
  readonly precision?: 'f32' | 'f16';
}

function runPasses(what: string, roots: readonly Value[], o: Options): Value[] {
  let now = [...roots];
  if (o.verify) verify('trace', now);
  for (const p of PASSES) {
    now = p.run(now);
    if (o.verify) verify(p.name, now);
    o.log?.(`${what}: ${p.name}`, print(Object.fromEntries(now.map((v, i) => [`${i}`, v]))).split('\n'));
  }
  return now;
}

function lowerRoots(name: string, table: TensorTable, roots: readonly Root[], o: Options): Program {
  // What is stored is the value beneath: names and splits of axes change no memory.
  const values = runPasses(
    name,
    roots.map((r) => r.value),
    o,
  ).map(beneath);
  const fusion = fuse(values);
  o.log?.(`${name}: fuse`, fusion.notes);
  const lowering = new Lowering(table, fusion, leafTensor(table), o.precision === 'f16' ? halfStorage : undefined);
  const program = lowering.run(
    name,
    roots.map((r, i) => ({ value: values[i]!, target: r.target })),
  );
  o.log?.(
    `${name}: kernels`,
    program.kernels.map((k) => `${k.kind}${k.kind === 'contract' ? ` ${k.pattern}` : ''} ${k.name}`),
  );
  const ordered = order(program);
  o.log?.(`${name}: order`, [`alive at the peak: ${peakOf(program)} -> ${peakOf(ordered)} bytes`]);
  return ordered;
}

const leafTensor = (table: TensorTable) => (n: Node) => {
  const { name, type } = n.attrs as { name: string; type: TensorType };
  if (n.op === 'input') return table.at({ kind: 'port', name }, type);
  if (n.op === 'parameter') return table.at({ kind: 'parameter', name }, type);
  const [kind, of] = name.split(':') as [string, string];
  return kind === 'gradient' ? table.at({ kind: 'gradient', name: of }, type) : table.at({ kind: 'arena', name }, type);
};

/** Forward, and for an entry with a loss forward + backward, leaving gradients in their arena. */
export function compileEntry(m: TracedModel, entry: TracedEntry, o: Options = {}): CompiledEntry {
  const table = new TensorTable();
  for (const i of entry.inputs) table.at({ kind: 'port', name: i.name }, i.type);
  const outputs: Root[] = Object.entries(entry.outputs).map(([name, value]) => ({
    value,
    target: table.at({ kind: 'port', name: `out:${name}` }, typeOf(value)),
  }));
  const forward = lowerRoots(`${entry.name}.forward`, table, outputs, o);
  const uses = [...m.parameters.keys()].filter((n) =>
    table.list.some((t) => t.home.kind === 'parameter' && t.home.name === n),
  );
  if (!entry.loss) return { entry, table, forward, grad: null, uses };

  const trainable = uses.filter((n) => m.parameters.get(n)!.info.trainable);
  const half = o.precision === 'f16';
  const grads = differentiate(
    entry.outputs[entry.loss]!,
    trainable.map((n) => m.parameters.get(n)!.value),
    half ? lossScale().value : undefined,
  );
  const gradTable = new TensorTable();
  for (const i of entry.inputs) gradTable.at({ kind: 'port', name: i.name }, i.type);
  const roots: Root[] = Object.entries(entry.outputs).map(([name, value]) => ({
    value,
    target: gradTable.at({ kind: 'port', name: `out:${name}` }, typeOf(value)),
  }));
  trainable.forEach((name, i) => {
    const g = grads[i];
    const type = typeOf(m.parameters.get(name)!.value);
    if (g)
      roots.push({
        value: accumulated(name, half ? unscaled(g, type) : g, type),
        target: gradTable.at({ kind: 'gradient', name }, type),
      });
  });
  const grad = lowerRoots(`${entry.name}.grad`, gradTable, roots, o);
  return { entry, table, forward, grad, uses };
}

const unscaled = (g: Value, type: TensorType): Value =>
  make(map, [g, expandAs(constant(1).div(lossScale()).value, type)], { fn: 'mul' });

/** The first microstep writes a gradient, later ones add to it. */
function accumulated(name: string, g: Value, type: TensorType): Value {
  const old = make(arena, [], { name: `gradient:${name}`, type });
  const first = stepScalar('microstep').eq(0).value;
  const sum = make(map, [old, g], { fn: 'add' });
  return make(map, [expandAs(first, type), g, sum], { fn: 'select' });
}

/** The optimiser's update over the flat arenas: `elements` words each, a multiple of ROW. */
export const ROW = 1024;
export function compileUpdate(entry: TracedEntry, elements: number, o: Options = {}): Program {
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
