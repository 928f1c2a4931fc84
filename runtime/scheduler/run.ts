// The wasm target: kernels called in order, on one thread or on all of them.
import { kernel } from './program';
import { barrier, nextRun, startRun } from './threads';
import { REPEAT, resolvedSection } from './table';
import {
  MODE_FORWARD, PROFILE, RUN_ENTRY, RUN_MODE, RUN_UPDATE, SECTION_FORWARD, SECTION_GRAD, SECTION_UPDATE, STOP, THREADS, TILE,
  TIMES, TIME_COUNT,
} from './layout';

/** Milliseconds, from the host; read only while profiling. */
// @ts-ignore: decorator
@external("env", "now")
declare function now(): f64;

/** The main thread's part of a run. */
export function runMain(s: usize, entry: u32, mode: u32, update: bool): void {
  const nt = load<u32>(s + THREADS);
  store<u32>(s + RUN_ENTRY, entry);
  store<u32>(s + RUN_MODE, mode);
  store<u32>(s + RUN_UPDATE, update);
  store<u32>(s + TIME_COUNT, 0);
  if (load<u32>(s + PROFILE) != 0) mark(s);
  if (nt > 1) startRun(s);
  runSections(s, 0, nt);
}

/** A worker thread's life: runs until `STOP`. `seen` is GENERATION when the thread was started. */
export function runWorker(s: usize, t: u32, seen: u32): void {
  for (;;) {
    seen = nextRun(s, seen);
    if (load<u32>(s + STOP) != 0) return;
    runSections(s, t, load<u32>(s + THREADS));
  }
}

export function stopWorkers(s: usize): void {
  store<u32>(s + STOP, 1);
  startRun(s);
}

function runSections(s: usize, t: u32, nt: u32): void {
  const entry = load<u32>(s + RUN_ENTRY);
  if (load<u32>(s + RUN_MODE) == MODE_FORWARD) walk(s, resolvedSection(s, entry, SECTION_FORWARD), t, nt);
  else {
    walk(s, resolvedSection(s, entry, SECTION_GRAD), t, nt);
    if (load<u32>(s + RUN_UPDATE) != 0) walk(s, resolvedSection(s, entry, SECTION_UPDATE), t, nt);
  }
  // Nobody may still be reading RUN_* when the next run writes them.
  if (nt > 1) barrier(s, t, nt);
}

function walk(s: usize, section: usize, t: u32, nt: u32): void {
  if (section == 0) return;
  const n = load<u32>(section);
  const profiling = t == 0 && load<u32>(s + PROFILE) != 0;
  let record = section + 16;
  for (let i: u32 = 0; i < n; i++) {
    if (load<u32>(record) == REPEAT) {
      const times = load<u32>(record, 8);
      const count = load<u32>(record, 12);
      const first = record + 16;
      for (let tile: u32 = 0; tile < times; tile++) {
        setTile(s, tile, t, nt);
        record = first;
        for (let j: u32 = 0; j < count; j++) record = step(s, record, t, nt, profiling);
      }
      setTile(s, 0, t, nt);
      i += count;
    } else record = step(s, record, t, nt, profiling);
  }
}

/** Runs one kernel on all threads; the address of the next. */
// @ts-ignore: decorator
@inline
function step(s: usize, record: usize, t: u32, nt: u32, profiling: bool): usize {
  kernel(load<u32>(record), record + 8, t, nt);
  if (nt > 1) barrier(s, t, nt);
  if (profiling) mark(s);
  return record + load<u32>(record, 4);
}

/** Kernels read the step block, so that all threads wait until it is written. */
function setTile(s: usize, tile: u32, t: u32, nt: u32): void {
  if (t == 0) store<u32>(s + TILE, tile);
  if (nt > 1) barrier(s, t, nt);
}

function mark(s: usize): void {
  const i = load<u32>(s + TIME_COUNT);
  store<f64>(<usize>load<u32>(s + TIMES) + ((<usize>i) << 3), now());
  store<u32>(s + TIME_COUNT, i + 1);
}
