// program.wasm on the host's side: its exports and the session block, which runtime/scheduler/layout.ts describes.

import { type RunMode, type RunSettings, SECTIONS_OF, type SectionKind } from './device.ts';
import { T3dcError } from './errors.ts';
import { type Manifest, SCHEDULE_KINDS } from './manifest.ts';
import * as L from './scheduler/layout.ts';
import { seedWords } from './threefry.ts';
import type { WindowAxis } from './windows.ts';

/** Exports of runtime/scheduler/index.ts. Addresses are u32, which wasm hands over as signed. */
export interface ProgramExports extends WindowAxis {
  format(): number;
  entries(): number;
  heapBase(): number;
  sessionBytes(arenas: number): number;
  createSession(s: number, arenas: number): void;
  resolve(s: number): number;
  hasSection(entry: number, target: number, section: number): number;
  configure(
    s: number,
    seedLo: number,
    seedHi: number,
    schedule: number,
    warmup: number,
    total: number,
    power: number,
    lr: number,
    accumulation: number,
  ): void;
  getStep(s: number): number;
  setStep(s: number, step: number): void;
  learningRate(s: number, step: number): number;
  prepare(s: number, microstep: number): void;
  stream(s: number, entry: number, mode: number, microstep: number): number;
  peekStream(s: number, entry: number, mode: number): number;
  run(s: number, entry: number, mode: number, microstep: number): void;
  worker(s: number, t: number, generation: number): void;
  stop(s: number): void;
  opFunction(s: number, entry: number, section: number, i: number): number;
}

export const MODES: Readonly<Record<RunMode, number>> = {
  forward: L.MODE_FORWARD,
  grad: L.MODE_GRAD,
  train: L.MODE_TRAIN,
};
export const SECTION_INDEX: Readonly<Record<SectionKind, number>> = {
  forward: L.SECTION_FORWARD,
  grad: L.SECTION_GRAD,
  update: L.SECTION_UPDATE,
};

export const WASM_PAGE = 65536;
/** 4 GiB less the last page, so that no address passes u32. */
export const WASM_LIMIT = 65535 * WASM_PAGE;
export const alignUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/** Pages that the module's imported memory must have at least (its static data). */
export function importedPages(code: Uint8Array): number {
  let at = 8;
  const leb = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = code[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < code.length) {
    const id = code[at++]!;
    const length = leb();
    const next = at + length;
    if (id !== 2) {
      at = next;
      continue;
    }
    for (let n = leb(); n > 0; n--) {
      for (let names = 2; names > 0; names--) {
        const length = leb();
        at += length;
      }
      const kind = code[at++]!;
      if (kind === 2) {
        leb(); // flags
        return leb();
      }
      if (kind === 0) leb();
      else
        throw new T3dcError('bad-artifact', 'program.wasm imports something other than functions and a memory', {
          found: `kind ${kind}`,
        });
    }
    break;
  }
  throw new T3dcError('bad-artifact', 'program.wasm imports no memory', { hint: 'Build the artifact again.' });
}

/** The imports of program.wasm. */
export function programImports(memory: WebAssembly.Memory): WebAssembly.Imports {
  return {
    env: {
      memory,
      now: () => performance.now(),
      abort: () => {
        throw new Error('program.wasm aborted');
      },
    },
  };
}

/** Instantiates and checks the table against the manifest. Throws T3dcError 'bad-artifact'. */
export async function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  manifest: Manifest,
): Promise<ProgramExports> {
  const exports = (await WebAssembly.instantiate(module, programImports(memory))).exports as unknown as ProgramExports;
  const entries = Object.keys(manifest.entries).length;
  if (exports.format() !== manifest.format || exports.entries() !== entries)
    throw new T3dcError('bad-artifact', 'program.wasm and manifest.json do not belong together', {
      found: `format ${exports.format()}, ${exports.entries()} entries`,
      expected: `format ${manifest.format}, ${entries} entries`,
      hint: 'Build the artifact again.',
    });
  return exports;
}

/** The session block at address `s`. */
export class SessionBlock {
  readonly s: number;
  readonly program: ProgramExports;
  readonly #memory: WebAssembly.Memory;

  constructor(program: ProgramExports, memory: WebAssembly.Memory, s: number) {
    this.program = program;
    this.#memory = memory;
    this.s = s;
  }

  /** The memory's buffer object changes when the memory grows. */
  get view(): DataView {
    return new DataView(this.#memory.buffer as ArrayBuffer);
  }
  u32(offset: number): number {
    return this.view.getUint32(this.s + offset, true);
  }
  setU32(offset: number, value: number): void {
    this.view.setUint32(this.s + offset, value, true);
  }
  configure(settings: RunSettings): void {
    const { seed, schedule, lr, accumulation } = settings;
    const kind = (SCHEDULE_KINDS as readonly string[]).indexOf(schedule.kind);
    if (kind < 0)
      throw new T3dcError('bad-option', 'unknown learning-rate schedule', {
        found: schedule.kind,
        expected: SCHEDULE_KINDS.join(', '),
      });
    const [lo, hi] = seedWords(seed);
    this.program.configure(this.s, lo, hi, kind, schedule.warmup, schedule.total, schedule.power, lr, accumulation);
  }
  get step(): number {
    return this.program.getStep(this.s) >>> 0;
  }
  set step(step: number) {
    this.program.setStep(this.s, step);
  }
  get lr(): number {
    return this.view.getFloat32(this.s + L.LR, true);
  }
  /** Throws T3dcError 'bad-artifact' when the program lacks a section that a mode runs. */
  needSections(entry: string, index: number, target: 'wasm' | 'webgpu', mode: RunMode): void {
    for (const kind of SECTIONS_OF[mode])
      if (!this.program.hasSection(index, target === 'wasm' ? 0 : 1, SECTION_INDEX[kind]))
        throw new T3dcError('bad-artifact', `the artifact holds no ${kind} program of ${entry} for ${target}`, {
          hint: 'Build it with this target, or open it on another device.',
        });
  }
  /** Words of a command stream. */
  stream(words: number): Uint32Array {
    return new Uint32Array(this.#memory.buffer, this.u32(L.STREAM), words);
  }
  /** Clock readings of a profiled run: one before the first op, one after each. Milliseconds. */
  times(): Float64Array {
    return new Float64Array(this.#memory.buffer, this.u32(L.TIMES), this.u32(L.TIME_COUNT)).slice();
  }
}
