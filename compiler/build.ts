// Build: a model's settings in, an artifact's files out. The same input gives the same bytes.
import { typeOf } from '../dsl/graph.ts';
import type { ModelSpec } from '../dsl/model.ts';
import {
  type Entry,
  FORMAT,
  type Manifest,
  type MemoryPlan,
  type Parameter,
  type Port,
  type Schedule,
} from '../runtime/manifest.ts';
import { packManifest } from '../runtime/manifest-pack.ts';
import { allocation, arenaBytes, PARAM_STRIDE } from '../runtime/memory.ts';
import { WASM_PAGE } from '../runtime/program.ts';
import { bundleRuntime } from './bundle.ts';
import { compileProgram, programEnd, programTable, type Sections, WasmEmitter } from './emit-wasm.ts';
import { WebGpuEmitter } from './emit-webgpu.ts';
import { type Fitted, fitAll } from './fit.ts';
import { sha256 } from './hash.ts';
import { layOut, type PlannedProgram, placeParameters } from './layout.ts';
import { type CompiledEntry, compileEntry, compileUpdate, type Log } from './pipeline.ts';
import { print } from './print.ts';
import type { Program } from './program.ts';
import { resolveSettings, type SettingsOptions } from './settings.ts';
import { type TracedModel, trace } from './trace.ts';

export interface BuildOptions extends SettingsOptions {
  readonly entries?: readonly string[];
  /** Bytes that everything the plan allocates may take. */
  readonly memory?: number;
  /** What the WebGPU plan may ask of an adapter, in bytes. Default: WebGPU's own defaults, 128 MiB and 256 MiB. */
  readonly limits?: { readonly maxStorageBufferBindingSize?: number; readonly maxBufferSize?: number };
  /** Check the graph between passes (tests do). */
  readonly verify?: boolean;
  /** Default both; tests of one target leave the other out. */
  readonly targets?: readonly ('webgpu' | 'wasm')[];
  readonly log?: Log;
  readonly onProgress?: (stage: string) => void;
}

export interface Built {
  readonly manifest: Manifest;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Milliseconds per stage. */
  readonly ms: Readonly<Record<string, number>>;
}

/** WebGPU's default limits: every artifact runs inside them where its tensors allow. */
const DEFAULT_BINDING = 128 * 2 ** 20;
const DEFAULT_BUFFER = 256 * 2 ** 20;

