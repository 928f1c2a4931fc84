// The graph's legality, checked between passes in development and in tests: every node is what its op's shape rule says.
import { type Node, opOf, topological, typeOf, type Value } from '../dsl/graph.ts';
import { show } from '../dsl/types.ts';

export class VerifyError extends Error {
  readonly code = 'compiler-verify';
}

/** Throws, naming the pass and the node, when a node under the roots breaks its op's rule. */
export function verify(pass: string, roots: readonly Value[]): void {
  const bad = (n: Node, why: string): never => {
    throw new VerifyError(
      `after pass '${pass}': ${n.op} ${opOf(n).print(n.attrs)} (${n.region}): ${why}\n  inputs: ${n.inputs.map((v) => show(typeOf(v))).join(', ')}\n  types: ${n.types.map(show).join(', ')}`,
    );
  };
  for (const n of topological(roots)) {
    for (const v of n.inputs)
      if (v.out >= v.node.types.length) bad(n, `input refers to output ${v.out} of ${v.node.types.length}`);
    const types = opOf(n).infer(n.inputs.map(typeOf), n.attrs, (problem) => bad(n, problem));
    if (types.map(show).join() !== n.types.map(show).join())
      bad(n, `its types should be ${types.map(show).join(', ')}`);
  }
}
