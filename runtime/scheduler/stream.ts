// The webgpu target: the command stream of one run, which the host walks in one call.
import {
  CMD_DISPATCH, CMD_STEP, MODE_FORWARD, OP_DISPATCH, OP_REPEAT, SECTION_FORWARD, SECTION_GRAD, SECTION_UPDATE, STEP_BLOCK, STEP_BLOCK_BYTES, STREAM,
  TILE,
} from './layout';
import { sectionWord, word } from './table';

/** Returns the stream's length in words; 0 when the table holds an op that the webgpu target does not know. */
export function writeStream(s: usize, entry: u32, mode: u32, update: bool): u32 {
  const from = <usize>load<u32>(s + STREAM);
  let at = stepBlock(s, from, 0);
  if (mode == MODE_FORWARD) at = append(s, at, sectionWord(entry, 1, SECTION_FORWARD));
  else {
    at = append(s, at, sectionWord(entry, 1, SECTION_GRAD));
    if (update && at != 0) at = append(s, at, sectionWord(entry, 1, SECTION_UPDATE));
  }
  return at == 0 ? 0 : <u32>((at - from) >> 2);
}

/** The step block as a command, with this tile. */
function stepBlock(s: usize, at: usize, tile: u32): usize {
  store<u32>(s + TILE, tile);
  store<u32>(at, CMD_STEP);
  memory.copy(at + 4, s + STEP_BLOCK, STEP_BLOCK_BYTES);
  return at + 4 + STEP_BLOCK_BYTES;
}

function append(s: usize, at: usize, section: u32): usize {
  if (section == 0) return at;
  const n = word(section);
  for (let i: u32 = 0, w = section + 1; i < n; i++, w += 3) {
    if (word(w) == OP_REPEAT) {
      const times = word(w + 1);
      const count = word(w + 2);
      for (let tile: u32 = 0; tile < times; tile++) {
        at = stepBlock(s, at, tile);
        for (let j: u32 = 0; j < count; j++) {
          at = dispatch(at, w + 3 * (j + 1));
          if (at == 0) return 0;
        }
      }
      at = stepBlock(s, at, 0);
      i += count;
      w += 3 * count;
    } else {
      at = dispatch(at, w);
      if (at == 0) return 0;
    }
  }
  return at;
}

function dispatch(at: usize, w: u32): usize {
  if (word(w) != OP_DISPATCH) return 0;
  store<u32>(at, CMD_DISPATCH);
  store<u32>(at, word(w + 1), 4);
  store<u32>(at, word(w + 2), 8);
  return at + 12;
}