export async function build<S extends object>(spec: ModelSpec<S>, options: BuildOptions = {}): Promise<Built> {
  const ms: Record<string, number> = {};
  const stage = async <T>(name: string, f: () => T | Promise<T>): Promise<T> => {
    options.onProgress?.(name);
    const start = performance.now();
    const r = await f();
    ms[name] = (ms[name] ?? 0) + performance.now() - start;
    return r;
  };
  const settings = resolveSettings(spec, options);
  const model = await stage('trace', () => trace(spec, settings, options.entries));
  const entries = await stage('compile', () => model.entries.map((e) => compileEntry(model, e, options)));
  const words = placeParameters(model).trainable / 4;
  const sections = entries.flatMap((e) => programsOf(e, words, options));
  const text = new TextEncoder();
  const rest = new Map<string, Uint8Array>();
  if (model.preprocess) rest.set('preprocess.json', text.encode(`${JSON.stringify(model.preprocess, null, 2)}\n`));
  const bundle = await stage('bundle', () =>
    bundleRuntime(
      entries.map(({ entry: { name, inputs, outputs, loss } }) => ({
        name,
        inputs,
        outputs: Object.entries(outputs).map(([output, value]) => ({ name: output, type: typeOf(value) })),
        loss,
      })),
      model.preprocess !== null && 'classes' in model.preprocess,
    ),
  );
  for (const [path, code] of bundle) rest.set(path, code);
  const graphHash = sha256(text.encode(entries.map((e) => print(e.entry.outputs)).join('\n')));

  // What lies beside the arenas is known only when all is emitted: a plan without a promise tells it.
  const plan = (promise?: MemoryPromise) => stage('plan', () => planAll(model, entries, sections, promise, options));
  const easy = await plan();
  let made = await assemble(easy);
  if (options.memory !== undefined) {
    const most = (m: Manifest): number => Math.max(...Object.values(m.memory.training));
    let beside = most(made.manifest) - arenaBytes(made.manifest);
    for (let over = most(made.manifest) - options.memory; over > 0; ) {
      made = await assemble(await plan({ bytes: options.memory, beside, easy }));
      over = most(made.manifest) - options.memory;
      beside += Math.max(0, over);
    }
  }
  return { ...made, ms };

  async function assemble(programs: readonly Planned[]): Promise<Omit<Built, 'ms'>> {
    const layout = layOut(model, entries, programs);
    const targets = new Set(options.targets ?? ['webgpu', 'wasm']);
    const webgpu = new WebGpuEmitter({
      maxStorageBufferBindingSize: options.limits?.maxStorageBufferBindingSize ?? DEFAULT_BINDING,
    });
    const wasm = new WasmEmitter();
    const table = await stage('emit', () =>
      programTable(
        entries.map((e) =>
          emitEntry(e, programs, layout, targets.has('webgpu') ? webgpu : null, targets.has('wasm') ? wasm : null),
        ),
      ),
    );
    const { plain, relaxed } = await stage('asc', () => compileProgram(wasm.source(table)));
    const files = new Map<string, Uint8Array>();
    for (const [path, code] of webgpu.finish()) files.set(path, text.encode(code));
    files.set('program.wasm', plain);
    files.set('program.relaxed.wasm', relaxed);
    for (const [path, data] of rest) files.set(path, data);

    const parts = {
      parameters: parameterTable(model, layout.parameters),
      arenas: layout.arenas,
      entries: Object.fromEntries(entries.map((e, i) => [e.entry.name, entryTable(model, e, i, programs, layout)])),
      kernels: webgpu.kernels,
      dispatches: webgpu.dispatches,
      wasm: { scratchBytesPerThread: Math.ceil(wasm.scratch / 256) * 256, functions: wasm.functions },
    };
    const end = await programEnd(plain, layout.arenas.length);
    const manifest: Manifest = {
      format: FORMAT,
      generator: 't3dc 0.1.0',
      model: { name: model.name, settings: model.settings, dialects: spec.dialects ?? [] },
      graphHash,
      ...parts,
      requires: {
        maxBufferSize: Math.max(...layout.arenas.map((a) => a.bytes)),
        maxStorageBufferBindingSize: webgpu.largestBinding,
        maxStorageBuffersPerShaderStage: 8,
      },
      memory: {
        promise: options.memory ?? null,
        training: allocation(parts, end),
        inference: allocation(parts, end, new Set(['forward'])),
      },
      preprocess: model.preprocess,
      files: Object.fromEntries(
        [...files]
          .sort(([x], [y]) => (x < y ? -1 : 1))
          .map(([path, data]) => [path, { sha256: sha256(data), bytes: data.length }]),
      ),
    };
    files.set('manifest.json', text.encode(`${JSON.stringify(packManifest(manifest))}\n`));
    return { manifest, files };
  }
}

interface Unplanned {
  readonly entry: string;
  readonly kind: PlannedProgram['kind'];
  readonly program: Program;
}
type Planned = PlannedProgram & { readonly entry: string };

function programsOf(e: CompiledEntry, words: number, o: BuildOptions): Unplanned[] {
  const entry = e.entry.name;
  const list: Unplanned[] = [{ entry, kind: 'forward', program: e.forward }];
  if (e.grad) list.push({ entry, kind: 'grad', program: e.grad });
  if (e.grad && e.entry.optimizer) list.push({ entry, kind: 'update', program: compileUpdate(e.entry, words, o) });
  return list;
}

interface MemoryPromise {
  readonly bytes: number;
  /** Bytes of what is no arena in the easy plan. */
  readonly beside: number;
  readonly easy: readonly Planned[];
}

