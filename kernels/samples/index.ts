// Small kernels built by hand, one for each thing an emitter can get wrong. Tests run them on every target against
// evaluate.ts.
//
// Contract: deterministic; a kernel writes every element of its outputs; f32 inputs are exact Float32 values.
import { attention } from './attention.ts';
import type { Sample } from './build.ts';
import { conv, convConcat, convDataGrad, convWeightGrad, depthwise, upsample } from './conv.ts';
import { halfSamples } from './half.ts';
import { broadcast, concat, functions, normalise, padRoll, update, windows } from './map.ts';
import { matmul } from './matmul.ts';
import { columnReduce, joinedReduce, rowReduce } from './reduce.ts';

export { fill, type Sample } from './build.ts';

/** Every sample, small enough for the float64 reference. */
export const samples: readonly Sample[] = [
  matmul(4, 8, 8),
  matmul(1, 1, 1),
  matmul(5, 7, 9, { bias: true }),
  matmul(13, 17, 19, { batch: 3 }),
  matmul(33, 31, 24, { gelu: true }),
  matmul(37, 29, 14, { transposeB: true }),
  matmul(29, 37, 16, { transposeA: true }),
  matmul(11, 23, 10, { batch: 2, transposeA: true, transposeB: true, bias: true }),
  matmul(2, 64, 40, { bias: true }),
  matmul(64, 5, 1),
  // A tile of either target, and one more or less of rows, columns and terms.
  ...[-1, 0, 1].flatMap((d) => [
    matmul(64 + d, 48 + d, 32 + d),
    matmul(32 + d, 96 + d, 64 + d, { transposeA: true, bias: true }),
    conv({ size: [3, 4, 8 + d], ci: 16 + d, co: 32 + d }),
    convDataGrad({ size: [3, 4, 8 + d], ci: 32 + d, co: 16 + d }),
    convWeightGrad({ size: [3, 4, 8 + d], ci: 16 + d, co: 32 + d }),
    functions(64 + d),
    broadcast(3, 256 + d),
    rowReduce('sum', 3, 256 + d),
    columnReduce('sum', 1, [3, 5, 17], 8 + d),
    columnReduce('max', 1, [3, 5, 17], 64 + d),
  ]),
  conv({ size: [4, 5, 6], ci: 8, co: 16 }),
  conv({ size: [5, 6, 7], ci: 12, co: 8, b: 2, prologue: true, bias: true }),
  conv({ size: [6, 5, 7], ci: 6, co: 14, stride: 2, bias: true }),
  conv({ size: [6, 7, 5], ci: 1, co: 16, prologue: true }),
  conv({ size: [4, 6, 4], ci: 1, co: 24, kernel: 2, stride: 2, pad: 0 }),
  conv({ size: [3, 4, 5], ci: 24, co: 14, kernel: 1, bias: true }),
  conv({ size: [1, 1, 9], ci: 5, co: 3 }),
  // Few channels: a register tile along w, with and without a remainder; chains; both directions of the taps; w alone.
  conv({ size: [3, 4, 16], ci: 2, co: 24, bias: true }),
  conv({ size: [2, 3, 17], ci: 3, co: 50, b: 2, prologue: true }),
  conv({ size: [5, 4, 9], ci: 4, co: 20, kernel: 5 }),
  conv({ size: [3, 6, 35], ci: 2, co: 7, kernel: 2, stride: 2, pad: 0 }),
  conv({ size: [1, 1, 19], ci: 2, co: 8 }),
  convDataGrad({ size: [3, 4, 13], ci: 12, co: 2 }),
  convDataGrad({ size: [4, 5, 6], ci: 16, co: 8 }),
  convDataGrad({ size: [3, 5, 7], ci: 14, co: 7, b: 2 }),
  convWeightGrad({ size: [4, 5, 6], ci: 8, co: 16 }),
  convWeightGrad({ size: [5, 3, 7], ci: 6, co: 10, b: 2, split: 2, prologue: true }),
  convWeightGrad({ size: [6, 5, 7], ci: 5, co: 14, stride: 2, split: 3 }),
  convWeightGrad({ size: [4, 5, 6], ci: 1, co: 12 }),
  convConcat([3, 4, 5], 8, 12, 16),
  convConcat([3, 4, 5], 6, 5, 9),
  // Sizes past one block of rows, of columns or of the summed variable.
  matmul(601, 40, 24, { gelu: true }),
  matmul(1030, 9, 17, { transposeB: true, bias: true }),
  matmul(24, 1001, 40, { transposeA: true }),
  matmul(7, 1200, 5, { transposeA: true, transposeB: true, batch: 2 }),
  matmul(8, 200, 160),
  conv({ size: [9, 11, 13], ci: 4, co: 8, b: 2, prologue: true }),
  conv({ size: [13, 19, 9], ci: 3, co: 10, stride: 2, bias: true }),
  conv({ size: [11, 12, 13], ci: 1, co: 9 }),
  convDataGrad({ size: [9, 10, 11], ci: 9, co: 6 }),
  convWeightGrad({ size: [7, 11, 13], ci: 6, co: 9, b: 2, prologue: true }),
  convWeightGrad({ size: [2, 3, 5], ci: 40, co: 72 }),
  // Winograd on wasm (even sizes, blocks enough to share): whole planes, planes in blocks, batches, no padding, the two outer axes
  // where the innermost is odd; weights' positions in one block and in several, parts, more taps' rows than one block has.
  conv({ size: [8, 8, 8], ci: 8, co: 16 }),
  conv({ size: [3, 32, 16], ci: 4, co: 10, bias: true }),
  conv({ size: [5, 8, 14], ci: 12, co: 9, b: 2, prologue: true, bias: true }),
  conv({ size: [10, 10, 10], ci: 4, co: 8, pad: 0 }),
  conv({ size: [16, 6, 7], ci: 4, co: 12, prologue: true }),
  convConcat([8, 8, 8], 8, 12, 16),
  convDataGrad({ size: [8, 10, 8], ci: 12, co: 8 }),
  convDataGrad({ size: [5, 8, 16], ci: 9, co: 20, b: 2 }),
  convWeightGrad({ size: [16, 6, 8], ci: 8, co: 12, split: 8, prologue: true }),
  convWeightGrad({ size: [8, 32, 32], ci: 4, co: 8, split: 8 }),
  convWeightGrad({ size: [32, 4, 5], ci: 12, co: 24, b: 2, split: 8 }),
  convWeightGrad({ size: [3, 4, 6], ci: 8, co: 72 }),
  convWeightGrad({ size: [5, 6, 4], ci: 12, co: 60, b: 2, prologue: true }),
  depthwise([3, 4, 5], 6),
  upsample([3, 4, 5], 7, 12),
  upsample([8, 9, 9], 5, 6),
  functions(67),
  functions(1),
  padRoll(4, 5, 3, 8),
  padRoll(5, 3, 7, 13),
  padRoll(3, 2, 5, 1),
  broadcast(7, 33),
  broadcast(1, 4),
  concat(5, 8, 12),
  concat(6, 7, 10),
  windows(6, 3, 5),
  windows(4, 2, 16),
  update(131),
  // Several rows of an invocation, the last one short of them.
  normalise(65_537, 16),
  padRoll(33, 31, 97, 12),
  rowReduce('sum', 7, 48),
  rowReduce('sum', 5, 1031, true),
  rowReduce('max', 3, 37),
  rowReduce('min', 3, 5),
  joinedReduce('max', 5, 9, 14),
  joinedReduce('min', 3, 21, 6),
  rowReduce('argmax', 11, 14),
  rowReduce('argmax', 2, 1),
  columnReduce('sum', 2, [3, 5, 7], 12),
  columnReduce('sum', 1, [11, 13, 17], 3),
  columnReduce('max', 2, [2, 3, 4], 10),
  // Outputs enough that no tree is wanted.
  rowReduce('sum', 66_000, 33),
  ...(['forward', 'dq', 'dkv', 'dbias'] as const).flatMap((part) => [
    attention(part, { g: 4, h: 3, n: 27, e: 16, masked: true, parts: 2 }),
    attention(part, { g: 3, h: 2, n: 8, e: 8, bias: false, parts: 2 }),
    attention(part, { g: 1, h: 1, n: 13, e: 5, parts: 1 }),
    attention(part, { g: 1, h: 2, n: 71, e: 8, masked: true }),
    attention(part, { g: 2, h: 1, n: 1, e: 4 }),
    attention(part, { g: 1, h: 1, n: 63, e: 15 }),
    attention(part, { g: 1, h: 1, n: 65, e: 17, masked: true }),
  ]),
  ...halfSamples,
];

/** For wasm alone: more output than WebGPU's tests have a grid for. A weight's gradient whose sums are cut by the outermost tap. */
export const wideSamples: readonly Sample[] = [convWeightGrad({ size: [3, 4, 4], ci: 96, co: 152, split: 3 })];
