// The scheduler: what every artifact's program.wasm exports. It interprets the generated table over the generated kernel
// switch (./program). No mutable globals, no writable static data: all state is in the session block at `s`
// (./layout), so that one instance per thread can share one memory.
import { factor } from './schedule';
import { runMain, runWorker, stopWorkers } from './run';
import { writeStream } from './stream';
import { layOut, resolveAll, REPEAT, resolvedSection, sectionWord, sessionBytes as bytesOf, word } from './table';
import { count, start } from './windows';
import {
  ACCUMULATION, BASE_LR, LR, MICROSTEP, MICROSTEPS, MODE_TRAIN, POWER, SCHEDULE, SEED_HI, SEED_LO, STEP, STEP_COUNTER, T, TILE, TOTAL, WARMUP,
} from './layout';

/** The table's format number. */
export function format(): u32 {
  return word(0);
}

export function entries(): u32 {
  return word(1);
}

/** First address that the program does not use itself. */
export function heapBase(): usize {
  return __heap_base;
}

/** Bytes of the session block and its areas. */
export function sessionBytes(arenas: u32): usize {
  return bytesOf(arenas);
}

/** Lays out a session at `s` (256-byte aligned, zeroed). Before resolve, the host writes the arena bases, SCRATCH and THREADS. */
export function createSession(s: usize, arenas: u32): void {
  layOut(s, arenas);
  store<u32>(s + MICROSTEPS, 1);
}

/** Writes each wasm op's parameter block. 0, or 1 + the table word of a bad op. */
export function resolve(s: usize): u32 {
  return resolveAll(s);
}

/** Whether an entry has a section. target: 0 wasm, 1 webgpu. */
export function hasSection(entry: u32, target: u32, section: u32): bool {
  return sectionWord(entry, target, section) != 0;
}

export function configure(s: usize, seedLo: u32, seedHi: u32, schedule: u32, warmup: u32, total: u32, power: f64, lr: f64, accumulation: u32): void {
  store<u32>(s + SEED_LO, seedLo);
  store<u32>(s + SEED_HI, seedHi);
  store<u32>(s + SCHEDULE, schedule);
  store<u32>(s + WARMUP, warmup);
  store<u32>(s + TOTAL, total);
  store<f64>(s + POWER, power);
  store<f64>(s + BASE_LR, lr);
  store<u32>(s + MICROSTEPS, accumulation);
}

export function getStep(s: usize): u32 {
  return load<u32>(s + STEP_COUNTER);
}

export function setStep(s: usize, step: u32): void {
  store<u32>(s + STEP_COUNTER, step);
}

/** Learning rate at a step, f64. */
export function learningRate(s: usize, step: u32): f64 {
  return load<f64>(s + BASE_LR) * factor(load<u32>(s + SCHEDULE), step, load<u32>(s + WARMUP), load<u32>(s + TOTAL), load<f64>(s + POWER));
}

/** Fills the step block. */
export function prepare(s: usize, microstep: u32): void {
  const step = getStep(s);
  store<u32>(s + STEP, step);
  store<u32>(s + MICROSTEP, microstep);
  store<f32>(s + LR, <f32>learningRate(s, step));
  store<f32>(s + ACCUMULATION, <f32>load<u32>(s + MICROSTEPS));
  store<f32>(s + T, <f32>(step + 1));
  store<u32>(s + TILE, 0);
}

// @ts-ignore: decorator
@inline
function updates(s: usize, mode: u32, microstep: u32): bool {
  return mode == MODE_TRAIN && microstep + 1 == load<u32>(s + MICROSTEPS);
}

/** webgpu: writes the command stream of a run, returns its words (0: bad table). The last microstep of a training run
 *  updates and advances the step. */
export function stream(s: usize, entry: u32, mode: u32, microstep: u32): u32 {
  prepare(s, microstep);
  const update = updates(s, mode, microstep);
  const words = writeStream(s, entry, mode, update);
  if (update && words != 0) setStep(s, getStep(s) + 1);
  return words;
}

/** webgpu: the stream that a run would need, without advancing (to learn which kernels it uses). */
export function peekStream(s: usize, entry: u32, mode: u32): u32 {
  return writeStream(s, entry, mode, mode == MODE_TRAIN);
}

/** wasm: the main thread's part of a run. */
export function run(s: usize, entry: u32, mode: u32, microstep: u32): void {
  prepare(s, microstep);
  const update = updates(s, mode, microstep);
  runMain(s, entry, mode, update);
  if (update) setStep(s, getStep(s) + 1);
}

/** wasm: thread t's life. */
export function worker(s: usize, t: u32, generation: u32): void {
  runWorker(s, t, generation);
}

/** wasm: ends the worker threads. */
export function stop(s: usize): void {
  stopWorkers(s);
}

/** wasm: function number of kernel i of a section, in the table's order; -1 past the end. */
export function opFunction(s: usize, entry: u32, section: u32, i: u32): i32 {
  const at = resolvedSection(s, entry, section);
  if (at == 0) return -1;
  let record = at + 16;
  for (let j: u32 = 0, n = load<u32>(at); j < n; j++, record += load<u32>(record, 4)) {
    if (load<u32>(record) == REPEAT) continue;
    if (i == 0) return load<u32>(record);
    i--;
  }
  return -1;
}

/** Sliding windows along one axis. */
export function windowCount(size: u32, roi: u32, overlap: f64): u32 {
  return count(size, roi, overlap);
}

export function windowStart(size: u32, roi: u32, overlap: f64, i: u32): u32 {
  return start(size, roi, overlap, i);
}
