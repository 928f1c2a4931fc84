// The manifest's tables of parameters and entries, and an entry's programs as they are emitted.
import { type Node, typeOf, type Value } from '../dsl/graph.ts';
import type { Entry, MemoryPlan, Parameter, Port, Schedule } from '../runtime/manifest.ts';
import type { Sections, WasmEmitter } from './emit-wasm.ts';
import type { WebGpuEmitter } from './emit-webgpu.ts';
import type { layOut } from './layout.ts';
import type { CompiledEntry } from './pipeline.ts';
import { flopsOf } from './program.ts';
import type { PlannedSection, Section } from './sections.ts';
import type { TracedModel } from './trace.ts';

/** Emits the entry's programs on both targets (null: not this one). */
export function emitEntry(
  e: CompiledEntry,
  programs: readonly PlannedSection[],
  layout: ReturnType<typeof layOut>,
  webgpu: WebGpuEmitter | null,
  wasm: WasmEmitter | null,
): Sections {
  const find = (kind: Section['kind'], target: 'webgpu' | 'wasm'): PlannedSection | undefined =>
    programs.find((p) => p.entry === e.entry.name && p.kind === kind && (p.target ?? target) === target);
  const onWasm = (kind: Section['kind']) => {
    const p = find(kind, 'wasm');
    return (p && wasm?.program(p.program, (t) => layout.place(e.entry.name, p, t))) ?? null;
  };
  const onWebGpu = (kind: Section['kind']) => {
    const p = find(kind, 'webgpu');
    if (!p) return null;
    // parameters are bound read-only where nothing writes them
    const readOnly = new Set(
      kind === 'update' ? [] : p.program.tensors.filter((t) => t.home.kind === 'parameter').map((t) => t.id),
    );
    return webgpu?.program(p.program, readOnly, (t) => layout.place(e.entry.name, p, t)) ?? null;
  };
  return {
    wasm: { forward: onWasm('forward'), grad: onWasm('grad'), update: onWasm('update') },
    webgpu: { forward: onWebGpu('forward'), grad: onWebGpu('grad'), update: onWebGpu('update') },
  };
}

export function parameterTable(m: TracedModel, places: ReadonlyMap<string, Parameter['place']>): Parameter[] {
  return [...m.parameters.values()].map(({ info }) => ({
    name: info.name,
    shape: info.axes.map((a) => a.size),
    permutation: info.permutation,
    init: info.init,
    trainable: info.trainable,
    place: places.get(info.name)!,
  }));
}

export function entryTable(
  m: TracedModel,
  e: CompiledEntry,
  index: number,
  programs: readonly PlannedSection[],
  layout: ReturnType<typeof layOut>,
): Entry {
  const port = (name: string, key: string, type: ReturnType<typeof typeOf>): Port => ({
    name,
    axes: type.axes.map((a) => a.name),
    shape: type.axes.map((a) => a.size),
    dtype: type.dtype,
    place: layout.port(e.entry.name, key),
  });
  const find = (kind: Section['kind'], target: 'webgpu' | 'wasm'): PlannedSection | undefined =>
    programs.find((p) => p.entry === e.entry.name && p.kind === kind && (p.target ?? target) === target);
  const memory = (p: PlannedSection | undefined): MemoryPlan | null =>
    p
      ? {
          peak: p.plan.peak,
          allocated: p.plan.arenas.reduce((s, b) => s + b, 0),
          tensors: p.plan.live.map((l) => {
            const place = layout.place(e.entry.name, p, l.tensor);
            return {
              label: l.tensor.label,
              bytes: l.bytes,
              first: l.first,
              last: l.last,
              arena: place.arena,
              offset: place.offset,
            };
          }),
          ops: p.program.kernels.map((k) => k.name),
          repeats: p.program.repeats ?? [],
          again: p.again && { ...p.again, without: p.again.without.map((b) => Math.round(b / 1024)) },
        }
      : null;
  const plans = (target: 'webgpu' | 'wasm') => ({
    forward: memory(find('forward', target))!,
    grad: memory(find('grad', target)),
  });
  const own = programs.some((p) => p.target === 'webgpu');
  const flops = (p: PlannedSection | undefined): number => (p ? flopsOf(p.program) : 0);
  const names = [...m.parameters.keys()];
  const bounds = indexBounds(Object.values(e.entry.outputs));
  const opt = e.entry.optimizer;
  const s = e.entry.schedule;
  const schedule: Schedule = { kind: s.kind, warmup: s.warmup ?? 0, total: s.total ?? 0, power: s.power ?? 1 };
  return {
    index,
    inputs: e.entry.inputs.map((i) => {
      const below = bounds.get(i.value.node);
      return { ...port(i.name, i.name, i.type), ...(below === undefined ? {} : { below }) };
    }),
    outputs: Object.entries(e.entry.outputs).map(([n, v]) => port(n, `out:${n}`, typeOf(v))),
    loss: e.entry.loss,
    parameters: e.uses.map((n) => names.indexOf(n)),
    training: opt
      ? {
          optimizer: opt.name,
          states: opt.states.map((n) => ({ name: n, arena: layout.states.get(n)! })),
          lr: opt.lr,
          schedule,
          settings: opt.settings,
          ...(opt.average === undefined ? {} : { average: opt.average }),
          ...(e.entry.clip === null ? {} : { clip: e.entry.clip }),
          ...(e.entry.groups.length ? { groups: e.entry.groups } : {}),
          ...(e.entry.guard ? { guard: true } : {}),
        }
      : null,
    memory: { ...plans('wasm'), webgpu: own ? plans('webgpu') : null },
    flops: { forward: flops(find('forward', 'webgpu')), grad: flops(find('grad', 'webgpu')) },
  };
}

/** Of what is an index into rows of a table, the number of rows: the least, where there are several. */
function indexBounds(outputs: readonly Value[]): Map<Node, number> {
  const bounds = new Map<Node, number>();
  const seen = new Set<Node>();
  const open = outputs.map((v) => v.node);
  for (let node = open.pop(); node; node = open.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (node.op === 'gather') {
      let index = node.inputs[1]!.node;
      while (index.op === 'view') index = index.inputs[0]!.node;
      const rows = typeOf(node.inputs[0]!).axes[0]!.size;
      bounds.set(index, Math.min(rows, bounds.get(index) ?? rows));
    }
    open.push(...node.inputs.map((v) => v.node));
  }
  return bounds;
}
