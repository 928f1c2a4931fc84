// The webgpu target: the command stream of one run, which the host walks in one call.
import { CMD_DISPATCH, CMD_STEP, MODE_FORWARD, OP_DISPATCH, SECTION_FORWARD, SECTION_GRAD, SECTION_UPDATE, STEP_BLOCK, STEP_BLOCK_BYTES, STREAM } from './layout';
import { sectionWord, word } from './table';

/** Returns the stream's length in words; 0 when the table holds an op that the webgpu target does not know. */
export function writeStream(s: usize, entry: u32, mode: u32, update: bool): u32 {
  const from = <usize>load<u32>(s + STREAM);
  store<u32>(from, CMD_STEP);
  memory.copy(from + 4, s + STEP_BLOCK, STEP_BLOCK_BYTES);
  let at = from + 4 + STEP_BLOCK_BYTES;
  if (mode == MODE_FORWARD) at = append(at, sectionWord(entry, 1, SECTION_FORWARD));
  else {
    at = append(at, sectionWord(entry, 1, SECTION_GRAD));
    if (update && at != 0) at = append(at, sectionWord(entry, 1, SECTION_UPDATE));
  }
  return at == 0 ? 0 : <u32>((at - from) >> 2);
}

function append(at: usize, section: u32): usize {
  if (section == 0) return at;
  const n = word(section);
  for (let i: u32 = 0, w = section + 1; i < n; i++, w += 3) {
    if (word(w) != OP_DISPATCH) return 0;
    store<u32>(at, CMD_DISPATCH);
    store<u32>(at, word(w + 1), 4);
    store<u32>(at, word(w + 2), 8);
    at += 12;
  }
  return at;
}
