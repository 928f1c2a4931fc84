// Where parameters lie in their arenas. Gradients and optimiser states lie at the same offsets of theirs, so that one kernel
// over whole arenas updates the model.
//
// Parameters with factors of their own (EntrySpec.groups) are brought together: first by the factors that the entries give
// them, then in the model's order, and what has other factors begins on another row. So a row of ROW words has one learning
// rate, and the update finds it by comparing the row's number with a few constants: no table to keep, bind and read beside
// the up to eight arenas that the kernel binds already, and no kernel for each group. A model without groups lies as it always did.
import { ModelError } from '../dsl/errors.ts';
import type { Node } from '../dsl/graph.ts';
import { byteLength } from '../dsl/types.ts';
import { align } from './lifetimes.ts';
import type { TracedEntry, TracedModel } from './trace.ts';

/** Words of a row of the flat arenas. */
export const ROW = 1024;

/** Factors of the learning rate and of the weight decay. A rate of 0: left as it is. */
export interface Factors {
  readonly lr: number;
  readonly weightDecay: number;
}

/** Rows from `first` on, up to the next one's. */
export interface RowFactors extends Factors {
  readonly first: number;
}

export interface Placement {
  readonly places: ReadonlyMap<string, { readonly frozen: boolean; readonly offset: number; readonly bytes: number }>;
  /** Bytes of the arena of trainable parameters: whole rows, four at a time. */
  readonly trainable: number;
  readonly frozen: number;
  /** By entry with an optimiser, from row 0 on. */
  readonly rows: ReadonlyMap<string, readonly RowFactors[]>;
}

/** @throws ModelError `model-groups` for a group that no parameter of its entry is in */
export function placeParameters(m: TracedModel): Placement {
  const entries = m.entries.filter((e) => e.optimizer);
  const factors = new Map(entries.map((e) => [e.name, factorsOf(e, m)]));
  const keyOf = (name: string): string => JSON.stringify(entries.map((e) => factors.get(e.name)!.get(name)));

  const places = new Map<string, { frozen: boolean; offset: number; bytes: number }>();
  const together = new Map<string, string[]>();
  let frozen = 0;
  for (const [name, { info, value }] of m.parameters) {
    if (info.trainable) together.set(keyOf(name), [...(together.get(keyOf(name)) ?? []), name]);
    else {
      const bytes = byteLength(value.node.types[0]!);
      places.set(name, { frozen: true, offset: frozen, bytes });
      frozen += align(bytes);
    }
  }
  const rows = new Map<string, RowFactors[]>(entries.map((e) => [e.name, []]));
  let end = 0;
  for (const names of together.values()) {
    const row = Math.ceil(end / (4 * ROW));
    end = row * 4 * ROW;
    for (const e of entries) {
      const own = factors.get(e.name)!.get(names[0]!)!;
      const last = rows.get(e.name)!.at(-1);
      if (last?.lr !== own.lr || last.weightDecay !== own.weightDecay) rows.get(e.name)!.push({ first: row, ...own });
    }
    for (const name of names) {
      const bytes = byteLength(m.parameters.get(name)!.value.node.types[0]!);
      places.set(name, { frozen: false, offset: end, bytes });
      end += align(bytes);
    }
  }
  return { places, trainable: Math.ceil(end / (4 * ROW)) * 4 * ROW, frozen: align(frozen), rows };
}

/** Whether a group of the entry holds a parameter as it is: no gradient of it is computed, nor counted in the norm that clips. */
export function holds(entry: TracedEntry): (name: string) => boolean {
  const patterns = entry.groups.filter((g) => g.lr === 0).map((g) => new RegExp(g.match));
  return (name) => patterns.some((p) => p.test(name));
}

/** Of every trainable parameter of the model. What the loss does not read stays as it is, as torch.optim leaves what has no
 *  gradient: no decay, and nothing of an older gradient that another entry left there. */
function factorsOf(entry: TracedEntry, m: TracedModel): Map<string, Factors> {
  const read = parametersUnder(entry);
  const groups = entry.groups.map((g) => ({ ...g, pattern: new RegExp(g.match), found: false }));
  const factors = new Map<string, Factors>();
  for (const [name, { info }] of m.parameters) {
    if (!info.trainable) continue;
    let [lr, weightDecay] = [read.has(name) ? 1 : 0, 1];
    for (const g of groups) {
      if (!read.has(name) || !g.pattern.test(name)) continue;
      g.found = true;
      lr *= g.lr ?? 1;
      weightDecay *= g.weightDecay ?? 1;
    }
    factors.set(name, lr === 0 ? { lr: 0, weightDecay: 0 } : { lr, weightDecay });
  }
  const lost = groups.find((g) => !g.found);
  if (lost) {
    const known = [...m.parameters.keys()].filter((name) => read.has(name));
    throw new ModelError(
      'model-groups',
      [
        `entry '${entry.name}': no parameter that its loss reads matches the group '${lost.match}'`,
        `  found: ${known.slice(0, 6).join(', ')}${known.length > 6 ? `, … (${known.length})` : ''}`,
        '  fix: match the names as they stand in a checkpoint, or leave the group out',
      ].join('\n'),
    );
  }
  return factors;
}

/** Names of the parameters that the entry's loss is computed from. */
function parametersUnder(entry: TracedEntry): Set<string> {
  const names = new Set<string>();
  const seen = new Set<Node>();
  const open = [entry.outputs[entry.loss!]!.node];
  for (let node = open.pop(); node; node = open.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (node.op === 'parameter') names.add((node.attrs as { name: string }).name);
    if (node.op !== 'stopGradient') open.push(...node.inputs.map((v) => v.node));
  }
  return names;
}
