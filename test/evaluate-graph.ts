// Float64 evaluation of a graph by the primitives' own references: what a program means, with no compiler in between. Slow on
// purpose (every view is copied, every contraction a plain loop), so for small shapes.
import { differentiate } from '../dsl/differentiate.ts';
import { make, type Node, opOf, topological, typeOf, type Value } from '../dsl/graph.ts';
import { input } from '../dsl/ops/leaf.ts';
import type { ParameterInfo } from '../dsl/scope.ts';
import { Tensor } from '../dsl/tensor.ts';
import { type DType, numel, show } from '../dsl/types.ts';

/** Row-major values of inputs and parameters (in stored layout) by name. */
export type Leaves = Readonly<Record<string, ArrayLike<number>>>;

export interface EvaluateOptions {
  /** Step scalars by slot: `seedLo`, `step`, `lr`, `t`, … Default 0. */
  readonly step?: Readonly<Record<string, number>>;
}

const LEAVES = new Set(['input', 'parameter', 'arena']);

/** Values of the roots, in their order. A leaf's own value is freed with the others once nobody reads it. */
export function evaluate(roots: readonly Value[], leaves: Leaves, options: EvaluateOptions = {}): Float64Array[] {
  const order = topological(roots);
  const uses = new Map<Node, number>();
  for (const v of [...roots, ...order.flatMap((n) => n.inputs)]) uses.set(v.node, (uses.get(v.node) ?? 0) + 1);
  const values = new Map<Node, readonly Float64Array[]>();
  const leaf = (node: Node): Float64Array => {
    const given = leaves[node.attrs.name];
    const expected = numel(node.types[0]!);
    if (!given)
      throw new Error(
        `no value for ${node.op} '${node.attrs.name}' ${show(node.types[0]!)}; given: ${Object.keys(leaves).join(', ')}`,
      );
    if (given.length !== expected)
      throw new Error(`${node.op} '${node.attrs.name}': ${given.length} values for ${show(node.types[0]!)}`);
    return Float64Array.from(given);
  };
  for (const node of order) {
    if (LEAVES.has(node.op)) values.set(node, [leaf(node)]);
    else {
      const inputs = node.inputs.map((v) => values.get(v.node)![v.out]!);
      values.set(
        node,
        opOf(node).evaluate(inputs, node.inputs.map(typeOf), node.attrs, node.types, {
          step: options.step ?? {},
          leaf,
        }),
      );
    }
    for (const v of node.inputs) {
      const left = uses.get(v.node)! - 1;
      uses.set(v.node, left);
      if (left === 0) values.delete(v.node);
    }
  }
  return roots.map((r) => values.get(r.node)![r.out]!);
}

/** An input of a graph under test: `leaf('x', { b: 2, c: 3 })`. */
export function leaf(name: string, axes: Readonly<Record<string, number>>, dtype: DType = 'f32'): Tensor {
  const type = { dtype, axes: Object.entries(axes).map(([n, size]) => ({ name: n, size })) };
  return new Tensor(make(input, [], { name, type }));
}

/**
 * Output of `y` and the gradients of Σ y·cotangent by `wrt`. Where no gradient flows the entry is null.
 * `cotangent`: values in y's order; ones where it is left out.
 */
export function evaluateWithGradients(
  y: Tensor,
  wrt: readonly Tensor[],
  leaves: Leaves,
  cotangent?: ArrayLike<number>,
  options: EvaluateOptions = {},
): { y: Float64Array; gradients: (Float64Array | null)[] } {
  const dy = cotangent ? make(input, [], { name: 'dy', type: y.type }) : undefined;
  const back = differentiate(
    y.value,
    wrt.map((t) => t.value),
    dy,
  );
  const flowing = back.filter((v): v is Value => v !== null);
  const [out, ...rest] = evaluate([y.value, ...flowing], cotangent ? { ...leaves, dy: cotangent } : leaves, options);
  let i = 0;
  return { y: out!, gradients: back.map((v) => (v ? rest[i++]! : null)) };
}

/** A parameter's values from the checkpoint's order to the stored one, or back. */
export function reorder(info: ParameterInfo, values: ArrayLike<number>, to: 'stored' | 'checkpoint'): Float64Array {
  const shape = info.axes.map((a) => a.size);
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((p, n) => p * n, 1));
  const out = new Float64Array(values.length);
  const at = shape.map(() => 0);
  for (let stored = 0; stored < out.length; stored++) {
    const checkpoint = info.permutation.reduce((s, axis, i) => s + strides[axis]! * at[i]!, 0);
    if (to === 'stored') out[stored] = values[checkpoint]!;
    else out[checkpoint] = values[stored]!;
    for (let i = at.length - 1; i >= 0; i--) {
      if (++at[i]! < shape[info.permutation[i]!]!) break;
      at[i] = 0;
    }
  }
  return out;
}
