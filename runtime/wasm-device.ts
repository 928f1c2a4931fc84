// The wasm device: arenas in one shared memory, kernels on one thread or several.
// Memory: [static data][session block][scratch per thread][kept arenas][shared arenas]; it grows when a section is first used.
import { ALL_SECTIONS, arenaUse } from './arenas.ts';
import type { Artifact } from './artifact.ts';
import {
  type Device,
  type DeviceInfo,
  type OpTime,
  type RunMode,
  type RunSettings,
  SECTIONS_OF,
  type SectionKind,
} from './device.ts';
import { concurrency, isNode, isPage } from './environment.ts';
import { bytes, messageOf, T3dcError } from './errors.ts';
import { type Manifest, type Place, UNIT } from './manifest.ts';
import { MOST_THREADS } from './memory.ts';
import {
  alignUp,
  importedPages,
  instantiate,
  MODES,
  SECTION_INDEX,
  SessionBlock,
  WASM_LIMIT,
  WASM_PAGE,
} from './program.ts';
import * as L from './scheduler/layout.ts';
import { ThreadPool, threadsAllowed } from './wasm-threads.ts';
import type { WindowAxis } from './windows.ts';

export interface WasmOptions {
  /** Default: logical processors, at most 8; one where threads are not allowed. */
  readonly threads?: number;
  readonly onNotice: (message: string) => void;
  /** Browsers: makes the worker of a thread. */
  readonly worker?: () => Worker;
}

const PLAIN = 'program.wasm';
const RELAXED = 'program.relaxed.wasm';

export class WasmDevice implements Device {
  readonly info: DeviceInfo;
  readonly #artifact: Artifact;
  readonly #manifest: Manifest;
  readonly #memory: WebAssembly.Memory;
  readonly #block: SessionBlock;
  readonly #pool: ThreadPool | null;
  /** Byte address per arena, 0 while it has no memory. */
  readonly #bases: number[];
  #sections: ReadonlySet<SectionKind> = new Set();
  /** Where kept arenas end and shared ones begin. */
  #keptEnd: number;
  /** Where all arenas end; 0 before any is allocated. */
  #end = 0;

  private constructor(
    artifact: Artifact,
    memory: WebAssembly.Memory,
    block: SessionBlock,
    pool: ThreadPool | null,
    end: number,
    info: DeviceInfo,
  ) {
    this.#artifact = artifact;
    this.#manifest = artifact.manifest;
    this.#memory = memory;
    this.#block = block;
    this.#pool = pool;
    this.#bases = artifact.manifest.arenas.map(() => 0);
    this.#keptEnd = end;
    this.info = info;
  }

  /** Throws T3dcError: 'no-wasm-features', 'limits', 'out-of-memory', 'bad-artifact', 'device-error'. */
  static async open(artifact: Artifact, options: WasmOptions): Promise<WasmDevice> {
    const { manifest } = artifact;
    if (manifest.precision === 'f16')
      options.onNotice('this artifact stores f16 on WebGPU; WebAssembly computes and stores f32');
    const threads = await threadCount(options);
    const { code, relaxed } = await chooseProgram(artifact);
    const module = await WebAssembly.compile(code as BufferSource);
    const scratchEach = alignUp(manifest.wasm.scratchBytesPerThread, UNIT);
    const staticPages = importedPages(code);
    // The session block is a few times the static data (the table) at most; the rest is known exactly.
    const reserve = Math.max(16 * 2 ** 20, 8 * staticPages * WASM_PAGE);
    const { kept, shared } = arenaUse(manifest, ALL_SECTIONS, 'wasm');
    const sum = (arenas: readonly number[]): number =>
      arenas.reduce((n, i) => n + alignUp(manifest.arenas[i]!.bytes, UNIT), 0);
    const all = sum(kept) + Math.max(0, ...shared.map(sum));
    const most = Math.min(65536, staticPages + Math.ceil((reserve + threads * scratchEach + all) / WASM_PAGE));
    const memory = createMemory(staticPages, most);
    const program = await instantiate(module, memory, manifest);
    const s = alignUp(program.heapBase() >>> 0, UNIT);
    const sessionEnd = s + (program.sessionBytes(manifest.arenas.length) >>> 0);
    const end = sessionEnd + threads * scratchEach;
    growTo(memory, end);
    program.createSession(s, manifest.arenas.length);
    const block = new SessionBlock(program, memory, s);
    block.setU32(L.SCRATCH, sessionEnd);
    block.setU32(L.THREADS, threads);
    block.setU32(L.MAY_WAIT, isPage ? 0 : 1);
    // One thread runs where it is called, but never on a page's main thread if that can be helped.
    const inline = threads === 1 && (isNode || !isPage || !threadsAllowed());
    const start = { module, memory, s, generation: block.u32(L.GENERATION) };
    if (!inline) block.setU32(L.MAY_WAIT, 1);
    const pool = inline ? null : await ThreadPool.start(threads, start, options.worker);
    if (inline && isPage)
      options.onNotice('wasm runs on the page itself and blocks it: the page is not cross-origin isolated');
    const description = `wasm${relaxed ? ' (relaxed SIMD)' : ''}, ${threads} thread${threads === 1 ? '' : 's'}`;
    return new WasmDevice(artifact, memory, block, pool, end, {
      kind: 'wasm',
      description,
      threads,
      features: relaxed ? ['relaxed-simd'] : [],
    });
  }

