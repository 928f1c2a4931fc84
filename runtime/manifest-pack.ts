// The manifest as it is written: a page of its thousands of dispatches and live tensors would be half the artifact, so that
// names stand once in `strings`, and rows are tuples. In memory it is a Manifest.
import type { Dispatch, Entry, Manifest, MemoryPlan, SubgroupMatrix } from './manifest.ts';

/** Index into `strings`. */
type Name = number;
/** [label, bytes, first op, last op, arena, offset in units of 256 bytes] */
type PackedTensor = readonly [Name, number, number, number, number, number];

interface PackedPlan extends Omit<MemoryPlan, 'tensors' | 'ops'> {
  readonly tensors: readonly PackedTensor[];
  readonly ops: readonly Name[];
}
interface PackedMemory {
  readonly forward: PackedPlan;
  readonly grad: PackedPlan | null;
}
interface PackedEntry extends Omit<Entry, 'memory'> {
  readonly memory: PackedMemory & { readonly webgpu: PackedMemory | null };
}
/** [name, region, kind, flops, bytes, 1 if it reads the step block, a letter per storage binding (r read, w read and write),
 *  variants] */
type PackedKernel = readonly [Name, Name, Name, number, number, 0 | 1, string, readonly PackedVariant[]];
/** [id, file, constants, features, subgroup size, workgroup storage, invocations]; 0 where a number is not required. Then, where there
 *  is either, the subgroup matrix (0: none), as [component type, result type, M, N, K], and the keys of the adapters that it is for */
type PackedVariant = readonly [
  Name,
  Name,
  readonly number[],
  readonly Name[],
  number,
  number,
  number,
  (PackedMatrix | 0)?,
  (readonly Name[])?,
];
type PackedMatrix = readonly [Name, Name, number, number, number];
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
  const both = (p: { forward: MemoryPlan; grad: MemoryPlan | null }): PackedMemory => ({
    forward: plan(p.forward),
    grad: p.grad && plan(p.grad),
  });
  const entry = (e: Entry): PackedEntry => ({
    ...e,
    memory: { ...both(e.memory), webgpu: e.memory.webgpu && both(e.memory.webgpu) },
  });
  return {
    ...m,
    entries: Object.fromEntries(Object.entries(m.entries).map(([n, e]) => [n, entry(e)])),
    kernels: m.kernels.map((k) => [
      name(k.name),
      name(k.region),
      name(k.kind),
      k.flops,
      k.bytes,
      k.usesStep ? 1 : 0,
      k.bindings.map((b) => (b === 'read' ? 'r' : 'w')).join(''),
      k.variants.map((v): PackedVariant => {
        const packed = [
          name(v.id),
          name(v.file),
          v.constants,
          v.features.map(name),
          v.subgroupSize ?? 0,
          v.workgroupStorage ?? 0,
          v.invocations ?? 0,
        ] as const;
        const x = v.subgroupMatrix;
        const matrix: PackedMatrix | 0 = x ? [name(x.componentType), name(x.resultComponentType), x.M, x.N, x.K] : 0;
        if (v.adapters) return [...packed, matrix, v.adapters.map(name)];
        return matrix ? [...packed, matrix] : packed;
      }),
    ]),
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
  const both = (p: PackedMemory): { forward: MemoryPlan; grad: MemoryPlan | null } => ({
    forward: plan(p.forward),
    grad: p.grad && plan(p.grad),
  });
  const entry = (e: PackedEntry): Entry => ({
    ...e,
    memory: { ...both(e.memory), webgpu: e.memory.webgpu && both(e.memory.webgpu) },
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
    kernels: m.kernels.map(([n, region, kind, flops, bytes, step, bindings, variants]) => ({
      name: name(n),
      region: name(region),
      kind: name(kind),
      flops,
      bytes,
      usesStep: step === 1,
      bindings: [...bindings].map((b) => (b === 'r' ? 'read' : 'read_write')),
      variants: variants.map(
        ([id, file, constants, features, subgroupSize, workgroupStorage, invocations, matrix, adapters]) => ({
          id: name(id),
          file: name(file),
          constants,
          features: features.map(name),
          ...(subgroupSize ? { subgroupSize } : {}),
          ...(matrix ? { subgroupMatrix: matrixOf(matrix, name) } : {}),
          ...(workgroupStorage ? { workgroupStorage } : {}),
          ...(invocations ? { invocations } : {}),
          ...(adapters ? { adapters: adapters.map(name) } : {}),
        }),
      ),
    })),
    dispatches: m.dispatches.map(dispatch),
  };
}

const matrixOf = ([component, result, M, N, K]: PackedMatrix, name: (i: Name) => string): SubgroupMatrix => ({
  componentType: name(component),
  resultComponentType: name(result),
  M,
  N,
  K,
});

const triples = (flat: readonly number[]): [number, number, number][] =>
  Array.from({ length: flat.length / 3 }, (_, i) => [flat[3 * i]!, flat[3 * i + 1]!, flat[3 * i + 2]!]);
