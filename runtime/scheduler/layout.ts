// The session block: all state of a running program, in one place. Plain integer constants, so that this file is read
// by both sides as it stands: AssemblyScript (the scheduler) and TypeScript (the host that fills and reads it).
// Values are byte offsets from the session's address `s`; words are u32 unless said otherwise.

// The step block, 16 words, the same order as kernels/expr.ts STEP_SLOTS. Kernels read it.
export const STEP_BLOCK = 0;
export const STEP_BLOCK_BYTES = 64;
export const SEED_LO = 0;
export const SEED_HI = 4;
/** Optimiser steps done before this one. */
export const STEP = 8;
export const MICROSTEP = 12;
/** f32: this step's learning rate. */
export const LR = 16;
/** f32: number of microsteps. */
export const ACCUMULATION = 20;
/** f32: step + 1. */
export const T = 24;
export const TILE = 28;

// Settings.
/** f64: base learning rate. */
export const BASE_LR = 64;
/** f64: exponent of the polynomial schedule. */
export const POWER = 72;
/** Index into manifest.ts SCHEDULE_KINDS. */
export const SCHEDULE = 80;
export const WARMUP = 84;
export const TOTAL = 88;
/** Optimiser steps done; survives in checkpoints. */
export const STEP_COUNTER = 92;
export const MICROSTEPS = 96;
export const THREADS = 100;
/** Byte address of the scratch of all threads. */
export const SCRATCH = 104;
/** 1: write the clock after every kernel into the profile area. */
export const PROFILE = 108;
/** 1: thread 0 may sleep in atomic.wait (a page's main thread may not). */
export const MAY_WAIT = 112;
export const ARENAS = 116;

// Addresses of the areas behind the header (byte addresses).
export const ARENA_BASES = 120;
export const SECTIONS = 124;
export const STREAM = 128;
export const TIMES = 132;
/** Microseconds-free clock readings (f64 milliseconds) written so far. */
export const TIME_COUNT = 136;

// The run that the threads are to do.
export const RUN_ENTRY = 140;
export const RUN_MODE = 144;
export const RUN_UPDATE = 148;
export const STOP = 152;

// Atomics, each in its own cache line.
export const GENERATION = 192;
export const ARRIVED = 256;
export const EPOCH = 320;
export const SLEEPERS = 384;

export const HEADER_BYTES = 448;

// Modes of a run.
export const MODE_FORWARD = 0;
export const MODE_GRAD = 1;
export const MODE_TRAIN = 2;

// Sections of an entry, in the table's order.
export const SECTION_FORWARD = 0;
export const SECTION_GRAD = 1;
export const SECTION_UPDATE = 2;
export const SECTIONS_PER_TARGET = 3;

// The program's table (runtime/manifest.ts describes it).
export const TABLE_FORMAT = 1;
export const TABLE_ENTRIES = 2;
export const TABLE_ENTRY_WORDS = 6;
export const OP_KERNEL = 1;
export const OP_DISPATCH = 2;
export const OP_REPEAT = 3;
export const CMD_STEP = 1;
export const CMD_DISPATCH = 2;
/** Arena offsets are in units of this many bytes. */
export const UNIT = 256;
