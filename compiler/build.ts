// Build: a model's settings in, an artifact's files out. The same input gives the same bytes.
import { typeOf } from '../dsl/graph.ts';
import type { ModelSpec } from '../dsl/model.ts';
import { FORMAT, type Manifest } from '../runtime/manifest.ts';
import { packManifest } from '../runtime/manifest-pack.ts';
import { allocation, arenaBytes } from '../runtime/memory.ts';
import { bundleRuntime } from './bundle.ts';
import { compileProgram, programEnd, programTable, WasmEmitter } from './emit-wasm.ts';
import { WebGpuEmitter } from './emit-webgpu.ts';
import type { FitOptions } from './fit.ts';
import { sha256 } from './hash.ts';
import { layOut } from './layout.ts';
import { compileEntry, type Log, type Options } from './pipeline.ts';
import { placeParameters } from './placement.ts';
import { print } from './print.ts';
import { type MemoryPromise, type PlannedSection, planSections, sectionsOf } from './sections.ts';
import { resolveSettings, type SettingsOptions } from './settings.ts';
import { emitEntry, entryTable, parameterTable } from './tables.ts';
import { trace } from './trace.ts';
import { shippedTables, type TuningTable } from './tuning.ts';

export interface BuildOptions extends SettingsOptions {
  readonly entries?: readonly string[];
  /** Bytes that everything the plan allocates may take. */
  readonly memory?: number;
  /** What the WebGPU plan may ask of an adapter, in bytes. Default: WebGPU's own defaults, 128 MiB and 256 MiB. */
  readonly limits?: { readonly maxStorageBufferBindingSize?: number; readonly maxBufferSize?: number };
  /** f16: WebGPU programs store halves between kernels and scale the loss; the wasm ones stay f32. Default f32. */
  readonly precision?: 'f32' | 'f16';
  /** On WebGPU, large tensors are computed slab by slab: as far as `memory` asks for it, else for the fewest bytes. */
  readonly slabs?: boolean;
  /** Measured schedules to emit for the adapters that they were measured on. Default: the shipped tables, so that a build does
   *  not depend on the machine; a store of `t3dc tune` is read only where it is named. */
  readonly tuning?: readonly TuningTable[];
  /** Emit every variant of every kernel; default: special ones for the kernels that do most of the work. */
  readonly allVariants?: boolean;
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
  const targets = new Set(options.targets ?? ['webgpu', 'wasm']);
  const model = await stage('trace', () => trace(spec, settings, options.entries));
  const placed = await stage('trace', () => placeParameters(model));
  const half = options.precision === 'f16' && targets.has('webgpu');
  const single: Options = { ...options, precision: 'f32' };
  const entries = await stage('compile', () => model.entries.map((e) => compileEntry(model, e, single)));
  const halves = await stage('compile', () => (half ? model.entries.map((e) => compileEntry(model, e, options)) : []));
  /** WebGPU has programs of its own. */
  const own = half || (options.slabs === true && targets.has('webgpu'));
  const sections = [
    ...entries.flatMap((e) => sectionsOf(e, placed, single, own ? 'wasm' : undefined)),
    ...(own ? (half ? halves : entries).flatMap((e) => sectionsOf(e, placed, half ? options : single, 'webgpu')) : []),
  ];
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
  const fit: FitOptions = {
    maxArena: options.limits?.maxBufferSize ?? DEFAULT_BUFFER,
    verify: options.verify,
    log: options.log,
    ...(options.slabs ? { slabs: options.memory === undefined ? 'smallest' : 'allowed' } : {}),
  };
  const plan = (promise?: MemoryPromise) => stage('plan', () => planSections(model, entries, sections, promise, fit));
  const easy = await plan();
  let made = await assemble(easy);
  if (options.memory !== undefined) {
    const bytes = options.memory;
    const { training } = made.manifest.memory;
    const beside = {
      webgpu: training.webgpu - arenaBytes(made.manifest, 'webgpu'),
      wasm: training.wasm - arenaBytes(made.manifest, 'wasm'),
    };
    const over = (m: Manifest): number =>
      (own ? m.memory.training.webgpu : Math.max(...Object.values(m.memory.training))) - bytes;
    for (let missed = over(made.manifest); missed > 0; ) {
      made = await assemble(await plan({ bytes, beside, easy }));
      missed = over(made.manifest);
      beside.webgpu += Math.max(0, missed);
      beside.wasm += Math.max(0, missed);
    }
  }
  return { ...made, ms };

  async function assemble(programs: readonly PlannedSection[]): Promise<Omit<Built, 'ms'>> {
    const layout = layOut(model, entries, programs);
    const webgpu = new WebGpuEmitter(
      {
        maxStorageBufferBindingSize: options.limits?.maxStorageBufferBindingSize ?? DEFAULT_BINDING,
        allVariants: options.allVariants,
      },
      options.tuning ?? shippedTables(),
    );
    const wasm = new WasmEmitter();
    const table = await stage('emit', () =>
      programTable(
        entries.map((e) =>
          emitEntry(e, programs, layout, targets.has('webgpu') ? webgpu : null, targets.has('wasm') ? wasm : null),
        ),
      ),
    );
    options.log?.('webgpu: schedules', tuningLines(webgpu.tuned));
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
      precision: half ? 'f16' : 'f32',
      graphHash,
      ...parts,
      requires: {
        maxBufferSize: Math.max(...layout.arenas.map((a) => (a.target === 'wasm' ? 0 : a.bytes))),
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

function tuningLines({ kernels, unknown }: WebGpuEmitter['tuned']): string[] {
  const lost = [...unknown].sort();
  return [
    `${kernels} kernels with a schedule that was measured on some adapter`,
    ...(lost.length ? [`in the tables, but not known to this version: ${lost.join(', ')}`] : []),
  ];
}
