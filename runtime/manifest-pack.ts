// The manifest as it is written: a page of its thousands of dispatches and live tensors would be half the artifact, so that
// names stand once in `strings`, and rows are tuples. In memory it is a Manifest.
import type { Dispatch, Entry, KernelInfo, Manifest, MemoryPlan } from './manifest.ts';

/** Index into `strings`. */
type Name = number;
/** [label, bytes, first op, last op, arena, offset in units of 256 bytes] */
type PackedTensor = readonly [Name, number, number, number, number, number];

interface PackedPlan extends Omit<MemoryPlan, 'tensors' | 'ops'> {
  readonly tensors: readonly PackedTensor[];
  readonly ops: readonly Name[];
}
interface PackedEntry extends Omit<Entry, 'memory'> {
  readonly memory: { readonly forward: PackedPlan; readonly grad: PackedPlan | null };
}
interface PackedKernel extends Omit<KernelInfo, 'name' | 'region' | 'bindings'> {
  readonly name: Name;
  readonly region: Name;
  /** A letter per storage binding: r read, w read and write. */
  readonly bindings: string;
}
/** [kernel, label, [arena, offset, bytes] per binding in one list, parameter words, [x, y, z] per variant in one list] */
type PackedDispatch = readonly [number, Name, readonly number[], readonly number[], readonly number[]];

export interface PackedManifest extends Omit<Manifest, 'entries' | 'kernels' | 'dispatches'> {
  readonly strings: readonly string[];
  readonly entries: Readonly<Record<string, PackedEntry>>;
  readonly kernels: readonly PackedKernel[];
  readonly dispatches: readonly PackedDispatch[];
}

export function packManifest(m: Manifest): PackedManifest {
  const strings: string[] = [];
  const known = new Map<string, number>();
  const name = (s: string): Name => {
    const old = known.get(s);
    if (old !== undefined) return old;
    known.set(s, strings.length);
    return strings.push(s) - 1;
  };
  const plan = (p: MemoryPlan): PackedPlan => ({
    ...p,
    tensors: p.tensors.map((t) => [name(t.label), t.bytes, t.first, t.last, t.arena, t.offset]),
    ops: p.ops.map(name),
  });
  const entry = (e: Entry): PackedEntry => ({
    ...e,
    memory: { forward: plan(e.memory.forward), grad: e.memory.grad && plan(e.memory.grad) },
  });
  return {
    ...m,
    entries: Object.fromEntries(Object.entries(m.entries).map(([n, e]) => [n, entry(e)])),
    kernels: m.kernels.map((k) => ({
      ...k,
      name: name(k.name),
      region: name(k.region),
      bindings: k.bindings.map((b) => (b === 'read' ? 'r' : 'w')).join(''),
    })),
    dispatches: m.dispatches.map((d) => [d.kernel, name(d.label), d.bindings.flat(), d.params, d.grids.flat()]),
    strings,
  };
}

/** Trusts the form; whoever reads a file has checked its keys. */
export function unpackManifest({ strings, ...m }: PackedManifest): Manifest {
  const name = (i: Name): string => strings[i]!;
  const plan = (p: PackedPlan): MemoryPlan => ({
    ...p,
    tensors: p.tensors.map(([label, bytes, first, last, arena, offset]) => ({
      label: name(label),
      bytes,
      first,
      last,
      arena,
      offset,
    })),
    ops: p.ops.map(name),
  });
  const entry = (e: PackedEntry): Entry => ({
    ...e,
    memory: { forward: plan(e.memory.forward), grad: e.memory.grad && plan(e.memory.grad) },
  });
  const dispatch = ([kernel, label, bindings, params, grids]: PackedDispatch): Dispatch => ({
    kernel,
    label: name(label),
    bindings: triples(bindings),
    params,
    grids: triples(grids),
  });
  return {
    ...m,
    entries: Object.fromEntries(Object.entries(m.entries).map(([n, e]) => [n, entry(e)])),
    kernels: m.kernels.map((k) => ({
      ...k,
      name: name(k.name),
      region: name(k.region),
      bindings: [...k.bindings].map((b) => (b === 'r' ? 'read' : 'read_write')),
    })),
    dispatches: m.dispatches.map(dispatch),
  };
}

const triples = (flat: readonly number[]): [number, number, number][] =>
  Array.from({ length: flat.length / 3 }, (_, i) => [flat[3 * i]!, flat[3 * i + 1]!, flat[3 * i + 2]!]);
