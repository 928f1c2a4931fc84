// The cases that `t3dc bench` runs: shapes that T3D's presets contain, and a general sweep. And the same builders over small and
// odd shapes, which the tests hold to float64: what is timed is what is proven.
import {
  adamW,
  attention,
  type BenchCase,
  conv3d,
  convTranspose3d,
  elementwise,
  matmul,
  norm,
  reduce,
} from './cases.ts';

/** Convolutions of the presets: [ci, co, kernel, size]. */
const CONVOLUTIONS: readonly (readonly [number, number, number, number])[] = [
  [16, 16, 3, 32],
  [48, 48, 3, 32],
  [48, 48, 3, 96], // base, encoder1 and decoder1
  [96, 48, 3, 96], // base, decoder1 after the concatenation
  [1, 48, 3, 96], // base, encoder1's first
  [96, 96, 3, 24], // base, encoder3
  [384, 384, 3, 6], // base, encoder10 is wider still
  [24, 24, 3, 64], // small
  [12, 12, 3, 64], // nano
  [48, 14, 1, 96], // base, out
];

/** Windows of base at 96³: [windows, heads, tokens, channels of a head]. */
const WINDOWS: readonly (readonly [number, number, number, number])[] = [
  [343, 3, 343, 16],
  [64, 6, 343, 16],
  [1, 24, 216, 16],
  [27, 3, 64, 16],
  [64, 3, 27, 16],
];

export const CASES: readonly BenchCase[] = [
  matmul(512, 512, 512),
  matmul(1024, 1024, 1024),
  matmul(117649, 144, 48), // base, stage 1, qkv of 343 windows of 343 tokens
  matmul(110592, 192, 48), // base, stage 1, MLP
  ...CONVOLUTIONS.flatMap(([ci, co, k, size]) =>
    (['forward', 'data', 'weight'] as const)
      .filter((pass) => pass !== 'data' || ci > 1)
      .map((pass) => conv3d(pass, { ci, co, k, size })),
  ),
  conv3d('forward', { ci: 1, co: 48, k: 2, stride: 2, size: 96 }), // base, patch embedding
  conv3d('forward', { ci: 32, co: 64, k: 3, stride: 2, size: 48 }),
  conv3d('data', { ci: 32, co: 64, k: 3, stride: 2, size: 48 }),
  conv3d('weight', { ci: 32, co: 64, k: 3, stride: 2, size: 48 }),
  convTranspose3d(48, 48, 48), // base, decoder1
  convTranspose3d(384, 192, 6),
  ...WINDOWS.flatMap(([g, h, n, e]) => [attention('forward', g, h, n, e), attention('backward', g, h, n, e)]),
  norm('forward', 48, 96),
  norm('backward', 48, 96),
  norm('forward', 24, 64),
  elementwise('copy', 48, 96),
  elementwise('add', 48, 96),
  elementwise('gelu', 48, 96),
  adamW(1 << 22),
  adamW(1 << 24),
  reduce('channels', 48, 96),
  reduce('all', 48, 96),
];

/** Every builder above: sizes that no tile divides, one channel, strides, sums that are split. */
export const SMALL: readonly BenchCase[] = [
  matmul(13, 17, 19),
  matmul(65, 48, 33),
  ...(['forward', 'data', 'weight'] as const).flatMap((pass) => [
    conv3d(pass, { ci: 5, co: 7, k: 3, size: 6 }),
    conv3d(pass, { ci: 16, co: 17, k: 3, size: 9 }),
    conv3d(pass, { ci: 3, co: 5, k: 3, stride: 2, size: 7 }),
    conv3d(pass, { ci: 6, co: 14, k: 1, size: 5 }),
    ...(pass === 'data' ? [] : [conv3d(pass, { ci: 1, co: 6, k: 3, size: 7 })]),
  ]),
  conv3d('weight', { ci: 2, co: 3, k: 3, size: 21 }),
  conv3d('forward', { ci: 1, co: 8, k: 2, stride: 2, size: 6 }),
  convTranspose3d(6, 5, 3),
  ...(['forward', 'backward'] as const).flatMap((pass) => [
    attention(pass, 2, 3, 27, 8),
    attention(pass, 3, 1, 10, 6),
    norm(pass, 5, 7),
    norm(pass, 3, 21),
  ]),
  elementwise('copy', 5, 7),
  elementwise('add', 5, 7),
  elementwise('gelu', 5, 7),
  adamW(2048),
  reduce('channels', 5, 21),
  reduce('all', 5, 21),
];
