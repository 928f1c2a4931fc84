// The pipeline: a list of named pure passes, from a traced entry to programs. Read it top to bottom and you have read the
// compiler; `--explain` prints what each pass did.

import { differentiate } from '../dsl/differentiate.ts';
import { make, type Node, typeOf, type Value } from '../dsl/graph.ts';
import { arena } from '../dsl/ops/leaf.ts';
import { map } from '../dsl/ops/map.ts';
import { expandAs } from '../dsl/ops/view.ts';
import { constant, stepScalar } from '../dsl/tensor.ts';
import type { TensorType } from '../dsl/types.ts';
import { beneath, fuse } from './fuse.ts';
import { peakOf } from './lifetimes.ts';
import { lossScale } from './loss-scale.ts';
import { Lowering, type Root } from './lower.ts';
import { order } from './order.ts';
import { holds } from './placement.ts';
import { halfStorage } from './precision.ts';
import { print } from './print.ts';
import { type Program, type Step, TensorTable } from './program.ts';
import { simplify } from './simplify.ts';
import { split } from './split.ts';
import { insideTiles } from './tiles.ts';
import type { TracedEntry, TracedModel } from './trace.ts';
import { verify } from './verify.ts';

export interface Pass {
  readonly name: string;
  run(roots: readonly Value[]): Value[];
}

/** What the bodies of loops over tiles go through by themselves. */
const INSIDE = [simplify, split, simplify].map((run) => ({ run }));

/** Graph to graph, in this order. Differentiation comes before; fusion, lowering and the kernels' order after; then what is
 *  recomputed, and where all lies in memory (fit.ts). */
export const PASSES: readonly Pass[] = [
  { name: 'inside tiles', run: (roots) => insideTiles(roots, INSIDE) },
  { name: 'simplify', run: simplify },
  { name: 'split long sums', run: split },
  { name: 'simplify again', run: simplify },
];

export interface CompiledEntry {
  readonly entry: TracedEntry;
  readonly table: TensorTable;
  readonly forward: Program<Step>;
  readonly grad: Program<Step> | null;
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

export function runPasses(what: string, roots: readonly Value[], o: Options): Value[] {
  let now = [...roots];
  if (o.verify) verify('trace', now);
  for (const p of PASSES) {
    now = p.run(now);
    if (o.verify) verify(p.name, now);
    o.log?.(`${what}: ${p.name}`, print(Object.fromEntries(now.map((v, i) => [`${i}`, v]))).split('\n'));
  }
  return now;
}

function lowerRoots(name: string, table: TensorTable, roots: readonly Root[], o: Options): Program<Step> {
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

export const leafTensor = (table: TensorTable) => (n: Node) => {
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

  const held = holds(entry);
  const trainable = uses.filter((n) => m.parameters.get(n)!.info.trainable && !held(n));
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
