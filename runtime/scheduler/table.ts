// Reading the generated table, and resolving it: every wasm op's parameter block with byte addresses in place of
// (arena, offset). A resolved section is [count] then records [function, bytes of the record, parameter block…].
import { TABLE } from './program';
import {
  ARENAS, ARENA_BASES, HEADER_BYTES, OP_DISPATCH, OP_KERNEL, OP_REPEAT, SCRATCH, SECTIONS, SECTIONS_PER_TARGET, STEP_BLOCK, STREAM,
  TABLE_ENTRIES, TABLE_ENTRY_WORDS, TIMES, UNIT,
} from './layout';

/** In place of a function in a resolved record: [REPEAT, 16, times, records that follow and run again]. */
export const REPEAT: u32 = 0xffffffff;
/** A step command in a stream. */
const STEP_WORDS: u32 = 17;

// @ts-ignore: decorator
@inline
export function word(i: u32): u32 {
  return load<u32>(TABLE + ((<usize>i) << 2));
}

export function entryCount(): u32 {
  return word(1);
}

/** Word offset of a section in the table, 0 when there is none. target: 0 wasm, 1 webgpu. */
export function sectionWord(entry: u32, target: u32, section: u32): u32 {
  return word(TABLE_ENTRIES + entry * TABLE_ENTRY_WORDS + target * SECTIONS_PER_TARGET + section);
}

/** Words of the op at table word w. 0 when the op is unknown. */
function opWords(w: u32): u32 {
  const op = word(w);
  if (op == OP_KERNEL) return 4 + 2 * word(w + 2) + word(w + 3);
  if (op == OP_DISPATCH || op == OP_REPEAT) return 3;
  return 0;
}

/** Bytes of a section once resolved (16-byte multiple). */
function resolvedBytes(at: u32): usize {
  const n = word(at);
  let bytes: usize = 16;
  for (let i: u32 = 0, w = at + 1; i < n; i++) {
    bytes += recordBytes(w);
    w += opWords(w);
  }
  return bytes;
}

/** Record: function, bytes, then buffers, step address, scratch address and parameters; 16-byte multiple. */
// @ts-ignore: decorator
@inline
function recordBytes(w: u32): usize {
  if (word(w) == OP_REPEAT) return 16;
  return ((<usize>(4 + word(w + 2) + word(w + 3)) << 2) + 15) & ~(<usize>15);
}

/** What a section's ops come to as they run, repeats counted as often: kernels, or words of a command stream. */
function sectionRun(target: u32, from: u32): u32 {
  const n = word(from);
  let sum: u32 = 0;
  let times: u32 = 1;
  let left: u32 = 0;
  for (let i: u32 = 0, w = from + 1; i < n; i++) {
    if (word(w) == OP_REPEAT) {
      times = word(w + 1);
      left = word(w + 2);
      // The step block before each round, and once after the last.
      if (target == 1) sum += (times + 1) * STEP_WORDS;
    } else {
      const each: u32 = target == 1 ? 3 : 1;
      sum += left > 0 ? times * each : each;
      if (left > 0) left--;
    }
    w += opWords(w);
  }
  return sum;
}

/** The most of it in one run: an entry's forward, or its grad and update. */
function longestRun(target: u32): u32 {
  let most: u32 = 0;
  for (let e: u32 = 0, n = entryCount(); e < n; e++) {
    let training: u32 = 0;
    for (let k: u32 = 0; k < <u32>SECTIONS_PER_TARGET; k++) {
      const at = sectionWord(e, target, k);
      if (at == 0) continue;
      if (k == 0) most = max(most, sectionRun(target, at));
      else training += sectionRun(target, at);
    }
    most = max(most, training);
  }
  return most;
}

// @ts-ignore: decorator
@inline
function align(n: usize): usize {
  return (n + 255) & ~(<usize>255);
}