  get windowAxis(): WindowAxis {
    return this.#block.program;
  }

  async require(entry: string, mode: RunMode): Promise<void> {
    this.#block.needSections(entry, this.#manifest.entries[entry]!.index, 'wasm', mode);
    return this.allocate(SECTIONS_OF[mode]);
  }

  async allocate(sections: readonly SectionKind[]): Promise<void> {
    const isNew = sections.some((k) => !this.#sections.has(k));
    if (!isNew && this.#end > 0) return;
    const wanted = new Set([...this.#sections, ...sections]);
    const { kept, shared } = arenaUse(this.#manifest, wanted, 'wasm');
    const added = kept.filter((i) => this.#bases[i] === 0);
    // Kept arenas grow into where scratch was: nothing in scratch outlives a run.
    const bases = [...this.#bases];
    const place = (arenas: readonly number[], from: number): number => {
      let at = from;
      for (const i of arenas) {
        bases[i] = at;
        at += alignUp(this.#manifest.arenas[i]!.bytes, UNIT);
      }
      return at;
    };
    const keptEnd = place(added, this.#keptEnd);
    const end = Math.max(keptEnd, ...shared.map((arenas) => place(arenas, keptEnd)));
    checkLimit(end, this.#manifest, [...kept, ...shared.flat()]);
    growTo(this.#memory, end);
    this.#sections = wanted;
    this.#keptEnd = keptEnd;
    this.#end = end;
    const table = this.#block.u32(L.ARENA_BASES);
    const view = this.#block.view;
    bases.forEach((base, i) => {
      this.#bases[i] = base;
      view.setUint32(table + 4 * i, base, true);
    });
    const bad = this.#block.program.resolve(this.#block.s) >>> 0;
    if (bad !== 0)
      throw new T3dcError('bad-artifact', `program.wasm: the table's word ${bad - 1} is no valid op`, {
        hint: 'Build the artifact again.',
      });
    for (const i of added) {
      const { file, bytes: size } = this.#manifest.arenas[i]!;
      this.clear(i, 0, size);
      if (file !== undefined) this.write(i, 0, await this.#artifact.file(file));
    }
  }

  configure(settings: RunSettings): void {
    this.#block.configure(settings);
  }
  get step(): number {
    return this.#block.step;
  }
  set step(step: number) {
    this.#block.step = step;
  }
  get lr(): number {
    return this.#block.lr;
  }
  get allocatedBytes(): number {
    return this.#memory.buffer.byteLength;
  }
  readonly lost = false;
  isAllocated(arena: number): boolean {
    return this.#bases[arena] !== 0;
  }

  write(arena: number, byteOffset: number, data: Uint8Array): void {
    this.#bytes(arena, byteOffset, data.byteLength).set(data);
  }
  clear(arena: number, byteOffset: number, byteLength: number): void {
    this.#bytes(arena, byteOffset, byteLength).fill(0);
  }
  async read(places: readonly Place[]): Promise<Uint8Array[]> {
    return places.map((p) => {
      const copy = new Uint8Array(p.bytes);
      copy.set(this.#bytes(p.arena, p.offset * UNIT, p.bytes));
      return copy;
    });
  }

  async run(entry: string, mode: RunMode, microstep: number): Promise<void> {
    const index = this.#manifest.entries[entry]!.index;
    if (this.#pool) return this.#pool.run(index, MODES[mode], microstep);
    try {
      this.#block.program.run(this.#block.s, index, MODES[mode], microstep);
    } catch (e) {
      throw new T3dcError('device-error', `program.wasm failed: ${messageOf(e)}`, {
        hint: 'Close this session and open a new one.',
        cause: e,
      });
    }
  }

  async profile(entry: string, mode: RunMode): Promise<OpTime[]> {
    this.#block.setU32(L.PROFILE, 1);
    try {
      await this.run(entry, mode, 0);
    } finally {
      this.#block.setU32(L.PROFILE, 0);
    }
    const times = this.#block.times();
    const { index, memory } = this.#manifest.entries[entry]!;
    const out: OpTime[] = [];
    let n = 0;
    for (const kind of SECTIONS_OF[mode]) {
      const plan = kind === 'forward' ? memory.forward : kind === 'grad' ? memory.grad : null;
      const first = out.length;
      for (let i = 0; n + 1 < times.length; i++) {
        const f = this.#block.program.opFunction(this.#block.s, index, SECTION_INDEX[kind], i);
        if (f < 0) break;
        const name = this.#manifest.wasm.functions[f] ?? `function ${f}`;
        out.push({ label: plan?.ops[i] ?? name, kind: name, ms: times[n + 1]! - times[n]!, flops: 0, bytes: 0 });
        n++;
        // The rounds after the first one, on top of it.
        const loop = plan?.repeats.find((r) => r.first + r.count === i + 1);
        for (let again = loop ? (loop.times - 1) * loop.count : 0, k = 0; loop && k < again; k++, n++) {
          const at = first + loop.first + (k % loop.count);
          out[at] = { ...out[at]!, ms: out[at]!.ms + times[n + 1]! - times[n]! };
        }
      }
    }
    return out;
  }

  async close(): Promise<void> {
    if (!this.#pool) return;
    this.#block.program.stop(this.#block.s);
    await this.#pool.terminate();
  }

  #bytes(arena: number, byteOffset: number, byteLength: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, this.#bases[arena]! + byteOffset, byteLength);
  }
}

async function threadCount({ threads }: WasmOptions): Promise<number> {
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
    throw new T3dcError('bad-option', 'threads is not a whole number above 0', { found: threads });
  if (!threadsAllowed()) {
    if (threads !== undefined && threads > 1)
      throw new T3dcError('bad-option', `${threads} threads are not allowed in this page`, {
        hint: 'Serve it with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or use one thread.',
      });
    return 1;
  }
  if (threads !== undefined) return threads;
  const cores = isNode ? (await import('node:os')).availableParallelism() : concurrency();
  return Math.min(MOST_THREADS, cores);
}

async function chooseProgram(artifact: Artifact): Promise<{ code: Uint8Array; relaxed: boolean }> {
  if (artifact.manifest.files[RELAXED]) {
    const code = await artifact.file(RELAXED);
    if (WebAssembly.validate(code as BufferSource)) return { code, relaxed: true };
  }
  const code = await artifact.file(PLAIN);
  if (!WebAssembly.validate(code as BufferSource))
    throw new T3dcError('no-wasm-features', `${PLAIN} is not valid here`, {
      expected: 'WebAssembly with SIMD and threads',
      hint: 'Use Node 20 or later, or a current browser.',
    });
  return { code, relaxed: false };
}

function createMemory(initial: number, maximum: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial, maximum, shared: true });
  } catch (e) {
    throw new T3dcError(
      'out-of-memory',
      `no shared WebAssembly memory of up to ${bytes(maximum * WASM_PAGE)}: ${messageOf(e)}`,
      {
        hint: 'Free memory, or build the artifact for less memory.',
        cause: e,
      },
    );
  }
}

function growTo(memory: WebAssembly.Memory, end: number): void {
  const have = memory.buffer.byteLength;
  if (end <= have) return;
  try {
    memory.grow(Math.ceil((end - have) / WASM_PAGE));
  } catch (e) {
    throw new T3dcError(
      'out-of-memory',
      `WebAssembly memory cannot grow from ${bytes(have)} to ${bytes(end)}: ${messageOf(e)}`,
      {
        hint: 'Free memory, or build the artifact for less memory (--memory).',
        cause: e,
      },
    );
  }
}

function checkLimit(end: number, manifest: Manifest, arenas: readonly number[]): void {
  if (end <= WASM_LIMIT) return;
  const list = arenas.map((i) => `${manifest.arenas[i]!.name} ${bytes(manifest.arenas[i]!.bytes)}`).join(', ');
  throw new T3dcError('limits', `the plan does not fit WebAssembly's 4 GiB: ${list}`, {
    found: `${bytes(end)} in all`,
    expected: `at most ${bytes(WASM_LIMIT)}`,
    hint: `${bytes(end - WASM_LIMIT)} too much: build with a smaller --memory, batch or patch, or use WebGPU.`,
  });
}
