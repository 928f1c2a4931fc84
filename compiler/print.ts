// A graph as text, one line a node: what tests compare and `--explain` shows.
import { opOf, topological, type Value } from '../dsl/graph.ts';
import { show } from '../dsl/types.ts';

/** `%12 = map mul(%3, %11) : f32[b=1 c=24]  # block / gelu` for each node under the named roots. */
export function print(roots: Readonly<Record<string, Value>>): string {
  const ids = new Map<unknown, number>();
  const ref = (v: Value): string => `%${ids.get(v.node)}${v.node.types.length > 1 ? `.${v.out}` : ''}`;
  const lines: string[] = [];
  for (const n of topological(Object.values(roots))) {
    ids.set(n, ids.size);
    const attrs = opOf(n).print(n.attrs);
    const types = n.types.map(show).join(', ');
    lines.push(
      `%${ids.get(n)} = ${n.op}${attrs ? ` ${attrs}` : ''} (${n.inputs.map(ref).join(', ')}) : ${types}${n.region ? `  # ${n.region}` : ''}`,
    );
  }
  for (const [name, v] of Object.entries(roots)) lines.push(`return ${name} = ${ref(v)}`);
  return lines.join('\n');
}