/** Recomputation and places for all programs, inside a promise where one is given. */
function planAll(
  model: TracedModel,
  entries: readonly CompiledEntry[],
  sections: readonly Unplanned[],
  promise: MemoryPromise | undefined,
  o: BuildOptions,
): Planned[] {
  const planned = (fitted: readonly Fitted[]): Planned[] => sections.map((s, i) => ({ ...s, ...fitted[i]! }));
  return planned(
    fitAll(
      sections.map((s) => s.program),
      promise?.bytes,
      (fitted) => {
        const arenas = arenaBytes({ arenas: layOut(model, entries, planned(fitted)).arenas });
        // Kernels that run again have parameter blocks (a few where they are cut into slabs) and a place in the program's
        // table, and WebAssembly's memory comes in pages.
        const more = fitted.reduce(
          (n, f, i) => n + Math.max(0, f.program.kernels.length - promise!.easy[i]!.program.kernels.length),
          0,
        );
        return promise!.beside + arenas + (more > 0 ? 4 * PARAM_STRIDE * more + WASM_PAGE : 0);
      },
      { maxArena: o.limits?.maxBufferSize ?? DEFAULT_BUFFER, verify: o.verify, log: o.log },
    ),
  );
}

function emitEntry(
  e: CompiledEntry,
  programs: readonly Planned[],
  layout: ReturnType<typeof layOut>,
  webgpu: WebGpuEmitter | null,
  wasm: WasmEmitter | null,
): Sections {
  const of = (kind: PlannedProgram['kind']) => {
    const p = programs.find((x) => x.entry === e.entry.name && x.kind === kind);
    if (!p) return null;
    const place = (t: Parameters<typeof layout.place>[3]) => layout.place(e.entry.name, kind, p.plan, t);
    // parameters are bound read-only where nothing writes them
    const readOnly = new Set(
      kind === 'update' ? [] : p.program.tensors.filter((t) => t.home.kind === 'parameter').map((t) => t.id),
    );
    return {
      wasm: wasm?.program(p.program, place) ?? null,
      webgpu: webgpu?.program(p.program, readOnly, place) ?? null,
    };
  };
  const [forward, grad, update] = [of('forward')!, of('grad'), of('update')];
  return {
    wasm: { forward: forward.wasm, grad: grad?.wasm ?? null, update: update?.wasm ?? null },
    webgpu: { forward: forward.webgpu, grad: grad?.webgpu ?? null, update: update?.webgpu ?? null },
  };
}

function parameterTable(m: TracedModel, places: ReadonlyMap<string, Parameter['place']>): Parameter[] {
  return [...m.parameters.values()].map(({ info }) => ({
    name: info.name,
    shape: info.axes.map((a) => a.size),
    permutation: info.permutation,
    init: info.init,
    trainable: info.trainable,
    place: places.get(info.name)!,
  }));
}

function entryTable(
  m: TracedModel,
  e: CompiledEntry,
  index: number,
  programs: readonly Planned[],
  layout: ReturnType<typeof layOut>,
): Entry {
  const port = (name: string, key: string, type: ReturnType<typeof typeOf>): Port => ({
    name,
    axes: type.axes.map((a) => a.name),
    shape: type.axes.map((a) => a.size),
    dtype: type.dtype,
    place: layout.port(e.entry.name, key),
  });
  const find = (kind: PlannedProgram['kind']): Planned | undefined =>
    programs.find((p) => p.entry === e.entry.name && p.kind === kind);
  const memory = (p: Planned | undefined, kind: PlannedProgram['kind']): MemoryPlan | null =>
    p
      ? {
          peak: p.plan.peak,
          allocated: p.plan.arenas.reduce((s, b) => s + b, 0),
          tensors: p.plan.live.map((l) => {
            const place = layout.place(e.entry.name, kind, p.plan, l.tensor);
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
          again: p.again && { ...p.again, without: p.again.without.map((b) => Math.round(b / 1024)) },
        }
      : null;
  const flops = (p: Planned | undefined): number => p?.program.kernels.reduce((s, k) => s + k.flops, 0) ?? 0;
  const names = [...m.parameters.keys()];
  const opt = e.entry.optimizer;
  const s = e.entry.schedule;
  const schedule: Schedule = { kind: s.kind, warmup: s.warmup ?? 0, total: s.total ?? 0, power: s.power ?? 1 };
  return {
    index,
    inputs: e.entry.inputs.map((i) => port(i.name, i.name, i.type)),
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
        }
      : null,
    memory: { forward: memory(find('forward'), 'forward')!, grad: memory(find('grad'), 'grad') },
    flops: { forward: flops(find('forward')), grad: flops(find('grad')) },
  };
}
