// The graph: immutable nodes that refer to their inputs. A value is one output of a node. Everything that a program
// computes hangs from its roots; what no root reaches does not exist.
import { opError, type Where } from './errors.ts';
import type { TensorType } from './types.ts';

export interface Node {
  readonly op: string;
  readonly inputs: readonly Value[];
  // biome-ignore lint/suspicious/noExplicitAny: each op's file types its own attributes
  readonly attrs: any;
  readonly types: readonly TensorType[];
  /** `swinViT / layers1.0 / blocks.0 / attn / softmax`; adjoints end in `.grad`. */
  readonly region: string;
  /** Where the model's author wrote it; its stack is read only when it is shown. */
  readonly site: Error | null;
  /** Creation order; smaller ids come first in program order where data flow leaves a choice. */
  readonly id: number;
}

export interface Value {
  readonly node: Node;
  readonly out: number;
}

export const typeOf = (v: Value): TensorType => v.node.types[v.out]!;

/** What a primitive means. One file each in dsl/ops; lowered by compiler/lower.ts and compiler/inline.ts. */
export interface Op<A> {
  readonly name: string;
  /** Shape rule. Throws through `fail` with what is wrong and what would fix it. */
  infer(inputs: readonly TensorType[], attrs: A, fail: (problem: string, fix: string) => never): TensorType[];
  /** Cotangents of the inputs from those of the outputs (null: no gradient flows). Written in primitives. */
  gradient(node: Node, cotangents: readonly (Value | null)[]): readonly (Value | null)[];
  /** float64 reference. */
  evaluate(
    inputs: readonly Float64Array[],
    types: readonly TensorType[],
    attrs: A,
    outputs: readonly TensorType[],
    context: EvalContext,
  ): Float64Array[];
  /** Attributes as text: for printing and for recognising equal nodes. */
  print(attrs: A): string;
  /** Never merged with an equal node. */
  readonly unique?: boolean;
}

/** Step scalars and leaf tensors for the reference evaluation. */
export interface EvalContext {
  readonly step: Readonly<Record<string, number>>;
  leaf(node: Node): Float64Array;
}

const registry = new Map<string, Op<never>>();
export function defineOp<A>(op: Op<A>): Op<A> {
  registry.set(op.name, op as unknown as Op<never>);
  return op;
}
export const opNames = (): string[] => [...registry.keys()];
// biome-ignore lint/suspicious/noExplicitAny: heterogeneous registry
export function opOf(node: Node): Op<any> {
  const op = registry.get(node.op);
  if (!op) throw new Error(`unknown op ${node.op}`);
  return op;
}

let counter = 0;
/** Restarts node numbering, so that one model traced twice gives the same graph. */
export const resetNodes = (): void => {
  counter = 0;
};
/** The id that the next node gets. */
export const nextId = (): number => counter;
let where: Where = { region: '', site: null };
let capture = true;

/** Runs f with every node made inside attributed to `w` (used by the compiler's passes). */
export function attributed<T>(w: Where, f: () => T): T {
  const saved = where;
  const savedCapture = capture;
  where = w;
  capture = false;
  try {
    return f();
  } finally {
    where = saved;
    capture = savedCapture;
  }
}

export function withRegion<T>(name: string, f: () => T): T {
  const saved = where;
  where = { ...where, region: where.region ? `${where.region} / ${name}` : name };
  try {
    return f();
  } finally {
    where = saved;
  }
}

export const currentRegion = (): string => where.region;

export function here(): Where {
  if (!capture) return where;
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 24;
  const site = new Error('here');
  Error.stackTraceLimit = limit;
  return { region: where.region, site };
}

export function makeNode<A>(op: Op<A>, inputs: readonly Value[], attrs: A): Node {
  const w = here();
  const inTypes = inputs.map(typeOf);
  const fail = (problem: string, fix: string): never => {
    throw opError(op.name, Object.fromEntries(inTypes.map((t, i) => [`input ${i}`, t])), problem, fix, w);
  };
  const types = op.infer(inTypes, attrs, fail);
  return { op: op.name, inputs, attrs, types, region: w.region, site: w.site, id: counter++ };
}

export function make<A>(op: Op<A>, inputs: readonly Value[], attrs: A): Value {
  return { node: makeNode(op, inputs, attrs), out: 0 };
}

/** The same operation on other inputs, keeping region and site. */
export function remake(node: Node, inputs: readonly Value[]): Node {
  if (inputs.every((v, i) => v.node === node.inputs[i]!.node && v.out === node.inputs[i]!.out)) return node;
  const w: Where = { region: node.region, site: node.site };
  return attributed(w, () => makeNode(opOf(node), inputs, node.attrs));
}

/** Nodes that the roots reach, inputs before users, otherwise by id. */
export function topological(roots: readonly Value[]): Node[] {
  const seen = new Set<Node>();
  const order: Node[] = [];
  const stack: { node: Node; next: number }[] = [];
  const push = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    stack.push({ node, next: 0 });
  };
  for (const r of [...roots].sort((a, b) => a.node.id - b.node.id)) {
    push(r.node);
    while (stack.length) {
      const top = stack[stack.length - 1]!;
      if (top.next < top.node.inputs.length) push(top.node.inputs[top.next++]!.node);
      else {
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}

/** Rebuilds the graph under the roots: `f` gets each node with its inputs already rebuilt and returns its outputs. */
export function transform(roots: readonly Value[], f: (node: Node, original: Node) => readonly Value[]): Value[] {
  const done = new Map<Node, readonly Value[]>();
  for (const n of topological(roots)) {
    const inputs = n.inputs.map((v) => done.get(v.node)![v.out]!);
    done.set(n, f(remake(n, inputs), n));
  }
  return roots.map((r) => done.get(r.node)![r.out]!);
}

export const valuesOf = (node: Node): Value[] => node.types.map((_, out) => ({ node, out }));