function arenaTableBytes(arenas: u32): usize {
  return (<usize>arenas) << 2;
}
function sectionTableBytes(): usize {
  return (<usize>(entryCount() * SECTIONS_PER_TARGET)) << 2;
}
function streamBytes(): usize {
  // twice a step command, since grad and update each may begin with one
  return (<usize>(2 * STEP_WORDS + longestRun(1))) << 2;
}
function timesBytes(): usize {
  return (<usize>(longestRun(0) + 1)) << 3;
}

/** Bytes of the session block with all its areas, for a program over `arenas` arenas. */
export function sessionBytes(arenas: u32): usize {
  let bytes = align(HEADER_BYTES) + align(arenaTableBytes(arenas)) + align(sectionTableBytes()) + align(streamBytes()) + align(timesBytes());
  for (let e: u32 = 0, n = entryCount(); e < n; e++) {
    for (let k: u32 = 0; k < <u32>SECTIONS_PER_TARGET; k++) {
      const at = sectionWord(e, 0, k);
      if (at != 0) bytes += resolvedBytes(at);
    }
  }
  return align(bytes);
}

/** Lays the areas out behind the header; `s` is 256-byte aligned and zeroed. */
export function layOut(s: usize, arenas: u32): void {
  let at = s + align(HEADER_BYTES);
  store<u32>(s + ARENAS, arenas);
  store<u32>(s + ARENA_BASES, <u32>at);
  at += align(arenaTableBytes(arenas));
  store<u32>(s + SECTIONS, <u32>at);
  at += align(sectionTableBytes());
  store<u32>(s + STREAM, <u32>at);
  at += align(streamBytes());
  store<u32>(s + TIMES, <u32>at);
}

/** Writes the parameter blocks. Returns 0, or 1 + the table word at which an op is unknown or names an absent arena. */
export function resolveAll(s: usize): u32 {
  const arenas = load<u32>(s + ARENAS);
  const bases = <usize>load<u32>(s + ARENA_BASES);
  const sections = <usize>load<u32>(s + SECTIONS);
  let at = <usize>load<u32>(s + TIMES) + align(timesBytes());
  for (let e: u32 = 0, n = entryCount(); e < n; e++) {
    for (let k: u32 = 0; k < <u32>SECTIONS_PER_TARGET; k++) {
      const slot = sections + (<usize>(e * SECTIONS_PER_TARGET + k) << 2);
      const from = sectionWord(e, 0, k);
      if (from == 0) {
        store<u32>(slot, 0);
        continue;
      }
      store<u32>(slot, <u32>at);
      const ops = word(from);
      store<u32>(at, ops);
      at += 16;
      for (let i: u32 = 0, w = from + 1; i < ops; i++) {
        if (word(w) == OP_REPEAT) {
          store<u32>(at, REPEAT);
          store<u32>(at, 16, 4);
          store<u32>(at, word(w + 1), 8);
          store<u32>(at, word(w + 2), 12);
          at += 16;
          w += 3;
          continue;
        }
        if (word(w) != OP_KERNEL) return w + 1;
        const nBufs = word(w + 2);
        const nParams = word(w + 3);
        const bytes = recordBytes(w);
        store<u32>(at, word(w + 1));
        store<u32>(at, <u32>bytes, 4);
        let p = at + 8;
        let q = w + 4;
        for (let b: u32 = 0; b < nBufs; b++, p += 4, q += 2) {
          const arena = word(q);
          if (arena >= arenas) return w + 1;
          store<u32>(p, load<u32>(bases + ((<usize>arena) << 2)) + word(q + 1) * UNIT);
        }
        store<u32>(p, <u32>(s + STEP_BLOCK));
        store<u32>(p, load<u32>(s + SCRATCH), 4);
        p += 8;
        for (let i: u32 = 0; i < nParams; i++, p += 4, q++) store<u32>(p, word(q));
        at += bytes;
        w += opWords(w);
      }
    }
  }
  return 0;
}

/** Address of a resolved section, 0 when there is none. */
export function resolvedSection(s: usize, entry: u32, section: u32): usize {
  return <usize>load<u32>(<usize>load<u32>(s + SECTIONS) + (<usize>(entry * SECTIONS_PER_TARGET + section) << 2));
}
